"""Ends a small model's loop of calls: one that makes the same call twice in a turn has nothing new to ask for."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace

from main_api.events import ChoiceFinished, ModelEvent, ToolCallDelta


async def without_repeated_calls(events: AsyncIterator[ModelEvent]) -> AsyncIterator[ModelEvent]:
    """Pass the events of a turn on; in each choice, a call that repeats an earlier one is left out with all after it.

    The first call streams as it comes, later ones when they are complete. A choice whose calls were cut finishes with
    `tool_calls`, whatever ended the loop.
    """
    choices: defaultdict[int, _Calls] = defaultdict(_Calls)
    async for event in events:
        if isinstance(event, ToolCallDelta):
            for piece in choices[event.choice].take(event):
                yield piece
        elif isinstance(event, ChoiceFinished):
            made = choices[event.choice]
            for piece in made.end():
                yield piece
            yield replace(event, finish_reason="tool_calls") if made.looped else event
        else:
            yield event


class _Calls:
    """The calls of a choice so far, and the pieces of the one that is not complete."""

    def __init__(self) -> None:
        self.looped = False
        self._made: set[tuple[str, str]] = set()
        self._held: list[ToolCallDelta] = []

    def take(self, piece: ToolCallDelta) -> list[ToolCallDelta]:
        """Take a piece; return those that may go on."""
        released = self._settle() if self._held and self._held[0].index != piece.index else []
        self._held.append(piece)
        return [*released, *([piece] if piece.index == 0 else [])]

    def end(self) -> list[ToolCallDelta]:
        """Say that there are no more; return what may go on."""
        return self._settle()

    def _settle(self) -> list[ToolCallDelta]:
        """Judge the complete call; return its pieces if it is new and has not streamed already."""
        pieces, self._held = self._held, []
        call = ("".join(piece.name or "" for piece in pieces), "".join(piece.arguments for piece in pieces))
        self.looped |= bool(pieces) and call in self._made
        self._made.add(call)
        return [] if self.looped or not pieces or pieces[0].index == 0 else pieces
