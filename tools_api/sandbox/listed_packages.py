"""Adds the packages of an administrator's list to the folder that the sandbox shows.

The list holds pip's requirement lines. Only wheels are installed, whatever a line says, so nothing of a package runs on
the host. Lines with
hashes are checked against them and bring exactly what they name; the others bring what they need. What is there
already stays as it is: nothing on the list changes a version that the sandbox's own lock has fixed.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

_COMMENT = re.compile(r"(^|\s+)#.*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OPTIONS = frozenset(
    {"--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--no-index", "--pre", "--trusted-host"}
)
_PLACE = re.compile(r"(?P<name>[^@]*@\s*)?(?P<place>[^\s;#]*[/\\:][^\s;#]*)")
"""A path or an address in the place of a package, or behind its name and `@`."""
_NOT_IMPORTED = {"bin", "docs", "examples", "share", "test", "tests"}
_PIP = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:")
_PATIENCE = ("--retries", "1", "--timeout", "20")


class UnusableList(Exception):
    """The list can't be read, or says what a list can't say."""


@dataclass(frozen=True, slots=True)
class PackageList:
    """`lines` are requirements, each with its hashes; `options` are pip's, for all of them; `folder` is the list's."""

    lines: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    folder: Path = Path()


def read_list(path: Path) -> PackageList:
    """Read a list. Raises `UnusableList`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableList(f"the list of packages {path.name} can't be read: {error}") from None
    lines = [_COMMENT.sub("", line).strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines()]
    requirements = [line for line in lines if line and not line.startswith("-")]
    options = [line for line in lines if line.startswith("-")]
    for option in options:
        if re.split(r"[=\s]", option, maxsplit=1)[0] not in _OPTIONS:
            raise UnusableList(f"{path.name} says {option!r}: write the packages themselves, one a line")
    for line in requirements:
        place = _PLACE.match(line.split(" --hash")[0].partition(";")[0].strip())
        if place and not place["place"].endswith(".whl"):
            raise UnusableList(f"{path.name} says {line!r}: a package at a path or an address has to be a wheel (.whl)")
    return PackageList(tuple(dict.fromkeys(requirements)), tuple(options), path.resolve().parent)


def add_packages(folder: Path, wanted: PackageList, *, pip_options: Sequence[str] = ()) -> dict[str, str]:
    """Install `wanted` into `folder`; return the lines that could not be installed, each with the reason."""
    failed: dict[str, str] = {}
    hashed = [line for line in wanted.lines if "--hash=" in line]
    for lines in (hashed, [line for line in wanted.lines if line not in hashed]):
        together = _add(folder, lines, wanted, pip_options) if lines else None
        if together is not None:
            alone = len(lines) == 1
            reasons = {line: together if alone else _add(folder, [line], wanted, pip_options) for line in lines}
            failed.update({line: reason for line, reason in reasons.items() if reason is not None})
    return failed


def names_in(folder: Path, *, without: Sequence[str] = ()) -> tuple[str, ...]:
    """List what was asked for by name in `folder`, with the name to import where that is another one."""
    requested = [
        distribution
        for distribution in distributions(path=[str(folder)])
        if distribution.read_text("REQUESTED") is not None and normal(distribution.name) not in without
    ]
    return tuple(sorted(map(_shown, requested), key=str.casefold))


def versions_in(folder: Path) -> dict[str, str]:
    """Return the versions of the packages in `folder` by their normalised names."""
    return {normal(found.name): found.version for found in distributions(path=[str(folder)])}


def normal(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _add(folder: Path, lines: Sequence[str], wanted: PackageList, pip_options: Sequence[str]) -> str | None:
    """Install lines together, all with hashes or all without; return why that failed, None if it did not."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".adding-") as name:
        new = Path(name, "new")
        constraints, requirements = Path(name, "constraints.txt"), Path(name, "requirements.txt")
        present = versions_in(folder)
        constraints.write_text("".join(f"{package}=={version}\n" for package, version in present.items()))
        requirements.write_text("\n".join([*wanted.options, *lines]) + "\n", encoding="utf-8")
        strict = ("--require-hashes", "--no-deps") if "--hash=" in lines[0] else ("--constraint", str(constraints))
        result = subprocess.run(
            [
                *(sys.executable, *_PIP, *_PATIENCE, *strict, "--requirement", str(requirements)),
                *("--target", str(new), *pip_options),
            ],
            cwd=wanted.folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            return _last_words(result.stderr)
        if reason := _conflict(new, present) or _lack(new, present):
            return reason
        _merge(new, folder)
    return None


def _conflict(new: Path, present: Mapping[str, str]) -> str | None:
    for name, version in versions_in(new).items():
        if (there := present.get(name, version)) != version:
            return f"{name} {there} is there already and stays; {version} can't be installed beside it"
    return None


def _lack(new: Path, present: Mapping[str, str]) -> str | None:
    """Say what a package needs and no one has listed; needs that depend on the platform or an extra are passed over."""
    there = {*present, *versions_in(new)}
    for found in distributions(path=[str(new)]):
        for need in found.requires or ():
            name = _NAME.match(need)
            if name and ";" not in need and normal(name[0]) not in there:
                return f"{found.name} needs {name[0]}: list it too, with its hashes"
    return None


def _merge(new: Path, folder: Path) -> None:
    """Move what is new beside what is there, which stays; packages may share folders (namespace packages do)."""
    for path in sorted(new.rglob("*")):
        relative = path.relative_to(new)
        target = folder / relative
        if path.is_dir() or relative.parts[0] == "bin" or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def _shown(found: Distribution) -> str:
    imported = sorted(_import_names(found))
    if not imported or normal(found.name) in map(normal, imported):
        return found.name
    return f"{found.name} (import {', '.join(imported[:2])})"


def _import_names(found: Distribution) -> set[str]:
    names: set[str] = set()
    for file in found.files or ():
        if len(file.parts) == 1 and file.suffix in {".py", ".so"}:
            names.add(file.parts[0].partition(".")[0])
        elif len(file.parts) > 1 and file.parts[1] == "__init__.py":
            names.add(file.parts[0])
    return {name for name in names if not name.startswith("_") and name not in _NOT_IMPORTED}


def _last_words(stderr: str) -> str:
    """Return pip's reason in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip gave no reason"])[0 if errors else -1][:300]
