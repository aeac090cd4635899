"""Snapshots out, collections in: what comes back, for whom, and what strangers' files can do."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools_api.rag.conftest import Person, ServedRag, ServeRag
from tests.tools_api.rag.planting import Someone, plant, put
from tools_api.rag.documents.values import Limits

SENTENCES = ["The gate code is 5521.", "Staff park behind the building.", "Lunch is at one."]


async def owner_of_notes(rag: ServedRag) -> Someone:
    anna = await plant(rag, "anna")
    await put(rag, anna.collection_id, "house/gate.md", SENTENCES, page=3, metadata={"year": 2026})
    await anna.person.ask(
        "PATCH",
        "/v1/rag/collections/notes",
        json={"description": "Our notes", "metadata": {"a": 1}, "chunk_tokens": 99},
    )
    return anna


async def snapshot(person: Person, collection: str = "notes") -> bytes:
    async with person.client.get(f"{person.url}/v1/rag/collections/{collection}/snapshot") as answer:
        assert answer.status == 200, await answer.text()
        content = await answer.read()
    assert answer.headers["Content-Length"] == str(len(content))
    return content


async def restore(person: Person, content: bytes, name: str | None = None) -> tuple[int, Any]:
    query = {} if name is None else {"name": name}
    return await person.ask("POST", "/v1/rag/restore", data=io.BytesIO(content), params=query)


def altered(content: bytes, member: str, change: Any) -> bytes:
    """Return a snapshot in which one file is another one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == member else old.read(name))
        new.comment = old.comment
    return out.getvalue()


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_a_restored_collection_is_found_as_before_under_ids_of_its_own(serve_rag: ServeRag) -> None:
    question = {"query": "gate code", "filter": {"year": 2026}, "collections": ["again"]}
    async with serve_rag() as rag:
        anna = await owner_of_notes(rag)
        content = await snapshot(anna.person)
        status, made = await restore(anna.person, content, "again")
        _, found = await anna.person.ask("POST", "/v1/rag/search", json=question)
        _, documents = await anna.person.ask("GET", "/v1/rag/collections/again/documents")
        document = next(one for one in documents["data"] if one["name"] == "house/gate.md")
        original = await anna.person.ask("GET", f"/v1/rag/collections/again/documents/{document['id']}/content")
        taken, _ = await restore(anna.person, content)

    assert status == 201
    assert (made["name"], made["description"], made["metadata"]) == ("again", "Our notes", {"a": 1})
    assert (made["chunk_tokens"], made["documents"]["indexed"], made["chunks"]) == (99, 3, 7)
    assert (made["needs_reindex"], made["embedding_model"]) == (False, "hashed-words")
    assert "5521" in found["data"][0]["text"]
    assert found["data"][0]["page"] == 3
    assert found["data"][0]["document"]["id"] == document["id"]
    assert document["id"] not in anna.documents
    assert (original[0], "upload it again" in original[1]["error"]["message"]) == (404, True)
    assert taken == 409


async def test_a_snapshot_makes_a_collection_of_whoever_sends_it(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await owner_of_notes(rag)
        bert = rag.person("bert")
        status, made = await restore(bert, await snapshot(anna.person))
        await anna.person.ask("DELETE", "/v1/rag/collections/notes")
        _, found = await bert.ask("POST", "/v1/rag/search", json={"query": "gate code"})

    assert (status, made["name"], made["owner"]) == (201, "notes", "bert")
    assert "5521" in found["data"][0]["text"]


async def test_a_broken_snapshot_is_refused_and_leaves_nothing(serve_rag: ServeRag, tmp_path: Path) -> None:
    async with serve_rag() as rag:
        anna = await owner_of_notes(rag)
        content = await snapshot(anna.person)
        before = files_below(tmp_path / "rag")
        broken = {
            "nothing": b"",
            "no archive": b"hello " * 100,
            "cut off": content[: len(content) // 2],
            "other text": altered(content, "chunks.jsonl", lambda text: text.replace(b"5521", b"5522")),
            "no line": altered(content, "documents.jsonl", lambda _: b"{}\n"),
            "no vectors": altered(content, "vectors.f32", lambda _: b""),
        }
        for what, body in broken.items():
            status, answer = await restore(anna.person, body, "again")
            assert (status, answer["error"]["type"]) == (400, "invalid_request_error"), (what, answer)
        nameless, _ = await restore(anna.person, content, "../x")
        _, listed = await anna.person.ask("GET", "/v1/rag/collections")
    async with serve_rag():  # removes what is left over
        after = files_below(tmp_path / "rag")

    assert nameless == 400
    assert [one["name"] for one in listed["data"]] == ["notes"]
    assert {name for name in after - before if "col_" in name and anna.collection_id not in name} == set()


async def test_a_strangers_names_and_digests_lead_nowhere(serve_rag: ServeRag) -> None:
    secret = "../../../../../../etc/passwd"

    def forged(lines: bytes) -> bytes:
        rows = [json.loads(line) for line in lines.splitlines()]
        return b"".join(json.dumps({**row, "name": secret, "sha256": secret}).encode() + b"\n" for row in rows)

    async with serve_rag() as rag:
        anna = await owner_of_notes(rag)
        content = altered(await snapshot(anna.person), "documents.jsonl", forged)
        digests = {name: digest_of(content, name) for name in ("documents.jsonl", "chunks.jsonl", "vectors.f32")}
        content = altered(
            content, "manifest.json", lambda old: json.dumps({**json.loads(old), "sha256": digests}).encode()
        )
        status, made = await restore(anna.person, content, "again")
        _, documents = await anna.person.ask("GET", "/v1/rag/collections/again/documents")
        contents = [
            await anna.person.ask("GET", f"/v1/rag/collections/again/documents/{one['id']}/content")
            for one in documents["data"]
        ]

    assert status == 201, made
    assert len({one["name"] for one in documents["data"]}) == 3
    assert all(one["name"].startswith("etc/passwd") for one in documents["data"])
    assert [status for status, _ in contents] == [404] * 3


def digest_of(content: bytes, name: str) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return hashlib.sha256(archive.read(name)).hexdigest()


async def test_what_is_restored_counts_against_its_owners_share(serve_rag: ServeRag) -> None:
    async with serve_rag(uploads=Limits(owner_files=5)) as rag:
        anna = await owner_of_notes(rag)
        status, answer = await restore(anna.person, await snapshot(anna.person), "again")
        again, _ = await anna.person.ask("GET", "/v1/rag/collections/again")

    assert (status, answer["error"]["code"], again) == (413, "quota_exceeded", 404)


async def test_bytes_count_against_the_share_before_they_are_a_collection(serve_rag: ServeRag, tmp_path: Path) -> None:
    async with serve_rag(uploads=Limits(owner_bytes=2000)) as rag:
        anna = rag.person("anna")
        for _ in range(2):  # what was refused takes no room
            status, answer = await restore(anna, b"x" * 2001)
            assert (status, answer["error"]["code"]) == (413, "quota_exceeded")
        fits, _ = await restore(anna, b"x" * 2000)

    assert fits == 400  # it is no snapshot
    assert files_below(tmp_path / "rag" / "on-their-way") == set()


async def test_a_snapshot_that_does_not_come_is_given_up(serve_rag: ServeRag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools_api.rag.documents.body.SILENCE_S", 0.2)

    async def body() -> AsyncIterator[bytes]:
        yield b"PK"
        await asyncio.Event().wait()

    async with serve_rag() as rag:
        status, answer = await rag.person("anna").ask("POST", "/v1/rag/restore", data=body())

    assert (status, answer["error"]["code"]) == (408, "upload_too_slow")


async def test_an_empty_collection_has_no_snapshot(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = rag.person("anna")
        await anna.ask("POST", "/v1/rag/collections", json={"name": "empty"})
        status, answer = await anna.ask("GET", "/v1/rag/collections/empty/snapshot")

    assert (status, answer["error"]["code"]) == (409, "collection_empty")
