"""Files appear whole or not at all, whoever writes beside us."""

import multiprocessing
import os

import pytest

from vlmine_dagster.domain.files import replacing, write_whole


def names(folder):
    return sorted(found.name for found in folder.iterdir())


def test_a_file_is_written_into_folders_that_are_not_there_yet_and_nothing_is_left_beside_it(tmp_path):
    write_whole(tmp_path / "a" / "b" / "table.csv", "é\n")

    assert (tmp_path / "a" / "b" / "table.csv").read_bytes() == b"\xc3\xa9\n"
    assert names(tmp_path / "a" / "b") == ["table.csv"]


def write_half(file):
    with replacing(file) as beside:
        beside.write_text("new, but ha")
        raise ValueError("half of it")


def test_a_writer_that_fails_leaves_the_old_file_as_it_was(tmp_path):
    file = tmp_path / "table.csv"
    write_whole(file, "old")

    with pytest.raises(ValueError, match="half"):
        write_half(file)

    assert file.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_writing_nothing_is_an_error_and_replaces_nothing(tmp_path):
    write_whole(tmp_path / "kept", b"old")

    with pytest.raises(FileNotFoundError), replacing(tmp_path / "kept"):
        pass

    assert (tmp_path / "kept").read_bytes() == b"old"


def test_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda number: order.append("flushed"))
    move = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", lambda self, to: order.append("moved") or move(self, to))

    write_whole(tmp_path / "file", b"x")

    assert order == ["flushed", "moved", "flushed"]


def _write_often(file, letter):
    for _ in range(200):
        write_whole(file, letter * 50_000)


def test_two_processes_that_write_one_file_never_mix_nor_fail(tmp_path):
    file = tmp_path / "shared"
    write_whole(file, "a")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(file, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add("".join(sorted(set(file.read_text()))))
    for writer in writers:
        writer.join()

    assert seen <= {"a", "b"}
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names(tmp_path) == ["shared"]
