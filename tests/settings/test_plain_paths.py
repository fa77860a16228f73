import os
import pwd
import tempfile
from pathlib import Path

import duckdb
import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings.plain_paths import plain_path, plain_temporary_folder, refuse_undecodable
from vlmine_dagster.settings.project import Project
from vlmine_dagster.settings.starter import sample_settings, write_starter

ODD = "Bob's [old] pool? 100%20 #2"


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="plain", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        yield Path(folder)


@pytest.fixture
def plain(cache):
    with tempfile.TemporaryDirectory(prefix="plain", dir="/tmp") as folder:
        yield Path(folder)


def test_a_plain_path_stays(plain, cache):
    folder = plain / "My pool (2), é_1"
    folder.mkdir()
    assert plain_path(folder) == folder
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", [ODD, "a[1]", "is it?", "50%", "#2", 'say "hi"', "it's", "a:b", "a*", "{x}", "a\nb"])
def test_an_odd_path_is_reached_by_a_link_of_the_same_name_each_time(plain, cache, name):
    folder = plain / name
    folder.mkdir()
    link = plain_path(folder)
    assert link.parent == cache / "vlmine" / "homes"
    assert link.resolve() == folder.resolve()
    assert plain_path(folder) == link
    link.unlink()
    assert plain_path(folder) == link
    (folder / "a.txt").write_text("there")
    assert (link / "a.txt").read_text() == "there"


def test_two_folders_have_two_links(plain, cache):
    folders = [plain / name / "dagster" for name in ("a?", "b?")]
    for folder in folders:
        folder.mkdir(parents=True)
    assert len({plain_path(folder) for folder in folders}) == 2


def test_the_temporary_folder_serves_where_the_cache_cannot(plain, monkeypatch):
    (plain / "file").write_text("")
    folder = plain / ODD
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(plain / "file"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(plain / "temporary"))
    assert plain_path(folder).parent.parent.parent == plain / "temporary"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(plain / "file"))
    with pytest.raises(ConfigError, match=r"Set VLMINE_HOME to a folder with a plain name"):
        plain_path(folder)


def test_a_link_that_leads_elsewhere_is_not_used(plain, cache, monkeypatch):
    folder = plain / ODD
    folder.mkdir()
    link = plain_path(folder)
    link.unlink()
    link.symlink_to(plain)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(plain / "temporary"))
    assert plain_path(folder).parent != link.parent
    assert plain_path(folder).resolve() == folder.resolve()


@pytest.mark.parametrize("name", [ODD, "plain"])
def test_duckdb_can_write_below_any_temporary_folder_and_nothing_is_left(plain, monkeypatch, name):
    (plain / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(plain / name))
    with plain_temporary_folder() as folder:
        assert (folder.parent == plain / name) == (name == "plain")
        with duckdb.connect(str(folder / "views.duckdb")) as connection:
            connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
        assert [file.name for file in folder.iterdir()] == ["views.duckdb"]
    assert not folder.exists()


def test_where_no_folder_is_plain_a_line_says_what_to_set(plain, monkeypatch):
    (plain / ODD).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(plain / ODD))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="Set TMPDIR to a folder with a plain name"), plain_temporary_folder():
        pass


def test_a_user_without_a_name_and_a_home_has_the_temporary_folder(plain, monkeypatch):
    def unknown(_uid):
        raise KeyError("getpwuid(): uid not found: 1000")  # matus-chochlik/ctcache PR 5, containers of OpenShift

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(plain / "temporary"))
    folder = plain / ODD
    folder.mkdir()

    assert plain_path(folder).is_relative_to(plain / "temporary")


def test_a_path_that_is_no_utf8_is_refused_with_its_bytes_and_what_to_set():
    with pytest.raises(
        ConfigError, match=r"/caf\\xe9/\.vlmine: the path is not UTF-8.*Rename the folder, or set VLMINE_HOME"
    ):
        refuse_undecodable(Path(os.fsdecode(b"/caf\xe9/.vlmine")))
    refuse_undecodable("/caf\u00e9/\u7167\u7247")


def test_a_folder_that_is_no_utf8_gets_no_project_without_a_home_elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    monkeypatch.delenv("VLMINE_HOME", raising=False)
    with pytest.raises(ConfigError, match="is not UTF-8"):
        write_starter(folder, sample_settings())
    monkeypatch.setenv("VLMINE_HOME", str(tmp_path / "home"))
    assert Project.load(write_starter(folder, sample_settings())).settings.name == "sample"
