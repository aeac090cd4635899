"""The paths of documents and jobs, as a service sees them: forms, JSON, downloads, events, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.tools_api.conftest import KEY
from tests.tools_api.rag.conftest import Person, ServeRag
from tools_api.rag.documents.values import Limits

pytestmark = pytest.mark.slow  # starts the workflows' engine

_DOCUMENTS = "/v1/rag/collections/docs/documents"


def form_of(files: dict[str, bytes], **fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    for name, content in files.items():
        form.add_field("file", content, filename=name, content_type="text/plain")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def _with_docs(person: Person) -> Person:
    status, body = await person.ask("POST", "/v1/rag/collections", json={"name": "docs"})
    assert status == 201, body
    return person


async def test_files_are_uploaded_listed_downloaded_and_removed(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        files = {"a/\u00fc b.txt": b"one", "../../x.html": b"<script>alert(1)</script>"}
        status, upload = await ada.ask("POST", _DOCUMENTS, data=form_of(files, metadata='{"year": 2024}'))
        assert status == 202, upload
        assert [(one["name"], one["outcome"], one["metadata"]) for one in upload["documents"]] == [
            ("a/\u00fc b.txt", "queued", {"year": 2024}),
            ("x.html", "queued", {"year": 2024}),
        ]
        page = upload["documents"][1]
        path = f"{_DOCUMENTS}/{page['id']}"
        async with ada.client.get(f"{ada.url}{path}/content", headers={"Range": "bytes=0-1"}) as answer:
            assert (answer.status, await answer.read()) == (200, files["../../x.html"])
            assert answer.headers["Content-Disposition"] == 'attachment; filename="x.html"'
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("sandbox")
        async with ada.client.get(f"{ada.url}{_DOCUMENTS}/{upload['documents'][0]['id']}/content") as answer:
            assert "filename*=UTF-8''%C3%BC%20b.txt" in answer.headers["Content-Disposition"]
        assert (await ada.ask("DELETE", path)) == (
            200,
            {"id": page["id"], "object": "document.deleted", "deleted": True},
        )
        for method, gone in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path), ("POST", f"{path}/retry")):
            status, body = await ada.ask(method, gone)
            assert (status, body["error"]["code"]) == (404, "document_not_found")
        _, listed = await ada.ask("GET", _DOCUMENTS)
        assert [one["name"] for one in listed["data"]] == ["a/\u00fc b.txt"]


async def test_a_text_comes_as_json(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        body = {"name": "notes.md", "text": "# Hello", "metadata": {"by": "ada"}}
        status, upload = await ada.ask("POST", _DOCUMENTS, json=body)
        assert (status, upload["documents"][0]["bytes"]) == (202, 7)
        assert upload["documents"][0]["media_type"] == "text/markdown"
        for wrong in ({"name": "a"}, {"name": "", "text": "x"}, {**body, "more": 1}, {**body, "metadata": {"a": "\0"}}):
            status, answer = await ada.ask("POST", _DOCUMENTS, json=wrong)
            assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "metadata", ["", "{", "[]", "1", json.dumps({"a": "x" * 20_000}), json.dumps({str(key): 1 for key in range(100)})]
)
async def test_metadata_that_cannot_be_kept_is_refused(serve_rag: ServeRag, metadata: str) -> None:
    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        status, body = await ada.ask("POST", _DOCUMENTS, data=form_of({"a": b"x"}, metadata=metadata))
        assert (status, body["error"]["param"]) == (400, "metadata")
        _, listed = await ada.ask("GET", _DOCUMENTS)
        assert listed["data"] == []


async def test_what_is_too_much_is_refused_by_size_and_by_number(serve_rag: ServeRag) -> None:
    async with serve_rag(uploads=Limits(file_bytes=1000, files=3, owner_bytes=3000, owner_files=5)) as rag:
        ada = await _with_docs(rag.person("ada"))
        for files, code in (
            ({"a": b"x" * 1001}, "payload_too_large"),
            ({f"{number}": b"x" for number in range(4)}, "payload_too_large"),
        ):
            status, body = await ada.ask("POST", _DOCUMENTS, data=form_of(files))
            assert (status, body["error"]["code"]) == (413, code)
        status, _ = await ada.ask("POST", _DOCUMENTS, data=form_of({f"{one}": one.encode() * 900 for one in "abc"}))
        assert status == 202
        status, body = await ada.ask("POST", _DOCUMENTS, data=form_of({"d": b"d" * 900}))
        assert (status, body["error"]["code"]) == (413, "quota_exceeded")


async def test_ten_thousand_parts_are_refused_without_being_collected(serve_rag: ServeRag) -> None:
    part = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield part * 100

    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        status, answer = await ada.ask("POST", _DOCUMENTS, data=body(), headers=headers)
        _, listed = await ada.ask("GET", _DOCUMENTS)
    assert (status, answer["error"]["code"]) == (413, "payload_too_large")
    assert listed["data"] == []


async def test_a_body_that_does_not_come_is_given_up(serve_rag: ServeRag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools_api.rag.documents.body.SILENCE_S", 0.2)
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'
        await never.wait()

    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        status, answer = await ada.ask("POST", _DOCUMENTS, data=body(), headers=headers)
    assert (status, answer["error"]["code"]) == (408, "upload_too_slow")


async def test_a_caller_who_leaves_leaves_nothing_behind(serve_rag: ServeRag, tmp_path: Path) -> None:
    half_way = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 3_000_000
        half_way.set()
        await asyncio.Event().wait()

    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        uploading = asyncio.create_task(ada.ask("POST", _DOCUMENTS, data=body(), headers=headers))
        await half_way.wait()
        drafts = tmp_path / "rag" / "originals" / ".drafts"
        async with asyncio.timeout(30):
            while not list(drafts.iterdir()):
                await asyncio.sleep(0.02)
            uploading.cancel()
            while list(drafts.iterdir()):
                await asyncio.sleep(0.02)


async def test_a_job_is_followed_by_events_and_belongs_to_its_people(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        _, upload = await ada.ask("POST", _DOCUMENTS, data=form_of({"a.txt": b"one", "b.txt": b"two"}))
        path = f"/v1/rag/jobs/{upload['job']}"
        events = await _events(ada, f"{path}/events")
        again = await _events(ada, f"{path}/events", {"Last-Event-ID": "41"})
        kinds = [event["event"] for event in events]
        last = json.loads(events[-1]["data"])
        assert (kinds[0], kinds[-1], last["state"], last["percent"]) == ("job", "job", "finished", 100)
        assert last["documents"]["failed"] == 2, "there is no sandbox here"
        assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
        assert [event["id"] for event in again] == ["42"]
        _, documents = await ada.ask("GET", _DOCUMENTS, params={"state": "failed"})
        assert {one["error"]["code"] for one in documents["data"]} == {"unavailable"}
        status, job = await ada.ask("POST", f"{path}/retry")
        assert (status, job["state"]) == (202, "queued")
        _, listed = await ada.ask("GET", "/v1/rag/jobs", params={"collection": "docs"})
        assert [one["id"] for one in listed["data"]] == [upload["job"]]
        for stranger in (rag.person("bob"), rag.person(None), rag.other_service("ada")):
            for method, there in (("GET", path), ("GET", f"{path}/events"), ("POST", f"{path}/cancel")):
                status, body = await stranger.ask(method, there)
                assert (status, body["error"]["code"]) == (404, "job_not_found")
            assert (await stranger.ask("GET", "/v1/rag/jobs"))[1]["data"] == []


async def test_nobody_uploads_without_a_key_or_to_others(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        ada = await _with_docs(rag.person("ada"))
        _, collection = await ada.ask("GET", "/v1/rag/collections/docs")
        for person, expected in (
            (rag.person("bob"), 404),
            (rag.person(None, "wrong" * 8), 401),
            (rag.other_service(), 404),
        ):
            for reference in ("docs", collection["id"]):
                path = f"/v1/rag/collections/{reference}/documents"
                status, _ = await person.ask("POST", path, data=form_of({"a": b"x"}))
                assert status == expected
        assert KEY not in json.dumps(collection)


async def _events(person: Person, path: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Read a stream of events to its end."""
    async with asyncio.timeout(60), person.client.get(f"{person.url}{path}", headers=headers) as answer:
        assert answer.status == 200
        text = await answer.text()
    frames = [frame for frame in text.split("\n\n") if frame.strip() and not frame.startswith(":")]
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]
