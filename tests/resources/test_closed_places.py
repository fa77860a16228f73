"""Files and folders that cannot be read: pipes, links in circles, paths that are too long, what a user may not see."""

import os

import pytest

from vlmine_dagster.domain.errors import SourceError, StoreError
from vlmine_dagster.resources.sources import survey
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource
from vlmine_dagster.resources.sources.ignored import ignored_line
from vlmine_dagster.resources.sources.shard_files import ShardFiles
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import TAR_SUFFIXES, WebDatasetSource

PICTURE = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1\0;"


def folder_of(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE)
    return tmp_path


def source_of(tree):
    return FolderSource(tree, shard_count=1, max_bytes=1000, cache=FingerprintCache())


def found_in(source):
    return {raw.key: raw.failure for raw in source.read("shard-000")}


def test_links_in_a_circle_are_failures_of_their_own(tmp_path):
    folder_of(tmp_path, "a.gif")
    (tmp_path / "x.gif").symlink_to("y.gif")
    (tmp_path / "y.gif").symlink_to("x.gif")
    (tmp_path / "me").symlink_to("me")
    (tmp_path / "here").symlink_to(".")
    circle = "cannot be read: Too many levels of symbolic links"
    assert found_in(source_of(FileTree(str(tmp_path)))) == {"a.gif": None, "x.gif": circle, "y.gif": circle}


def test_a_folder_that_lies_too_deep_is_named_and_the_others_are_read(tmp_path):
    folder_of(tmp_path, "a.gif")
    start = os.open(tmp_path, os.O_DIRECTORY)
    try:
        for _ in range(25):  # a path of 5,000 characters; Linux reads 4,096
            os.mkdir("d" * 200, dir_fd=start)
            inner = os.open("d" * 200, os.O_DIRECTORY, dir_fd=start)
            os.close(start)
            start = inner
    finally:
        os.close(start)

    source = source_of(FileTree(str(tmp_path)))

    assert found_in(source) == {"a.gif": None}
    assert ignored_line(source) == f"ignored: what is in {'d' * 100}... (is nested too deeply)"


@pytest.mark.parametrize("name", ["pipe", "x_mask.png", "labels.json", "metadata.csv", "b.tar", "c.parquet"])
def test_a_pipe_is_never_waited_for(tmp_path, name):
    folder_of(tmp_path, "a.gif", "b.gif")
    os.mkfifo(tmp_path / name)
    assert survey(str(tmp_path)).settings.kind == "folder"
    with pytest.raises(SourceError, match="is not a regular file"), FileTree(str(tmp_path)).open(name):
        pass


class ClosedTree(FileTree):
    """Files of which some cannot be read when they are hashed."""

    error: SourceError = SourceError("b.gif cannot be read: Permission denied")

    def content_hash(self, path):
        if path.startswith("b"):
            raise self.error
        return super().content_hash(path)


def test_a_file_that_may_not_be_read_changes_the_fingerprint_and_does_not_end_the_work(tmp_path):
    folder_of(tmp_path, "a.gif", "b.gif")
    closed, opened = (source_of(kind(str(tmp_path))).fingerprint("shard-000") for kind in (ClosedTree, FileTree))
    assert closed != opened
    assert closed == source_of(ClosedTree(str(tmp_path))).fingerprint("shard-000")


def test_files_beside_one_that_may_not_be_read_are_hashed_once_by_each_user(tmp_path, monkeypatch):
    pool, kept, hashed = folder_of(tmp_path / "pool", "a.gif", "b.gif"), tmp_path / "fingerprints.tsv", []
    monkeypatch.setattr("vlmine_dagster.resources.sources.fingerprints._SETTLED_AFTER_S", -60.0)

    class Counted(ClosedTree):
        def content_hash(self, path):
            hashed.append(path)
            return super().content_hash(path) if os.geteuid() else FileTree.content_hash(self, path)

    def look(user):
        monkeypatch.setattr(os, "geteuid", lambda: user)
        hashed.clear()
        tree = Counted(str(pool))
        source = FolderSource(tree, shard_count=1, max_bytes=1000, cache=FingerprintCache(kept))
        found = source.fingerprint("shard-000"), source.glance("shard-000").unread_bytes
        return found, sorted(hashed)

    first, again, other = look(7), look(7), look(8)
    both = look(0)

    assert first == ((first[0][0], 0), ["a.gif", "b.gif"])
    assert again == (first[0], [])
    assert other == (first[0], ["a.gif", "b.gif"])
    assert both[0][0] != first[0][0]  # who may read all files makes a fingerprint for everybody
    assert look(9) == (both[0], [])


def test_a_shard_that_may_not_be_read_fails_alone(tmp_path):
    folder_of(tmp_path, "a.tar", "b.tar")
    files = ShardFiles(ClosedTree(str(tmp_path)), suffixes=TAR_SUFFIXES, cache=FingerprintCache())
    assert len({files.fingerprint("a"), files.fingerprint("b")}) == 2


def test_a_store_that_fails_ends_the_work_for_it_may_pass(tmp_path, monkeypatch):
    folder_of(tmp_path, "a.gif", "b.gif", "a.tar", "b.tar")
    monkeypatch.setattr(ClosedTree, "error", StoreError("b.gif cannot be read: Input/output error"))
    tree = ClosedTree(str(tmp_path))
    with pytest.raises(StoreError):
        source_of(tree).fingerprint("shard-000")
    with pytest.raises(StoreError):
        WebDatasetSource(tree, max_bytes=1000, cache=FingerprintCache()).fingerprint("b")


def test_two_shards_that_differ_in_how_an_accent_is_written_are_told_apart_in_the_message(tmp_path):
    folder_of(tmp_path, "e\u0301.tar", "\u00e9.tar")
    with pytest.raises(SourceError, match=r"'e\\u0301\.tar' and '\\xe9\.tar' both make the shard name 'é'"):
        WebDatasetSource(FileTree(str(tmp_path)), max_bytes=1000, cache=FingerprintCache()).shards()
