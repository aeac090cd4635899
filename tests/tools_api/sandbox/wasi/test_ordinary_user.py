"""The level works for a service that is not root: with no rights to give up, its runs are its own."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.tools_api.accounts import ordinary_account

CODE = """
import asyncio, os, sys
from pathlib import Path
from tools_api.sandbox import Job, ReadOnlyTree, Sandbox, SandboxOptions

async def main():
    sandbox = Sandbox(SandboxOptions(levels=("wasi",), wasi_artefact=Path(sys.argv[1])))
    await sandbox.start()
    try:
        script = ReadOnlyTree(Path(sys.argv[2]), "/opt/attack.py")
        job = Job(script=script.target, payload=b"said = 6 * 7", trees=(script,))
        print(os.geteuid(), sandbox.report.level, sandbox.report.reason, (await sandbox.run(job)).report.decode())
    finally:
        await sandbox.aclose()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_an_ordinary_users_service_runs_code(artefact: Path, open_folder: Path) -> None:
    copy = shutil.copytree(artefact, open_folder / "artefact")
    async with ordinary_account() as account:
        attack = account.repository / "tests" / "tools_api" / "sandbox" / "attack_inside.py"
        process = await asyncio.create_subprocess_exec(
            *(*account.argv, "-c", CODE, str(copy), str(attack)),
            cwd=account.cwd,
            env={"PYTHONPATH": str(account.repository), **account.env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await process.communicate()
    assert said.decode().strip().endswith(f"{account.uid} wasi None 42"), (said, errors.decode()[-3000:])
    assert account.uid != 0
