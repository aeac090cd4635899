"""Collections with questions and judgements: public ones, any in the same form, and two made of what is installed.

`scifact`, `nfcorpus`, `fiqa`, `arguana`, `scidocs` are those of BEIR (Thakur et al., NeurIPS 2021), fetched from its
site and held against the checksums that it publishes; nothing of them is kept in the repository. BEIR gives them under
CC BY-SA 4.0; whoever publishes results should look at the licences of their makers too. A folder is read in BEIR's form
(`corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv`).

`docstrings` and `manual` need no network: the first sentence of a docstring, or of a manual page's name section, is the
question, what else the text says is the document, and that document alone is relevant. The wording is people's own, the
judgements are blind to other documents that would answer as well: good for comparing, not for absolute figures.
"""

import ast
import gzip
import hashlib
import io
import json
import random
import re
import sysconfig
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BEIR = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{}.zip"
_MD5 = {
    "scifact": "5f7d1de60b170fc8027bb7898e2efca1",
    "nfcorpus": "a89dba18a62ef92f7d323ec890a0d38d",
    "fiqa": "17918ed23cd04fb15047f73e6c3bd9d9",
    "arguana": "8ad3e3c2a5867cdced806d6503f29b99",
    "scidocs": "38121350fc3a4d2f48850f6aff52e4a9",
}
_PACKAGES = ("numpy", "sqlalchemy", "pint", "aiohttp", "hypothesis")
_DOCUMENTS = 1_000
_QUESTIONS = 300
_LONGEST = 1_000
PUBLIC = tuple(_MD5)
MADE = ("docstrings", "manual")


@dataclass(frozen=True, slots=True)
class Text:
    """A document."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """Documents, questions by their ids, and for each question how relevant documents are; those not named are not."""

    name: str
    documents: list[Text]
    questions: dict[str, str]
    judgements: dict[str, dict[str, int]]


def judged(name: str, downloads: Path) -> Judged:
    """Return a collection by its name, or the one in a folder."""
    if name in _MD5:
        return beir(_fetched(name, downloads))
    if name in MADE:
        pairs = _docstrings() if name == "docstrings" else _manual_pages()
        return _known_items(name, pairs)
    return beir(Path(name))


def beir(folder: Path) -> Judged:
    """Read a folder in BEIR's form; questions without a relevant document are left out."""
    judgements: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        question, document, grade = line.split("\t")
        judgements.setdefault(question, {})[document] = int(grade)
    judgements = {question: grades for question, grades in judgements.items() if any(g > 0 for g in grades.values())}
    return Judged(
        folder.name,
        [Text(row["_id"], row.get("title") or "", row["text"]) for row in _rows(folder / "corpus.jsonl")],
        {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl") if row["_id"] in judgements},
        judgements,
    )


def _rows(file: Path) -> Iterator[dict[str, str]]:
    """Yield the objects of JSON lines; a line ends with a line feed and nothing else."""
    with file.open(encoding="utf-8", newline="\n") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _fetched(name: str, downloads: Path) -> Path:
    if not (downloads / name).exists():
        with urllib.request.urlopen(_BEIR.format(name), timeout=60) as answer:
            content = answer.read()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != _MD5[name]:
            raise SystemExit(f"{name}.zip is not the file whose checksum BEIR publishes")
        zipfile.ZipFile(io.BytesIO(content)).extractall(downloads)
    return downloads / name


def _known_items(name: str, pairs: Iterator[tuple[str, str]]) -> Judged:
    """Take documents at random, always the same ones of the same texts; every question is asked once."""
    each = sorted(dict(pairs).items())
    random.Random(1).shuffle(each)
    documents = each[:_DOCUMENTS]
    return Judged(
        name,
        [Text(f"d{number}", "", text[:_LONGEST]) for number, (_, text) in enumerate(documents)],
        {f"q{number}": question for number, (question, _) in enumerate(documents[:_QUESTIONS])},
        {f"q{number}": {f"d{number}": 1} for number in range(min(_QUESTIONS, len(documents)))},
    )


def _docstrings() -> Iterator[tuple[str, str]]:
    """Yield the summaries and the rest of docstrings in the standard library and some packages of the product."""
    installed = Path(sysconfig.get_path("purelib"))
    folders = [Path(sysconfig.get_path("stdlib")), *(installed / name for name in _PACKAGES)]
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")):
        if "test" in file.as_posix() or ("site-packages" in file.parts and installed not in file.parents):
            continue
        try:
            tree = ast.parse(file.read_text())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                summary, _, rest = (ast.get_docstring(node) or "").strip().partition("\n\n")
                summary = " ".join(summary.split())
                if 25 < len(summary) < 150 and len(rest) > 200:
                    yield summary, rest.strip()


def _manual_pages() -> Iterator[tuple[str, str]]:
    """Yield what manual pages are for, and their descriptions."""
    for file in sorted(Path("/usr/share/man").glob("man*/*.gz")):
        page = gzip.decompress(file.read_bytes()).decode(errors="ignore")
        name = re.search(r'\.SH\s+"?NAME"?\n(.*?)\n\.SH', page, re.S | re.I)
        description = re.search(r'\.SH\s+"?DESCRIPTION"?\n(.*?)(?:\n\.SH|\Z)', page, re.S | re.I)
        purpose = re.split(r"\s\\?-+\s", _plain(name[1]), maxsplit=1)[1:] if name else []
        if description and purpose and 15 < len(purpose[0]) < 150 and len(text := _plain(description[1])) > 200:
            yield purpose[0], text


def _plain(roff: str) -> str:
    """Take the marks of roff out of a text."""
    text = re.sub(r"^\.[A-Za-z]{1,3}\s*|\\f.|\\&", "", roff, flags=re.M)
    return " ".join(re.sub(r"^['.].*$", "", text, flags=re.M).replace("\\", "").split())
