"""Pictures that are read again after they were taken in."""

import pytest
from conftest import jpeg, write_tar

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.intake import load_pictures
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import WebDatasetSource


def test_pictures_that_are_gone_are_left_out_and_a_broken_one_is_told(tmp_path):
    write_tar(tmp_path / "s.tar", {"a.jpg": jpeg("coffee", 0), "b.jpg": b"\xff\xd8\xffno"})
    source = WebDatasetSource(FileTree(str(tmp_path)), max_bytes=10**6, cache=FingerprintCache())

    assert [name for name, _ in load_pictures(source, ["s/a", "s/gone"], max_pixels=10**6)] == ["s/a"]
    with pytest.raises(PictureError, match="not a readable JPEG"):
        list(load_pictures(source, ["s/a", "s/b"], max_pixels=10**6))
