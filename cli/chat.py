"""`twinport chat`: talk to the server from the terminal."""

import sys
from typing import Annotated

import typer


def chat(
    *,
    question: Annotated[str | None, typer.Argument(help="Ask this and leave; without it, a conversation.")] = None,
    session: Annotated[str | None, typer.Option(help="Go on with this session.")] = None,
    agent: Annotated[str | None, typer.Option(help="chat, react, …")] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask; the server's default without it.")] = None,
    sessions: Annotated[bool, typer.Option("--sessions", help="List your newest sessions.")] = False,
    url: Annotated[
        str | None, typer.Option(envvar="TWINPORT_URL", help="The server; the one of this data folder without it.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="TWINPORT_API_KEY", help="A key instead of a login.")] = None,
) -> None:
    """Chat in the terminal: streamed, with sessions and agents."""
    import asyncio

    from cli import terminal
    from cli.api_client import CallFailed
    from cli.chat_client import ChatClient
    from cli.conversation import Choices, Conversation, interactive
    from cli.signed_in import SignedIn, this_machine

    if question is None and not sessions and not sys.stdin.isatty():
        question = sys.stdin.read().strip()
    choices = Choices(session_id=session, model=model, agent=agent)
    with asyncio.Runner() as runner:
        server = SignedIn(runner, url or this_machine(), api_key=api_key, client=ChatClient, command="chat")
        conversation = Conversation(server)
        try:
            if sessions:
                conversation.print_sessions()
            elif question is not None:
                _one_shot(conversation.ask(question, choices), known=session)
            else:
                interactive(conversation, choices)
        except CallFailed as failure:
            terminal.fail(str(failure))
        except KeyboardInterrupt:
            terminal.err.print("(stopped)", style="dim")
            raise SystemExit(130) from None
        finally:
            server.close()


def _one_shot(session_id: str | None, *, known: str | None) -> None:
    from cli import terminal

    if session_id and session_id != known and terminal.err.is_terminal:
        terminal.err.print(f"(go on with: {terminal.launcher()} chat --session {session_id})", style="dim")
