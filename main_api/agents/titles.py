"""What to ask a model for a session's title, and what to make of its answer. The chat service does the asking."""

from main_api.agents.prompts import PromptLibrary
from main_api.backends.protocol import Message

_EXCERPT = 400
_LONGEST = 80
_QUOTES = "\"'`*#“”„«» "


def title_messages(prompts: PromptLibrary, *, request: str, answer: str) -> list[Message]:
    """Return the messages that ask for a title; only the beginnings of both texts are shown."""
    conversation = f"User: {_excerpt(request)}\nAssistant: {_excerpt(answer)}"
    return [
        {"role": "system", "content": prompts.render("agents/title")},
        {"role": "user", "content": conversation},
    ]


def clean_title(answer: str, *, request: str) -> str:
    """Return the model's title as one short line with a capital, or the beginning of the request where it gave none."""
    lines = [line.strip(_QUOTES) for line in answer.splitlines()]
    title = next((line for line in lines if line), "") or _excerpt(request).strip(_QUOTES)
    title = title.removeprefix("Title:").strip(_QUOTES).removesuffix(".") or "New conversation"
    title = title if "://" in title.partition(" ")[0] else title[:1].upper() + title[1:]
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1].rstrip()}…"


def _excerpt(text: str) -> str:
    return " ".join(text.split())[:_EXCERPT]
