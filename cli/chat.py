"""`twinport chat`: talk to the server from the terminal."""

import sys
from pathlib import Path
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
    from cli.chat_client import ChatFailed
    from cli.conversation import Choices, Conversation, interactive
    from cli.credentials import LoginFile

    if question is None and not sessions and not sys.stdin.isatty():
        question = sys.stdin.read().strip()
    choices = Choices(session_id=session, model=model, agent=agent)
    logins = LoginFile(Path(typer.get_app_dir("twinport")) / "logins.json")
    with asyncio.Runner() as runner:
        conversation = Conversation(runner, url or _this_machine(), api_key=api_key, logins=logins)
        try:
            if sessions:
                conversation.print_sessions()
            elif question is not None:
                _one_shot(conversation.ask(question, choices), known=session)
            else:
                interactive(conversation, choices)
        except ChatFailed as failure:
            terminal.fail(str(failure))
        except KeyboardInterrupt:
            terminal.err.print("(stopped)", style="dim")
            raise SystemExit(130) from None
        finally:
            conversation.close()


def _one_shot(session_id: str | None, *, known: str | None) -> None:
    from cli import terminal

    if session_id and session_id != known and terminal.err.is_terminal:
        terminal.err.print(f"(go on with: {terminal.launcher()} chat --session {session_id})", style="dim")


def _this_machine() -> str:
    """Return where the `serve` of this data folder listens, or would with the settings of this machine."""
    from cli.plan import main_address
    from cli.settings import read_settings

    return main_address(read_settings())
