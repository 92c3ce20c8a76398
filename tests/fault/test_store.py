"""An S3 server on a bad day, one sort of trouble after another, while events flow. After each the
law holds, tables and archive are right."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]
import expected  # noqa: E402
import pipeline  # noqa: E402
from s3_proxy import S3Proxy  # noqa: E402

ROUNDS = 40
# Share of the requests that meet a trouble, and how many do before it passes. Only lost_commit is
# sure to meet commits: whose they are is then told by their id.
TROUBLES = {"lost_reply": (0.5, 5), "lost_commit": (1, len(expected.KINDS)),
            "conflict_done": (0.5, 5), "exists": (0.5, 5), "revoked": (0.5, 5)}
SMALL = {"MILLRACE_TABLE_AGE": "200ms", "MILLRACE_RAW_AGE": "200ms", "MILLRACE_RAW_RECORDS": "20",
         "MILLRACE_BATCH_MAX": "20"}


class FarS3(pipeline.S3):
    """Services reach it through the proxy, the test does not."""

    def __init__(self, folder):
        super().__init__(folder)
        self.proxy = S3Proxy(int(self.endpoint.rsplit(":", 1)[1]))

    def up_options(self):
        return "--store", "s3://mill/e2e", "--s3-endpoint", self.proxy.endpoint

    def stop(self):
        self.proxy.close()
        super().stop()


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = FarS3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def up(tmp_path_factory, s3):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), s3=s3, env=SMALL)
    yield running
    print(running.said())
    assert running.stop() == 0


@pytest.mark.parametrize("trouble", TROUBLES)
def test_nothing_is_lost_or_doubled(up, s3, trouble):
    tenant, emissions = f"s3-{trouble}", pipeline.made_up(ROUNDS)
    share, strikes = TROUBLES[trouble]
    before = s3.proxy.struck().get(trouble, 0)
    s3.proxy.trouble(trouble, share)
    try:
        up.play(emissions, tenant)
        pipeline.until(lambda: s3.proxy.struck().get(trouble, 0) >= before + strikes,
                       "requests have met the trouble", 20)
    finally:
        s3.proxy.heal(trouble)
    totals = up.await_done(tenant, {kind: ROUNDS for kind in expected.KINDS})
    pipeline.check_law(totals, emissions)
    pipeline.check_tables(up, tenant, emissions)
    pipeline.check_archives(up, tenant, emissions)
