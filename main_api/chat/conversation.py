"""A run's session: what the model is shown of it, and what it keeps of the run."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from main_api.agents.collect import Collected, CollectedChoice
from main_api.agents.protocol import Task
from main_api.backends.protocol import Message
from main_api.chat.titles import Titles
from main_api.events import Notice
from main_api.sessions.history import FittedHistory, fit_history, model_messages
from main_api.sessions.records import content_text
from main_api.sessions.service import SessionService
from main_api.sessions.turns import Turn
from shared.errors import TwinportError
from shared.tools_contract import JsonObject

_ANSWER_RESERVE = 0.25
"""The share of a model's context that stays free for the answer when the request does not say how long it may be."""


class Conversation:
    """One turn of a stored session.

    A caller either sends what is new and lets the session remember the rest, or carries the whole conversation along.
    The second shows by an assistant message among those sent: then the stored history is not put in front, and only
    what follows that message is new. System messages hold for the turn and are not kept.
    """

    def __init__(
        self,
        sessions: SessionService,
        *,
        titles: Titles,
        user_id: int,
        session_id: str | None,
        max_messages: int,
    ) -> None:
        self.session_id = session_id
        self.notices: list[Notice] = []
        self._sessions = sessions
        self._titles = titles
        self._user_id = user_id
        self._max_messages = max_messages
        self._turn: Turn | None = None
        self._task: Task | None = None
        self._kept = False

    @asynccontextmanager
    async def continued(self, task: Task) -> AsyncGenerator[Task]:
        """Hold the session for one turn, keep the question, and yield the task with the history in front."""
        async with self._sessions.turn(self._user_id, self.session_id) as turn:
            self._turn, self._task, self.session_id = turn, task, turn.session_id
            for message in _new_messages(task.messages):
                await turn.append_user(message)
            yield replace(task, messages=self._fitted(task, turn), workspace=turn.session_id)

    def shortened(self, task: Task) -> Task | None:
        """Return the task with about half of its conversation; None if only what is never cut is left.

        For when the model's own count of tokens turns out higher than our estimate.
        """
        whole = fit_history(task.messages, max_messages=self._max_messages)
        half = fit_history(task.messages, max_messages=self._max_messages, token_budget=whole.tokens // 2)
        if not half.cut_messages:
            return None
        self._tell_of_cut(half)
        return replace(task, messages=half.messages)

    async def keep(self, answer: Collected, failure: TwinportError | None = None) -> None:
        """Keep the answer as far as it came, with what ended it early. The second call does nothing."""
        if self._turn is None or self._kept:
            return
        self._kept = True
        choice = answer.choice(0)
        await self._turn.append_assistant(
            _assistant_message(choice),
            status="complete" if answer.finished else "error" if failure and not choice.text else "partial",
            model=answer.model or None,
            finish_reason=answer.finish_reason,
            usage={"prompt_tokens": answer.usage.prompt_tokens, "completion_tokens": answer.usage.completion_tokens},
            steps=_steps(answer),
            error={"code": failure.code, "message": failure.message} if failure else None,
        )
        if answer.finished and self._turn.is_new and self._task is not None:
            self._titles.begin(
                user_id=self._user_id,
                session_id=self._turn.session_id,
                model=self._task.model,
                request=_question(self._task.messages),
                answer=choice.text,
            )

    def _fitted(self, task: Task, turn: Turn) -> Sequence[Message]:
        messages = list(task.messages)
        if not any(message["role"] == "assistant" for message in messages):
            system = [message for message in messages if message["role"] in _SYSTEM]
            new = [message for message in messages if message["role"] not in _SYSTEM]
            messages = [*system, *_sendable(model_messages(turn.history, new))]
        fitted = fit_history(messages, max_messages=self._max_messages, token_budget=_prompt_budget(task))
        self._tell_of_cut(fitted)
        return fitted.messages

    def _tell_of_cut(self, fitted: FittedHistory) -> None:
        if not fitted.cut_messages:
            return
        text = f"{fitted.cut_messages} older messages (about {fitted.cut_tokens} tokens) were not sent to the model."
        details = {"messages": fitted.cut_messages, "tokens": fitted.cut_tokens}
        self.notices.append(Notice("history_trimmed", text, details))


_SYSTEM = frozenset({"system", "developer"})


def _new_messages(messages: Sequence[Message]) -> list[Message]:
    last_answer = max((i for i, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return [message for message in messages[last_answer + 1 :] if message["role"] not in _SYSTEM]


def _sendable(messages: Sequence[Message]) -> list[Message]:
    """Leave out what a stored answer says beside OpenAI's fields: models do not get their own thoughts back."""
    return [{name: value for name, value in m.items() if name != "reasoning_content"} for m in messages]


def _question(messages: Sequence[Message]) -> str:
    return next((content_text(m.get("content")) for m in reversed(messages) if m["role"] == "user"), "")


def _prompt_budget(task: Task) -> int | None:
    context = task.model.capabilities.context_length
    if context is None:
        return None
    wanted = task.options.get("max_completion_tokens") or task.options.get("max_tokens")
    reserve = wanted if isinstance(wanted, int) and wanted < context else int(context * _ANSWER_RESERVE)
    return context - reserve


def _assistant_message(choice: CollectedChoice) -> JsonObject:
    message: JsonObject = {"content": choice.text}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        calls = [call for _, call in sorted(choice.tool_calls.items())]
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return message


def _steps(answer: Collected) -> list[JsonObject]:
    return [
        {
            "tool": run.name,
            "arguments": run.arguments,
            "ok": run.result.ok if run.result else None,
            "content": run.result.content if run.result else "",
            "artifacts": [artifact.model_dump() for artifact in run.result.artifacts] if run.result else [],
        }
        for run in answer.tool_runs
    ]
