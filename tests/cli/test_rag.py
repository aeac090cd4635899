"""`twinport rag` against a small server with our wire format, and in a pseudo-terminal where a person sits."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.rag_files import Found, find_files
from cli.terminal import out
from tests.cli.conftest import FakeApi
from tests.cli.pseudo_terminal import Terminal


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tables wide enough for their longest line, whatever terminal the console found when it was made."""
    monkeypatch.setattr(out, "width", 200)


def rag(api: FakeApi, *arguments: str, key: str = "key-1", stdin: str | None = None) -> Result:
    environment = {"TWINPORT_URL": api.url, "TWINPORT_API_KEY": key}
    out.width = 200  # else it is that of the terminal from which the tests were started
    return CliRunner().invoke(app, ["rag", *arguments], env=environment, input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    (made / "a.md").write_text("# A")
    (made / 'übung "2".md').write_text("# Ü")
    (made / ".hidden").write_text("x")
    return made


def test_a_folder_is_uploaded_and_watched_to_the_end(api: FakeApi, folder: Path) -> None:
    result = rag(api, "add", str(folder), "--collection", "handbook")

    assert result.exit_code == 0, result.stderr
    assert "handbook" in api.rag.collections
    assert api.rag.uploads == [[("docs/a.md", b"# A"), ("docs/übung %222%22.md", "# Ü".encode())]]
    assert "job_1  finished: 2 indexed" in result.stdout
    assert "2 to be read" in result.stderr


def test_what_cannot_be_read_is_told_at_the_end_by_name(api: FakeApi, folder: Path) -> None:
    api.rag.failing = {"a.pdf": "The file is encrypted.", "b.pdf": "The file is broken.", "c.pdf": "It is empty."}
    result = rag(api, "add", str(folder))

    assert result.exit_code == 1
    assert "✗ a.pdf: The file is encrypted." in result.stderr
    assert "✗ c.pdf: It is empty." in result.stderr  # from the second page
    assert "elsewhere.md" not in result.stderr  # of another job
    assert "documents" in api.rag.collections


def test_without_waiting_it_says_how_to_watch_and_to_cancel(api: FakeApi, folder: Path) -> None:
    result = rag(api, "add", str(folder), "--no-wait")
    assert result.exit_code == 0
    assert "rag watch job_1" in result.stderr
    assert "rag cancel job_1" in result.stderr


def test_a_watch_that_breaks_off_is_taken_up_again(api: FakeApi) -> None:
    api.rag.breaks = 1
    result = rag(api, "watch", "job_7")
    assert (result.exit_code, result.stdout) == (0, "job_7  finished: 2 indexed\n")


def test_a_file_that_is_not_there_uploads_nothing(api: FakeApi, folder: Path) -> None:
    result = rag(api, "add", str(folder / "a.md"), str(folder / "missing.md"))
    assert (result.exit_code, api.rag.uploads, api.rag.collections) == (1, [], {})
    assert "missing.md" in result.stderr


def test_a_file_that_is_not_taken_keeps_no_other_back(
    api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.rag_progress._UPLOAD_FILES", 1)
    (folder / "big.md").write_text("x")
    api.rag.refuses_uploads_with = 413
    for options in ([], ["--no-wait"]):
        result = rag(api, "add", str(folder), *options)
        assert result.exit_code == 1
        assert "✗ docs/big.md: That is too much." in result.stderr

    assert [name for files in api.rag.uploads[:2] for name, _ in files] == ["docs/a.md", "docs/übung %222%22.md"]
    assert "rag watch job_3 job_4" in result.stderr


def test_when_uploads_end_early_the_jobs_at_work_are_named(
    api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.rag_progress._UPLOAD_FILES", 1)
    (folder / "big.md").write_text("x")
    api.rag.refuses_uploads_with = 507
    result = rag(api, "add", str(folder))

    assert (result.exit_code, len(api.rag.uploads)) == (1, 1)
    assert "rag watch job_1" in result.stderr
    assert result.stderr.endswith("error: That is too much.\n")


def test_what_cannot_be_read_here_is_told_and_the_rest_is_uploaded(
    api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_was(named: Sequence[Path]) -> list[Found]:
        return [*find_files(named), Found(folder / "gone.md", "docs/gone.md", 1)]

    monkeypatch.setattr("cli.rag_add.find_files", as_it_was)
    result = rag(api, "add", str(folder))

    assert (result.exit_code, len(api.rag.uploads[0])) == (1, 2)
    assert "✗ docs/gone.md: No such file or directory" in result.stderr


def test_a_name_that_is_no_utf_8_is_uploaded(api: FakeApi, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    Path(os.fsdecode(path)).write_text("x")
    result = rag(api, "add", os.fsdecode(path))
    assert result.exit_code == 0, result.stderr
    assert api.rag.uploads == [[("caf\ufffd.md", b"x")]]


def test_an_export_to_nowhere_is_one_line(api: FakeApi, tmp_path: Path) -> None:
    result = rag(api, "export", "handbook", "-o", str(tmp_path / "nowhere" / "x.jsonl"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: No such file or directory: ")
    assert result.stderr.count("\n") == 1


def test_a_folder_of_hidden_files_is_no_upload(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("x")
    result = rag(api, "add", str(tmp_path))
    assert result.exit_code == 1
    assert "nothing to add" in result.stderr


def test_hits_come_with_citation_headings_and_passage(api: FakeApi) -> None:
    result = rag(api, "search", "how", "do", "people", "log", "in", "-c", "handbook", "-k", "3")

    assert result.exit_code == 0
    assert api.rag.searches == [{"query": "how do people log in", "top_k": 3, "collections": ["handbook"]}]
    head, first, second, *_ = result.stdout.splitlines()
    assert head == "[1] handbook.pdf, p. 12  Security > Login  0.83"
    assert first == "People log in with a password.[2J"  # without what would clear the screen
    assert second == "Then they are authenticated by a token."
    assert result.stderr == "note: The encoder is starting; only words were searched.\n"


def test_nothing_found_is_said_and_a_status(api: FakeApi) -> None:
    api.rag.hits = []
    result = rag(api, "search", "unicorns")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Nothing found." in result.stderr


def test_the_answer_as_json_is_the_servers(api: FakeApi) -> None:
    result = rag(api, "search", "x", "--json")
    assert json.loads(result.stdout)["data"][0]["document"]["id"] == "doc_1"


def test_the_status_has_encoder_collections_and_jobs_at_work(api: FakeApi) -> None:
    api.rag.add("handbook")
    api.rag.add("old", needs_reindex=True)
    api.rag.add("hers", owner="eve", role="reader")
    lines = rag(api, "status").stdout.splitlines()
    assert lines[0] == "encoder: ready, all-MiniLM-L6-v2 (384 dimensions)"
    assert "handbook" in lines[2]
    assert "1 failed" in lines[2]
    assert "to be reindexed" in lines[3]
    assert "eve (you are reader)" in lines[4]  # from the second page
    assert lines[5] == "job_1 40% ingest running: 2 embedding"
    assert lines[6] == "1 job at work"


def test_documents_are_listed_with_what_is_wrong(api: FakeApi) -> None:
    api.rag.failing = {"a.pdf": "The file is encrypted."}
    result = rag(api, "list", "handbook")
    assert "handbook.pdf" in result.stdout
    assert "failed: The file is encrypted." in result.stdout.replace("\n", " ")
    api.rag.add("handbook")
    assert "handbook" in rag(api, "list").stdout


def test_a_document_is_deleted_by_its_name(api: FakeApi) -> None:
    assert rag(api, "rm", "handbook", "handbook.pdf", "--yes").exit_code == 0
    assert api.rag.deleted == ["collections/handbook/documents/doc_1"]
    unknown = rag(api, "rm", "handbook", "nothing.pdf", "-y")
    assert (unknown.exit_code, "There is no document 'nothing.pdf'" in unknown.stderr) == (1, True)


def test_a_collection_is_deleted_only_after_asking(api: FakeApi) -> None:
    assert rag(api, "rm", "handbook", stdin="n\n").exit_code == 1
    assert api.rag.deleted == []
    assert rag(api, "rm", "handbook", stdin="y\n").exit_code == 0
    assert api.rag.deleted == ["collections/handbook"]


def test_a_job_is_cancelled(api: FakeApi) -> None:
    result = rag(api, "cancel", "job_1")
    assert (result.exit_code, api.rag.cancelled) == (0, ["job_1"])
    assert "cancelled" in result.stdout


def test_passages_are_exported_to_a_file_or_another_program(api: FakeApi, tmp_path: Path) -> None:
    lines = '{"text": "one"}\n{"text": "two"}\n'
    assert rag(api, "export", "handbook").stdout == lines
    assert rag(api, "export", "handbook", "-o", str(tmp_path / "x.jsonl")).exit_code == 0
    assert (tmp_path / "x.jsonl").read_text() == lines


def test_half_an_export_is_none(api: FakeApi, tmp_path: Path) -> None:
    api.rag.dies_in_export = True
    (tmp_path / "x.jsonl").write_text("the one before")
    result = rag(api, "export", "handbook", "-o", str(tmp_path / "x.jsonl"))
    assert (result.exit_code, "broke off" in result.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    assert (tmp_path / "x.jsonl").read_text() == "the one before"


def test_sharing_by_name(api: FakeApi) -> None:
    assert rag(api, "share", "handbook", "eve", "--role", "writer").stdout == "eve is writer of handbook now.\n"
    assert rag(api, "share", "handbook").stdout == "eve  writer\n"
    assert rag(api, "share", "handbook", "eve", "--stop").exit_code == 0
    assert api.rag.grants == {}
    assert rag(api, "share", "handbook", "nobody").stderr == "error: There is no user 'nobody'.\n"


def test_a_wrong_key_and_no_server_are_one_sentence(api: FakeApi, unused_tcp_port: int) -> None:
    assert rag(api, "status", key="wrong").stderr == "error: This key or token is not valid.\n"
    api.url = f"http://127.0.0.1:{unused_tcp_port}"
    assert "bash start_servers.sh" in rag(api, "status").stderr


def test_ctrl_c_leaves_the_job_at_work_and_says_how_to_go_on(api: FakeApi, folder: Path) -> None:
    api.rag.endless = True
    who = {"TWINPORT_URL": api.url, "TWINPORT_API_KEY": "key-1"}
    terminal = Terminal("rag", "add", str(folder), TERM="xterm", COLUMNS="200", **who)
    terminal.until("running: 2 embedding")
    terminal.type("\x03")
    told = terminal.until("rag cancel job_1")
    assert "The server goes on by itself." in told
    assert "rag watch job_1" in told
    terminal.until("(stopped)")
    assert terminal.leave() == 130
    assert api.rag.cancelled == []
