"""A conversation in the terminal: one question or many, sessions, and what Ctrl-C does.

Ctrl-C while an answer streams stops the answer; at the prompt it clears the line. Ctrl-D or /quit leaves.
"""

from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from importlib import import_module

from cli import terminal
from cli.api_client import CallFailed
from cli.chat_client import ChatClient, Question
from cli.chat_view import AnswerView, printable
from cli.signed_in import SignedIn
from main_api.backends.local_models import BUNDLED_ADVICE, BUNDLED_NAME

_HELP = """\
/new            begin a new session
/sessions       list your newest sessions
/open ID        go on with a session (the beginning of its id is enough)
/model NAME     ask another model (auto: the default)
/agent NAME     chat, react, …
/quit           leave (also Ctrl-D)
Ctrl-C          stop the answer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the next question goes to."""

    session_id: str | None = None
    model: str | None = None
    agent: str | None = None


class Conversation:
    """Talks to one server."""

    def __init__(self, server: SignedIn[ChatClient]) -> None:
        self._server = server
        self._client = server.client
        self._call = server.call
        self._advised = False

    def ask(self, text: str, choices: Choices) -> str | None:
        """Stream one answer to the terminal. Returns the session's id."""
        question = Question(text=text, session_id=choices.session_id, model=choices.model, agent=choices.agent)
        view = AnswerView(terminal.out, terminal.err)

        async def stream() -> None:
            async with aclosing(self._client.ask(question)) as chunks:
                async for chunk in chunks:
                    view.show(chunk)

        try:
            self._call(stream)
        finally:
            view.end()
        self._advise(view.model)
        return view.session_id or choices.session_id

    def print_sessions(self) -> None:
        for session in self._call(self._client.sessions):
            count = session.get("message_count", "")
            title = printable(str(session.get("title") or ""))
            terminal.out.print(f"{session.get('id')}  {count:>4}  {title}", markup=False, soft_wrap=True)

    def open(self, beginning: str) -> str:
        """Print a session and return its id; `beginning` is its id or the beginning of one that is unambiguous."""
        matching = [str(found["id"]) for found in self._call(self._client.sessions)]
        matching = [found for found in matching if found.startswith(beginning)]
        session_id = matching[0] if len(matching) == 1 else beginning
        for message in self._call(lambda: self._client.history(session_id)):
            mark = "> " if message.get("role") == "user" else ""
            terminal.out.print(printable(f"{mark}{message.get('content')}"), markup=False, soft_wrap=True)
        return session_id

    def _advise(self, model: str | None) -> None:
        """Say once that the answers are the small model's, and how to get better ones."""
        if self._advised or not terminal.err.is_terminal or (model or "").split("/")[-1] != BUNDLED_NAME:
            return
        self._advised = True
        terminal.err.print(f"({BUNDLED_ADVICE})", style="dim", soft_wrap=True)


def interactive(conversation: Conversation, choices: Choices) -> None:
    """Read questions until the person leaves."""
    with suppress(ImportError):  # some Pythons are built without it
        import_module("readline")  # gives input() its line editing and history
    terminal.err.print("Ask something. /help lists the commands, Ctrl-D leaves.", style="dim")
    if choices.session_id:
        choices = replace(choices, session_id=conversation.open(choices.session_id))
    while True:
        try:
            line = input("> ").strip()
        except KeyboardInterrupt:
            terminal.err.print()
            continue
        except EOFError:
            terminal.err.print()
            return
        if line in {"/quit", "/exit"}:
            return
        choices = _turn(conversation, choices, line)


def _turn(conversation: Conversation, choices: Choices, line: str) -> Choices:
    try:
        if line.startswith("/"):
            return _command(conversation, choices, line)
        return replace(choices, session_id=conversation.ask(line, choices)) if line else choices
    except KeyboardInterrupt:
        terminal.err.print("(stopped)", style="dim")
    except CallFailed as failure:
        terminal.err.print(f"error: {failure}", style="red", markup=False, soft_wrap=True)
    return choices


def _command(conversation: Conversation, choices: Choices, line: str) -> Choices:
    command, _, argument = line.partition(" ")
    match command, argument.strip():
        case "/new", _:
            return replace(choices, session_id=None)
        case "/sessions", _:
            conversation.print_sessions()
        case "/open", str(wanted) if wanted:
            return replace(choices, session_id=conversation.open(wanted))
        case "/model", str(model) if model:
            return replace(choices, model=model)
        case "/agent", str(agent) if agent:
            return replace(choices, agent=agent)
        case _:
            terminal.err.print(_HELP, markup=False)
    return choices
