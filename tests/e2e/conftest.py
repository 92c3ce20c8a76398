"""One S3 server and one millrace on it for all tests of a file."""

import pytest

import pipeline


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = pipeline.S3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def up(tmp_path_factory, s3):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), s3=s3)
    yield running
    print(running.said())
    assert running.stop() == 0


@pytest.fixture(scope="session")
def real():
    if not pipeline.REAL.exists():
        pytest.skip(f"the real emissions are not here: {pipeline.REAL}")
    return pipeline.read_emissions(pipeline.REAL, 1333)
