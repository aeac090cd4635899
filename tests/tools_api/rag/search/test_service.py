"""Searching collections: what is found, in which order, with which places, and what happens without vectors."""

import pytest

from shared.errors import InvalidRequest
from tests.tools_api.rag.search.conftest import Library, MeaningEncoder, document, searched
from tools_api.embeddings.errors import EncoderUnavailable, EncoderWarmingUp
from tools_api.embeddings.protocol import EncoderState
from tools_api.rag.search.service import RerankerMissing, SearchService
from tools_api.rag.search.values import Mode, SearchQuery


def ask(text: str, mode: Mode = "hybrid", **more: object) -> SearchQuery:
    return SearchQuery(text=text, mode=mode, **more)  # type: ignore[arg-type]


@pytest.fixture
async def filled(library: Library) -> Library:
    await library.put(
        "col_a",
        document("cars.txt", "An automobile for sale.", pages=[3]),
        document("cats.txt", "The kitten sleeps.", metadata={"year": 2020}),
        document("codes.txt", "Part X-4711 fits everything.", metadata={"year": 2024}),
        document("sea.txt", "The ship is sailing far out."),
    )
    return library


@pytest.mark.usefixtures("filled")
async def test_words_and_meanings_are_both_found(service: SearchService) -> None:
    by_meaning = await service.search(searched("col_a"), ask("driving a vehicle"))
    by_word = await service.search(searched("col_a"), ask("X-4711"))
    assert (by_meaning.hits[0].document.name, by_word.hits[0].document.name) == ("cars.txt", "codes.txt")
    assert by_meaning.mode == "hybrid"
    assert (by_meaning.hits[0].dense_rank, by_meaning.hits[0].words_rank) == (1, None)
    assert by_word.hits[0].words_rank == 1


@pytest.mark.usefixtures("filled")
async def test_a_hit_names_its_place(service: SearchService) -> None:
    hit = (await service.search(searched("col_a"), ask("automobile"))).hits[0]
    assert (hit.collection, hit.collection_name, hit.document.id) == ("col_a", "name of col_a", "doc_cars.txt")
    assert (hit.text, hit.start, hit.end) == ("An automobile for sale.", 0, 23)
    assert (hit.page, hit.page_end, hit.citation) == (3, 3, "cars.txt, p. 3")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("mode", ["hybrid", "dense", "words"])
async def test_scores_lie_between_0_and_1_and_fall(service: SearchService, mode: Mode) -> None:
    hits = (await service.search(searched("col_a"), ask("ship automobile kitten X-4711", mode))).hits
    scores = [hit.score for hit in hits]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.usefixtures("filled")
async def test_the_modes_say_what_their_half_found(service: SearchService) -> None:
    dense = (await service.search(searched("col_a"), ask("vehicle", "dense"))).hits[0]
    words = (await service.search(searched("col_a"), ask("automobile sale", "words"))).hits[0]
    assert dense.score == pytest.approx(dense.similarity)
    assert dense.bm25 is dense.words_rank is None
    assert words.similarity is words.dense_rank is None
    assert words.bm25 is not None
    assert 0.3 < words.score < 1


@pytest.mark.usefixtures("filled")
async def test_only_documents_that_the_filter_lets_through_are_found(service: SearchService) -> None:
    for mode in ("hybrid", "dense", "words"):
        hits = (await service.search(searched("col_a"), ask("kitten X-4711 ship", mode, where={"year": 2024}))).hits  # type: ignore[arg-type]
        assert [hit.document.name for hit in hits] == ["codes.txt"]


async def test_several_collections_are_searched_as_one(library: Library, service: SearchService) -> None:
    for collection in ("col_a", "col_b", "col_c"):
        await library.put(collection, document(f"{collection}.txt", f"A kitten in {collection}."))
    await library.put("col_b", document("best.txt", "kitten feline pet"))
    answer = await service.search(searched("col_a", "col_b", "col_none"), ask("kitten feline"))
    assert answer.hits[0].document.name == "best.txt"
    assert {hit.collection for hit in answer.hits} == {"col_a", "col_b"}


async def test_a_collection_that_is_removed_meanwhile_has_nothing(library: Library, service: SearchService) -> None:
    await library.put("col_a", document("a.txt", "A kitten."))
    await library.put("col_b", document("b.txt", "A kitten."))
    await library.indexes.remove("col_a")
    answer = await service.search(searched("col_a", "col_b"), ask("kitten"))
    assert [hit.collection for hit in answer.hits] == ["col_b"]


async def test_another_models_collection_is_searched_by_words_and_named(
    library: Library, service: SearchService
) -> None:
    await library.put("col_a", document("a.txt", "An automobile."))
    await library.put("col_b", document("b.txt", "A vehicle."))
    both = [*searched("col_a"), *searched("col_b", fingerprint="older")]
    answer = await service.search(both, ask("vehicle"))
    assert answer.needs_reindex == ["name of col_b"]
    by_document = {hit.document.name: hit for hit in answer.hits}
    assert by_document["b.txt"].similarity is None
    assert by_document["a.txt"].similarity is not None
    dense = await service.search(both, ask("vehicle", "dense"))
    assert [hit.document.name for hit in dense.hits] == ["a.txt"]
    assert dense.needs_reindex == ["name of col_b"]


@pytest.mark.usefixtures("filled")
async def test_while_the_encoder_starts_words_answer_at_once(service: SearchService, encoder: MeaningEncoder) -> None:
    encoder.state = "starting"
    answer = await service.search(searched("col_a"), ask("automobile"))
    assert (answer.mode, answer.warming_up) == ("words", True)
    assert "still being loaded" in answer.notes[0]
    assert answer.hits[0].document.name == "cars.txt"
    assert encoder.embedded == []


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("state", ["starting", "failed"])
async def test_an_encoder_that_waits_to_be_needed_or_failed_is_asked_again_in_the_background(
    service: SearchService, encoder: MeaningEncoder, state: EncoderState
) -> None:
    encoder.state = state
    for _ in range(3):
        assert (await service.search(searched("col_a"), ask("automobile"))).mode == "words"
    assert len(encoder.waits) == 1
    encoder.state = "ready"
    assert (await service.search(searched("col_a"), ask("automobile"))).mode == "hybrid"


async def test_a_search_by_vectors_alone_waits_and_then_says_when_to_come_again(
    service: SearchService, encoder: MeaningEncoder
) -> None:
    encoder.state = "starting"
    with pytest.raises(EncoderWarmingUp) as caught:
        await service.search(searched("col_a"), ask("automobile", "dense"))
    assert caught.value.status == 503
    assert caught.value.code == "encoder_warming_up"
    assert caught.value.retry_after
    assert encoder.waits == [0.25]


@pytest.mark.usefixtures("filled")
async def test_a_broken_encoder_leaves_words_and_the_reason(service: SearchService, encoder: MeaningEncoder) -> None:
    encoder.state, encoder.broken = "failed", "the model is not there; set RAG_EMBEDDING_MODEL"
    answer = await service.search(searched("col_a"), ask("automobile"))
    assert (answer.mode, answer.warming_up) == ("words", False)
    assert "RAG_EMBEDDING_MODEL" in answer.notes[0]
    assert answer.hits
    with pytest.raises(EncoderUnavailable):
        await service.search(searched("col_a"), ask("automobile", "dense"))


@pytest.mark.usefixtures("filled")
async def test_an_encoder_that_breaks_or_hangs_during_the_search_leaves_words(
    service: SearchService, encoder: MeaningEncoder
) -> None:
    encoder.broken = "it ended"
    assert (await service.search(searched("col_a"), ask("automobile"))).hits
    encoder.broken, encoder.stuck = None, True
    answer = await service.search(searched("col_a"), ask("automobile"))
    assert answer.hits
    assert "busy" in answer.notes[0]


@pytest.mark.usefixtures("filled")
async def test_the_same_question_is_embedded_once_per_model(service: SearchService, encoder: MeaningEncoder) -> None:
    for _ in range(3):
        await service.search(searched("col_a"), ask("automobile"))
    assert encoder.embedded == ["automobile"]
    encoder.fingerprint = "meanings-2"
    await service.search(searched("col_a", fingerprint="meanings-2"), ask("automobile"))
    assert encoder.embedded == ["automobile", "automobile"]


@pytest.mark.usefixtures("filled")
async def test_words_alone_need_no_encoder(service: SearchService, encoder: MeaningEncoder) -> None:
    encoder.state = "starting"
    answer = await service.search(searched("col_a"), ask("automobile", "words"))
    assert (answer.mode, answer.warming_up, answer.notes) == ("words", False, [])
    assert encoder.embedded == []


@pytest.mark.usefixtures("filled")
async def test_reranking_gives_order_and_score(service: SearchService, encoder: MeaningEncoder) -> None:
    encoder.reranks = True
    answer = await service.search(searched("col_a"), ask("automobile sale ship sailing far kitten", rerank=True))
    lengths = [len(hit.text) for hit in answer.hits]
    assert lengths == sorted(lengths)
    assert [hit.score for hit in answer.hits] == [hit.rerank_score for hit in answer.hits]


@pytest.mark.usefixtures("filled")
async def test_reranking_that_fails_keeps_the_order_and_says_so(
    service: SearchService, encoder: MeaningEncoder
) -> None:
    encoder.reranks = True
    encoder.state, encoder.broken = "failed", "it ended"
    answer = await service.search(searched("col_a"), ask("automobile", rerank=True))
    assert answer.hits[0].rerank_score is None
    assert any("not reranked" in note for note in answer.notes)


async def test_reranking_without_a_cross_encoder_is_refused(service: SearchService) -> None:
    with pytest.raises(RerankerMissing, match="RAG_RERANK_MODEL"):
        await service.search(searched("col_a"), ask("automobile", rerank=True))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (ask(""), "query"),
        (ask(" \n "), "query"),
        (ask("x" * 8_001), "query"),
        (ask("x", top_k=0), "top_k"),
        (ask("x", top_k=101), "top_k"),
    ],
)
async def test_what_cannot_be_searched_for_is_refused(service: SearchService, query: SearchQuery, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await service.search(searched("col_a"), query)
    assert caught.value.param == field


async def test_without_collections_nothing_is_found(service: SearchService) -> None:
    assert (await service.search([], ask("x"))).hits == []


async def test_neighbours_become_one_hit_and_repeated_texts_one_place_more(
    library: Library, service: SearchService
) -> None:
    book = document("book.txt", "Kettle one.", "Kettle two.", "A ship.", pages=[1, 2, 3])
    await library.put("col_a", book, document("copy.txt", "KETTLE, ONE!", "Other things."))
    hits = (await service.search(searched("col_a"), ask("kettle", "words"))).hits
    assert [hit.text for hit in hits] == ["Kettle one. Kettle two."]
    assert (hits[0].start, hits[0].end, hits[0].chunks) == (0, 23, [0, 1])
    assert (hits[0].citation, hits[0].also) == ("book.txt, pp. 1–2", ["copy.txt"])


async def test_neighbours_that_say_to_be_far_apart_are_joined_by_two_line_breaks(
    library: Library, service: SearchService
) -> None:
    await library.put("col_a", document("book.txt", "Kettle one.", "Kettle two.", gap=5_000_000))
    hits = (await service.search(searched("col_a"), ask("kettle", "words"))).hits
    assert [hit.text for hit in hits] == ["Kettle one.\n\nKettle two."]


async def test_deleted_text_is_not_found(library: Library, service: SearchService) -> None:
    await library.put("col_a", document("a.txt", "A kitten."))
    index = await library.indexes.existing("col_a")
    assert index is not None
    await index.delete(["doc_a.txt"])
    for mode in ("hybrid", "dense", "words"):
        assert (await service.search(searched("col_a"), ask("kitten", mode))).hits == []  # type: ignore[arg-type]
