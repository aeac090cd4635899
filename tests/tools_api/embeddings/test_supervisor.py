"""How often a child that does not come up is started."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tools_api.embeddings import supervisor
from tools_api.embeddings.options import EncoderOptions
from tools_api.embeddings.process import Child, ChildLost
from tools_api.embeddings.supervisor import Supervisor


async def test_a_child_that_ends_while_it_loads_is_started_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    @asynccontextmanager
    async def crashing(options: EncoderOptions) -> AsyncGenerator[Child]:
        raise ChildLost(f"{options.model} needs more memory")
        yield

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(supervisor, "running_child", crashing)
    monkeypatch.setattr(asyncio, "sleep", note)
    options = EncoderOptions(model="tiny", downloads=tmp_path)
    kept = Supervisor(options, hear=lambda _: None, settled=lambda: None, busy=lambda: False)
    kept.start()
    await enough.wait()
    await kept.aclose()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert kept.status.state == "failed"
