"""`twinport rag add` and `rag watch`: upload, show the server at work, and say at the end what could not be read."""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from cli import rag_progress, rag_view, terminal
from cli.api_client import CallFailed, JsonObject
from cli.rag_client import RagClient
from cli.rag_files import Found, find_files
from cli.signed_in import SignedIn


def add_files(server: SignedIn[RagClient], named: Sequence[Path], *, collection: str, wait: bool) -> None:
    """Upload what was named. Ends the program with 1 if anything was not taken or not read, 130 on Ctrl-C."""
    files = find_files(named)
    if not files:
        terminal.fail("There is nothing to add: what is hidden or ignored by git is left out of folders.")
    collection_id = str(server.call(lambda: server.client.collection(collection, make=True))["id"])
    uploads: list[JsonObject] = []
    refused: list[JsonObject] = []
    try:
        _upload(server, collection_id, files, (uploads, refused))
    except (KeyboardInterrupt, CallFailed):
        _tell_how_to_go_on(_jobs(uploads))
        terminal.err.print("Not everything was uploaded; the same command adds the rest.", soft_wrap=True)
        raise
    _summarise(uploads, collection)
    rag_view.print_failures(terminal.err, refused)
    jobs = _jobs(uploads)
    if wait:
        watch_jobs(server, jobs)
    else:
        _tell_how_to_go_on(jobs)
    if refused:
        raise SystemExit(1)


def watch_jobs(server: SignedIn[RagClient], jobs: Sequence[str]) -> None:
    """Show jobs until they have ended. Ends the program with 1 if one of them failed or was stopped."""
    client = server.client
    try:
        with rag_progress.bars() as progress:
            ended: list[JsonObject] = server.call(lambda: rag_progress.watch_all(client, jobs, progress))
    except KeyboardInterrupt:
        _tell_how_to_go_on(jobs)
        raise
    failures = [document for job in ended for document in _failures(server, job)]
    rag_view.print_failures(terminal.err, failures)
    for job in ended:
        terminal.out.print(f"{job['id']}  {rag_progress.said(job)}", markup=False, soft_wrap=True)
    if failures or any(job["state"] != "finished" for job in ended):
        raise SystemExit(1)


def _upload(
    server: SignedIn[RagClient],
    collection: str,
    files: Sequence[Found],
    told: tuple[list[JsonObject], list[JsonObject]],
) -> None:
    """Upload in portions; `told` gets what the server says of each and what was not taken, also when interrupted."""
    uploads, refused = told

    async def run() -> None:
        with rag_progress.bars() as progress:
            async with aclosing(rag_progress.upload(server.client, collection, files, progress, refused)) as answers:
                async for answer in answers:
                    uploads.append(answer)

    server.call(run)


def _summarise(uploads: Sequence[JsonObject], collection: str) -> None:
    outcomes = Counter(str(document.get("outcome", "queued")) for upload in uploads for document in upload["documents"])
    words = {"queued": "to be read", "unchanged": "there already", "duplicate": "with content that is there already"}
    told = ", ".join(f"{number} {words.get(outcome, outcome)}" for outcome, number in outcomes.items())
    terminal.err.print(f"{collection}: {told or 'nothing new'}.", markup=False, soft_wrap=True)


def _failures(server: SignedIn[RagClient], job: JsonObject) -> list[JsonObject]:
    counts: JsonObject = job.get("documents") or {}
    if not counts.get("failed"):
        return []
    failed = server.call(lambda: server.client.documents(str(job["collection"]), state="failed"))
    return [document for document in failed if document.get("job") == job["id"]]


def _jobs(uploads: Sequence[JsonObject]) -> list[str]:
    return [str(upload["job"]) for upload in uploads]


def _tell_how_to_go_on(jobs: Sequence[str]) -> None:
    if not jobs:
        return
    terminal.err.print("The server goes on by itself.", soft_wrap=True)
    launcher = terminal.launcher()
    terminal.err.print(f"watch:  {launcher} rag watch {' '.join(jobs)}", markup=False, soft_wrap=True)
    for job in jobs:
        terminal.err.print(f"cancel: {launcher} rag cancel {job}", markup=False, soft_wrap=True)
