"""What is left where a file should be is named, with what fetches the file; folders of other tools hold no images."""

import io
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.pictures import inspect_picture
from vlmine_dagster.resources.sources.choice import FileChoice
from vlmine_dagster.resources.sources.parquet import open_parquet
from vlmine_dagster.resources.sources.webdataset import read_tar

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
STAND_INS = {
    LFS: "a pointer of Git LFS: `git lfs pull` fetches",
    b"../../.git/annex/objects/G1/x0/SHA256E-s1048576--ab.tar/SHA256E-s1048576--ab.tar": "`git annex get` fetches",
    b"/annex/objects/SHA256E-s1048576--ab.jpg\n": "`git annex get` fetches",
    b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>": "a web page, which a server sent",
    b"\xef\xbb\xbf<HTML><head></head>": "a web page, which a server sent",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "of the store, AccessDenied",
    b'{"error": "Repository not found"}': "an answer in JSON",
    b"PK\x03\x04\x14\0\0\0": "a zip archive: unpack it first",
    b"Rar!\x1a\x07\x01\0": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c\0\4": "a 7z archive",
    b"\x1f\x8b\x08\0\0\0\0\0": "packed by gzip, as some servers send files: unpack it",
    b"\x28\xb5\x2f\xfd\0\0": "packed by zstd",
    b"/9j/4AAQSkZJRgABAQ": "text in base64: decode it",
    b"data:image/png;base64,iVBORw0KGgo": "text in base64: decode it",
    rb"b'\xff\xd8\xff\xe0'": "bytes that were printed as Python shows them",
    b"\xef\xbf\xbd\xef\xbf\xbd\0\x10JFIF": "bytes that were copied as text, which destroyed them",
    b"\x89PNG\n\x1a\n\0\0": "bytes that were copied as text, which destroyed them",
    b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02": "a PNG as Xcode rewrites it for iPhones",
    b"%PDF-1.4\n": "a PDF document",
    b"8BPS\0\1": "a Photoshop document",
    b"\xff\x0a\xfa\x1f": "a JPEG XL picture",
    b"\0\5\x16\7\0\2\0\0Mac OS X": "an AppleDouble file",
}


@pytest.mark.parametrize(("data", "told"), STAND_INS.items(), ids=range(len(STAND_INS)))
def test_what_lies_in_place_of_a_file_is_named_for_pictures_tars_and_parquet(data: bytes, told: str):
    facts = inspect_picture(data, max_pixels=10**6)
    assert facts.outcome is Outcome.CORRUPT
    assert told in str(facts.failure)
    with pytest.raises(SourceError, match="s.tar is not a tar: it is") as no_tar:
        list(read_tar(io.BytesIO(data), "s.tar", max_bytes=10**6))
    assert told in str(no_tar.value)
    with pytest.raises(SourceError, match="s.parquet is not a readable Parquet file: it is") as no_parquet:
        open_parquet(io.BytesIO(data), "s.parquet")
    assert told in str(no_parquet.value)


def test_a_file_of_zeros_is_named_and_a_few_zeros_are_told_as_they_are():
    assert "it is zeros, as after a crash" in str(inspect_picture(bytes(5000), max_pixels=10**6).failure)
    assert "it begins with" in str(inspect_picture(bytes(64), max_pixels=10**6).failure)


def test_a_video_or_sound_that_begins_like_a_webp_is_none():
    failure = str(inspect_picture(b"RIFF\x10\0\0\0AVI LIST" + bytes(100), max_pixels=10**6).failure)
    assert "it begins with b'RIFF" in failure


@pytest.mark.parametrize("data", [b"version 2", b"<svg></svg>", b"{}", b"no tar " * 100, b"annex"])
def test_other_bytes_are_told_as_they_are(data: bytes):
    assert "it begins with" in str(inspect_picture(data, max_pixels=10**6).failure)
    with pytest.raises(SourceError, match="is not a tar: (truncated|invalid|bad|empty)"):
        list(read_tar(io.BytesIO(data), "s.tar", max_bytes=10**6))


@pytest.mark.parametrize(
    "name", ["photos.zip", "a.rar", "a.7z", "data.z01", "data.tar.00", "set.tar.gz.aa", "x.tar.part1", "x.tar.zst"]
)
def test_archives_that_are_not_read_are_to_be_unpacked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"PK\x03\x04")
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(main, ["init", "data"])

    assert done.exit_code == 1
    assert f"({name}, ...): unpack" in " ".join(done.output.split())


def test_folders_of_other_tools_hold_no_images_in_tars_either():
    file = io.BytesIO()
    hidden = ["a/.ipynb_checkpoints/1-checkpoint.jpg", ".Trash-1000/files/3.jpg"]
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("__MACOSX/a/1.jpg", "./a/1.jpg", "a/@eaDir/2.jpg", "a/._1.jpg", "../x/__MACOSX.jpg", *hidden):
            tar.addfile(tarfile.TarInfo(name))
    file.seek(0)

    found = read_tar(file, "s.tar", max_bytes=10**6, is_image=FileChoice().is_image_member)

    assert [raw.key for raw in found] == ["a/1", "__/x/__MACOSX"]
