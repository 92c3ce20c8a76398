"""Wall clocks of all services are set back and forward by an hour while events flow."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]
import expected  # noqa: E402
import pipeline  # noqa: E402
from clocks import HOUR_S, Clocks  # noqa: E402

ROUNDS = 40
SOON_S = 20  # far less than an hour


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    return Clocks(tmp_path_factory.mktemp("clocks"))


@pytest.fixture(scope="module")
def up(tmp_path_factory, clocks):
    """Its store is a folder, since a real S3 server refuses who is an hour off."""
    running = pipeline.Up(tmp_path_factory.mktemp("up"), env=clocks.env)
    yield running
    print(running.said())
    assert running.stop() == 0


# Kafka 4 takes records that are an hour ahead at most.
@pytest.mark.parametrize("seconds", (-HOUR_S, HOUR_S - 60))
def test_nothing_waits_for_an_hour_and_nothing_is_lost(up, clocks, seconds):
    tenant, emissions = f"clock{seconds}", pipeline.made_up(2 * ROUNDS)
    up.play(emissions[:ROUNDS], tenant)
    for stage in pipeline.SERVICES:
        clocks.shift(stage, seconds)
    try:
        up.play(emissions[ROUNDS:], tenant)
        pipeline.until(lambda: all(line["in_flight"] == 0 for line in up.totals(tenant).values()),
                       "all of it is in the tables", SOON_S)
    finally:
        for stage in pipeline.SERVICES:
            clocks.shift(stage, 0)
    totals = up.await_done(tenant, {kind: 2 * ROUNDS for kind in expected.KINDS})
    pipeline.check_law(totals, emissions)
    pipeline.check_tables(up, tenant, emissions)
    pipeline.check_archives(up, tenant, emissions)
