"""What the container files promise. They are linted and read here; no Docker engine builds them in these tests."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = [ROOT / "deploy" / "docker" / f"{name}.Dockerfile" for name in ("main", "tools")]
SECRET = re.compile(r"(?i)(secret|password|token|api_?key)\w*\s*=\s*\S")


def instructions(dockerfile: Path) -> list[str]:
    """Return the instructions, each on one line."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.stem)
class TestDockerfile:
    def test_the_server_runs_as_an_unprivileged_user_by_number(self, dockerfile: Path) -> None:
        found = instructions(dockerfile)
        assert "USER 10001:10001" in found
        assert found.index("USER 10001:10001") < len(found) - 1

    def test_packages_come_from_the_lock_with_hashes_only(self, dockerfile: Path) -> None:
        installs = [line for line in instructions(dockerfile) if "pip install" in line]
        assert "--require-hashes --no-deps --requirement /tmp/runtime.lock" in installs[-1]
        assert all(line.count("pip install") == line.count("pip install --require-hashes") for line in installs)

    def test_the_folders_that_the_settings_insist_on_are_copied(self, dockerfile: Path) -> None:
        assert "COPY prompts ./prompts" in instructions(dockerfile)

    def test_it_has_a_health_check_and_a_stop_signal(self, dockerfile: Path) -> None:
        kinds = {line.split()[0] for line in instructions(dockerfile)}
        assert kinds >= {"HEALTHCHECK", "STOPSIGNAL"}

    def test_no_secret_is_written_into_a_layer(self, dockerfile: Path) -> None:
        assert [line for line in instructions(dockerfile) if SECRET.search(line)] == []

    def test_everything_copied_exists_and_passes_the_dockerignore(self, dockerfile: Path) -> None:
        allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        copies = [
            line.split()[1:-1] for line in instructions(dockerfile) if line.startswith("COPY") and "--from" not in line
        ]
        for source in (name for names in copies for name in names):
            assert (ROOT / source).exists(), source
            assert source in allowed, source

    def test_the_server_that_it_starts_is_copied(self, dockerfile: Path) -> None:
        module = f"{dockerfile.stem}_api"
        assert instructions(dockerfile)[-1] == f'CMD ["python", "-m", "{module}"]'
        assert f"COPY {module} ./{module}" in instructions(dockerfile)


def test_the_tools_image_takes_the_build_of_torch_without_cuda_if_it_can_be_had() -> None:
    (install,) = [line for line in instructions(DOCKERFILES[1]) if "torch.lock;" in line]
    assert install.index("/tmp/torch-cpu.lock") < install.index("||") < install.index("/tmp/torch.lock")


def test_the_build_context_leaves_out_everything_that_is_not_named() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.env", "!data", "!.venv", "!.git"} & set(rules)


@pytest.mark.parametrize("name", ["keys", "tools", "main"])
def test_containers_are_read_only_and_without_capabilities(name: str) -> None:
    service = compose()["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_only_the_main_api_is_published_and_only_on_loopback() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["main"]
    assert services["main"]["ports"] == ["127.0.0.1:10007:10007"]


def test_the_tools_container_cannot_read_the_secrets_of_the_accounts() -> None:
    services = compose()["services"]
    volumes = {name: {mount.split(":")[0] for mount in services[name]["volumes"]} for name in ("tools", "main")}
    assert volumes["tools"] & volumes["main"] == {"keys"}
    assert "keys:/keys:ro" in services["tools"]["volumes"]


def test_only_the_tools_container_gives_up_default_protections() -> None:
    services = compose()["services"]
    relaxed = [
        name for name, service in services.items() if any("unconfined" in o for o in service.get("security_opt", []))
    ]
    assert relaxed == ["tools"]
    assert "no-new-privileges:true" in services["tools"]["security_opt"]


def test_ci_runs_the_one_entry() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step.get("run") for step in workflow["jobs"]["checks"]["steps"]]
    assert "bash .ci/run" in commands
    assert 'exec bash "$(dirname "$0")/../tests/run.sh"' in (ROOT / ".ci" / "run").read_text()
    assert workflow["permissions"] == {"contents": "read"}
