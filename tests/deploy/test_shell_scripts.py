"""The shell scripts run on macOS too, which has bash 3.2 and BSD tools."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shell_scripts() -> list[Path]:
    return [ROOT / "start_servers.sh", ROOT / "twinport", *ROOT.glob("deploy/**/*.sh"), *ROOT.glob("tests/*.sh")]


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda script: script.name)
def test_shell_scripts_keep_to_bash_3_and_bsd(script: Path) -> None:
    code = "\n".join(line for line in script.read_text().splitlines() if not line.lstrip().startswith("#"))
    unknown = ("mapfile", "readarray", "declare -A", "readlink -f", "realpath", "|&", "${!", "sed -i", "stat -c", ",,}")
    assert [word for word in unknown if word in code] == []
