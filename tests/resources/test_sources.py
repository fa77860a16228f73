import contextlib
import gzip
import hashlib
import io
import itertools
import logging
import os
import tarfile
import time

import dagster as dg
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from upath import UPath

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.sources import LOST_KEY, FolderSource, detect, image_id, open_source, shard_of
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import read_listed
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import read_tar
from vlmine_dagster.settings import DatasetSettings
from vlmine_dagster.settings.project import Project, ProjectSettings

LONG_AGO = 1_600_000_000


def jpeg(number=0):
    """A picture that differs by number; not square."""
    values = np.random.default_rng(number).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG")
    return file.getvalue()


def member(name, data=b"", **header):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in header.items():
        setattr(info, field, value)
    return info, data


def tar_bytes(*members, format=tarfile.USTAR_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def three_images():
    return tar_bytes(*(member(f"{n:06d}.jpg", jpeg(n)) for n in range(3)))


def write(folder, files):
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def parquet_bytes(columns, **options):
    file = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **options)
    return file.getvalue()


def open_at(root, tmp_path, *, kind="webdataset", **dataset):
    dataset = DatasetSettings.of_kind({"kind": kind, "root": str(root), **dataset})
    return open_source(Project(ProjectSettings(name="test", dataset=dataset), tmp_path, home=str(tmp_path / "home")))


def everything(source):
    return {image_id(shard, raw.key): raw.data for shard in source.shards() for raw in source.read(shard)}


@pytest.fixture
def memory():
    root = UPath("memory://vlmine-test")
    if root.exists():
        root.fs.rm(root.path, recursive=True)
    yield root
    if root.exists():
        root.fs.rm(root.path, recursive=True)


FOLDER = {f"cats/{n}.jpg": jpeg(n) for n in range(6)} | {"dogs/a b/c.PNG": jpeg(7)}
TARS = {"pool/shard-0000.tar": three_images(), "pool/shard-0001.tar": tar_bytes(member("a/9.jpeg", jpeg(9)))}
STRUCTS = [{"bytes": jpeg(n), "path": f"{n}.jpg"} for n in range(3)]
PARQUET = {"data/train-0.parquet": parquet_bytes({"image": STRUCTS, "label": [0, 1, 0]})}
DATASETS = {
    "folder": (FOLDER, {"shard_count": 3}, {"cats/0.jpg", "dogs/a b/c.PNG"}),
    "webdataset": (TARS, {}, {"000000", "000002", "a/9"}),
    "parquet": (PARQUET, {}, {"000000", "000002"}),
}


@pytest.fixture(params=DATASETS)
def dataset(request):
    files, options, keys = DATASETS[request.param]
    return files, {"kind": request.param, **options}, keys


# What holds for every kind, on a disk and in a store


def test_a_store_gives_the_same_images_as_a_disk(dataset, tmp_path, memory):
    files, options, keys = dataset
    local = everything(open_at(write(tmp_path / "data", files), tmp_path, **options))
    remote = everything(open_at(write(memory, files), tmp_path, **options))
    assert remote == local
    assert all(data.startswith(b"\xff\xd8") for data in local.values())
    assert keys <= {name.split("/", 2 if name.startswith(("pool/", "data/")) else 1)[-1] for name in local}


def test_ids_and_fingerprints_outlive_a_renamed_root_and_new_dates(dataset, tmp_path):
    files, options, _ = dataset
    first = open_at(write(tmp_path / "data", files), tmp_path, **options)
    images, prints = everything(first), {shard: first.fingerprint(shard) for shard in first.shards()}
    (tmp_path / "data").rename(tmp_path / "renamed")
    for path in (tmp_path / "renamed").rglob("*.*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    second = open_at(tmp_path / "renamed", tmp_path, **options)
    assert everything(second) == images
    assert {shard: second.fingerprint(shard) for shard in second.shards()} == prints


def test_reading_twice_gives_the_same_in_the_same_order(dataset, tmp_path, memory):
    files, options, _ = dataset
    source = open_at(write(memory, files), tmp_path, **options)
    for shard in source.shards():
        assert list(source.read(shard)) == list(source.read(shard))


def test_a_fingerprint_changes_with_the_content_of_its_shard_only(dataset, tmp_path):
    files, options, _ = dataset
    source = open_at(write(tmp_path / "data", files), tmp_path, **options)
    before = {shard: source.fingerprint(shard) for shard in source.shards()}
    path = tmp_path / "data" / next(iter(files))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)  # same size, within the same instant
    source = open_at(tmp_path / "data", tmp_path, **options)
    after = {shard: source.fingerprint(shard) for shard in source.shards()}
    assert sum(after[shard] != before[shard] for shard in before) == 1


def test_only_the_wanted_keys_are_read(dataset, tmp_path):
    files, options, keys = dataset
    source = open_at(write(tmp_path / "data", files), tmp_path, **options)
    wanted = {*keys, "not there", LOST_KEY}
    found = [raw for shard in source.shards() for raw in source.read(shard, keys=wanted)]
    assert {raw.key for raw in found} == keys
    whole = set(everything(source).values())
    assert all(raw.data in whole for raw in found)
    assert [raw for shard in source.shards() for raw in source.read(shard, keys=[])] == []


def test_an_unknown_shard_is_refused_with_those_that_exist(dataset, tmp_path):
    files, options, _ = dataset
    source = open_at(write(tmp_path / "data", files), tmp_path, **options)
    for use in (source.fingerprint, lambda shard: list(source.read(shard))):
        with pytest.raises(SourceError, match=rf"no shard 'nope' under .*exist: {source.shards()[0]}"):
            use("nope")


def test_a_missing_root_and_an_empty_one_say_what_to_correct(dataset, tmp_path, memory):
    _, options, _ = dataset
    with pytest.raises(SourceError, match=r"no folder .*gone\. Correct dataset\.root in vlmine\.yaml"):
        open_at(tmp_path / "gone", tmp_path, **options).shards()
    with pytest.raises(SourceError, match=r"no folder memory://vlmine-test"):
        open_at(memory, tmp_path, **options).shards()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no (image|file that ends in) .*below .*empty"):
        open_at(tmp_path / "empty", tmp_path, **options).shards()


def test_hidden_files_and_folders_are_no_part_of_the_dataset(dataset, tmp_path):
    files, options, _ = dataset
    write(tmp_path / "data", files)
    images = everything(open_at(tmp_path / "data", tmp_path, **options))
    write(tmp_path / "data", {f".cache/{path}": data for path, data in files.items()})
    write(tmp_path / "data", {"._x.jpg": b"junk", "._x.tar": b"junk", "._x.parquet": b"junk"})
    assert everything(open_at(tmp_path / "data", tmp_path, **options)) == images


def test_images_above_the_byte_limit_are_named_and_not_opened(dataset, tmp_path):
    files, options, _ = dataset
    source = open_at(write(tmp_path / "data", files), tmp_path, max_bytes=100, **options)
    found = [raw for shard in source.shards() for raw in source.read(shard)]
    assert len(found) == len(everything(source)) > 2
    assert all(raw.data == b"" for raw in found)
    assert all("more than dataset.max_bytes (100); not opened" in raw.failure for raw in found)


class FailingFileSystem(fsspec.AbstractFileSystem):
    """A store that lists two files and fails at everything else, as a network does."""

    protocol = "failing"

    def find(self, path, *arguments, **options):
        names = (f"{path}/1.jpg", f"{path}/2.tar", f"{path}/3.parquet")
        return {name: {"name": name, "size": 10, "type": "file"} for name in names}

    def cat(self, *arguments, **options):
        raise TimeoutError("no answer in 30 s")

    def _open(self, *arguments, **options):
        raise RuntimeError("token expired")


@pytest.mark.filterwarnings("ignore:UPath 'failing' filesystem not explicitly implemented")
@pytest.mark.parametrize("kind", DATASETS)
def test_whatever_a_store_raises_comes_out_as_a_source_error(kind, tmp_path):
    fsspec.register_implementation("failing", FailingFileSystem, clobber=True)
    source = open_at("failing://pool", tmp_path, kind=kind, **({"shard_count": 1} if kind == "folder" else {}))
    shard = source.shards()[0]
    for use in (source.fingerprint, lambda shard: list(source.read(shard))):
        with pytest.raises(SourceError, match=r"cannot be read: (no answer in 30 s|token expired)"):
            use(shard)


def test_a_protocol_without_a_driver_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.root nosuch://pool: .*Install the driver"):
        open_at("nosuch://pool", tmp_path)


# Ids and names


def test_the_shard_of_an_image_id_is_found_and_an_unknown_one_refused():
    assert shard_of("pool/s-1/a/b.jpg", ["pool/s-1", "pool/s-10"]) == "pool/s-1"
    assert shard_of("pool/s-10/a", ["pool/s-1", "pool/s-10"]) == "pool/s-10"
    with pytest.raises(SourceError, match=r"image 'x/y' is in no shard"):
        shard_of("x/y", ["pool/s-1"])


@pytest.mark.parametrize(
    ("name", "shard"),
    [
        ("a,b.tar", "a~2Cb"),
        ("a[1].tar", "a~5B1~5D"),
        ("a...b.tar", "a..~2Eb"),
        ("line\nbreak.tar", "line~0Abreak"),
        ("a#1/b.tar", "a~231/b"),
        (" a.tar", "~20a"),
        ("a./b .tar", "a~2E/b~20"),
        ("x" * 210 + ".tar", "x" * 180 + "~" + hashlib.sha256(b"x" * 210).hexdigest()[:12]),
        ("=cmd.tar", "~3Dcmd"),
        ("-x/a.tar", "~2Dx/a"),
        ("2024-05-01T10:30:00.tar", "2024-05-01T10~3A30~3A00"),
        ("100%?.tar", "100~25~3F"),
        ("cafe\u0301.tar", "caf\u00e9"),
        (os.fsdecode(b"caf\xe9.tar"), "caf~E9"),
        ("two words (1)+b=c.tar", "two words (1)+b=c"),
    ],
)
def test_a_file_name_that_cannot_be_a_partition_key_is_encoded(tmp_path, name, shard):
    source = open_at(write(tmp_path / "data", {name: three_images()}), tmp_path)
    assert source.shards() == [shard]
    assert len(list(source.read(shard))) == 3
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("shards", source.shards())
    assert instance.get_dynamic_partitions("shards") == [shard]
    for raw in source.read(shard):
        raw.uri.encode()
        assert raw.uri.isprintable()


def test_ordinary_names_are_shards_with_their_folders(tmp_path):
    names = ["train/part-00000-of-00010", "val (2024)/é_1.5+b=c", "x"]
    source = open_at(write(tmp_path / "data", {f"{name}.tar": three_images() for name in names}), tmp_path)
    assert source.shards() == names


def test_a_linked_file_is_a_shard_as_in_the_cache_of_the_hub(tmp_path):
    write(tmp_path, {"blobs/0a1b": three_images(), "data/readme.txt": b""})
    (tmp_path / "data" / "train.tar").symlink_to(tmp_path / "blobs" / "0a1b")
    source = open_at(tmp_path / "data", tmp_path)
    assert len(list(source.read("train"))) == 3
    assert len(source.fingerprint("train")) == 64


def test_two_files_that_make_one_shard_name_are_refused(tmp_path):
    files = {"a.tar": three_images(), "a.tgz": gzip.compress(three_images())}
    with pytest.raises(SourceError, match=r"a\.tar and a\.tgz both make the shard name 'a'"):
        open_at(write(tmp_path / "data", files), tmp_path).shards()


def test_a_shard_named_like_a_folder_of_shards_is_told_apart_by_its_ending(tmp_path):
    files = {"a.tar": tar_bytes(member("b/1.jpg", jpeg())), "a/b.tar": tar_bytes(member("1.jpg", jpeg()))}
    source = open_at(write(tmp_path / "data", files), tmp_path)
    assert source.shards() == ["a/b", "a~tar"]
    assert everything(source).keys() == {"a~tar/b/1", "a/b/1"}


# Folder trees


def test_a_tree_is_cut_into_the_stated_number_of_shards_whatever_is_added_later(tmp_path):
    write(tmp_path / "data", FOLDER)
    before = everything(open_at(tmp_path / "data", tmp_path, kind="folder", shard_count=5))
    write(tmp_path / "data", {f"more/{n}.jpg": jpeg(n) for n in range(20)})
    source = open_at(tmp_path / "data", tmp_path, kind="folder", shard_count=5)
    assert source.shards() == [f"shard-{n:03d}" for n in range(5)]
    assert before.items() < everything(source).items()


def test_shard_numbers_of_paths_never_change(tmp_path):
    source = open_at(write(tmp_path / "data", FOLDER), tmp_path, kind="folder", shard_count=1200)
    assert len(source.shards()) == 1200
    # int.from_bytes(blake2b(b"cats/0.jpg", digest_size=8).digest(), "big") % 1200
    assert image_id("shard-0700", "cats/0.jpg") in everything(source)


def test_a_link_that_leaves_the_root_is_reported_and_not_followed(tmp_path):
    write(tmp_path, {"secret/passwd.jpg": b"secret", "data/real.jpg": jpeg()})
    (tmp_path / "data" / "out.jpg").symlink_to(tmp_path / "secret" / "passwd.jpg")
    (tmp_path / "data" / "outer").symlink_to(tmp_path / "secret")
    (tmp_path / "data" / "broken.jpg").symlink_to(tmp_path / "data" / "gone")
    (tmp_path / "data" / "twin.jpg").symlink_to(tmp_path / "data" / "real.jpg")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    source = open_at(tmp_path / "data", tmp_path, kind="folder", shard_count=1)
    found = {raw.key: raw for raw in source.read("shard-000")}
    assert found.keys() == {"real.jpg", "twin.jpg", "out.jpg", "outer", "broken.jpg"}
    assert found["twin.jpg"].data == found["real.jpg"].data == jpeg()
    for key in ("out.jpg", "outer"):
        assert (found[key].data, found[key].failure[:30]) == (b"", "is a link that leaves the root")
    assert found["broken.jpg"].failure == "cannot be read: No such file or directory"
    assert len(source.fingerprint("shard-000")) == 64


def test_a_pipe_named_like_an_image_does_not_block(tmp_path):
    write(tmp_path / "data", {"a.jpg": jpeg()})
    os.mkfifo(tmp_path / "data" / "b.jpg")
    source = open_at(tmp_path / "data", tmp_path, kind="folder", shard_count=1)
    assert {raw.key: raw.failure for raw in source.read("shard-000")} == {
        "a.jpg": None,
        "b.jpg": "is not a regular file; not opened",
    }


def test_a_name_that_is_no_text_gets_a_key_that_is(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg())
    source = open_at(tmp_path / "data", tmp_path, kind="folder", shard_count=1)
    [raw] = source.read("shard-000")
    assert (raw.key, raw.data) == (r"caf\xe9.jpg", jpeg())


def test_one_missing_object_of_a_store_is_one_unreadable_image(tmp_path, memory):
    source = open_at(write(memory, {"a.jpg": jpeg(), "b.jpg": jpeg(1)}), tmp_path, kind="folder", shard_count=1)
    assert len(source.shards()) == 1
    (memory / "a.jpg").unlink()
    found = {raw.key: raw for raw in source.read("shard-000")}
    assert "cannot be read" in found["a.jpg"].failure
    assert found["b.jpg"].data == jpeg(1)


# WebDataset


def test_a_key_is_the_path_up_to_the_first_dot_and_other_members_are_skipped(tmp_path):
    names = ["x/000.jpg", "x/000.json", "x/001.seg.png", "a.b/002.JPEG", "./003.webp", "004.txt", "x/.005.jpg", "006"]
    data = tar_bytes(member("x", type=tarfile.DIRTYPE), *(member(name, jpeg()) for name in names))
    found = list(open_at(write(tmp_path / "data", {"s.tar": data}), tmp_path).read("s"))
    assert [raw.key for raw in found] == ["x/000", "x/001", "a.b/002", "003"]
    assert found[1].uri == f"{tmp_path}/data/s.tar#x/001.seg.png"


def test_a_repeated_key_gets_a_number_in_the_order_of_the_tar(tmp_path):
    names = ["7.left.jpg", "7.right.jpg", "7~2.jpg", "7.jpg"]
    data = tar_bytes(*(member(name, jpeg(n)) for n, name in enumerate(names)))
    source = open_at(write(tmp_path / "data", {"s.tar": data}), tmp_path)
    found = {raw.key: raw.data for raw in source.read("s")}
    assert found == {"7": jpeg(0), "7~2": jpeg(1), "7~2~2": jpeg(2), "7~3": jpeg(3)}
    assert [raw.data for raw in source.read("s", keys={"7~3"})] == [jpeg(3)]


def test_links_devices_and_paths_that_climb_are_never_followed_or_written(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    data = tar_bytes(
        member("soft.jpg", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret.jpg")),
        member("hard.jpg", type=tarfile.LNKTYPE, linkname="../secret.jpg"),
        member("device.jpg", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member("../../climb.jpg", jpeg(1)),
        member("/etc/absolute.jpg", jpeg(2)),
    )
    write(tmp_path / "data", {"s.tar": data})
    before = sorted(tmp_path.rglob("*"))
    found = {raw.key: raw for raw in open_at(tmp_path / "data", tmp_path).read("s")}
    for key in ("soft", "hard", "device"):
        assert (found[key].data, found[key].failure) == (
            b"",
            "is a link, a device or a sparse file inside the tar; not followed",
        )
    assert found["__/__/climb"].data == jpeg(1)
    assert found["etc/absolute"].data == jpeg(2)
    assert [path for path in sorted(tmp_path.rglob("*")) if "home" not in path.parts] == before


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_any_tar_format_are_read(tmp_path, format):
    name = "é" * 60 + "/" + "y" * 180
    data = tar_bytes(member(f"{name}.jpg", jpeg()), format=format)
    [raw] = open_at(write(tmp_path / "data", {"s.tar": data}), tmp_path).read("s")
    assert (raw.key, raw.data) == (name, jpeg())


def test_packed_tars_are_read_and_packed_damage_is_found(tmp_path):
    packed = gzip.compress(three_images())
    files = {
        "a.tar.gz": packed,
        "b.tgz": packed,
        "cut.tgz": packed[:-20],
        "plain.tgz": three_images(),
        "wrong.tgz": b"no tar" * 200,
    }
    source = open_at(write(tmp_path / "data", files), tmp_path)
    for shard in ("a", "b"):
        assert [raw.data for raw in source.read(shard)] == [jpeg(n) for n in range(3)]
    assert [raw.key for raw in source.read("cut")][-1] == LOST_KEY
    with pytest.raises(SourceError, match=r"wrong\.tgz is not a tar"):
        list(source.read("wrong"))


PAYLOADS = [letter * 400 for letter in (b"a", b"b", b"c")]  # with its header each takes 1,024 bytes of a tar


def tar_of_payloads():
    return tar_bytes(*(member(f"{n:06d}.jpg", data) for n, data in enumerate(PAYLOADS)))


CUTS = {
    700: (0, "000000.jpg has 188 of 400 bytes"),
    1024: (1, "it ends without the end mark"),
    1100: (1, "a header is damaged"),
    2048 + 512 + 100: (2, "000002.jpg has 100 of 400 bytes"),
    3072: (3, "it ends without the end mark"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_tar_gives_what_lies_before_the_cut_and_one_row_for_what_is_lost(tmp_path, cut):
    read, reason = CUTS[cut]
    write(tmp_path / "data", {"s.tar": tar_of_payloads()[:cut]})
    *found, lost = open_at(tmp_path / "data", tmp_path).read("s")
    assert [raw.data for raw in found] == PAYLOADS[:read]
    assert (lost.key, lost.data) == (LOST_KEY, b"")
    assert reason in lost.failure
    there = "1 image" if read == 1 else f"{read} images"
    assert f"Read before it: {there}; the rest is lost. Fetch or make the file again." in lost.failure


def test_a_cut_is_also_found_behind_a_member_that_is_skipped(tmp_path):
    data = tar_bytes(member("big.json", b"x" * 5000), member("1.jpg", jpeg()))
    [lost] = open_at(write(tmp_path / "data", {"s.tar": data[:3000]}), tmp_path).read("s")
    assert "unexpected end of data" in lost.failure


DAMAGES = {
    "a header is damaged": lambda data: data[:1024] + b"\xff" * 512 + data[1536:],
    "more data follows the end mark, as in tars that were joined": lambda data: data + data,
    "a long run of zeros follows": lambda data: data[:2048] + bytes(3 << 20),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damage_that_tarfile_takes_for_the_end_is_not_the_end(tmp_path, reason):
    write(tmp_path / "data", {"s.tar": DAMAGES[reason](tar_of_payloads())})
    *found, lost = open_at(tmp_path / "data", tmp_path).read("s")
    assert [raw.data for raw in found] == PAYLOADS[: len(found)]
    assert lost.key == LOST_KEY
    assert reason in lost.failure


def with_size(data, size):
    """Write a size of any sign and length into the first header, with a checksum that fits."""
    header = bytearray(data[:512])
    header[124:136] = (b"\xff" if size < 0 else b"\x80") + size.to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


@pytest.mark.parametrize("size", [-512, -1024, -5, 2**60])
def test_a_header_with_a_negative_or_giant_size_neither_loops_nor_eats_memory(tmp_path, size):
    for name in ("1.jpg", "1.txt"):
        data = with_size(tar_bytes(member(name, b"x" * 700), member("2.jpg", jpeg())), size)
        source = open_at(write(tmp_path / "data", {"s.tar": data}), tmp_path)
        assert next(itertools.islice(source.read("s"), 5, None), None) is None
        assert LOST_KEY in {raw.key for raw in source.read("s")}


@pytest.mark.parametrize("data", [b"", b"no tar " * 200, jpeg(), b"\x1f\x8b" + bytes(600)])
def test_a_file_that_is_no_tar_at_all_is_a_source_error_that_names_it(tmp_path, data):
    with pytest.raises(SourceError, match=r"s\.tar is not a tar: .*Fetch or make the file again"):
        list(open_at(write(tmp_path / "data", {"s.tar": data}), tmp_path).read("s"))


def test_a_tar_without_members_has_no_images_and_no_failure(tmp_path):
    assert list(open_at(write(tmp_path / "data", {"s.tar": tar_bytes()}), tmp_path).read("s")) == []


def test_reading_wanted_keys_ends_with_the_last_of_them(tmp_path):
    write(tmp_path / "data", {"s.tar": tar_of_payloads()[:1100]})
    source = open_at(tmp_path / "data", tmp_path)
    assert [raw.key for raw in source.read("s", keys={"000000"})] == ["000000"]
    assert [raw.key for raw in source.read("s", keys={"000000", "000002"})] == ["000000"]
    assert [raw.key for raw in source.read("s", keys={LOST_KEY})] == [LOST_KEY]


FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
LONG_NAMED = [
    tar_bytes(member("d/" * 60 + "n.jpg", b"1" * 40), member("2.png", b"2" * 600), format=f) for f in FORMATS[1:]
]


def read_to_the_end(data):
    """Read a tar; only a SourceError may come, and the rows must be as promised."""
    try:
        found = list(read_tar(io.BytesIO(data), "s.tar", max_bytes=10_000))
    except SourceError:
        return
    assert len({raw.key for raw in found}) == len(found)
    for raw in found:
        assert raw.failure is None or raw.data == b""
        (raw.key + raw.uri + (raw.failure or "")).encode()


@given(st.binary(max_size=3000), st.booleans())
@settings(max_examples=200)
def test_no_bytes_make_the_tar_reader_raise_anything_but_a_source_error(data, is_behind_a_member):
    read_to_the_end((tar_of_payloads()[:1024] if is_behind_a_member else b"") + data)


@given(st.sampled_from([tar_of_payloads(), *LONG_NAMED]), st.data())
@settings(max_examples=300)
def test_flipped_bytes_give_rows_or_a_source_error(data, draw):
    damaged = bytearray(data)
    for place in draw.draw(st.lists(st.integers(0, min(len(data), 4096) - 1), max_size=4)):
        damaged[place] = draw.draw(st.integers(0, 255))
    read_to_the_end(bytes(damaged[: draw.draw(st.integers(0, len(data)))]))


@given(st.sampled_from(LONG_NAMED), st.data())
@settings(max_examples=300)
def test_headers_with_wild_fields_and_right_checksums_give_rows_or_a_source_error(data, draw):
    damaged = bytearray(data)
    block = 512 * draw.draw(st.integers(0, 5))
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, 500))
        some = draw.draw(st.binary(min_size=1, max_size=12))
        damaged[block + place : block + place + len(some)] = some
    kind = draw.draw(st.sampled_from(b"\x000123567LKSxgV"))
    damaged[block + 156] = kind
    damaged[block + 148 : block + 156] = b" " * 8
    damaged[block + 148 : block + 156] = b"%06o\0 " % (sum(damaged[block : block + 512]) % 8**6)
    read_to_the_end(bytes(damaged))


# Parquet


def test_a_struct_as_the_hugging_face_hub_has_it_is_read(tmp_path):
    [*images] = open_at(write(tmp_path / "data", PARQUET), tmp_path, kind="parquet").read("data/train-0")
    assert [raw.data for raw in images] == [jpeg(n) for n in range(3)]
    assert images[2].uri == f"{tmp_path}/data/data/train-0.parquet#2"


BYTE_TYPES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.struct([("bytes", pa.large_binary())])]


@pytest.mark.parametrize("type", BYTE_TYPES, ids=str)
def test_every_column_type_that_holds_bytes_is_read(tmp_path, type):
    values = [{"bytes": jpeg(n)} if pa.types.is_struct(type) else jpeg(n) for n in range(2)]
    data = parquet_bytes({"jpg": pa.array(values, type)})
    source = open_at(write(tmp_path / "data", {"s.parquet": data}), tmp_path, kind="parquet", image_column="jpg")
    assert [raw.data for raw in source.read("s")] == [jpeg(0), jpeg(1)]


def test_rows_without_bytes_are_empty_images_or_say_that_they_hold_only_a_path(tmp_path):
    values = [{"bytes": jpeg(), "path": None}, None, {"bytes": None, "path": None}, {"bytes": None, "path": "/x/1.jpg"}]
    data = parquet_bytes({"image": values})
    found = list(open_at(write(tmp_path / "data", {"s.parquet": data}), tmp_path, kind="parquet").read("s"))
    assert [raw.data for raw in found] == [jpeg(), b"", b"", b""]
    assert [raw.failure for raw in found] == [None, None, None, "the row contains the path '/x/1.jpg' and no bytes"]


@pytest.mark.parametrize("keys", [["a", "b/c.jpg", "a", None], [7, 8, 7, None]])
def test_the_key_column_gives_keys_and_repeats_and_gaps_are_filled(tmp_path, keys):
    data = parquet_bytes({"image": [jpeg(n) for n in range(4)], "id": keys})
    source = open_at(write(tmp_path / "data", {"s.parquet": data}), tmp_path, kind="parquet", key_column="id")
    first, second = str(keys[0]), str(keys[1])
    assert [raw.key for raw in source.read("s")] == [first, second, f"{first}~2", "000003"]


def test_row_groups_and_batches_do_not_change_row_numbers(tmp_path):
    data = parquet_bytes({"image": [b"%d" % n for n in range(100)]}, row_group_size=37)
    source = open_at(write(tmp_path / "data", {"s.parquet": data}), tmp_path, kind="parquet")
    assert [(raw.key, raw.data) for raw in source.read("s")] == [(f"{n:06d}", b"%d" % n) for n in range(100)]
    assert [raw.data for raw in source.read("s", keys={"000036", "000037", "000099"})] == [b"36", b"37", b"99"]


def test_a_column_name_with_dots_and_brackets_is_one_name(tmp_path):
    name = "[CameraImageComponent].image"
    data = parquet_bytes({name: [jpeg()], "key.camera_name": [1]})
    write(tmp_path / "data", {"s.parquet": data})
    source = open_at(tmp_path / "data", tmp_path, kind="parquet", image_column=name, key_column="key.camera_name")
    assert [(raw.key, raw.data) for raw in source.read("s")] == [("1", jpeg())]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"img": [b"x"], "n": [1]}, {}, r"no column 'image' \(dataset\.image_column\)\. Its columns: img, n\."),
        ({"image": ["x.jpg"]}, {}, r"'image' \(dataset\.image_column\) has type string; expected bytes"),
        ({"image": [b"x"]}, {"key_column": "id"}, r"no column 'id' \(dataset\.key_column\)"),
        ({"image": [b"x"], "id": [0.5]}, {"key_column": "id"}, r"has type double; expected text or whole numbers"),
    ],
)
def test_a_wrong_column_is_a_config_error_that_names_the_setting(tmp_path, columns, options, message):
    write(tmp_path / "data", {"s.parquet": parquet_bytes(columns)})
    with pytest.raises(ConfigError, match=message):
        list(open_at(tmp_path / "data", tmp_path, kind="parquet", **options).read("s"))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"junk" * 100, PARQUET["data/train-0.parquet"][:-50]])
def test_a_file_that_is_no_parquet_is_a_source_error_that_names_it(tmp_path, data):
    write(tmp_path / "data", {"s.parquet": data})
    with pytest.raises(SourceError, match=r"s\.parquet is not a readable Parquet file"):
        list(open_at(tmp_path / "data", tmp_path, kind="parquet").read("s"))


def test_damage_inside_a_parquet_file_gives_what_lies_before_it_and_one_row_for_the_rest(tmp_path):
    values = [bytes([n]) * 500 for n in range(6)]
    options = {"row_group_size": 2, "use_dictionary": False, "compression": "snappy", "write_page_checksum": True}
    data = bytearray(parquet_bytes({"image": values}, **options))
    meta = pq.read_metadata(io.BytesIO(data)).row_group(1).column(0)
    data[meta.data_page_offset : meta.data_page_offset + 40] = b"\xff" * 40
    write(tmp_path / "data", {"s.parquet": bytes(data)})
    *found, lost = open_at(tmp_path / "data", tmp_path, kind="parquet").read("s")
    assert [raw.data for raw in found] == values[:2]
    assert (lost.key, lost.data) == (LOST_KEY, b"")
    assert "Read before it: 2 images; the rest is lost" in lost.failure


@given(st.data())
@settings(max_examples=100)
def test_flipped_bytes_of_a_parquet_file_give_rows_or_a_source_error(tmp_path_factory, draw):
    data = bytearray(parquet_bytes({"image": [b"x" * 50, b"y" * 50], "id": ["a", "b"]}, row_group_size=1))
    for place in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=4)):
        data[place] = draw.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    write(folder / "data", {"s.parquet": bytes(data)})
    with contextlib.suppress(SourceError, ConfigError):
        list(open_at(folder / "data", folder, kind="parquet", key_column="id").read("s"))


# Fingerprints


class CountingTree(FileTree):
    """Counts how often content is hashed, and takes every file for an old one."""

    hashed = 0

    def content_hash(self, path):
        type(self).hashed += 1
        return super().content_hash(path)


def prints_of(tree, cache, paths):
    return [cache.get([tree.entry(path)], lambda path=path: tree.content_hash(path)) for path in paths]


def settled(monkeypatch):
    later = time.time_ns() + 10**10
    monkeypatch.setattr("vlmine_dagster.resources.sources.fingerprints.time.time_ns", lambda: later)


def test_an_untouched_file_is_hashed_once_also_by_the_next_process(tmp_path, monkeypatch):
    write(tmp_path / "data", TARS)
    settled(monkeypatch)
    CountingTree.hashed = 0
    prints = []
    for _ in range(3):
        cache = FingerprintCache(tmp_path / "fingerprints.tsv")
        tree = CountingTree(str(tmp_path / "data"))
        paths = tree.paths(lambda path: True)
        prints += [prints_of(tree, cache, paths) for _ in range(2)]
    assert CountingTree.hashed == 2
    assert all(some == prints[0] for some in prints)


@pytest.mark.parametrize("place", ["a disk", "a store without checksums"])
def test_a_glance_reads_nothing_and_tells_what_a_fingerprint_would_read(place, tmp_path, memory, monkeypatch):
    root = write(tmp_path / "data" if place == "a disk" else memory, TARS)
    settled(monkeypatch)
    source = open_at(root, tmp_path)
    shard, *_ = source.shards()
    before = source.glance(shard)
    source.fingerprint(shard)
    known = open_at(root, tmp_path).glance(shard)
    write(root, {f"{shard}.tar": b"other bytes"})
    settled(monkeypatch)
    changed = open_at(root, tmp_path).glance(shard)

    assert before.unread_bytes == len(TARS[f"{shard}.tar"])
    assert (known.state, known.unread_bytes) == (before.state, 0)
    assert changed.state != before.state
    assert changed.unread_bytes == len(b"other bytes")


def test_a_file_that_was_just_written_is_hashed_each_time(tmp_path):
    tree = FileTree(str(write(tmp_path / "data", {"a.tar": b"1"})))
    cache, results = FingerprintCache(), iter("xy")
    assert [cache.get([tree.entry("a.tar")], lambda: next(results)) for _ in range(2)] == ["x", "y"]


def test_junk_in_the_cache_file_is_passed_over(tmp_path):
    (tmp_path / "cache").write_bytes(b"junk\nhalf\t\n\xff\xfe\t\n" + b"a" * 64 + b"\n")
    tree = FileTree(str(write(tmp_path / "data", {"a.tar": b"1"})))
    assert FingerprintCache(tmp_path / "cache").get([tree.entry("a.tar")], lambda: "f" * 64) == "f" * 64


# Detection


@pytest.mark.parametrize("kind", DATASETS)
def test_each_kind_of_dataset_is_detected_on_a_disk_and_in_a_store(kind, tmp_path, memory):
    files, _, _ = DATASETS[kind]
    for root in (write(tmp_path / "data", files), write(memory, files)):
        found = detect(str(root))
        assert (found.kind, found.root, found.labels) == (kind, str(root), None)


def test_a_folder_is_cut_into_shards_of_about_two_thousand(tmp_path, monkeypatch):
    write(tmp_path / "data", FOLDER)
    assert detect(str(tmp_path / "data")).shard_count == 1
    monkeypatch.setattr("vlmine_dagster.resources.sources.folder.ITEMS_A_SHARD", 3)
    assert detect(str(tmp_path / "data")).shard_count == 3  # 7 images


def test_the_image_column_is_the_one_that_holds_images_whatever_its_name(tmp_path):
    columns = {"data": [b"not one", b"x"], "embedding": [b"\0" * 8, b"\1" * 8], "camera": [None, jpeg()], "n": [1, 2]}
    found = detect(str(write(tmp_path / "data", {"s.parquet": parquet_bytes(columns)})))
    assert (found.kind, found.image_column, found.key_column) == ("parquet", "camera", None)


def test_a_telling_name_goes_first_among_columns_of_images(tmp_path):
    columns = {"thumbnail": [jpeg()], "img": [jpeg(1)]}
    assert detect(str(write(tmp_path / "data", {"s.parquet": parquet_bytes(columns)}))).image_column == "img"


@pytest.mark.parametrize(
    ("ids", "expected"), [(["a", "b"], "id"), (["a", "a"], None), (["a", None], None), ([5, 6], "id")]
)
def test_a_key_column_is_taken_only_if_it_has_neither_gaps_nor_repeats(tmp_path, ids, expected):
    data = parquet_bytes({"image": [jpeg(), jpeg(1)], "id": ids})
    assert detect(str(write(tmp_path / "data", {"s.parquet": data}))).key_column == expected


@pytest.mark.parametrize("place", ["data", "."])
def test_labels_are_found_at_the_root_and_beside_it(tmp_path, place):
    write(tmp_path / "data", TARS)
    write(
        tmp_path / place, {"labels.csv": b"key,split,class_id\n000000,seed,1\n", "classes.csv": b"class_id,name\n1,x\n"}
    )
    labels = detect(str(tmp_path / "data")).labels
    assert (labels.file, labels.classes) == tuple(str(tmp_path / place / n) for n in ("labels.csv", "classes.csv"))
    assert labels.oracle is False


@pytest.mark.parametrize(
    ("rows", "oracle"),
    [("a,pool,1\nb,test,1\n", True), ("a,pool,\nb,test,1\n", False), ("a,pool,1\nb,seed,1\n", False)],
)
def test_labels_are_an_oracles_if_the_pool_has_classes_and_nothing_is_a_seed(tmp_path, rows, oracle):
    write(tmp_path / "data", {**TARS, "labels.csv": b"key,split,class_id\n" + rows.encode()})
    assert detect(str(tmp_path / "data")).labels.oracle is oracle


def test_a_label_file_of_somebody_else_is_named_with_what_it_lacks_and_left_aside(tmp_path, caplog):
    write(tmp_path / "data", {**TARS, "labels.csv": b"id,breed\na,b\n"})
    found = detect(str(tmp_path / "data"))
    assert (found.kind, found.labels) == ("webdataset", None)
    assert "labels.csv: no column key and split and class_id. Its first line contains id, breed" in caplog.text


def test_nothing_found_says_what_was_looked_for_and_what_was_there(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match=r"no images at .*data\. Looked .* tars .*Parquet files .*image files .*Give"):
        detect(str(tmp_path / "data"))
    write(tmp_path / "data", {"a.tar": tar_bytes(member("a.txt", b"x")), "b.parquet": parquet_bytes({"n": [1]})})
    with pytest.raises(SourceError, match=r"1 tar is there, but .*1 Parquet file is there, but "):
        detect(str(tmp_path / "data"))
    with pytest.raises(
        SourceError,
        match=r"no folder .*gone\. Give the folder of the images; relative paths are resolved from the current folder",
    ):
        detect(str(tmp_path / "gone"))
    with pytest.raises(
        SourceError, match=r"b\.parquet is a file\. Give the folder that holds it \(`vlmine init .*data`\)"
    ):
        detect(str(tmp_path / "data/b.parquet"))


def test_what_is_not_part_of_the_detected_dataset_is_logged(tmp_path, caplog):
    write(tmp_path / "data", {**TARS, **PARQUET, "preview.png": jpeg()})
    with caplog.at_level(logging.WARNING):
        assert detect(str(tmp_path / "data")).kind == "webdataset"
    assert "taken as webdataset; 1 Parquet files beside it (data/train-0.parquet, ...)" in caplog.text
    assert "1 loose images beside it (preview.png, ...)" in caplog.text


def test_a_broken_first_tar_does_not_hide_the_others(tmp_path):
    write(tmp_path / "data", {"a.tar": b"junk" * 300, "b.tar": three_images()})
    assert detect(str(tmp_path / "data")).kind == "webdataset"


def test_a_folder_may_be_restricted_to_listed_paths(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "files.txt").write_text("a/2.jpg\n\nb/gone.jpg\na/2.jpg\n")
    listed = read_listed(str(tmp_path / "files.txt"))

    source = FolderSource(
        FileTree(str(tmp_path / "images")), shard_count=1, max_bytes=10, cache=FingerprintCache(), listed=listed
    )

    found = {raw.key: raw.failure for raw in source.read("shard-000")}
    assert found["a/2.jpg"] is None
    assert "No such file" in str(found["b/gone.jpg"])
    assert len(found) == 2


@pytest.mark.parametrize(
    ("content", "problem"), [("../x.jpg\n", "leaves the root"), ("/x.jpg", "leaves the root"), ("\n", "lists no path")]
)
def test_a_list_of_paths_stays_below_the_root(content, problem, tmp_path):
    (tmp_path / "files.txt").write_text(content)

    with pytest.raises(SourceError, match=problem):
        read_listed(str(tmp_path / "files.txt"))
    with pytest.raises(SourceError, match=r"Correct dataset.files"):
        read_listed(str(tmp_path / "nowhere.txt"))
