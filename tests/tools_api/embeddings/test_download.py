"""Models that come from a hub: downloaded once, whole or not at all, with their prompts and without their code."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.tools_api.embeddings.hub import running_hub
from tests.tools_api.embeddings.models import WIDTH, pair_model, text_model
from tools_api.embeddings.errors import EncoderUnavailable
from tools_api.embeddings.local import LocalEncoder
from tools_api.embeddings.options import EncoderOptions

pytestmark = pytest.mark.slow


async def test_a_model_is_downloaded_once_and_its_prompts_are_used(tmp_path: Path) -> None:
    folder = text_model(tmp_path / "hub" / "acme" / "tiny", prompts={"query": "query: ", "passage": "passage: "})
    (folder / "modeling_tiny.py").write_text("raise SystemExit('code of a model ran')")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    pair_model(tmp_path / "hub" / "acme" / "pairs")
    downloads = tmp_path / "downloads"
    async with running_hub(tmp_path / "hub") as hub:
        options = EncoderOptions(
            model="acme/tiny", downloads=downloads, rerank_model="acme/pairs", hub_url=hub.url, device="cpu"
        )
        encoder = LocalEncoder(options)
        try:
            model = await encoder.model()
            question = await encoder.embed(["what is tiny"], "query")
            marked = await encoder.embed(["query: what is tiny", "what is tiny"], "passage")
            scores = await encoder.rerank("tiny", ["a", "b"])
        finally:
            await encoder.aclose()
        assert (model.name, model.dimensions, model.max_tokens) == ("acme/tiny", WIDTH, 64)
        assert not np.allclose(question[0], marked[1], atol=1e-3), "a passage has another prompt"
        assert scores.shape == (2,)
        assert encoder.tokenizer_file() == downloads / "acme--tiny" / "tokenizer.json"
        assert sorted(path.name for path in downloads.iterdir() if path.name[0] != ".") == ["acme--pairs", "acme--tiny"]
        names = {file.name for file in (downloads / "acme--tiny").rglob("*")}
        assert not names & {"modeling_tiny.py", "pytorch_model.bin"}
        hub.asked.clear()
        again = LocalEncoder(options)
        try:
            assert await again.model() == model, "known before it is loaded"
            assert np.allclose(await again.embed(["what is tiny"], "query"), question, atol=1e-6)
        finally:
            await again.aclose()
        assert hub.asked == []


async def test_what_cannot_be_downloaded_fails_with_a_sentence_and_leaves_no_half_model(tmp_path: Path) -> None:
    text_model(tmp_path / "hub" / "acme" / "tiny")
    async with running_hub(tmp_path / "hub") as hub:
        hub.breaks_off.add("config.json")
        sentences: list[str] = []
        for name in ("acme/tiny", "acme/nothing"):
            encoder = LocalEncoder(EncoderOptions(model=name, downloads=tmp_path / "downloads", hub_url=hub.url))
            waiting = asyncio.create_task(encoder.embed(["text"], "query"))
            try:
                with pytest.raises(EncoderUnavailable) as failure:
                    await encoder.model()
                with pytest.raises(EncoderUnavailable):
                    await waiting
            finally:
                await encoder.aclose()
            sentences.append(failure.value.message)
    assert "acme/tiny is not on this machine and could not be downloaded" in sentences[0]
    assert "there is no model 'acme/nothing' on the hub" in sentences[1]
    assert not (tmp_path / "downloads" / "acme--tiny").exists()
