"""Retrieval as it is really opened: what it costs a process that does not use it, and what its failures cost others."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from config import Settings
from tests.tools_api.conftest import Serve
from tests.tools_api.fakes import FakeTool
from tests.tools_api.rag.conftest import ServeRag
from tests.tools_api.rag.encoders import HashedWords
from tests.tools_api.rag.planting import plant
from tools_api.rag.open import open_rag
from tools_api.rag.options import RagOptions
from tools_api.rag.parsing import ParsingOptions
from tools_api.rag.retrieval import RagUnavailable
from tools_api.rag.tool import RagTool
from tools_api.rag.words import LANGUAGES
from tools_api.sandbox import SandboxOptions

_HEAVY = ("sqlalchemy", "numpy", "faiss", "tantivy", "dbos", "torch", "alembic")
_ROOT = Path(__file__).parents[3]


def options(folder: Path, database_url: str) -> RagOptions:
    return RagOptions(
        folder=folder / "rag",
        database_url=database_url,
        database_file=None,
        jobs_url=f"sqlite:///{folder / 'jobs.db'}",
        parsing=ParsingOptions(sandbox=SandboxOptions(levels=())),
    )


def test_the_process_is_imported_without_a_database_an_index_or_a_model() -> None:
    look = f"import sys, tools_api.app; print([name for name in {_HEAVY!r} if name in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", look], cwd=_ROOT, capture_output=True, text=True, check=True)

    assert seen.stdout.strip() == "[]"


def test_the_setting_names_the_languages_that_there_are() -> None:
    assert get_args(Settings.model_fields["rag_language"].annotation) == LANGUAGES


async def test_a_database_that_is_down_costs_the_other_tools_nothing(serve: Serve, tmp_path: Path) -> None:
    down = options(tmp_path, "postgresql+asyncpg://nobody:secret@127.0.0.1:1/none")
    async with (
        open_rag(down, encoder=HashedWords("model-1")) as retrieval,
        serve(FakeTool(), RagTool(retrieval), rag=retrieval) as served,
    ):
        async with served.client.get(f"{served.url}/v1/rag/collections") as answer:
            refusal = await answer.json()
        async with served.client.get(f"{served.url}/v1/rag/status") as status_answer:
            status = await status_answer.json()
        echoed, body = await served.invoke("echo", arguments={"text": "hi"})
        async with served.client.get(f"{served.url}/health") as health_answer:
            health = await health_answer.json()

    assert (answer.status, refusal["error"]["code"]) == (503, "rag_unavailable")
    assert answer.headers["Retry-After"]
    assert "database" in refusal["error"]["message"]
    assert "secret" not in str(refusal)
    assert (status_answer.status, status["state"]) == (200, "unavailable")
    assert (echoed, body["content"]) == (200, "hi")
    assert health["tools"] == {"echo": "available", "rag": "unavailable"}


async def test_what_a_folder_holds_is_there_after_a_restart(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
    async with serve_rag() as again:
        _, listed = await again.person("anna").ask("GET", "/v1/rag/collections")

    assert [(one["id"], one["documents"]["indexed"]) for one in listed["data"]] == [(anna.collection_id, 2)]


async def test_the_data_folder_belongs_to_one_process_at_a_time(serve_rag: ServeRag, tmp_path: Path) -> None:
    async with serve_rag() as rag:
        await rag.retrieval.parts()
        second = options(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'tools.db'}")
        async with open_rag(second, encoder=HashedWords("model-1")) as other:
            with pytest.raises(RagUnavailable, match="Another tools API"):
                await other.parts()
