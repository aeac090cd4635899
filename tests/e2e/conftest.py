"""One pair of servers for all end-to-end tests; those that stop or break it make their own."""

from collections.abc import Iterator

import pytest

from tests.e2e.servers import Twinport


@pytest.fixture(scope="session")
def twinport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twinport]:
    running = Twinport(tmp_path_factory.mktemp("twinport"), RATE_LIMIT_ENABLED="false")
    running.start()
    yield running
    assert running.stop() in {0, 130}
