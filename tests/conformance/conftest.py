"""One broker and one gateway for all clients."""

import pytest

import door


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    running = door.Broker(tmp_path_factory.mktemp("kafka"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, broker):
    running = door.Gateway(tmp_path_factory.mktemp("gateway"), broker)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def tenant():
    return door.new_tenant()
