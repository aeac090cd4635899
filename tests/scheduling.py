"""Which tests run in which process: those that share a server stay together, and what takes longest begins first.

pytest-xdist's own groups (`xdist_group`) do nothing with pytest 9.2, without a word
(https://github.com/pytest-dev/pytest-xdist/issues/1386); this goes by the path of a test instead.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

LONGEST = (
    "tests/tools_api/rag/faults/test_kills.py",
    "tests/tools_api/rag/test_isolation.py",
    "tests/tools_api/rag/search/test_real_models.py",
    "tests/tools_api/battery/",
    "tests/tools_api/sandbox/",
    "tests/tools_api/python_coder/test_session_lives.py",
    "tests/e2e/",
    "tests/cli/test_serve.py",
    "tests/main_api/test_app_process.py",
    "tests/main_api/db/",
    "tests/tools_api/nanocoder/",
    "tests/tools_api/test_app_process.py",
    "tests/main_api/backends/test_mlx.py",
    "tests/main_api/chat/",
)
"""Files, and folders whose tests stay together, by the time that they take.

The folders share servers. Besides, the attacks on the sandbox are after each other: they are about limits of this
machine.
"""

LONG = (
    "tests/tools_api/runner/",
    "tests/tools_api/sandbox/landlock/",
    "tests/tools_api/sandbox/test_listed_packages.py",
    "tests/tools_api/sandbox/wasi/",
)
"""Whose slow tests are long ones: what an operator has to ask for by a setting."""


class Together(LoadScopeScheduling):
    """Hands the groups out in the order in which they were found."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return a folder that stays together, otherwise the file."""
    folders = (path for path in LONGEST if path.endswith("/"))
    return next((folder for folder in folders if nodeid.startswith(folder)), nodeid.partition("::")[0])


def longest_first(item: pytest.Item) -> int:
    """Return where in the order a test stands, as a key to sort by."""
    group = group_of(item.nodeid)
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)
