"""The words after `kill -9` at any moment, and on a disk that is full."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools_api.rag.words.conftest import Open

_WRITE = """
import sys
from pathlib import Path
from tools_api.rag.index.words_view import WordsRow
from tools_api.rag.words import words_opener

words = words_opener("english")(Path(sys.argv[1]))
change = words.applied_upto()
print("at", change, flush=True)
while True:
    change += 1
    rows = [WordsRow(chunk_id=3 * change + n, text=f"kettle change{change}", headings=(), title=None, name="a")
            for n in range(3)]
    words.apply(rows, [(3 * (change - 4), 3 * (change - 3))] if change > 4 else [], change)
    print("done", change, flush=True)
    if change % 7 == 0:
        words.purge()
"""


@pytest.mark.slow
def test_killed_at_any_moment_number_and_content_agree(open_words: Open, folder: Path) -> None:
    """Change n adds the chunks 3n to 3n + 2 and removes those of change n - 4."""
    moments = random.Random(7)
    acknowledged = 0
    for _ in range(8):
        lines = _written_until_killed(folder, moments.randrange(1, 12))
        assert int(lines[0].split()[1]) >= acknowledged
        acknowledged = max([acknowledged, *(int(line.split()[1]) for line in lines if line.startswith("done"))])
        words = open_words()
        upto = words.applied_upto()
        found = sorted(hit.chunk_id for hit in words.search("kettle", 1000, None))
        words.close()
        assert upto >= acknowledged
        assert found == list(range(3 * max(1, upto - 3), 3 * upto + 3))


def _written_until_killed(folder: Path, changes: int) -> list[str]:
    """Run the writer, and kill it in the middle of what it does after that many changes."""
    child = subprocess.Popen([sys.executable, "-c", _WRITE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines: list[str] = []
    try:
        for line in child.stdout:
            lines.append(line)
            if len(lines) > changes:
                break
    finally:
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        child.wait()
    return [line for line in lines if line.endswith("\n")]


_FILL = """
import sys
from pathlib import Path
from shared.errors import StorageFull
from tools_api.rag.index.words_view import EVERYTHING, WordsRow
from tools_api.rag.words import words_opener

words = words_opener("english")(Path(sys.argv[1]) / "words")

def rows(change):
    for n in range(400):
        text = " ".join(f"w{(change * 400 + n) * 97 + i}" for i in range(200))
        yield WordsRow(chunk_id=400 * change + n, text="kettle " + text, headings=(), title=None, name="a")

change = 0
try:
    while change < 1000:
        words.apply(rows(change), [], change + 1)
        change += 1
except StorageFull:
    assert words.applied_upto() == change > 0
    assert len(words.search("kettle", 10**6, None)) == 400 * change
    print("full", change)
words.close()
again = words_opener("english")(Path(sys.argv[1]) / "words")
assert (again.applied_upto(), len(again.search("kettle", 10**6, None))) == (change, 400 * change)
(Path(sys.argv[1]) / "ballast").unlink()
again.apply(rows(change), [], change + 1)
assert len(again.search("kettle", 10**6, None)) == 400 * (change + 1)
print("room again")
"""
_ON_TMPFS = """
set -e
mount -t tmpfs -o size=64m none "$1"
head -c 40m /dev/zero > "$1/ballast"
"$2" -c "$3" "$1"
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _may_mount(), reason="no user namespaces to mount a small disk in")
def test_a_full_disk_refuses_the_change_keeps_the_last_and_goes_on_with_room(tmp_path: Path) -> None:
    inside = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", _ON_TMPFS, "-"]
    done = subprocess.run(
        [*inside, str(tmp_path), sys.executable, _FILL], check=False, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "full" in done.stdout
    assert "room again" in done.stdout
