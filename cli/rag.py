"""`twinport rag …`: documents in, cited passages out, on the server that `twinport chat` talks to."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.rag_client import RagClient
    from cli.signed_in import SignedIn

app = typer.Typer(help="Add documents, search them, share them.", no_args_is_help=True)

Url = Annotated[
    str | None, typer.Option(envvar="TWINPORT_URL", help="The server; the one of this data folder without it.")
]
ApiKey = Annotated[str | None, typer.Option(envvar="TWINPORT_API_KEY", help="A key instead of a login.")]
InCollection = Annotated[str, typer.Option("--collection", "-c", help="Name of the collection; made if need be.")]
Collection = Annotated[str, typer.Argument(help="Name or id of the collection.")]
Job = Annotated[str, typer.Argument(help="The job, as `rag add` and `rag status` name it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="Files, ZIPs and folders; of folders all that git would take.")],
    *,
    collection: InCollection = "documents",
    wait: Annotated[bool, typer.Option(help="Show the progress until all is searchable.")] = True,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Add documents to a collection. Ctrl-C leaves the server at work."""
    from cli.rag_add import add_files

    with _server(url, api_key) as server:
        add_files(server, files, collection=collection, wait=wait)


@app.command()
def watch(
    jobs: Annotated[list[str], typer.Argument(help="The jobs.")], url: Url = None, api_key: ApiKey = None
) -> None:
    """Show jobs at work until they have ended."""
    from cli.rag_add import watch_jobs

    with _server(url, api_key) as server:
        watch_jobs(server, jobs)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="A question, or some words.")],
    *,
    collection: Annotated[
        list[str] | None, typer.Option("--collection", "-c", help="Only in this collection; may be given often.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=100, help="How many passages.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Search your documents and those shared with you; every hit says where it is from. Exits with 1 without a hit."""
    from cli import rag_view, terminal

    query = " ".join(words)
    with _server(url, api_key) as server:
        answer = server.call(lambda: server.client.search(query, collections=collection or (), top_k=top_k))
    if as_json:
        _print_json(answer)
    else:
        rag_view.print_hits(terminal.out, terminal.err, answer, query)
    if not answer.get("data"):
        raise SystemExit(1)


@app.command()
def status(*, url: Url = None, api_key: ApiKey = None) -> None:
    """Say how the encoder stands, what collections there are, and which jobs run."""
    from cli import rag_view, terminal
    from cli.rag_client import ENDED

    with _server(url, api_key) as server:
        rag_view.print_encoder(terminal.out, server.call(server.client.status))
        rag_view.print_collections(terminal.out, server.call(server.client.collections))
        running = [job for job in server.call(server.client.jobs) if job.get("state") not in ENDED]
    rag_view.print_jobs(terminal.out, running)
    terminal.out.print(f"{len(running)} jobs at work" if len(running) != 1 else "1 job at work", style="dim")


@app.command("list")
def list_documents(
    collection: Annotated[str | None, typer.Argument(help="Its documents; all collections without it.")] = None,
    *,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List the collections, or the documents of one."""
    from cli import rag_view, terminal

    with _server(url, api_key) as server:
        if collection is None:
            rag_view.print_collections(terminal.out, server.call(server.client.collections))
        else:
            rag_view.print_documents(terminal.out, server.call(lambda: server.client.documents(collection)))


@app.command()
def rm(
    collection: Collection,
    document: Annotated[
        str | None, typer.Argument(help="A document's name or id; the whole collection without.")
    ] = None,
    *,
    yes: Yes = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete a document, or a collection with all its documents, for good."""
    from cli import terminal
    from cli.rag_rm import remove

    what = f"the document {document} of {collection}" if document else f"the collection {collection} with its documents"
    if not yes and not typer.confirm(f"Delete {what}?"):
        terminal.fail("Nothing was deleted.")
    with _server(url, api_key) as server:
        remove(server, collection, document)
    terminal.out.print(f"Deleted {what}.", markup=False, soft_wrap=True)


@app.command()
def cancel(job: Job, *, url: Url = None, api_key: ApiKey = None) -> None:
    """Stop a job; what it has finished stays."""
    from cli import rag_view, terminal

    with _server(url, api_key) as server:
        rag_view.print_jobs(terminal.out, [server.call(lambda: server.client.cancel(job))])


@app.command()
def export(
    collection: Collection,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; stdout without it.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write every passage of a collection as JSON lines."""
    from cli.rag_export import export_collection

    with _server(url, api_key) as server:
        export_collection(server, collection, output)


@app.command()
def share(
    collection: Collection,
    user: Annotated[str | None, typer.Argument(help="A user name, or * for everyone; lists them without.")] = None,
    *,
    role: Annotated[str, typer.Option(help="reader, or writer who may change its documents.")] = "reader",
    stop: Annotated[bool, typer.Option("--stop", help="Stop sharing with this user.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Share a collection with somebody, or say with whom it is shared."""
    from cli import terminal

    with _server(url, api_key) as server:
        client = server.client
        if user is None:
            for grant in server.call(lambda: client.grants(collection)):
                terminal.out.print(f"{grant.get('user')}  {grant.get('role')}", markup=False)
        elif stop:
            server.call(lambda: client.unshare(collection, user))
            terminal.out.print(f"{collection} is not shared with {user} any more.", markup=False)
        else:
            server.call(lambda: client.share(collection, user, role))
            terminal.out.print(f"{user} is {role} of {collection} now.", markup=False)


@contextmanager
def _server(url: str | None, api_key: str | None) -> "Generator[SignedIn[RagClient]]":
    """Open the server; what fails becomes one line, Ctrl-C the status 130."""
    import asyncio

    from cli import terminal
    from cli.api_client import CallFailed
    from cli.rag_client import RagClient
    from cli.rag_files import NoSuchFile
    from cli.signed_in import SignedIn, this_machine

    with asyncio.Runner() as runner:
        server = SignedIn(runner, url or this_machine(), api_key=api_key, client=RagClient, command="rag status")
        try:
            yield server
        except (CallFailed, NoSuchFile) as failure:
            terminal.fail(str(failure))
        except OSError as error:
            if error.filename is None:  # nothing that a person named
                raise
            terminal.fail(f"{error.strerror}: {error.filename!r}")
        except KeyboardInterrupt:
            terminal.err.print("(stopped)", style="dim")
            raise SystemExit(130) from None
        finally:
            server.close()


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
