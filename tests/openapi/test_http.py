"""The examples of docs/reference/http.md run as they stand, and answer in the shape that is shown."""

import json
import os
import pathlib
import re
import subprocess

import pytest

PAGE = pathlib.Path(os.environ["MILLRACE_SOURCE"]) / "docs/reference/http.md"
EXAMPLES = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", PAGE.read_text(), re.S)


def shape(value):
    """Names and types; of a list that of its first element. Numbers and texts may be others."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return type(value).__name__


def test_each_dialect_has_an_example():
    assert len(EXAMPLES) == 6
    assert PAGE.read_text().count("```sh") == len(EXAMPLES)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_works(door, number):
    script, shown = EXAMPLES[number]
    script = script.replace("http://localhost:8082", door)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shape(json.loads(done.stdout)) == shape(json.loads(shown)), done.stdout
