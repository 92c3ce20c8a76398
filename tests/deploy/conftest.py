"""What the tests of deploy/ share: the names that the rest of the project gives."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("gateway", "validator", "cleaner", "archiver", "query")


@pytest.fixture(scope="session")
def pins():
    lines = (ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def reference(process):
    """{variable: default} of a process, as docs/reference has it."""
    name = process if process in PROCESSES else "millrace"
    text = (ROOT / f"docs/reference/{name}.md").read_text()
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| `--")]
    assert rows, f"no options in the reference of {name}"
    return {row[2].strip(" `"): row[5].strip() for row in rows}


def option_bytes(text):
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


def seconds(text):
    return float(text.removesuffix("s"))
