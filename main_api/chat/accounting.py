"""What a call used, written down once however it ends."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from main_api.auth.principal import Principal
from main_api.events import Usage
from main_api.usage.record import UsageRecord
from main_api.usage.service import UsageRecorder
from shared.errors import ClientDisconnected, TwinportError


class Entry:
    """The account of one call while it runs: what the backend counted, and an estimate of what came after that."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.completed = False
        self.estimate = 0
        """Tokens of the answer that the backend has not counted yet; a piece of a stream is about one."""
        self._counted = Usage()

    @property
    def usage(self) -> Usage:
        return self._counted + Usage(completion_tokens=self.estimate) if self.estimate else self._counted

    def reported(self, usage: Usage) -> None:
        """Replace the estimate by what the backend counted so far."""
        self._counted = usage
        self.estimate = 0

    def complete(self, usage: Usage | None) -> None:
        """Note that the answer came to its end, with the backend's count if it gave one."""
        if usage is not None and usage.total_tokens:
            self.reported(usage)
        self.completed = True


class Accounting:
    """Charges calls to a principal."""

    def __init__(self, recorder: UsageRecorder, principal: Principal, *, model: str, agent: str) -> None:
        self._recorder = recorder
        self._principal = principal
        self._model = model
        self._agent = agent

    @contextmanager
    def run(self) -> Generator[Entry, None, None]:
        """Time the block and record it when it ends: with its result, its error, or as cancelled (499)."""
        entry = Entry(self._model)
        started = time.perf_counter()
        status = ClientDisconnected.status
        try:
            yield entry
            status = 200
        except TwinportError as error:
            status = error.status
            raise
        finally:
            self._record(entry, 200 if entry.completed else status, time.perf_counter() - started)

    def _record(self, entry: Entry, status: int, seconds: float) -> None:
        self._recorder.record(
            UsageRecord(
                user_id=self._principal.user_id,
                key_id=self._principal.key_id,
                model=entry.model,
                agent=self._agent,
                prompt_tokens=entry.usage.prompt_tokens,
                completion_tokens=entry.usage.completion_tokens,
                partial=not entry.completed,
                status=status,
                latency_ms=round(seconds * 1000),
            )
        )
