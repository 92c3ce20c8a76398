"""Bad configuration ends a process with exit code 2 and one line that names option, value and
range, before it touches anything; what is only away is waited for."""

import os
import re
import subprocess
import urllib.error
import urllib.request

import pytest

import pipeline

BAD = (
    ("gateway", ["--in-flight-bytes", "1"], ["--in-flight-bytes", "1M..4G"]),
    ("gateway", ["--listen", "0.0.0.0:0"],
     ["0.0.0.0:0", "without authentication and TLS", "--policy", "--tls-cert", "--insecure"]),
    ("gateway", ["--listen", "[::]:0", "--policy", "x"], ["[::]:0", "without TLS", "--tls-cert"]),
    ("gateway", ["--listen", "[::ffff:10.0.0.1]:0", "--tls-cert", "x", "--tls-key", "y"],
     ["without authentication", "--policy"]),
    ("gateway", ["--policy", "/nowhere.json"], ["policy", "/nowhere.json"]),
    ("gateway", ["--topics", "/nowhere.json"], ["/nowhere.json"]),
    ("validator", ["--batch-max", "0"], ["--batch-max", "0", "1..10000"]),
    ("validator", ["--bach-max", "1"], ["--bach-max", "batch-max"]),
    ("cleaner", ["--batch-wait-ms", "2s"], ["--batch-wait-ms", "2s", "0..1s"]),
    ("cleaner", ["--kinds", "/nowhere"], ["/nowhere"]),
    ("archiver", ["--table-age", "soon"], ["--table-age", "soon"]),
    ("archiver", ["--store", "ftp://x"], ["store", "ftp://x", "s3://BUCKET"]),
    ("archiver", ["--admin", "localhost"], ["--admin", "localhost", "0..65535"]),
    ("query", ["--sql-memory", "1K"], ["--sql-memory", "1K", "64M..1T"]),
    ("query", ["--log-level", "loud"], ["--log-level", "loud", "error|warn|info|debug"]),
)


@pytest.mark.parametrize("service, words, named", BAD)
def test_bad_configuration_is_exit_code_2_and_one_line(tmp_path, service, words, named):
    defaults = ["--kinds", pipeline.BUILD / "kinds", "--store", f"file:{tmp_path}",
                "--bootstrap", "127.0.0.1:1"]
    if service == "gateway":
        defaults += ["--topics", pipeline.SOURCE / "deploy/topics.json"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    done = subprocess.run([pipeline.BUILD / f"bin/millrace-{service}", *defaults, *words],
                          capture_output=True, text=True, env=env, timeout=20)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and all(name in done.stderr for name in named), done.stderr


@pytest.mark.parametrize("service", ("gateway", "validator", "cleaner", "archiver", "query"))
def test_a_broker_that_is_away_at_the_start_is_waited_for(tmp_path, service):
    words = ["--kinds", pipeline.BUILD / "kinds", "--store", f"file:{tmp_path}/store",
             "--bootstrap", "127.0.0.1:1", "--admin", "127.0.0.1:0", "--rpc", "tcp://127.0.0.1:0"]
    if service == "gateway":
        words += ["--topics", pipeline.SOURCE / "deploy/topics.json", "--listen", "127.0.0.1:0"]
    if service in ("archiver", "query"):
        words += ["--work-dir", tmp_path / "work"]
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen(
            [pipeline.BUILD / f"bin/millrace-{service}", *words], stderr=out) as process:
        try:
            pipeline.until(lambda: "event=started" in log.read_text(), "started")
            port = re.search(r" admin=(\d+)", log.read_text())[1]

            def refused():
                assert process.poll() is None, log.read_text()
                with pytest.raises(urllib.error.HTTPError) as answer:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready")
                return "starting" not in answer.value.read().decode()

            pipeline.until(refused, "told why it is not ready")
        finally:
            process.terminate()
    assert process.returncode == 0, log.read_text()
