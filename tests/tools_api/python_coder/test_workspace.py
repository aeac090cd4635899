"""Files of a workspace: there before a run, back after it, in their folders; what is too much is told."""

import pytest

from tests.tools_api.python_coder.conftest import Caller

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def test_files_in_folders_come_back_and_are_there_again(run: Caller) -> None:
    first = await run("import os; os.makedirs('out/deep'); open('out/deep/a.csv', 'w').write('a,b')")
    assert first.data["files"] == ["out/deep/a.csv"]
    assert [(file.name, file.content) for file in first.files] == [("out_deep_a.csv", b"a,b")]
    assert "out/deep/a.csv (3 bytes)" in first.content

    second = await run("open('out/deep/a.csv', 'a').write(',c'); open('out/deep/a.csv').read()")
    assert second.data["value"] == "'a,b,c'"
    assert (run.workspace / "out/deep/a.csv").read_text() == "a,b,c"


async def test_files_that_a_caller_has_put_into_folders_are_there(run: Caller) -> None:
    (run.workspace / "data").mkdir()
    (run.workspace / "data" / "in.txt").write_text("given")
    output = await run("print(open('data/in.txt').read())")
    assert output.data["stdout"] == "given\n"
    assert output.files == ()


async def test_a_file_that_has_become_a_folder_does_no_harm(run: Caller) -> None:
    await run("open('a', 'w').write('x')")
    output = await run("import os; os.remove('a'); os.mkdir('a'); open('a/b', 'w').write('y')")
    assert output.error is None
    assert (run.workspace / "a/b").read_text() == "y"


async def test_a_file_that_is_changed_again_and_again_is_kept(run: Caller) -> None:
    """A workspace of 1 MiB holds a file of 0.7 MiB, also when it is written anew."""
    for number in range(3):
        output = await run(f"open('big', 'wb').write(bytes([{number}]) * 700_000)")
        assert "not kept" not in output.content
    assert (run.workspace / "big").read_bytes()[0] == 2


async def test_what_a_lowered_workspace_cannot_hold_is_left_out_and_told(run: Caller) -> None:
    (run.workspace / "big").write_bytes(bytes(2 << 20))
    (run.workspace / "small").write_text("s")
    output = await run("import os; print(sorted(os.listdir()))", limits={"workspace_mb": 1})
    assert output.data["stdout"] == "['small']\n"
    assert "left out of the run, too many or too large: big" in output.content


async def test_a_workspace_that_is_full_to_the_brim_still_starts(run: Caller) -> None:
    """Every file takes whole pages of the sandbox's memory."""
    for number in range(256):
        (run.workspace / f"f{number:03}").write_bytes(b"x")
    output = await run("import os; len(os.listdir())", limits={"workspace_mb": 1})
    assert output.data["value"] == "256"
