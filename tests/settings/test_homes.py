"""Where a project keeps its state, and where its pages are: beside its settings, or where the environment says."""

import errno
from pathlib import Path

import pytest
from conftest import Made

from vlmine_dagster.automation.history import open_instance, prepare_dagster_home
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.resources.addresses import keep_addresses
from vlmine_dagster.resources.tracking import Tracking, dagster_url
from vlmine_dagster.settings.project import HOME_LAYOUT


def test_vlmine_home_moves_everything(make_project, monkeypatch, tmp_path):
    made: Made = make_project({"pool/a": {}})
    monkeypatch.setenv("VLMINE_HOME", str(tmp_path / "home"))

    assert str(made.bench.lake.path("images", "pool/a")) == str(tmp_path / "home/lake/images/pool/a.parquet")
    assert made.project.state_folder("cache") == tmp_path / "home/cache"


def test_where_the_disk_is_full_a_new_home_has_no_empty_mark_of_its_layout(make_project, monkeypatch, tmp_path):
    made: Made = make_project({"pool/a": {}})
    monkeypatch.setenv("VLMINE_HOME", str(tmp_path / "home"))

    def full(_file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("vlmine_dagster.domain.files._flush", full)
        with pytest.raises(OSError, match="No space left"):
            made.project.state_folder("cache")
    assert not (tmp_path / "home/layout").exists()
    made.project.state_folder("cache")
    assert (tmp_path / "home/layout").read_text() == HOME_LAYOUT


def test_a_home_in_a_store_leaves_on_the_disk_what_needs_one(make_project, monkeypatch):
    made: Made = make_project({"pool/a": {}})
    monkeypatch.setenv("VLMINE_HOME", "memory://bucket/home")

    assert str(made.bench.lake.path("images", "pool/a")).startswith("memory://bucket/home/lake/images/")
    assert made.project.state_folder("cache") == made.folder / ".vlmine/cache"


def test_a_dagster_home_of_the_user_is_taken_as_it_is(make_project, monkeypatch, tmp_path):
    made: Made = make_project({"pool/a": {}})
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    with open_instance(made.project) as instance:
        instance.add_dynamic_partitions(SHARDS, ["pool/a"])
        assert Path(instance.root_directory).resolve() == tmp_path
    assert not (made.folder / ".vlmine/dagster").exists()
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_dagster_home_that_is_not_there_or_empty_is_made_with_telemetry_off(
    make_project, monkeypatch, tmp_path, is_there
):
    made: Made = make_project({"pool/a": {}})
    home = tmp_path / "not/there"
    if is_there:
        home.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(home))

    with open_instance(made.project) as instance:
        assert Path(instance.root_directory).resolve() == home
        assert not instance.telemetry_enabled


def test_a_dagster_home_that_cannot_be_made_is_named_with_the_variable(make_project, monkeypatch, tmp_path):
    made: Made = make_project({"pool/a": {}})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file/home"))

    with pytest.raises(ConfigError, match=r"file/home cannot be made \(Not a directory\).*unset DAGSTER_HOME"):
        prepare_dagster_home(made.project)


def test_links_lead_through_the_proxy_else_to_where_the_web_uis_were_served_last(make_project, monkeypatch):
    project = make_project({"pool/a": {}}).project

    assert dagster_url(project, "r") == "http://127.0.0.1:3000/runs/r"
    keep_addresses(
        project, {"VLMINE_DAGSTER_URL": "http://127.0.0.1:3411", "VLMINE_MLFLOW_URL": "http://10.0.0.7:5411"}
    )
    keep_addresses(project, {"VLMINE_DAGSTER_URL": "http://127.0.0.1:3412"})
    assert dagster_url(project, "r") == "http://127.0.0.1:3412/runs/r"
    assert Tracking(project).comparison_url(["r"]).startswith("http://10.0.0.7:5411/#/compare-runs")
    monkeypatch.setenv("VLMINE_DAGSTER_URL", "https://dagster.example.com:8443/")
    assert dagster_url(project, "r") == "https://dagster.example.com:8443/runs/r"


def test_an_environment_where_dagster_cannot_start_is_refused_with_advice(make_project, monkeypatch):
    made = make_project({})
    monkeypatch.setattr("dagster.__file__", "/home/me/100%20 pool/.venv/dagster/__init__.py")
    with pytest.raises(ConfigError, match=r"cannot start from a path with a percent sign.*elsewhere"):
        prepare_dagster_home(made.project)
