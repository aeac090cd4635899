"""Documents of two people through both servers: upload, search, agents, sharing, deletion, a tools API that dies.

The encoder, the sandbox and the bundled model are the real ones.
"""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.e2e.servers import Twinport

pytestmark = pytest.mark.slow

SECURITY = (
    "# Security\n\nPeople authenticate with a user name and a password of at least 12 characters.\n\n"
    "After five failed attempts the account is locked for 15 minutes.\n"
)
OFFICE = "# Office\n\nThe kitchen is cleaned on Fridays. The large meeting room is called Aurora.\n"
PATIENCE_S = 300
"""The first upload waits for the encoder, which a busy machine loads slowly."""


class Person:
    """Somebody with an account, and what they do with documents."""

    def __init__(self, twinport: Twinport, name: str) -> None:
        self._twinport = twinport
        self.name = name
        self.key = twinport.person(name)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return self._twinport.call(method, f"/v1/rag{path}", body, key=self.key)

    def upload(self, collection: str, **files: str | bytes) -> dict[str, Any]:
        boundary = "a-line-that-is-in-no-document"
        parts = [_part(boundary, name.replace("__", "."), content) for name, content in files.items()]
        headers = {"content-type": f"multipart/form-data; boundary={boundary}", "authorization": f"Bearer {self.key}"}
        url = f"{self._twinport.url}/v1/rag/collections/{collection}/documents"
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            assert answer.status == 202
            return orjson.loads(answer.read())

    def watch(self, job: str) -> list[dict[str, Any]]:
        """The states of a job as its events tell them, until it ends."""
        headers = {"authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self._twinport.url}/v1/rag/jobs/{job}/events", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            data = [line[6:] for line in answer if line.startswith(b"data: ")]
        return [event for event in map(orjson.loads, data) if event["object"] == "job"]

    def search(self, query: str, **fields: Any) -> list[dict[str, Any]]:
        status, answer = self.call("POST", "/search", {"query": query, **fields})
        assert status == 200, answer
        return answer["data"]

    def add(self, collection: str, **files: str | bytes) -> dict[str, Any]:
        """Upload and wait; returns the job as it ended."""
        return self.watch(self.upload(collection, **files)["job"])[-1]


def _part(boundary: str, name: str, content: str | bytes) -> bytes:
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + (content if isinstance(content, bytes) else content.encode()) + b"\r\n"


@pytest.fixture(scope="module")
def anna(twinport: Twinport) -> Person:
    """Anna comes when documents are open: they may be some seconds behind the servers."""
    anna = Person(twinport, "anna")
    deadline = time.monotonic() + PATIENCE_S
    while (answer := anna.call("GET", "/collections"))[0] != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    return anna


@pytest.fixture(scope="module")
def ben(twinport: Twinport) -> Person:
    return Person(twinport, "ben")


@pytest.fixture(scope="module")
def handbook(anna: Person) -> str:
    """Anna's collection with two documents."""
    status, made = anna.call("POST", "/collections", {"name": "handbook"})
    assert (status, made["owner"]) == (201, "anna")
    ended = anna.add("handbook", security__md=SECURITY, office__md=OFFICE)
    assert (ended["state"], ended["documents"]["indexed"]) == ("finished", 2)
    return str(made["id"])


@pytest.fixture
def shared(anna: Person, handbook: str) -> Iterator[str]:
    assert anna.call("POST", f"/collections/{handbook}/grants", {"user": "ben"})[0] == 201
    yield handbook
    anna.call("DELETE", f"/collections/{handbook}/grants/ben")


def test_a_hit_says_where_it_is_from(anna: Person, handbook: str) -> None:
    hit = anna.search("How do people log in?")[0]
    assert (hit["citation"], hit["document"]["name"]) == ("security.md", "security.md")
    assert hit["collection"] == {"id": handbook, "name": "handbook"}
    assert "password of at least 12 characters" in hit["text"]
    assert 0 < hit["score"] <= 1


def test_a_broken_file_fails_alone_and_says_why(anna: Person, handbook: str) -> None:
    states = anna.watch(anna.upload("handbook", broken__pdf=b"%PDF-1.7 and no more", notes__txt="All is well.")["job"])
    assert states[-1]["state"] == "finished"
    assert (states[-1]["documents"]["indexed"], states[-1]["documents"]["failed"]) == (1, 1)
    failed = anna.call("GET", "/collections/handbook/documents?state=failed")[1]["data"]
    assert [(one["name"], bool(one["error"]["message"])) for one in failed] == [("broken.pdf", True)]


def test_what_is_not_shared_is_not_there(ben: Person, handbook: str) -> None:
    assert ben.search("How do people log in?") == []
    assert ben.call("GET", "/collections")[1]["data"] == []
    for reference in (handbook, "handbook"):
        for path in ("", "/documents", "/export", "/snapshot", "/grants"):
            assert ben.call("GET", f"/collections/{reference}{path}")[0] == 404
        assert ben.call("POST", "/search", {"query": "x", "collections": [reference]})[0] == 404
        assert ben.call("DELETE", f"/collections/{reference}")[0] == 404


def test_what_is_shared_can_be_read_and_not_changed(anna: Person, ben: Person, shared: str) -> None:
    assert ben.search("kitchen")[0]["citation"] == "office.md"
    (collection,) = ben.call("GET", "/collections")[1]["data"]
    assert (collection["owner"], collection["role"]) == ("anna", "reader")
    assert ben.call("DELETE", f"/collections/{shared}")[0] == 403
    assert ben.call("GET", f"/collections/{shared}/grants")[0] == 403
    assert anna.call("GET", f"/collections/{shared}/grants")[1]["data"] == [
        {"object": "grant", "user": "ben", "role": "reader"}
    ]


def test_sharing_ends_at_once(anna: Person, ben: Person, shared: str) -> None:
    assert ben.search("kitchen")
    assert anna.call("DELETE", f"/collections/{shared}/grants/ben")[0] == 200
    assert ben.search("kitchen") == []


def test_an_agent_answers_from_the_documents_of_who_asks(
    twinport: Twinport, anna: Person, ben: Person, handbook: str
) -> None:
    question: Any = [{"role": "user", "content": "Find information about user authentication in the docs"}]
    asked: dict[str, Any] = {"agent_type": "react", "available_tools": ["rag"]}
    answer = twinport.sdk(anna.key).chat.completions.create(model="auto", messages=question, extra_body=asked)
    said = "People authenticate with a user name and a password of at least 12 characters. [1]"
    assert answer.choices[0].message.content == said
    extra = answer.model_extra or {}
    assert extra["sources"][0]["title"] == "security.md"
    assert handbook in extra["sources"][0]["url"]
    assert "12 characters" in extra["tool_results"][0]["result"]["message"]

    other = twinport.sdk(ben.key).chat.completions.create(model="auto", messages=question, extra_body=asked)
    assert "12 characters" not in orjson.dumps(other.model_dump()).decode()


def test_the_encoder_makes_embeddings_for_the_official_sdk(twinport: Twinport, anna: Person, handbook: str) -> None:
    client = twinport.sdk(anna.key)
    made = client.embeddings.create(model="all-MiniLM-L6-v2", input=["a password", "the kitchen"])
    assert [len(one.embedding) for one in made.data] == [384, 384]
    assert made.usage.prompt_tokens > 0
    assert "all-MiniLM-L6-v2" in [model.id for model in client.models.list()]


def test_a_deleted_document_is_gone(anna: Person, twinport: Twinport) -> None:
    canary = "quokka-4711"
    anna.call("POST", "/collections", {"name": "passing"})
    anna.add("passing", secret__txt=f"The word is {canary}.")
    assert anna.search(canary, collections=["passing"])
    (document,) = anna.call("GET", "/collections/passing/documents")[1]["data"]

    assert anna.call("DELETE", f"/collections/passing/documents/{document['id']}")[0] == 200
    assert canary not in str(anna.search(canary))
    assert anna.call("GET", f"/collections/passing/documents/{document['id']}/content")[0] == 404
    assert anna.call("POST", "/grep", {"pattern": canary})[1]["data"] == []
    deadline = time.monotonic() + PATIENCE_S
    while found := _holding(twinport.data_dir / "rag", canary):  # files are purged in the background
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def _holding(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_snapshot_is_a_collection_elsewhere(twinport: Twinport, anna: Person, ben: Person, shared: str) -> None:
    headers = {"authorization": f"Bearer {ben.key}"}
    request = urllib.request.Request(f"{twinport.url}/v1/rag/collections/{shared}/snapshot", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            snapshot = answer.read()
    except urllib.error.HTTPError as refused:
        pytest.fail(refused.read().decode())
    restore = f"{twinport.url}/v1/rag/restore?name=mine"
    sent = {**headers, "content-type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(restore, snapshot, sent), timeout=60) as answer:
        assert (answer.status, orjson.loads(answer.read())["owner"]) == (201, "ben")
    anna.call("DELETE", f"/collections/{shared}/grants/ben")
    assert ben.search("kitchen")[0]["collection"]["name"] == "mine"


def test_a_tools_api_that_dies_is_said_and_comes_back_with_everything(
    twinport: Twinport, anna: Person, handbook: str
) -> None:
    assert twinport._process is not None
    servers = psutil.Process(twinport._process.pid).children(recursive=True)
    (tools,) = [one for one in servers if "tools_api" in one.cmdline()]
    tools.kill()
    tools.wait(20)
    status, answer = anna.call("POST", "/search", {"query": "kitchen"})
    assert (status, answer["error"]["code"]) == (503, "service_unavailable")
    assert "documents are off for the moment" in answer["error"]["message"]

    deadline = time.monotonic() + PATIENCE_S
    while status != 200 or answer["warming_up"]:
        assert time.monotonic() < deadline, answer
        time.sleep(0.5)
        status, answer = anna.call("POST", "/search", {"query": "kitchen"})
    assert answer["data"][0]["citation"] == "office.md"
