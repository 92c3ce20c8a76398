"""The OpenAPI document is true: it names what the router offers and nothing else, and what the door
answers to schemathesis is what the document says."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import requests

SOURCE = pathlib.Path(os.environ["MILLRACE_SOURCE"])
HERE = pathlib.Path(__file__).parent
FILL = {"topic": "a1b2c3.pin", "partition": "0", "stream": "streaming-a1b2c3-pin", "tenant": "a1b2c3",
        "kind": "pin", "group": "readers", "instance": "one", "cluster": "memory", "broker": "1",
        "config": "retention.ms"}
METHODS = ("get", "put", "post", "delete")


@pytest.fixture(scope="module")
def document(door):
    answer = requests.get(door + "/openapi.json", timeout=10)
    assert answer.status_code == 200
    return answer.json()


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def test_its_version_is_that_of_the_door(door, document):
    assert document["info"]["version"] == requests.get(door, timeout=10).json()["version"]


def test_every_route_is_in_the_document(document):
    firsts = {path.split("/")[1] for path in document["paths"]}
    roots = re.search(r"roots\[\] = \{(.*?)\n\};", (SOURCE / "gateway/routes.c").read_text(), re.S)
    named = set(re.findall(r'\{ "([^"]+)", ', roots[1]))
    assert named and named <= firsts
    shapes = {re.sub(r"\{[^}]*\}", "*", path) for path in document["paths"]}
    text = (SOURCE / "gateway/rest_v3.c").read_text()
    routed = {"/" + "/".join(re.findall(r'"([^"]+)"', row))
              for row in re.findall(r'\{ (("v3"[^}]*)) \}', text) for row in row[:1]}
    assert routed and routed == {shape for shape in shapes if shape.startswith("/v3")}
    text = (SOURCE / "gateway/rest_v2_consumers.c").read_text()
    below = set(re.findall(r'\{ "(\w+)", \w+, \w+, \w+ \}', text))
    assert below and below == {shape.split("/")[5] for shape in shapes
                               if shape.startswith("/consumers/*/instances/*/")}
    text = (SOURCE / "gateway/kinesis_native.c").read_text()
    targets = {f"Kinesis_20131202.{name}" for name in re.findall(r'\{ "([A-Z]\w+)", \w+ \}', text)}
    assert targets and targets == set(document["paths"]["/"]["post"]["parameters"][0]["schema"]["enum"])


def test_every_documented_operation_is_offered(door, document):
    for method, path, operation in operations(document):
        fill = {**FILL, "topic": "gone.pin"} if method == "delete" else FILL
        url = door + re.sub(r"\{(\w+)\}", lambda name, fill=fill: fill[name[1]], path)
        needed = {"query": {}, "header": {}}
        for parameter in operation.get("parameters", []):
            if parameter.get("required"):
                values = [parameter.get("example"), *parameter["schema"].get("enum", [])]
                needed[parameter["in"]][parameter["name"]] = next(filter(None, values))
        answer = requests.request(method, url, params=needed["query"], headers=needed["header"],
                                  timeout=20)
        assert answer.status_code != 405, (method, path)
        if answer.status_code == 404:
            body = answer.json()
            assert body.get("error_code") != 404 and \
                body.get("__type") != "UnknownOperationException", (method, path, body)


def test_what_is_refused_is_refused_in_the_words_of_the_dialect(door, document):
    for method, path, operation in operations(document):
        assert operation["operationId"] and operation["summary"].endswith("."), path
        assert {"400"} < set(operation["responses"]), (method, path)


def test_the_lines_of_the_index_work_as_they_stand(door):
    for example in requests.get(door, timeout=10).json()["examples"]:
        assert door.removeprefix("http://") in example["curl"]
        done = subprocess.run([*shlex.split(example["curl"]), "-sS", "--fail-with-body"],
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, (example, done.stdout, done.stderr)


def test_people_get_a_page(door):
    answer = requests.get(door, headers={"Accept": "text/html,*/*;q=0.8"}, timeout=10)
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text and door + "/v1/events/a1b2c3/pin" in answer.text


def stored(door):
    total = 0
    for partition in range(3):
        url = f"{door}/topics/real.pin/partitions/{partition}/offsets"
        answer = requests.get(url, timeout=10).json()
        total += answer["end_offset"] - answer["beginning_offset"]
    return total


def test_answers_are_as_documented(door):
    """About a minute, on topics that no example deletes. The seed is fixed: what fails here fails again."""
    made = requests.post(f"{door}/v1/events/real/pin", json={}, timeout=20)
    assert made.status_code == 200
    name = {"name": "one", "format": "json", "auto.offset.reset": "earliest"}
    assert requests.post(f"{door}/consumers/readers", json=name, timeout=20).status_code in (200, 409)
    checks = ("not_a_server_error,status_code_conformance,content_type_conformance,"
              "response_schema_conformance")
    command = [pathlib.Path(sys.executable).parent / "st",
               "--config-file", HERE / "schemathesis.toml", "run", f"{door}/openapi.json", "--url", door,
               "--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "5",
               "--seed", "1", "--continue-on-failure", "--warnings", "off", "--no-color",
               "--generation-database", "none"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240,
                          check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert stored(door) > 10
