"""A project in a folder whose name has every character that some library reads as syntax; and nobody is called."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import jpeg
from upath import UPath

from vlmine_dagster.resources.lake import Lake

ODD = "Bob's [old] pool? 100%20 #2"

# Every process of Python imports `sitecustomize`: it writes down what leaves this machine, and lets nothing out.
WATCH = """
import os, socket
_connect, _lookup = socket.socket.connect, socket.getaddrinfo
def _is_local(host):
    return host in (None, "", "localhost", "::1", "0.0.0.0", b"localhost") or str(host).startswith("127.")
def _note(host):
    if not _is_local(host):
        with open(os.environ["CALLS_FILE"], "a") as file:
            file.write(f"{host}\\n")
        raise OSError(f"no call to {host}")
def connect(self, address):
    if isinstance(address, tuple):
        _note(address[0])
    return _connect(self, address)
def getaddrinfo(host, *rest, **more):
    _note(host)
    return _lookup(host, *rest, **more)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd") / ODD
    for number in range(4):
        file = folder / "in [1]" / f"photo {number}?.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg("coffee", number))
    watch = tmp_path_factory.mktemp("watch")
    cache = tempfile.mkdtemp(dir="/tmp")  # a plain place for links, whatever TMPDIR is
    (watch / "sitecustomize.py").write_text(WATCH)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "MLFLOW", "VLMINE"))}
    environment = {
        **kept,
        "PYTHONPATH": f"{watch}{os.pathsep}{Path(__file__).parent.parent}",
        "HOME": str(folder),
        "XDG_CACHE_HOME": cache,
        "CALLS_FILE": str(watch / "calls"),
    }
    environment.pop("DAGSTER_DISABLE_TELEMETRY", None)

    def vlmine(*arguments):
        command = [sys.executable, "-m", "vlmine_dagster", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = vlmine("init", "in [1]") + vlmine("run")
    yield folder, vlmine, said, watch / "calls"
    shutil.rmtree(cache)


def test_a_whole_run_works_there_and_is_fresh_afterwards(project):
    folder, vlmine, said, _ = project
    assert "0 failed" in said
    status = json.loads(vlmine("status", "--json"))
    assert "photo 1?.jpg" in vlmine("top", "--json")
    assert status
    assert (folder / ".vlmine/mlflow/mlflow.db").stat().st_size > 0
    assert (folder / ".vlmine/dagster/history").is_dir()
    with duckdb.connect(str(folder / ".vlmine/vlmine.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (4,)


def test_no_telemetry_is_kept_or_sent(project):
    folder, _, said, calls = project
    assert "usage statistics" not in said
    assert [path for path in folder.rglob("*") if "telemetry" in path.name.lower()] == []
    assert not calls.exists(), calls.read_text()


def test_the_watch_would_notice_a_call(project, tmp_path):
    _, _, _, calls = project
    code = "import urllib.request; urllib.request.urlopen('http://telemetry.example.com')"
    environment = {**os.environ, "PYTHONPATH": str(calls.parent), "CALLS_FILE": str(tmp_path / "calls")}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (tmp_path / "calls").read_text() == "telemetry.example.com\n"


def test_a_lake_in_a_folder_that_looks_like_a_pattern_reads_its_own_files_only(tmp_path):
    table = pa.table({"keyword": ["a"], "image_count": [1], "image_share": [1.0], "unit_count": [1]})
    for name in ("a*", "ab", "a[b]", "a?"):
        (tmp_path / name).mkdir()
        pq.write_table(table, tmp_path / name / "x.parquet")
    for name in ("a*", "ab", "a[b]", "a?"):
        lake = Lake(str(tmp_path / name), scratch=tmp_path / "scratch")
        with lake.connect(counts=[UPath(tmp_path / name / "x.parquet")]) as connection:
            assert connection.execute("SELECT count(*) FROM counts").fetchone() == (1,)
