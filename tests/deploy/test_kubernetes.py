"""deploy/k8s renders, is valid, and its parts fit each other and the programs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROCESSES, ROOT, option_bytes, reference, seconds

VERSION = "1.34"
LAYERS = ("base", "overlays/local")
RENDER = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]


@pytest.fixture(scope="session", params=LAYERS)
def rendered(request):
    done = subprocess.run([*RENDER, ROOT / "deploy/k8s" / request.param], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def objects(rendered):
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(rendered)}


@pytest.fixture(scope="session")
def pods(objects):
    """{name: template's spec} of all that makes pods."""
    found = {name: one["spec"]["template"]["spec"] for (kind, name), one in objects.items()
             if kind in ("Deployment", "StatefulSet", "Job")}
    assert set(found) >= {*PROCESSES, "topics"}
    return found


def environment(pod, objects):
    """What a pod's container gets, by value or by reference."""
    container, = pod["containers"]
    got = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            got |= objects["ConfigMap", source["configMapRef"]["name"]]["data"]
    return got | {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def kube_bytes(text):
    number, unit = re.fullmatch(r"(\d+)([KMG])i", text).groups()
    return option_bytes(number + unit)


def validate(text, folder):
    path = folder / "rendered.yaml"
    path.write_text(text)
    tool = Path(sys.executable).parent / "kubernetes-validate"
    return subprocess.run([tool, "-k", VERSION, "--strict", path], capture_output=True, text=True)


def test_the_api_s_schemas_accept_it(rendered, tmp_path):
    done = validate(rendered, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_refuses_an_unknown_field(rendered, tmp_path):
    assert validate(rendered.replace("replicas:", "replica:", 1), tmp_path).returncode != 0


def test_each_pod_keeps_the_restricted_standard(pods):
    for name, pod in pods.items():
        container, = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}}, name


def test_links_to_services_do_not_become_options(pods):
    for name, pod in pods.items():
        assert pod["enableServiceLinks"] is False, name


@pytest.mark.parametrize("name", PROCESSES)
def test_each_variable_is_an_option_of_its_process(name, pods, objects):
    known = reference(name)
    for variable in environment(pods[name], objects):
        assert variable in known


def test_the_topics_job_has_options_of_the_command(pods, objects):
    assert set(environment(pods["topics"], objects)) <= set(reference("millrace"))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_service_has_probes_and_time_to_drain(name, pods):
    container, = pods[name]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe, path in (("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    assert f"EXPOSE {ports['admin']} {ports['rpc']}" in (ROOT / "deploy/docker/Dockerfile").read_text()
    drain = seconds(reference(name)["MILLRACE_DRAIN_MS"])
    assert pods[name]["terminationGracePeriodSeconds"] > drain


@pytest.mark.parametrize("name", PROCESSES)
def test_the_limit_leaves_room_above_the_budget(name, pods, objects):
    container, = pods[name]["containers"]
    budget = option_bytes(environment(pods[name], objects)["MILLRACE_MEMORY"])
    assert kube_bytes(container["resources"]["limits"]["memory"]) >= 2 * budget
    assert kube_bytes(container["resources"]["requests"]["memory"]) >= budget


@pytest.mark.parametrize("name", ("validator", "cleaner", "archiver"))
def test_a_stage_keeps_its_names(name, pods, objects):
    own = objects["StatefulSet", name]["spec"]
    assert own["podManagementPolicy"] == "Parallel"
    assert objects["Service", own["serviceName"]]["spec"]["clusterIP"] == "None"
    instance = environment(pods[name], objects)["MILLRACE_INSTANCE"]
    assert instance == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_selectors_select_pods(objects):
    labels = [one["spec"]["template"]["metadata"]["labels"] for (kind, _), one in objects.items()
              if kind in ("Deployment", "StatefulSet")]
    for (kind, name), one in objects.items():
        if kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            wanted = one["spec"].get("selector") or one["spec"]["podSelector"]
            wanted = wanted.get("matchLabels", wanted)
            assert any(wanted.items() <= have.items() for have in labels), f"{kind} {name}"


@pytest.mark.parametrize("name", PROCESSES)
def test_an_eviction_leaves_others_at_work(name, objects):
    assert objects["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1


def test_the_tail_of_query_lies_in_memory_and_fits(pods):
    container, = pods["query"]["containers"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one["emptyDir"] for one in pods["query"]["volumes"]}
    options = reference("query")
    shm = volumes[mounts[options["MILLRACE_SHM_DIR"]]]
    assert shm["medium"] == "Memory"
    assert kube_bytes(shm["sizeLimit"]) >= option_bytes(options["MILLRACE_TAIL_BYTES"])
    assert options["MILLRACE_WORK_DIR"] in mounts


def test_images_are_those_that_are_built_here(pods, pins):
    servers = {"kafka": pins["MR_KAFKA_IMAGE"], "s3": pins["MR_S3_IMAGE"]}
    for name, pod in pods.items():
        process = "cli" if name == "topics" else name
        assert pod["containers"][0]["image"] == \
            servers.get(name, f"millrace/{process}:{pins['MR_TAG']}")
