"""What `twinport rag` prints: hits with their citations, collections, jobs, and what went wrong."""

import re
from collections.abc import Sequence
from typing import Any, cast

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cli.api_client import JsonObject
from cli.chat_view import printable
from cli.rag_progress import said

_WORD = re.compile(r"\w{3,}")
_SHOWN = 700
_ID = 36


def print_hits(out: Console, err: Console, answer: JsonObject, query: str) -> None:
    """Print the hits, best first, with the words of the question marked."""
    hits = cast("list[JsonObject]", answer.get("data") or [])
    for number, hit in enumerate(hits, 1):
        where = " > ".join(cast("list[str]", hit.get("headings") or []))
        head = Text(f"[{number}] ", style="dim")
        head.append(_line(hit.get("citation")), style="bold")
        head.append(f"  {_line(where)}" if where else "", style="dim")
        head.append(f"  {float(hit.get('score') or 0):.2f}", style="cyan")
        out.print(head, soft_wrap=True)
        out.print(_marked(str(hit.get("text") or ""), query), soft_wrap=True)
        out.print()
    for note in cast("list[str]", answer.get("notes") or []):
        err.print(f"note: {printable(note)}", style="dim", markup=False, soft_wrap=True)
    if not hits:
        err.print("Nothing found.", style="dim")


def print_collections(out: Console, collections: Sequence[JsonObject]) -> None:
    table = Table("collection", "documents", "", "owner", _id_column(), box=None, pad_edge=False)
    for one in collections:
        counts: JsonObject = one.get("documents") or {}
        remarks = [f"{counts[word]} {word}" for word in ("pending", "failed") if counts.get(word)]
        remarks += ["to be reindexed"] if one.get("needs_reindex") else []
        owner = "" if one.get("role") == "owner" else f"{one.get('owner')} (you are {one.get('role')})"
        row = (one.get("name"), counts.get("total", 0), ", ".join(remarks), owner, one.get("id"))
        table.add_row(*(Text(_line(cell)) for cell in row))
    out.print(table)


def print_documents(out: Console, documents: Sequence[JsonObject]) -> None:
    table = Table("document", "state", "pages", "chunks", _id_column(), box=None, pad_edge=False)
    for one in documents:
        error: JsonObject = one.get("error") or {}
        state = f"{one.get('state')}: {error['message']}" if error.get("message") else one.get("state")
        row = (one.get("name"), state, one.get("pages") or "", one.get("chunks") or "", one.get("id"))
        table.add_row(*(Text(_line(cell)) for cell in row))
    out.print(table)


def print_jobs(out: Console, jobs: Sequence[JsonObject]) -> None:
    for job in jobs:
        line = f"{job.get('id')} {job.get('percent') or 0}% {job.get('kind')} {said(job)}"
        out.print(_line(line), markup=False, soft_wrap=True)


def print_encoder(out: Console, status: JsonObject) -> None:
    encoder: JsonObject = status.get("encoder") or {}
    model = f"{encoder.get('model')} ({encoder.get('dimensions')} dimensions)" if encoder.get("model") else "no model"
    reason = f": {encoder['reason']}" if encoder.get("reason") else ""
    out.print(f"encoder: {encoder.get('state')}, {model}{_line(reason)}", markup=False, soft_wrap=True)


def print_failures(err: Console, failures: Sequence[JsonObject]) -> None:
    """Print what could not be read, and why."""
    for document in failures:
        error: Any = document.get("error") or {}
        message = cast("JsonObject", error).get("message") or "failed"
        err.print(f"✗ {_line(document.get('name'))}: {_line(message)}", markup=False, soft_wrap=True)


def _id_column() -> Column:
    """Make the column of ids: half of one is none."""
    return Column("id", no_wrap=True, min_width=_ID)


def _marked(text: str, query: str) -> Text:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN].rstrip()} …"
    marked = Text(printable(shown.strip()))
    words = {re.escape(word) for word in _WORD.findall(query)}
    if words:
        marked.highlight_regex(rf"(?i)\b(?:{'|'.join(sorted(words, key=len, reverse=True))})", "bold yellow")
    return marked


def _line(value: object) -> str:
    return printable(" ".join(str(value if value is not None else "").split()))
