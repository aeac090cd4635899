"""What the runner's manifests promise: valid for the API server, and every wall around the runner is there."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
CLUSTER_WIDE = {"Namespace", "RuntimeClass"}


def resources() -> list[dict[str, Any]]:
    """Return what `kubectl apply -k` applies."""
    names = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    return [document for name in names for document in yaml.safe_load_all((FOLDER / name).read_text())]


def only(kind: str, name: str | None = None) -> dict[str, Any]:
    found = [item for item in resources() if item["kind"] == kind and name in {None, item["metadata"]["name"]}]
    assert len(found) == 1, kind
    return found[0]


def pod() -> dict[str, Any]:
    return only("Deployment")["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    containers = pod()["containers"]
    assert len(containers) == 1
    assert not {"initContainers", "ephemeralContainers"} & pod().keys()
    return containers[0]


def environment() -> dict[str, str]:
    return {item["name"]: item["value"] for item in container()["env"]}


@pytest.mark.parametrize("version", ["1.34", "1.37"])
@pytest.mark.parametrize("resource", resources(), ids=lambda item: f"{item['kind']}-{item['metadata']['name']}")
def test_the_schema_of_kubernetes_holds(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_the_schema_would_notice_a_wrong_word() -> None:
    deployment = only("Deployment")
    deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonroot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.34", strict=True)


def test_every_manifest_is_applied() -> None:
    applied = set(yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"])
    assert applied == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def test_it_runs_in_gvisor() -> None:
    runtime = only("RuntimeClass")
    assert (runtime["metadata"]["name"], runtime["handler"]) == (pod()["runtimeClassName"], "runsc")


def test_it_has_no_token_of_the_cluster() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert only("ServiceAccount", pod()["serviceAccountName"])["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {item["kind"] for item in resources()}


def test_it_shares_nothing_of_the_node() -> None:
    assert [pod()[name] for name in ("hostNetwork", "hostPID", "hostIPC")] == [False] * 3
    assert {kind for volume in pod()["volumes"] for kind in volume if kind != "name"} == {"emptyDir", "secret"}
    assert "hostPort" not in container()["ports"][0]


def test_it_is_not_root_and_cannot_become_it() -> None:
    context = pod()["securityContext"]
    assert context["runAsNonRoot"] is True
    assert min(context["runAsUser"], context["runAsGroup"]) >= 10_000
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container()["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_its_namespace_takes_no_other_pods() -> None:
    namespace = only("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["namespace"] == namespace["metadata"]["name"]


def test_what_it_may_use_has_an_end() -> None:
    limits = container()["resources"]["limits"]
    assert limits.keys() == {"cpu", "memory", "ephemeral-storage"}
    folders = [volume["emptyDir"] for volume in pod()["volumes"] if "emptyDir" in volume]
    assert folders
    assert all("sizeLimit" in folder for folder in folders)
    assert int(environment()["SANDBOX_PROCESSES"]) <= 64
    assert "podPidsLimit" in (FOLDER / "README.md").read_text()


def test_its_runs_together_fit_into_its_memory() -> None:
    runs_mb = int(environment()["SANDBOX_CONCURRENCY"]) * int(environment()["SANDBOX_MEMORY_MB"])
    folders_mb = sum(_mib(volume["emptyDir"]["sizeLimit"]) for volume in pod()["volumes"] if "emptyDir" in volume)
    assert runs_mb + folders_mb + 512 <= _mib(container()["resources"]["limits"]["memory"])


def test_it_can_call_nobody() -> None:
    deny = only("NetworkPolicy", "deny-all")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policies = [item["spec"] for item in resources() if item["kind"] == "NetworkPolicy"]
    assert all(policy.get("egress", []) == [] and "Egress" in policy["policyTypes"] for policy in policies)


def test_only_the_tools_api_can_call_it_and_only_its_port() -> None:
    policy = only("NetworkPolicy", "tools-api-to-runner")["spec"]
    assert policy["podSelector"] == only("Deployment")["spec"]["selector"]
    assert len(policy["ingress"]) == 1
    (caller,) = policy["ingress"][0]["from"]
    assert caller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "twinport"}
    assert caller["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "twinport-tools"}
    assert policy["ingress"][0]["ports"] == [{"port": 10008, "protocol": "TCP"}]


def test_no_secret_is_in_the_files_or_in_its_environment() -> None:
    assert "Secret" not in {item["kind"] for item in resources()}
    assert all("valueFrom" not in item for item in container()["env"])
    assert "envFrom" not in container()
    assert {name for name in environment() if "KEY" in name} == {"SANDBOX_REMOTE_KEY_FILE"}
    (secret,) = [volume["secret"] for volume in pod()["volumes"] if "secret" in volume]
    assert [item["key"] for item in secret["items"]] == ["sandbox_remote_key"]
    assert secret["defaultMode"] == 0o440


def test_what_it_is_told_are_settings_that_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert environment().keys() <= known
    assert container()["command"] == ["python", "-m", "tools_api.runner"]
    levels = environment()["SANDBOX_LEVELS"].split(",")
    assert "remote" not in levels
    assert Settings(_env_file=None, sandbox_levels=levels).sandbox_levels == levels  # pyright: ignore


def test_the_service_and_the_probes_find_it() -> None:
    service = only("Service")["spec"]
    assert service["type"] == "ClusterIP"
    assert service["selector"] == only("Deployment")["spec"]["selector"]["matchLabels"]
    assert service["selector"].items() <= only("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    port = container()["ports"][0]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert port["containerPort"] == int(environment()["RUNNER_PORT"])
    paths = {name: container()[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}


def _mib(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]
