"""Ask a model every item of some sets, and count."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from main_api.agents.prompts import PromptLibrary
from main_api.backends.gguf import read_facts
from main_api.bundled_model.evaluation.asking import Asker
from main_api.bundled_model.evaluation.engine import engine
from main_api.bundled_model.evaluation.judgement import Judgement
from main_api.bundled_model.evaluation.report import Report, figures_of
from main_api.bundled_model.evaluation.sets import Item, read
from main_api.bundled_model.evaluation.skills import SKILLS

_PROMPTS: Final = Path(__file__).parents[3] / "prompts"

Judged = list[tuple[str, Judgement]]


def evaluate(
    gguf: Path,
    sets: Sequence[Path],
    *,
    skills: Collection[str] = tuple(SKILLS),
    slots: int = 8,
    threads: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Judge the model in `gguf` by the sets in these folders. `tell` hears what has been done so far.

    Raises `BadSet`, `NotGguf`, `OSError`, and what the engine raises when it does not start.
    """
    read_facts(gguf)
    wanted = {folder.name: _items(folder, skills) for folder in sets}
    return asyncio.run(_evaluated(gguf, wanted, slots=slots, threads=threads, tell=tell))


def _items(folder: Path, skills: Collection[str]) -> list[tuple[str, Item]]:
    return [(skill, item) for skill in SKILLS if skill in skills for item in read(folder, skill, SKILLS[skill].item)]


async def _evaluated(
    gguf: Path,
    sets: dict[str, list[tuple[str, Item]]],
    *,
    slots: int,
    threads: int | None,
    tell: Callable[[str], None],
) -> Report:
    began = time.monotonic()
    judged: dict[str, Judged] = {}
    async with engine(gguf, slots=slots, threads=threads) as model:
        asker = Asker(model, PromptLibrary(_PROMPTS))
        for name, items in sets.items():
            judged[name] = await _judged(asker, items)
            tell(f"{name}: {len(items)} items, {model.asked} turns, {time.monotonic() - began:.0f} s so far")
        turns = model.asked
    return Report(
        model=gguf.name,
        sha256=await asyncio.to_thread(_sha256, gguf),
        size_bytes=gguf.stat().st_size,  # noqa: ASYNC240 - once, at the end
        seconds=time.monotonic() - began,
        turns=turns,
        sets={name: figures_of(found) for name, found in judged.items()},
        together=figures_of(one for found in judged.values() for one in found),
    )


async def _judged(asker: Asker, items: Sequence[tuple[str, Item]]) -> Judged:
    """Ask all items at once; the model's slots decide how many really run. The order stays that of the set."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [(skill, group.create_task(_one(asker, skill, item))) for skill, item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [(skill, judgement) for skill, task in tasks for judgement in task.result()]


async def _one(asker: Asker, skill: str, item: Item) -> list[Judgement]:
    return await SKILLS[skill].judge(asker, item)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
