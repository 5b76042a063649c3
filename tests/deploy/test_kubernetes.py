"""The manifests are what a cluster accepts, and their commands are commands of ours that work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.cli.run import command as run_command
from fluxion_flow.runtime.observed import status_ports
from tests.servers.ports import free_ports

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(FOLDER.glob("*.yaml"))}
VERSIONS = ["1.29", "1.37"]


def the(name, kind):
    """The one object of a kind in a manifest."""
    (found,) = [each for each in MANIFESTS[name] if each["kind"] == kind]
    return found


def pod(name):
    return the(name, "StatefulSet")["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_every_object_has_the_schema_of_its_kind(name, version):
    assert MANIFESTS[name]
    for each in MANIFESTS[name]:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_run_as_nobody_in_particular_and_write_to_volumes_only(name):
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in the(name, "StatefulSet")["spec"]["volumeClaimTemplates"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]} | claims


@pytest.fixture
def definition(monkeypatch):
    """The definition of the first manifest, with the variables that its pod sets."""
    (container,) = pod("pipeline.yaml")["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "a secret of the pod"))
    (text,) = the("pipeline.yaml", "ConfigMap")["data"].values()
    return StreamingPipelineDefinition.from_dict(yaml.safe_load(text))


def test_the_definition_in_the_config_map_is_a_pipeline(definition):
    definition.compile()
    assert definition.config.environment == "production"


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_pod_has_more_time_to_end_than_its_pipeline_to_drain(name, definition):
    assert pod(name)["terminationGracePeriodSeconds"] > definition.config.drain_timeout + 5


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_probes_ask_the_status_page_of_the_pod(name):
    (container,) = pod(name)["containers"]
    environ = {variable["name"]: variable.get("value") for variable in container["env"]}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["status"] == int(environ["FLUXION_STATUS_PORT"])
    hosts = [f"pod-{number}" for number in range(the(name, "StatefulSet")["spec"]["replicas"])]
    assert set(status_ports(ports["status"], hosts)) == {ports["status"]}, "each pod has a host of its own"
    assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": "status"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "status"}


def test_the_processes_of_one_host_have_neighbouring_ports():
    assert status_ports(8080, ["127.0.0.1"] * 3) == [8080, 8081, 8082]
    assert status_ports(8080, ["a", "a", "b", "a", "b"]) == [8080, 8081, 8080, 8082, 8081]


def test_the_command_of_the_pod_is_one_of_ours():
    (container,) = pod("pipeline.yaml")["containers"]
    name, *rest = container["args"]
    context = run_command.make_context(name, list(rest))
    assert context.params["target"] == "/etc/fluxion/orders.yaml"
    assert context.params["store"] == "/var/lib/fluxion/store"
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/etc/fluxion", "/var/lib/fluxion"}


def test_the_pods_of_a_cluster_run_one_pipeline_on_a_store_that_is_spread_over_them(tmp_path):
    """The manifest's own commands, with the volumes and the addresses of this machine."""
    spec, (init,), (container,) = (
        the("cluster.yaml", "StatefulSet")["spec"],
        pod("cluster.yaml")["initContainers"],
        pod("cluster.yaml")["containers"],
    )
    hosts = the("cluster.yaml", "ConfigMap")["data"]["hosts"].split()
    assert len(hosts) == spec["replicas"] == 3
    name = the("cluster.yaml", "StatefulSet")["metadata"]["name"]
    (tmp_path / "hosts").write_text("".join(f"127.0.0.1:{port}\n" for port in free_ports(len(hosts))))
    (tmp_path / "flows").mkdir()
    flow = {
        "name": "clicks",
        "source": {"type": "files", "path": str(tmp_path / "in" / "*.jsonl")},
        "stages": [{"$group": {"_id": "$k", "n": {"$sum": 1}}}],
        "sink": {"type": "files", "path": str(tmp_path / "out.jsonl")},
    }
    (tmp_path / "flows" / "clicks.yaml").write_text(json.dumps(flow))
    (tmp_path / "in").mkdir()
    for part in range(4):
        lines = "".join(f'{{"k": {k % 5}}}\n' for k in range(500))
        (tmp_path / "in" / f"{part}.jsonl").write_text(lines)

    def start(pod_number):
        volume = tmp_path / f"volume-{pod_number}"
        volume.mkdir(exist_ok=True)
        environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "POD_NAME": f"{name}-{pod_number}",
            "BYTEWAX_POD_NAME": f"{name}-{pod_number}",
            "BYTEWAX_STATEFULSET_NAME": name,
            "BYTEWAX_HOSTFILE_PATH": str(tmp_path / "hosts"),
        }
        script = init["args"][0].replace("/var/lib/fluxion", str(volume))
        subprocess.run([*init["command"], script], env=environ, check=True)
        line = [part.replace("/var/lib/fluxion", str(volume)) for part in [*container["command"], *container["args"]]]
        return subprocess.Popen(line, env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    for _ in range(2):  # the second time the store says that everything has been read
        processes = [start(number) for number in range(len(hosts))]
        ends = [(process.communicate()[1], process.returncode) for process in processes]
        assert [code for _, code in ends] == [0, 0, 0], ends
        assert sorted(p.name for p in tmp_path.glob("volume-*/store/part-*.sqlite3")) == [
            "part-0.sqlite3", "part-1.sqlite3", "part-2.sqlite3"
        ]  # fmt: skip
        result = sorted((tmp_path / "out.jsonl").read_text().splitlines())
        assert result == [json.dumps({"_id": k, "n": 400}, separators=(",", ":")) for k in range(5)]
