"""One owner's questions never bring another's text, however they are asked (check D40).

Every owner's passages, and their documents' metadata, hold canaries of their own. What attackers know of the others is
more than they could: ids, names, and the first half of each canary. An answer that holds a whole one is a leak.

All of D40 takes minutes: `ISOLATION_QUESTIONS=10000 python -m pytest -m long tests/tools_api/rag/test_isolation.py`.
"""

import os
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from tests.tools_api.conftest import KEY, OTHER_KEY
from tests.tools_api.rag import hostile
from tests.tools_api.rag.conftest import ServedRag, ServeRag
from tests.tools_api.rag.hostile import Others
from tests.tools_api.rag.planting import Someone, plant

_SEED = 40
_QUESTIONS = int(os.environ.get("ISOLATION_QUESTIONS", "1500"))
_REFUSALS = {400, 403, 404, 409}


@asynccontextmanager
async def crowd(serve_rag: ServeRag) -> AsyncGenerator[tuple[ServedRag, list[Someone]]]:
    """Four owners of one service, one of them the service itself, and one of another who has a person's name."""
    async with serve_rag() as rag:
        yield rag, [
            await plant(rag, "anna"), await plant(rag, "bert"), await plant(rag, "cara"), await plant(rag, None),
            await plant(rag, "anna", OTHER_KEY),
        ]  # fmt: skip


def others_of(attacker: Someone, everybody: Sequence[Someone]) -> Others:
    others = [one for one in everybody if one is not attacker]
    return Others(
        canaries=[canary[: len(canary) // 2] for other in others for canary in other.canaries],
        collection_ids=[other.collection_id for other in others],
        collection_names=[other.collection_name for other in others],
        document_ids=[document for other in others for document in other.documents],
        document_names=[name for other in others for name in other.document_names],
        people=[other.name or "" for other in others],
    )


async def ask(dice: random.Random, attacker: Someone, others: Others) -> tuple[str, int, str]:
    """Ask one hostile question at one of the doors; return what was asked, the status and the answer as text."""
    match dice.randrange(10):
        case 0 | 1 | 2 | 3:
            method, path, body = "POST", "/v1/rag/search", hostile.search_body(dice, others)
        case 4 | 5:
            method, path, body = "POST", "/v1/rag/grep", hostile.grep_body(dice, others)
        case 6 | 7 | 8:
            method, path = "POST", "/v1/tools/rag/invoke"
            body = {"arguments": hostile.tool_arguments(dice, others), **attacker.in_the_name}
        case _:
            method, path, body = "GET", _path(dice, attacker, others), None
    status, answer = await attacker.text(method, path, body)
    return f"{method} {path} {body}", status, answer


def _path(dice: random.Random, attacker: Someone, others: Others) -> str:
    collection = dice.choice([attacker.collection_id, "notes", *others.collection_ids, *others.collection_names])
    document = dice.choice([*attacker.documents, *others.document_ids, *others.document_names])
    below = f"/documents/{quote(document, safe='')}"
    tail = dice.choice(["", "/export", "/documents", "/grants", below, f"{below}/chunks", f"{below}/content"])
    return f"/v1/rag/collections/{quote(collection, safe='')}{tail}"


async def attack(everybody: Sequence[Someone], questions: int) -> tuple[int, int]:
    """Ask that many questions in turn; return how many were answered and how many of these with an own canary."""
    dice = random.Random(_SEED)
    answered = own = 0
    for number in range(questions):
        attacker = everybody[number % len(everybody)]
        asked, status, answer = await ask(dice, attacker, others_of(attacker, everybody))
        assert status == 200 or status in _REFUSALS, (asked, status, answer[:500])
        leaked = [canary for one in everybody if one is not attacker for canary in one.canaries if canary in answer]
        assert not leaked, (attacker.name, asked, answer[:2000])
        answered += status == 200
        own += status == 200 and any(canary in answer for canary in attacker.canaries)
    return answered, own


async def test_two_hundred_hostile_questions_bring_nothing_of_others(serve_rag: ServeRag) -> None:
    async with crowd(serve_rag) as (_, everybody):
        answered, own = await attack(everybody, 200)

    assert answered > 60
    assert own > 20, "the questions must be able to find something, or this shows nothing"


@pytest.mark.long
async def test_thousands_of_hostile_questions_bring_nothing_of_others(serve_rag: ServeRag) -> None:
    async with crowd(serve_rag) as (_, everybody):
        answered, own = await attack(everybody, _QUESTIONS)

    assert answered > 0.3 * _QUESTIONS
    assert own > 0.1 * _QUESTIONS


async def everywhere(someone: Someone, of: Someone) -> str:
    """Return all that somebody is answered when they look for another's things at every door."""
    halves = [canary[: len(canary) // 2] for canary in of.canaries]
    search, grep, tool = "/v1/rag/search", "/v1/rag/grep", "/v1/tools/rag/invoke"
    questions: list[tuple[str, str, Any]] = [("POST", search, {"query": half}) for half in halves]
    questions += [
        ("POST", search, {"query": halves[0], "mode": "words", "collections": [of.collection_id]}),
        ("POST", search, {"query": halves[0], "mode": "dense", "top_k": 100}),
        ("POST", grep, {"pattern": halves[0]}),
        ("POST", grep, {"pattern": ".*", "regex": True, "limit": 1000}),
        ("POST", tool, {"arguments": {"query": halves[0]}, **someone.in_the_name}),
        ("POST", tool, {"arguments": {"query": halves[0], "action": "grep"}, **someone.in_the_name}),
        ("GET", f"/v1/rag/collections/{of.collection_id}/export", None),
    ]
    for document, name in zip(of.documents, of.document_names, strict=True):
        path = f"/v1/rag/collections/{of.collection_id}/documents/{document}"
        read = {"query": "", "action": "read", "document": name}
        questions.append(("POST", tool, {"arguments": read, **someone.in_the_name}))
        questions += [("GET", path + tail, None) for tail in ("", "/chunks", "/content")]
    return "\n".join([(await someone.text(*question))[1] for question in questions])


def found(canaries: Sequence[str], said: str) -> list[str]:
    return [canary for canary in canaries if canary in said]


@pytest.mark.slow
async def test_what_was_shared_is_found_and_no_more_once_the_grant_is_taken_back(serve_rag: ServeRag) -> None:
    async with crowd(serve_rag) as (_, (anna, bert, cara, *_rest)):
        grants = f"/v1/rag/collections/{bert.collection_id}/grants"
        await bert.person.ask("POST", grants, json={"person": "anna"})
        shared = await everywhere(anna, bert)
        not_to_cara = await everywhere(cara, bert)
        await bert.person.ask("DELETE", f"{grants}/anna")
        revoked = await everywhere(anna, bert)

    assert set(found(bert.canaries, shared)) == set(bert.canaries)
    assert found(bert.canaries, not_to_cara) == found(bert.canaries, revoked) == []


@pytest.mark.slow
async def test_a_deleted_document_is_unreachable_at_once_and_after_a_restart(serve_rag: ServeRag) -> None:
    async with crowd(serve_rag) as (_, (anna, *_others)):
        before = await everywhere(anna, anna)
        for document in list(anna.documents)[:1]:
            status, _ = await anna.text("DELETE", f"/v1/rag/collections/notes/documents/{document}", None)
            assert status == 200
        at_once = await everywhere(anna, anna)
    async with serve_rag() as again:
        restarted = await everywhere(anna.at(again.person("anna", KEY)), anna)

    assert set(found(anna.canaries, before)) == set(anna.canaries)
    deleted = [canary for document in list(anna.documents)[:1] for canary in anna.documents[document]]
    assert found(deleted, at_once) == found(deleted, restarted) == []
    assert set(found(anna.canaries, restarted)) == set(anna.canaries) - set(deleted)


@pytest.mark.slow
async def test_a_deleted_collection_is_unreachable_at_once_and_after_a_restart(serve_rag: ServeRag) -> None:
    async with crowd(serve_rag) as (_, (anna, *_others)):
        status, _ = await anna.text("DELETE", "/v1/rag/collections/notes", None)
        at_once = await everywhere(anna, anna)
    async with serve_rag() as again:
        restarted = await everywhere(anna.at(again.person("anna", KEY)), anna)

    assert status == 200
    assert found(anna.canaries, at_once) == found(anna.canaries, restarted) == []
