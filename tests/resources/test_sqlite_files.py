"""SQLite files of a history stay open while it is written, and are whole afterwards."""

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as db
from sqlalchemy.pool import NullPool

from vlmine_dagster.resources.sqlite_files import _MOST_FILES, kept_open, write_ahead
from vlmine_dagster.settings.plain_paths import plain_path

WAITS_FOR_THE_LOG_ONLY, WAITS_AT_EVERY_COMMIT = 1, 2


def write_event(file: Path) -> int:
    """Open, write and close as Dagster does for each event; return how commits wait for the disk."""
    engine = db.create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(db.text("CREATE TABLE IF NOT EXISTS events (x INTEGER)"))
        connection.execute(db.text("INSERT INTO events VALUES (1)"))
        return int(connection.execute(db.text("PRAGMA synchronous")).scalar())


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose path SQLAlchemy takes as it is."""
    return plain_path(tmp_path)


@pytest.fixture
def file(folder: Path) -> Path:
    file = folder / "home" / "runs.db"
    file.parent.mkdir()
    write_ahead(file)
    return file


def test_the_log_is_folded_in_once_at_the_end_and_not_at_each_event(file: Path):
    with kept_open(file.parent):
        assert [write_event(file) for _ in range(3)] == [WAITS_FOR_THE_LOG_ONLY] * 3
        assert log_of(file).stat().st_size > 0

    assert not log_of(file).exists()
    assert count(file) == 3
    assert write_event(file) == WAITS_AT_EVERY_COMMIT
    assert not log_of(file).exists()


def test_a_file_that_becomes_write_ahead_while_it_is_open_is_kept_from_then_on(folder: Path):
    file = folder / "runs.db"
    write_event(file)
    with kept_open(folder):
        assert write_event(file) == WAITS_AT_EVERY_COMMIT  # else a power failure could break it
        write_ahead(file)
        write_event(file)
        assert log_of(file).exists()


def test_a_new_file_is_write_ahead_before_its_first_table(folder: Path):
    with kept_open(folder):
        assert write_event(folder / "runs.db") == WAITS_FOR_THE_LOG_ONLY


def test_files_of_somebody_else_are_left_alone(file: Path, folder: Path):
    (folder / "home 2").mkdir()
    write_ahead(folder / "home 2" / "runs.db")
    with kept_open(file.parent):
        assert write_event(folder / "home 2" / "runs.db") == WAITS_AT_EVERY_COMMIT


def test_a_folder_reached_through_a_link_is_the_same_folder(folder: Path):
    odd = folder / "pool? 100%20 #2"
    odd.mkdir()
    file = plain_path(odd) / "runs.db"
    write_ahead(file)
    with kept_open(odd):
        assert write_event(file) == WAITS_FOR_THE_LOG_ONLY


def test_as_many_files_as_runs_do_not_stay_open(folder: Path):
    with kept_open(folder):
        for number in range(_MOST_FILES + 3):
            file = folder / f"{number}.db"
            write_ahead(file)
            write_event(file)
        assert len(list(folder.glob("*-wal"))) == _MOST_FILES


def test_a_forked_process_writes_too_and_closes_nothing_of_its_parent(file: Path):
    with kept_open(file.parent):
        write_event(file)
        child = multiprocessing.get_context("fork").Process(target=write_event, args=(file,))
        child.start()
        child.join()
        assert child.exitcode == 0
        write_event(file)
        assert log_of(file).exists()
    assert count(file) == 3


def test_a_file_that_is_locked_is_opened_all_the_same(file: Path):
    write_event(file)
    other = sqlite3.connect(file)
    other.execute("BEGIN IMMEDIATE")
    with kept_open(file.parent), db.create_engine(f"sqlite:///{file}").connect() as connection:
        assert connection.execute(db.text("SELECT count(*) FROM events")).scalar() == 1
    other.close()
