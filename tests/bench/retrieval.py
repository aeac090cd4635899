"""How well search finds what people judged to be relevant: nDCG@10 and recall@10 of vectors, words and both.

    .venv/bin/pip install --require-hashes -r deploy/locks/bench.lock
    python -m tests.bench.retrieval [scifact nfcorpus fiqa arguana scidocs docstrings manual FOLDER …]

Every collection goes through the product: parsed and cut in the sandbox, embedded by its encoder, put into its indexes,
searched by its service; a document counts where the first of its passages stands. Figures are trec_eval's. Beside them
stand BM25 of bm25s (Lucene's form, k1 = 1.2, b = 0.75, Snowball stems, English stop words) and plain RRF (k = 60) of
the two halves. Goals: hybrid at least as good as the better half, words at least as good as bm25s. `judged.py` tells
the collections; the default ones need no network. Vectors are kept in `--downloads` for the next run.
"""

import argparse
import asyncio
import contextlib
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import bm25s
import numpy as np
import pytrec_eval
import Stemmer
from numpy.typing import NDArray

from tests.bench.judged import MADE, PUBLIC, Judged, judged
from tools_api.embeddings.open import open_encoder
from tools_api.embeddings.options import EncoderOptions
from tools_api.embeddings.protocol import Encoder
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut, VectorModel
from tools_api.rag.parsing import Chunking, ParseInput, ParsingOptions, open_parser
from tools_api.rag.passages import embedded_text
from tools_api.rag.search.service import SearchService
from tools_api.rag.search.values import Mode, Searched, SearchQuery
from tools_api.rag.values import MAX_QUERY, DocumentRecord, ParsedDocument
from tools_api.rag.words import words_opener
from tools_api.sandbox import SandboxOptions

Run = dict[str, dict[str, float]]
"""For each question documents with scores, the higher the better."""
DEPTH = 100
MODES: tuple[Mode, ...] = ("dense", "words", "hybrid")


async def parsed(collection: Judged, chunk_tokens: int) -> list[tuple[DocumentRecord, ParsedDocument]]:
    """Read and cut every document as an upload of a text file would be."""
    files = {
        text.id: ParseInput(id=text.id, name=f"{text.id}.txt", content=f"{text.title}\n\n{text.text}".strip().encode())
        for text in collection.documents
    }
    documents: list[tuple[DocumentRecord, ParsedDocument]] = []
    async with open_parser(ParsingOptions(sandbox=SandboxOptions())) as parser:
        async for id_, result in parser.parse(list(files.values()), Chunking(tokens=chunk_tokens)):
            if isinstance(result, ParsedDocument):
                record = DocumentRecord(
                    id=id_,
                    name=files[id_].name,
                    media_type=result.media_type,
                    sha256="",
                    created_at=datetime.now(UTC),
                    title=result.title,
                )
                documents.append((record, result))
    return documents


async def vectors_of(texts: Sequence[str], encoder: Encoder, downloads: Path) -> NDArray[np.float32]:
    """Embed passages, or read what an earlier run embedded."""
    model = await encoder.model()
    rows: list[NDArray[np.float32]] = []
    for at in range(0, len(texts), 256):
        some = texts[at : at + 256]
        digest = hashlib.sha256("\0".join([model.fingerprint, *some]).encode()).hexdigest()[:32]
        file = downloads / f"{digest}.npy"
        if not file.exists():
            np.save(file, await encoder.embed(some, "passage"))
        rows.append(np.load(file))
        print(f"\rembedded {at + len(some)} of {len(texts)} passages", end="", file=sys.stderr, flush=True)
    return np.concatenate(rows)


@contextlib.asynccontextmanager
async def indexed(collection: Judged, encoder: Encoder, downloads: Path) -> AsyncGenerator[Indexes]:
    """Put a collection into the product's indexes."""
    model = await encoder.model()
    documents = await parsed(collection, model.max_tokens)
    texts = [embedded_text(each.title, chunk.headings, chunk.text) for _, each in documents for chunk in each.chunks]
    rows = iter(await vectors_of(texts, encoder, downloads))
    with tempfile.TemporaryDirectory() as folder:
        indexes = Indexes(Path(folder) / "collections", words_opener("english"))
        await indexes.start()
        index = await indexes.open("col", VectorModel(model.fingerprint, model.dimensions), "Flat")
        for at in range(0, len(documents), 256):
            await index.put_many(
                [
                    DocumentToPut(record, each.chunks, np.array([next(rows) for _ in each.chunks]))
                    for record, each in documents[at : at + 256]
                    if each.chunks
                ]
            )
        await report_size(collection, index)
        yield indexes
        await indexes.aclose()


async def report_size(collection: Judged, index: CollectionIndex) -> None:
    stats = await index.stats()
    print(
        f"\n{collection.name}: {len(collection.documents)} documents, {stats.chunks} chunks, "
        f"{len(collection.questions)} questions"
    )


async def searched(collection: Judged, service: SearchService, mode: Mode, fingerprint: str) -> tuple[Run, list[float]]:
    """Ask every question, and return the documents that were found and how long each answer took, in ms."""
    run: Run = {}
    times: list[float] = []
    where = [Searched(id="col", name="col", fingerprint=fingerprint)]
    for question, text in collection.questions.items():
        started = time.perf_counter()
        answer = await service.search(where, SearchQuery(text=text[:MAX_QUERY], mode=mode, top_k=DEPTH))
        times.append((time.perf_counter() - started) * 1000)
        found = dict.fromkeys(hit.document.id for hit in answer.hits)
        run[question] = {document: 1.0 / place for place, document in enumerate(found, 1)}
    return run, times


def by_bm25s(collection: Judged) -> Run:
    """Rank whole documents by the reference."""
    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: Sequence[str]) -> object:
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(tokens([f"{text.title} {text.text}" for text in collection.documents]), show_progress=False)
    depth = min(DEPTH, len(collection.documents))
    found, scores = index.retrieve(tokens(list(collection.questions.values())), k=depth, show_progress=False)
    return {
        question: {collection.documents[int(n)].id: float(s) for n, s in zip(row, marks, strict=True) if s > 0}
        for question, row, marks in zip(collection.questions, found, scores, strict=True)
    }


def by_rrf(one: Run, other: Run) -> Run:
    """Fuse two rankings by ranks alone."""
    fused: Run = {}
    for question in one:
        scores: dict[str, float] = {}
        for ranking in (one[question], other[question]):
            for place, document in enumerate(sorted(ranking, key=lambda each: -ranking[each]), 1):
                scores[document] = scores.get(document, 0.0) + 1 / (60 + place)
        fused[question] = scores
    return fused


def figures(collection: Judged, run: Run) -> Mapping[str, float]:
    """Return trec_eval's nDCG@10 and recall@10, the mean over all questions."""
    evaluator = pytrec_eval.RelevanceEvaluator(collection.judgements, {"ndcg_cut.10", "recall.10"})
    of_questions = evaluator.evaluate(run).values()
    return {
        name: sum(each[name] for each in of_questions) / len(collection.questions)
        for name in ("ndcg_cut_10", "recall_10")
    }


async def measure(name: str, encoder: Encoder, downloads: Path) -> None:
    """Print a collection's figures."""
    collection = judged(name, downloads)
    fingerprint = (await encoder.model()).fingerprint
    async with indexed(collection, encoder, downloads) as indexes:
        service = SearchService(indexes, encoder)
        runs: dict[str, Run] = {}
        times: dict[str, list[float]] = {}
        for mode in MODES:
            runs[mode], times[mode] = await searched(collection, service, mode, fingerprint)
    runs["RRF k=60"] = by_rrf(runs["dense"], runs["words"])
    runs["bm25s"] = by_bm25s(collection)
    print(f"{'':10}{'nDCG@10':>9}{'recall@10':>11}{'p50 ms':>9}")
    for label, run in runs.items():
        marks = figures(collection, run)
        p50 = f"{statistics.median(times[label]):9.1f}" if label in times else ""
        print(f"{label:10}{marks['ndcg_cut_10']:9.4f}{marks['recall_10']:11.4f}{p50}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=list(MADE), help=f"{', '.join(PUBLIC + MADE)} or a folder")
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "twinport-retrieval")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    wanted = parser.parse_args()
    wanted.downloads.mkdir(parents=True, exist_ok=True)
    options = EncoderOptions(model=wanted.model, downloads=wanted.downloads)
    async with aiohttp.ClientSession() as http, open_encoder(options, http) as encoder:
        await encoder.wait_ready(300)
        for name in wanted.collections:
            await measure(name, encoder, wanted.downloads)


if __name__ == "__main__":
    asyncio.run(main())
