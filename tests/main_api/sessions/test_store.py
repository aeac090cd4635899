"""The truth on disk: what a crash, a full disk or a delete may do to it, and what not."""

import json
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from main_api.sessions.journal import opened
from main_api.sessions.records import SessionNotFound, new_session_id
from main_api.sessions.store import SessionFull, SessionStore
from tests.main_api.sessions.conftest import ALICE, BOB, conversation, message


def texts(store: SessionStore, session_id: str, user_id: int = ALICE) -> list[str]:
    return [entry.text for entry in store.read(user_id, session_id).messages]


def reopened(folder: Path) -> SessionStore:
    store = SessionStore(folder, sync=False)
    store.open()
    return store


def test_messages_come_back_in_order_after_a_restart(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "one", "two", "three")
    store.set_title(ALICE, session_id, "Counting")
    store.close()
    again = reopened(folder)
    assert texts(again, session_id) == ["one", "two", "three"]
    assert again.read(ALICE, session_id).info.title == "Counting"
    assert again.page(ALICE, limit=10, offset=0).sessions[0].message_count == 3
    again.close()


def test_the_file_is_readable_json_lines_for_its_owner_only(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "Grüße\nsecond line", "hi")
    path = folder / "1" / f"{session_id}.jsonl"
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [record["type"] for record in records] == ["session", "message", "message"]
    assert records[1]["message"] == {"role": "user", "content": "Grüße\nsecond line"}
    assert "Grüße" in path.read_text("utf-8")  # greppable
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "index.db").stat().st_mode) == 0o600


def test_cut_at_any_byte_it_keeps_every_earlier_message_and_goes_on(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "héllo", "wörld", "again")
    path = folder / "1" / f"{session_id}.jsonl"
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 10]
    said = ["héllo", "wörld", "again"]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = sum(1 for end in ends if end <= cut)
        if complete == 0:
            with pytest.raises(SessionNotFound):
                store.read(ALICE, session_id)
            continue
        assert texts(store, session_id) == said[: complete - 1], cut
        store.append(ALICE, session_id, message("after"))
        assert texts(store, session_id) == [*said[: complete - 1], "after"], cut
        assert path.read_bytes()[: ends[complete - 1]] == whole[: ends[complete - 1]]
        assert store.page(ALICE, limit=1, offset=0).sessions[0].message_count == complete


@pytest.mark.parametrize("cut_from_end", [1, 5, 60])
def test_opening_repairs_a_torn_file_and_its_index_rows(store: SessionStore, folder: Path, cut_from_end: int) -> None:
    session_id = conversation(store, "kept", "torn apart")
    store.close()
    path = folder / "1" / f"{session_id}.jsonl"
    path.write_bytes(path.read_bytes()[:-cut_from_end])
    again = reopened(folder)
    assert path.read_bytes().endswith(b"\n")
    assert again.page(ALICE, limit=1, offset=0).sessions[0].message_count == 1
    assert again.search(ALICE, "torn", limit=10, offset=0) == ()
    assert len(again.search(ALICE, "kept", limit=10, offset=0)) == 1
    again.close()


def test_a_file_torn_within_its_header_is_no_session_and_harms_nothing(store: SessionStore, folder: Path) -> None:
    other = conversation(store, "fine")
    torn = folder / "1" / f"{new_session_id()}.jsonl"
    torn.write_bytes(b'{"type":"sess')
    store.close()
    again = reopened(folder)
    assert [info.id for info in again.page(ALICE, limit=10, offset=0).sessions] == [other]
    again.close()


@pytest.mark.parametrize(
    "damage", [b"not json", b'{"type":"message"}', b"[]", b"\x00\x00", b"\xff\xfe", b'{"type":"message","message":7}']
)
def test_a_damaged_line_costs_itself_alone(store: SessionStore, folder: Path, damage: bytes) -> None:
    session_id = conversation(store, "before")
    path = folder / "1" / f"{session_id}.jsonl"
    path.write_bytes(path.read_bytes() + damage + b"\n")
    store.append(ALICE, session_id, message("after"))
    assert texts(store, session_id) == ["before", "after"]


def test_lines_of_a_newer_version_are_passed_over(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "before")
    path = folder / "1" / f"{session_id}.jsonl"
    path.write_bytes(path.read_bytes() + b'{"type":"branch","of":"x"}\n')
    transcript = store.read(ALICE, session_id)
    assert ([entry.text for entry in transcript.messages], transcript.unreadable) == (["before"], 0)


def test_text_that_is_no_utf8_and_huge_numbers_are_stored_all_the_same(store: SessionStore) -> None:
    session_id = conversation(store, "lone \ud800 surrogate")
    store.append(ALICE, session_id, message("big", "assistant", usage={"n": 2**70}))
    assert texts(store, session_id) == ["lone ? surrogate", "big"]


@pytest.mark.parametrize(
    "session_id", ["", "..", "../2/x", "ses_", "ses_" + "g" * 32, "ses_" + "A" * 32, "ses_" + "a" * 32 + "\n", "\0"]
)
def test_an_id_that_cannot_be_one_is_not_found(store: SessionStore, session_id: str) -> None:
    with pytest.raises(SessionNotFound):
        store.read(ALICE, session_id)
    with pytest.raises(SessionNotFound):
        store.delete(ALICE, session_id)


def test_ids_are_unguessable() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(session_id.removeprefix("ses_")) * 4 >= 122 for session_id in ids)


def test_another_persons_session_is_not_found_in_every_call(store: SessionStore) -> None:
    session_id = conversation(store, "private")
    for attempt in (
        lambda: store.read(BOB, session_id),
        lambda: store.append(BOB, session_id, message("x")),
        lambda: store.set_title(BOB, session_id, "x"),
        lambda: store.delete(BOB, session_id),
    ):
        with pytest.raises(SessionNotFound):
            attempt()
    assert store.page(BOB, limit=10, offset=0).total == 0
    assert store.search(BOB, "private", limit=10, offset=0) == ()
    assert texts(store, session_id) == ["private"]


def test_delete_leaves_no_trace_on_disk(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "the canary word is xylophonist", "noted")
    store.set_title(ALICE, session_id, "about a zymurgist")
    conversation(store, "something else")
    store.delete(ALICE, session_id)
    left = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"xylophonist" not in left
    assert b"zymurgist" not in left
    assert session_id.encode() not in left
    with pytest.raises(SessionNotFound):
        store.append(ALICE, session_id, message("too late", "assistant"))
    assert store.page(ALICE, limit=10, offset=0).total == 1


def test_appends_and_a_delete_at_once_never_resurrect_the_session(store: SessionStore, folder: Path) -> None:
    for _ in range(10):
        session_id = conversation(store, "start")

        def write(session_id: str = session_id) -> None:
            try:
                for number in range(1000):
                    store.append(ALICE, session_id, message(f"n{number}"))
            except SessionNotFound:
                pass

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        while len(store.read(ALICE, session_id).messages) < 4:
            pass
        store.delete(ALICE, session_id)
        for writer in writers:
            writer.join()
        assert not (folder / "1" / f"{session_id}.jsonl").exists()
        assert store.page(ALICE, limit=10, offset=0).total == 0
        assert store.search(ALICE, "start", limit=10, offset=0) == ()


def test_delete_user_takes_all_and_only_that_users(store: SessionStore) -> None:
    for text in ("a", "b"):
        conversation(store, text)
    kept = conversation(store, "bobs", user_id=BOB)
    assert store.delete_user(ALICE) == 2
    assert store.page(ALICE, limit=10, offset=0).total == 0
    assert [info.id for info in store.page(BOB, limit=10, offset=0).sessions] == [kept]


def test_threads_that_append_at_once_mix_no_lines(store: SessionStore) -> None:
    session_id = conversation(store, "start")

    def write(name: str) -> None:
        for number in range(40):
            store.append(ALICE, session_id, message(f"{name}{number} " + "x" * 5000))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transcript = store.read(ALICE, session_id)
    assert (len(transcript.messages), transcript.unreadable) == (161, 0)
    assert store.page(ALICE, limit=1, offset=0).sessions[0].message_count == 161
    for name in "abcd":
        own = [entry.text.split()[0] for entry in transcript.messages if entry.text.startswith(name)]
        assert own == [f"{name}{number}" for number in range(40)]


def test_a_title_is_set_once_when_unset_only(store: SessionStore) -> None:
    session_id = conversation(store, "hi")
    assert store.set_title(ALICE, session_id, "first", only_if_unset=True)
    assert not store.set_title(ALICE, session_id, "second", only_if_unset=True)
    assert store.set_title(ALICE, session_id, "third")
    assert store.page(ALICE, limit=1, offset=0).sessions[0].title == "third"
    assert store.search(ALICE, "first", limit=10, offset=0) == ()
    assert store.search(ALICE, "third", limit=10, offset=0)[0].message_id is None


def test_a_full_session_takes_no_question_but_the_answer_under_way(folder: Path) -> None:
    store = SessionStore(folder, sync=False, max_session_bytes=2_000)
    store.open()
    session_id = conversation(store, "x" * 1_500)
    with pytest.raises(SessionFull):
        store.append(ALICE, session_id, message("y" * 1_000))
    store.append(ALICE, session_id, message("z" * 1_000, "assistant"))
    assert len(texts(store, session_id)) == 2
    store.close()


def test_a_lost_index_is_made_again_from_the_files(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "findable words", "yes")
    store.close()
    for path in folder.glob("index.db*"):
        path.unlink()
    again = reopened(folder)
    assert again.page(ALICE, limit=10, offset=0).sessions[0].id == session_id
    assert again.search(ALICE, "findable", limit=10, offset=0)[0].session_id == session_id
    again.close()


@pytest.mark.parametrize("garbage", [b"this is no database" * 500, b"", b"\0" * 8192])
def test_a_damaged_index_is_made_again_from_the_files(store: SessionStore, folder: Path, garbage: bytes) -> None:
    session_id = conversation(store, "findable words", "yes")
    store.close()
    (folder / "index.db").write_bytes(garbage)
    again = reopened(folder)
    assert again.search(ALICE, "findable", limit=10, offset=0)[0].session_id == session_id
    again.close()


def test_an_index_that_breaks_while_open_heals_itself(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "findable words", "yes")
    with sqlite3.connect(folder / "index.db") as vandal:
        vandal.execute("DROP TABLE texts")
        vandal.execute("DROP TABLE sessions")
    store.append(ALICE, session_id, message("appended meanwhile"))
    assert store.page(ALICE, limit=10, offset=0).sessions[0].message_count == 3
    assert store.search(ALICE, "meanwhile", limit=10, offset=0)[0].session_id == session_id


def test_a_write_that_the_index_refuses_is_kept_and_indexed_later(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "first")
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'refused'); END"
    with sqlite3.connect(folder / "index.db") as vandal:
        vandal.execute(refuse)
    store.append(ALICE, session_id, message("kept all the same"))
    with sqlite3.connect(folder / "index.db") as vandal:
        vandal.execute("DROP TRIGGER refuse")
    assert store.page(ALICE, limit=10, offset=0).sessions[0].message_count == 2
    assert len(store.search(ALICE, "same", limit=10, offset=0)) == 1


def test_a_message_that_missed_the_index_is_indexed_on_the_next_start(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "first")
    store.close()
    other = SessionStore(folder / "elsewhere", sync=False)  # writes one line as a process that died right after it
    other.open()
    late = conversation(other, "overlooked")
    other.close()
    line = (folder / "elsewhere" / "1" / f"{late}.jsonl").read_bytes().split(b"\n")[1] + b"\n"
    with opened(folder / "1" / f"{session_id}.jsonl", sync=False) as file:
        file.append(line)
    again = reopened(folder)
    assert again.search(ALICE, "overlooked", limit=10, offset=0)[0].session_id == session_id
    assert again.page(ALICE, limit=10, offset=0).sessions[0].message_count == 2
    again.close()


def test_a_file_removed_by_hand_leaves_the_listing_on_the_next_start(store: SessionStore, folder: Path) -> None:
    session_id = conversation(store, "gone soon")
    store.close()
    (folder / "1" / f"{session_id}.jsonl").unlink()
    again = reopened(folder)
    assert again.page(ALICE, limit=10, offset=0).total == 0
    assert again.search(ALICE, "gone", limit=10, offset=0) == ()
    again.close()


_FILL = """
import sys
from pathlib import Path
from main_api.sessions.store import SessionStore
from main_api.sessions.journal import DiskFull
from tests.main_api.sessions.conftest import ALICE, conversation, message

folder = Path(sys.argv[1])
store = SessionStore(folder, sync=True)
store.open()
session_id = conversation(store, "n0")
path = folder / "1" / f"{session_id}.jsonl"
stored = 1
try:
    while True:
        store.append(ALICE, session_id, message(f"n{stored} " + "x" * 3000))
        stored += 1
except DiskFull as error:
    assert error.status == 507
assert path.read_bytes().endswith(b"\\n")
try:
    conversation(store, "new session " + "x" * 200_000)
    raise SystemExit("the disk is not full")
except DiskFull:
    pass
assert len(list((folder / "1").iterdir())) == 1, "a half-made session is left"
assert [m.text.split()[0] for m in store.read(ALICE, session_id).messages] == [f"n{i}" for i in range(stored)]
store.page(ALICE, limit=10, offset=0)
print("stored:", session_id, stored)
"""


def test_a_file_that_may_not_grow_ends_in_storage_full_without_half_a_line(folder: Path) -> None:
    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=limit_file_size,
    )
    assert done.returncode == 0, done.stderr
    session_id, stored = said(done.stdout, "stored:")
    again = reopened(folder)
    again.append(ALICE, session_id, message("room again"))
    assert len(texts(again, session_id)) == int(stored) + 1
    assert again.page(ALICE, limit=1, offset=0).sessions[0].message_count == int(stored) + 1
    again.close()


_ON_TMPFS = """
set -e
mount -t tmpfs -o size=600k none "$1"
"$2" -c "$3" "$1"
"$2" -c "
import sys; from pathlib import Path; from main_api.sessions.store import SessionStore
store = SessionStore(Path(sys.argv[1]), sync=False); store.open()
print('reopened:', store.page(1, limit=1, offset=0).sessions[0].message_count)
" "$1"
"""


def said(output: str, word: str) -> list[str]:
    """Find the words behind `word` among the log lines of a child."""
    return next(line.split()[1:] for line in output.splitlines() if line.startswith(word))


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="no user namespaces to mount a small disk in")
def test_a_really_full_disk_refuses_writes_and_still_answers_reads_also_after_a_restart(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "bash",
            "-c",
            _ON_TMPFS,
            "-",
            tmp_path,
            sys.executable,
            _FILL,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert said(done.stdout, "reopened:") == said(done.stdout, "stored:")[1:]
