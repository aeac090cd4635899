"""Keeps the encoder's child alive: starts it, hears it, starts it again after a pause when it is gone.

What it says goes to one listener; how it stands is `status`. A model that could not be loaded stays `failed`, so that
callers are told at once, and is tried again now and then: its hub may be reachable by then.
"""

import asyncio
import json
import time
from collections.abc import Callable

from shared.logging import get_logger
from tools_api.embeddings.files import shown_name
from tools_api.embeddings.frames import Kind
from tools_api.embeddings.options import EncoderOptions
from tools_api.embeddings.process import Child, ChildLost, Frame, running_child
from tools_api.embeddings.protocol import EncoderState, EncoderStatus

_log = get_logger("encoder")

_PAUSES_S = (0.5, 60.0)
"""Between two lives of a child: doubled after each that never got ready, up to the second figure."""
_PAUSE_AFTER_FAILURE_S = 300.0
_DEATHS = 3
"""How many children may end while they load before that counts as a failure."""
_STUCK_S = 300.0
"""How long a child that has work may be silent before it is killed: a batch takes a fraction of a second."""
_LOOK_EVERY_S = 10.0


class Supervisor:
    """`hear` gets every frame, `settled` is called when a child is ready or is no more, `busy` says if it has work."""

    def __init__(
        self,
        options: EncoderOptions,
        *,
        hear: Callable[[Frame], None],
        settled: Callable[[], None],
        busy: Callable[[], bool],
    ) -> None:
        self._options = options
        self._hear = hear
        self._settled = settled
        self._busy = busy
        self._status = EncoderStatus("starting", "it was not needed yet")
        self._since = time.monotonic()
        self._keeper: asyncio.Task[None] | None = None
        self._deaths = 0
        self._heard = 0.0
        self.child: Child | None = None
        """The child, once it is ready."""

    @property
    def status(self) -> EncoderStatus:
        if self._status.state != "starting" or self._keeper is None:
            return self._status
        return EncoderStatus("starting", self._status.reason, round(time.monotonic() - self._since, 1))

    def start(self) -> None:
        """Start the first child, unless that was begun."""
        if self._keeper is None:
            self._become("starting", f"it loads {shown_name(self._options.model)}")
            self._keeper = asyncio.create_task(self._keep())

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def _become(self, state: EncoderState, reason: str | None = None) -> None:
        if state == "starting":
            self._since = time.monotonic()
        self._status = EncoderStatus(state, reason)

    async def _keep(self) -> None:
        while True:
            try:
                await self._live()
            except ChildLost as lost:
                self._lost(str(lost))
            except OSError as error:
                self._fail(f"its process can't be started ({error.strerror})")
            self._settled()
            await asyncio.sleep(self._pause_s())

    async def _live(self) -> None:
        async with running_child(self._options) as child:
            watching = asyncio.create_task(self._watch(child))
            try:
                while True:
                    self._take(child, await child.receive())
            finally:
                self.child = None
                watching.cancel()

    def _take(self, child: Child, frame: Frame) -> None:
        self._heard = time.monotonic()
        if frame.kind is Kind.FAILED:
            self._deaths = 0
            self._fail(str(json.loads(frame.body)["reason"]))
            return
        self._hear(frame)
        if frame.kind is Kind.READY:
            self.child, self._deaths = child, 0
            self._become("ready")
            _log.info("encoder_ready", pid=child.pid, seconds=round(time.monotonic() - self._since, 1))
            self._settled()

    def _lost(self, last_words: str) -> None:
        """Note that a child ended, unless it said before that it can't load the model."""
        if self._status.state == "failed" and self._deaths == 0:
            return
        self._deaths += 1
        _log.error("encoder_lost", last_words=last_words, deaths=self._deaths)
        if self._deaths >= _DEATHS:
            self._fail("its process ends while it loads the model; the log of the tools API has its last words")
        else:
            self._become("starting", "its process ended and is started again")

    def _fail(self, reason: str) -> None:
        if self._status.reason != reason:
            _log.error("encoder_failed", reason=reason)
        self._become("failed", reason)

    def _pause_s(self) -> float:
        if self._status.state == "failed" and self._deaths == 0:
            return _PAUSE_AFTER_FAILURE_S
        return min(_PAUSES_S[0] * 2.0 ** min(self._deaths, 10), _PAUSES_S[1])

    async def _watch(self, child: Child) -> None:
        """Kill a child that has work and says nothing."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self.child is None or not self._busy():
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > _STUCK_S:
                _log.error("encoder_stuck", pid=child.pid)
                child.kill()
