"""The files that are shipped for operators are valid, and say what the code does."""

import configparser
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from vlmine_dagster.cli.main import main, ui
from vlmine_dagster.cli.servers import stop

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "deploy/vlmine.service"
PROXY = ROOT / "deploy/nginx.conf"


def defaults() -> dict[str, object]:
    return {option.name: option.default for option in ui.params}


def test_the_web_uis_listen_on_the_loopback_unless_told_otherwise():
    assert defaults()["host"] == "127.0.0.1"


def test_the_proxy_asks_for_a_password_and_leads_to_the_ports_of_both_uis():
    servers = PROXY.read_text(encoding="utf-8").split("\nserver {")[1:]

    assert len(servers) == 2
    for server in servers:
        assert 'auth_basic           "vlmine";' in server
        assert "listen 8443 ssl;" in server or "listen 8444 ssl;" in server
    ports = re.findall(r"proxy_pass http://127\.0\.0\.1:(\d+);", "".join(servers))
    assert [int(port) for port in ports] == [defaults()["port"], defaults()["mlflow_port"]]


@pytest.mark.skipif(not shutil.which("nginx") or not shutil.which("openssl"), reason="needs nginx and openssl")
def test_nginx_takes_the_proxys_configuration(tmp_path):
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"]
    subprocess.run(
        [*make, "-keyout", tmp_path / "vlmine.key", "-out", tmp_path / "vlmine.crt"], check=True, capture_output=True
    )
    (tmp_path / "vlmine.conf").write_text(PROXY.read_text(encoding="utf-8").replace("/etc/nginx/", f"{tmp_path}/"))
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {tmp_path}/vlmine.conf; }}\n"
    (tmp_path / "nginx.conf").write_text(whole)

    done = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_service_runs_a_command_that_exists_and_may_write_its_project_alone():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]

    assert service["ExecStart"].split()[1] in main.commands
    assert service["ReadWritePaths"] == service["WorkingDirectory"]
    assert "Environment" not in service  # secrets stand in a file that root alone reads


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/vlmine/bin/vlmine", shutil.which("true") or ""))

    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_dead_server_leaves_behind_is_ended_too():
    started = time.monotonic()
    heard, told = os.pipe()
    with subprocess.Popen(["sh", "-c", "sleep 60 &"], start_new_session=True, pass_fds=[told]) as parent:
        os.close(told)
        parent.wait()

        stop([parent])

        with os.fdopen(heard, "rb") as pipe:
            assert pipe.read() == b""  # comes once nobody holds the other end
    assert time.monotonic() - started < 30
