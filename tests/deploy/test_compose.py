"""docker-compose.yml, the Dockerfile and what they name agree, and keep the rules that make the
containers safe to run.  Whether they run is shown in an engine, by hand."""

import re

import pytest
import yaml
from conftest import PROCESSES, ROOT, option_bytes, reference, seconds

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
OURS = [*PROCESSES, "topics", "sample"]


def compose_bytes(text):
    return int(text[:-1]) << {"m": 20, "g": 30}[text[-1]]


def stage_of(target):
    """The text of a build stage and of those that it stands on."""
    found = re.search(rf"^FROM (\S+) AS {target}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
    assert found, f"the Dockerfile has no target {target}"
    return (stage_of(found[1]) if found[1] != "$BASE" else "") + found[2]


def test_every_process_has_a_service():
    assert set(SERVICES) == {*OURS, "kafka", "s3"}


def test_old_compose_reads_the_file_too():
    assert set(COMPOSE) - {key for key in COMPOSE if key.startswith("x-")} == {"services", "volumes"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_and_no_writable_root(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service and "cap_add" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name):
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_memory_is_limited(name):
    assert compose_bytes(SERVICES[name]["mem_limit"]) > 0


@pytest.mark.parametrize("name", PROCESSES)
def test_the_limit_leaves_room_above_the_budget(name):
    budget = option_bytes(SERVICES[name]["environment"]["MILLRACE_MEMORY"])
    assert compose_bytes(SERVICES[name]["mem_limit"]) >= 2 * budget


def test_the_tail_of_query_fits_its_shared_memory():
    tail = option_bytes(reference("query")["MILLRACE_TAIL_BYTES"])
    assert compose_bytes(SERVICES["query"]["shm_size"]) >= tail


@pytest.mark.parametrize("name", PROCESSES)
def test_a_service_may_drain_before_it_is_killed(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert seconds(service["stop_grace_period"]) > seconds(reference(name)["MILLRACE_DRAIN_MS"])


@pytest.mark.parametrize("name", PROCESSES)
def test_a_service_waits_for_what_it_needs(name):
    assert SERVICES[name]["depends_on"] == {
        "s3": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }


@pytest.mark.parametrize("name", OURS)
def test_each_variable_is_an_option_of_its_process(name):
    known = reference(name)
    for variable in SERVICES[name]["environment"]:
        assert variable in known or variable.startswith("AWS_")


@pytest.mark.parametrize("name", PROCESSES)
def test_an_image_sets_options_of_its_process_only(name):
    known = reference(name)
    for variable in re.findall(r"(MILLRACE_\w+)=", stage_of(name)):
        assert variable in known or variable == "MILLRACE_TOPICS"


def test_variables_of_the_file_have_a_value(pins):
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert used and used <= set(pins)


def test_pins_are_the_versions_that_the_tools_bring(pins):
    kafka = re.search(r"<kafka>(.*)<", (ROOT / "tools/kafka.pom.xml").read_text())[1]
    s3proxy = re.search(r"<artifactId>s3proxy</artifactId>\s*<version>(.*)<",
                        (ROOT / "tools/s3.pom.xml").read_text())[1]
    ours = re.search(r"project\(millrace VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert pins["MR_KAFKA_IMAGE"].endswith(f":{kafka}")
    assert pins["MR_S3_IMAGE"].endswith(f":{s3proxy}")
    assert pins["MR_TAG"] == ours


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_built_from_a_target_that_runs_without_root(name):
    build = SERVICES[name]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    users = re.findall(r"^USER (\S+)", stage_of(build["target"]), re.M)
    assert users[-1] == "65532:65532"


@pytest.mark.parametrize("name", [*PROCESSES, "kafka", "s3"])
def test_an_image_says_how_it_is(name):
    assert re.search(r"^HEALTHCHECK .*?CMD", stage_of(name), re.M | re.S)


def test_plain_builders_can_build_it():
    assert not re.search(r"^#\s*syntax|<<|--mount|--link", DOCKERFILE, re.M)


def test_what_the_dockerfile_copies_is_let_through():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line.startswith("!")]
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M)
    sources = {word for line in copies for word in line.split()} - {"build/image[s]"}
    assert "build/images" in allowed and sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(source == path or source.startswith(f"{path}/") for path in allowed)
