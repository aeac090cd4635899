"""Files that tools made: only the people whose runs made them get them, and never as a page."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from main_api.db import Database
from main_api.toolbox.artifacts import Artifacts
from shared.errors import NotFound
from shared.tools_contract import Artifact
from tests.main_api.served.platform import Platform
from tests.main_api.served.upstream import DONE, chunk, said, stream
from tests.main_api.toolbox.server import running

on_the_real_app = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


def artifact(artifact_id: str, name: str = "plot.png") -> dict[str, Any]:
    return {"id": artifact_id, "name": name, "media_type": "image/png", "size": 4}


@pytest.fixture
async def artifacts(db: Database) -> AsyncIterator[Artifacts]:
    async with running() as (_, client):
        yield Artifacts(db, client, ttl_hours=1)


async def test_a_file_keeps_its_first_owner(artifacts: Artifacts) -> None:
    made = [Artifact(**artifact("a" * 32))]
    await artifacts.claim(1, made)
    await artifacts.claim(2, made)

    with pytest.raises(NotFound, match=r"no such artifact"):
        async with artifacts.open(2, "a" * 32):
            pass
    with pytest.raises(NotFound):  # of the tools API, which was asked
        async with artifacts.open(1, "a" * 32):
            pass


async def test_claiming_twice_is_claiming_once(artifacts: Artifacts) -> None:
    made = [Artifact(**artifact("b" * 32))]
    await artifacts.claim(1, [*made, *made])
    await artifacts.claim(1, made)


class TestOnTheRealApp:
    pytestmark = on_the_real_app

    @pytest_asyncio.fixture(loop_scope="session")
    async def made(self, served: Platform) -> AsyncIterator[str]:
        """Let ada's agent make a file; yields its id."""
        artifact_id = f"{served.model():a>32}"

        async def make(_request: web.Request) -> web.Response:
            return web.json_response({"ok": True, "content": "done", "artifacts": [artifact(artifact_id)]})

        async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            if body["messages"][-1]["role"] == "tool":
                return await stream(request, said("There it is"))
            call = {"index": 0, "id": "c1", "function": {"name": "python_coder", "arguments": '{"code": "1"}'}}
            return await stream(request, [chunk({"tool_calls": [call]}), chunk(finish="tool_calls"), DONE])

        usual, served.tools.on_invoke = served.tools.on_invoke, make
        model = served.model()
        served.upstream.does(model, answer)
        done = await served.chat(served.person, model, available_tools=["python_coder"])
        assert done.body["artifacts"] == [artifact(artifact_id)]
        yield artifact_id
        served.tools.on_invoke = usual

    async def test_only_its_owner_gets_a_file(self, served: Platform, made: str) -> None:
        self.offers(served, b"\x89PNG", content_type="image/png", content_disposition='attachment; filename="plot.png"')

        for key in (served.person, served.program):
            answer = await served.call("GET", f"/v1/artifacts/{made}", key=key)
            assert (answer.status, answer.raw) == (200, b"\x89PNG")
        for key in (served.stranger, served.admin):
            answer = await served.call("GET", f"/v1/artifacts/{made}", key=key)
            assert (answer.status, answer.error["code"]) == (404, "not_found")
        assert (await served.call("GET", f"/v1/artifacts/{made}")).status == 401
        limited = await served.new_key(served.person, scopes=["chat"])
        assert (await served.call("GET", f"/v1/artifacts/{made}", key=limited)).status == 403

    async def test_a_file_is_saved_and_never_shown_as_a_page(self, served: Platform, made: str) -> None:
        self.offers(served, b"<script>", content_type="text/html", content_disposition='attachment; filename="a.html"')

        answer = await served.call("GET", f"/v1/artifacts/{made}", key=served.person)

        assert answer.headers["content-disposition"] == 'attachment; filename="a.html"'
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["content-length"] == "8"

    @pytest.mark.parametrize(
        "offered", ['inline; filename="a.html"', "attachment; filename=\u00fcbung.png", "", "attachmentx\u20ac"]
    )
    async def test_a_careless_tools_api_changes_nothing_of_that(
        self, served: Platform, made: str, offered: str
    ) -> None:
        self.offers(served, b"x", content_type="text/html", content_disposition=offered)
        answer = await served.call("GET", f"/v1/artifacts/{made}", key=served.person)
        assert (answer.status, answer.headers["content-disposition"]) == (200, "attachment")

    async def test_a_file_that_the_tools_api_has_no_more_is_not_there(self, served: Platform, made: str) -> None:
        async def missing(_request: web.Request) -> web.Response:
            return web.json_response({}, status=404)

        served.tools.on_artifact = missing
        assert (await served.call("GET", f"/v1/artifacts/{made}", key=served.person)).status == 404

    async def test_a_tools_api_that_fails_is_no_failure_of_ours(self, served: Platform, made: str) -> None:
        async def broken(_request: web.Request) -> web.Response:
            return web.json_response({"error": "at /srv/secret"}, status=500)

        served.tools.on_artifact = broken
        answer = await served.call("GET", f"/v1/artifacts/{made}", key=served.person)
        assert (answer.status, answer.error["type"]) == (502, "upstream_error")
        assert b"secret" not in answer.raw

    @pytest.mark.parametrize("artifact_id", ["..", "%2e%2e%2fsecrets", "a" * 65, "x y", "\u00fc", "1"])
    async def test_a_made_up_id_is_not_there(self, served: Platform, artifact_id: str) -> None:
        answer = await served.call("GET", f"/v1/artifacts/{artifact_id}", key=served.person)
        assert answer.status in {400, 404}

    @staticmethod
    def offers(served: Platform, data: bytes, **headers: str) -> None:
        async def serve(_request: web.Request) -> web.Response:
            return web.Response(body=data, headers={name.replace("_", "-"): value for name, value in headers.items()})

        served.tools.on_artifact = serve
