"""A gateway on a bus in memory for the tests of a file."""

import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ["MILLRACE_BUILD"])


@pytest.fixture(scope="module")
def door():
    """Its address, http://127.0.0.1:port."""
    process = subprocess.Popen([BUILD / "tests/door_on_memory"], stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().strip()
    assert port.isdigit()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(timeout=20) == 0
