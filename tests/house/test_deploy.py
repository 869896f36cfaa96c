"""docs/deploy: manifests that a cluster takes, a unit that systemd takes, settings that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from consumer.settings import CREDENTIALS, Settings
from schemas.topology import WORK_QUEUES

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
UNIT = DEPLOY / "workspace-lifecycle.service"
MANIFESTS: list[dict[str, Any]] = [*yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())]
BUILT_IN = [one for one in MANIFESTS if "keda.sh" not in one["apiVersion"]]
KNOWN = {f"LIFECYCLE_{name.upper()}" for name in Settings.model_fields}
KNOWN |= {f"LIFECYCLE_{name.upper()}_FILE" for name in CREDENTIALS}


def manifest(kind: str) -> dict[str, Any]:
    """Find the one manifest of a kind."""
    (found,) = [one for one in MANIFESTS if one["kind"] == kind]
    return found


@pytest.mark.parametrize("one", BUILT_IN, ids=[one["kind"] for one in BUILT_IN])
def test_kubernetes_takes_each_manifest(one: dict[str, Any]) -> None:
    """By Kubernetes' own schema, with no field that it does not know."""
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(one, version, strict=True)


def test_nothing_is_named_that_does_not_exist() -> None:
    """Settings, the Secret and its keys, the labels that select, the queue that is counted."""
    for path in DEPLOY.iterdir():
        assert set(re.findall(r"LIFECYCLE_[A-Z_]+", path.read_text())) <= KNOWN
    keys, held = manifest("Secret")["stringData"], manifest("Secret")["metadata"]["name"]
    paths = {
        Path(value) for name, value in manifest("ConfigMap")["data"].items() if "_FILE" in name
    }
    assert {path.name for path in paths} == set(keys)
    deployed = manifest("Deployment")
    for one in (deployed, manifest("Job")):
        pod = one["spec"]["template"]["spec"]
        assert pod["volumes"] == [{"name": "urls", "secret": {"secretName": held}}]
        for container in pod["containers"]:
            (mounted,) = container["volumeMounts"]
            assert {path.parent for path in paths} == {Path(mounted["mountPath"])}
    labels = deployed["spec"]["template"]["metadata"]["labels"]
    for one in (deployed, manifest("PodDisruptionBudget")):
        assert one["spec"]["selector"]["matchLabels"] == labels
    (wanted,) = manifest("TriggerAuthentication")["spec"]["secretTargetRef"]
    assert (wanted["name"], wanted["key"] in keys) == (held, True)
    scaled = manifest("ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == deployed["metadata"]["name"]
    assert scaled["triggers"][0]["metadata"]["queueName"] in WORK_QUEUES


def test_probes_ask_for_what_is_served() -> None:
    """At the port that the program listens on."""
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert manifest("ConfigMap")["data"]["LIFECYCLE_LISTEN"].endswith(f":{port['containerPort']}")
    asked = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    assert {one["port"] for one in asked.values()} == {port["name"]}
    assert {name: one["path"] for name, one in asked.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Not a word about it, once its program is one that exists."""
    text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / UNIT.name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    about_it = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, about_it) == (0, [])
