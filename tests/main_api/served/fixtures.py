"""One running platform for all tests of a session; those that need other settings start their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.main_api.served.platform import Platform, platform


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(tmp_path_factory.mktemp("served")) as running:
        yield running
