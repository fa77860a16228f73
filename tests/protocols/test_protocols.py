"""Each protocol on a miniature that lies exactly as the real dataset does."""

import csv
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import jpeg
from PIL import Image

from vlmine_dagster.cli.compare import shot_words
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.protocols import Tail, read_protocol, write_benchmark
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.resources.sources import open_source
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

WNIDS = ("n01440764", "n01443537", "n01484850")
PARTS = {"train": (60, 12, 3), "val": (2, 2, 2)}


def picture(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg("coffee", number % 3))


def imagenet(folder: Path, *, full: int = 80) -> tuple[Path, Path]:
    """ImageNet's tree (train by WordNet id, val flat) and the lists of ImageNet-LT: val is cut from train."""
    root, lists = folder / "imagenet", folder / "lists"
    lists.mkdir()
    found: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label, wnid in enumerate(WNIDS):
        paths = [f"train/{wnid}/{wnid}_{k}.JPEG" for k in range(full)]
        for path in paths:
            picture(root / path)
        at = PARTS["train"][label]
        found["train"] += [f"{path} {label}" for path in paths[:at]]
        found["val"] += [f"{path} {label}" for path in paths[at : at + PARTS["val"][label]]]
        test = [f"val/ILSVRC2012_val_{label * 10 + k:08d}.JPEG" for k in range(2)]
        for path in test:
            picture(root / path)
        found["test"] += [f"{path} {label}" for path in test]
    for part, lines in found.items():
        (lists / f"ImageNet_LT_{part}.txt").write_text("\n".join(lines) + "\n")
    return root, lists


def places(folder: Path) -> tuple[Path, Path]:
    """Places365's small tree and the lists of Places-LT: a path has the class's name, test lies in val."""
    root, lists = folder / "places", folder / "lists"
    lists.mkdir()
    names = ("airfield", "arena-hockey")
    train = [f"train/{name}/{k:08d}.jpg {c}" for c, name in enumerate(names) for k in range((30, 4)[c])]
    val = [f"train/{name}/{100 + k:08d}.jpg {c}" for c, name in enumerate(names) for k in range(2)]
    test = [f"val/Places365_val_{c:08d}.jpg {c}" for c in range(2)]
    for part, lines in (("train", train), ("val", val), ("test", test)):
        (lists / f"Places_LT_{part}.txt").write_text("\n".join(lines))
        for line in lines:
            picture(root / line.split()[0])
    return root, lists


def tiny_imagenet(folder: Path, *, count: int = 40) -> Path:
    root = folder / "tiny-imagenet-200"
    lines = []
    for number, wnid in enumerate(WNIDS):
        for k in range(count):
            picture(root / f"train/{wnid}/images/{wnid}_{k}.JPEG")
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
        picture(root / f"val/images/val_{number}.JPEG")
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62")
    (root / "val/val_annotations.txt").write_text("\n".join(lines) + "\n")
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    (root / "words.txt").write_text(
        "n00001740\tentity\nn01440764\ttench, Tinca tinca\nn01443537\tgoldfish\nn01484850\tgreat white shark\n"
    )
    picture(root / "test/images/test_0.JPEG")
    return root


def cifar_10(folder: Path, *, count: int = 40) -> Path:
    """The binary version: one label byte, then 1,024 red, green and blue bytes; five batches and a test batch."""
    root = folder / "cifar-10-batches-bin"
    root.mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        records = [bytes([k % 10]) + rng.integers(0, 256, 3072, np.uint8).tobytes() for k in range(count)]
        (root / f"{name}.bin").write_bytes(b"".join(records))
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (root / "batches.meta.txt").write_text("\n".join([*names.split(), ""]))
    return root


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open() as file:
        return list(csv.DictReader(file))


def splits(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"seed": set(), "pool": set(), "val": set(), "test": set()}
    for row in rows(folder):
        found[row["split"]].add(row["key"])
    return found


def listed(root: Path, part: str) -> set[str]:
    return {line.split()[0] for line in (root / part).read_text().splitlines()}


def images_of(folder: Path) -> dict[str, str]:
    """Split that a project gives each image it finds, by key."""
    project = Project.load(folder / "vlmine.yaml")
    source, labels = open_source(project), load_labels(project)
    assert labels is not None
    keys = [raw.key for shard in source.shards() for raw in source.read(shard)]
    return {key: str(labels.visible(f"x/{key}", key)[1]) for key in keys}


def command(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, ["protocol", *words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("pool", ["split", "rest"])
def test_images_for_validation_and_test_never_enter_the_pool_of_imagenet_lt(
    pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root, lists = imagenet(tmp_path)

    shown = command(tmp_path, monkeypatch, "imagenet-lt", "--root", str(root), "--lists", str(lists), "--pool", pool)

    validation, test = listed(lists, "ImageNet_LT_val.txt"), listed(lists, "ImageNet_LT_test.txt")
    found = images_of(tmp_path)
    minable = {key for key, split in found.items() if split in ("pool", "seed")}
    assert not minable & (validation | test)
    assert {key for key, split in found.items() if split == "val"} == validation
    assert {key for key, split in found.items() if split == "test"} == test
    train = listed(lists, "ImageNet_LT_train.txt")
    if pool == "split":
        assert minable == train
        assert "75 in the pool, 6 for testing" in shown
        assert "many/medium/few classes: 0/1/2 by >100 / 20-100 / <20, 0/1/2 by >=100 / 21-99 / <=20" in shown
        assert "the tail is common" not in shown
    else:
        assert splits(tmp_path)["seed"] == train
        assert len(splits(tmp_path)["pool"]) == 3 * 80 - 75 - 6
        assert "the tail is common in this pool: half of the 2 few-shot classes have 75 images or more" in shown
        told = shot_words(Workbench(settings_file=str(tmp_path / "vlmine.yaml")))
        assert "rarity cannot find them" in told[1]


def test_places_lt_takes_class_names_from_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root, lists = places(tmp_path)

    shown = command(tmp_path, monkeypatch, "places-lt", "--root", str(root), "--lists", str(lists))

    assert "34 long-tailed images, 30 down to 4 per class" in shown
    assert (tmp_path / "classes.csv").read_text() == "class_id,name\n0,airfield\n1,arena-hockey\n"
    assert Counter(images_of(tmp_path).values()).keys() == {"pool", "seed", "val", "test"}


def test_lists_that_share_an_image_are_refused_by_name(tmp_path: Path):
    root, lists = imagenet(tmp_path)
    with (lists / "ImageNet_LT_test.txt").open("a") as file:
        file.write(f"train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG 0\n")

    with pytest.raises(SourceError, match=r"ImageNet_LT_train.txt and ImageNet_LT_test.txt share 1 image, such as tr"):
        read_protocol("imagenet-lt", root=root, folder=tmp_path, lists=lists)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("train/n01440764/n01440764_0.JPEG 0", "is listed twice"),
        ("../secret.JPEG 0", "Expected a path below --root and a class number"),
        ("/etc/x.JPEG 0", "Expected a path below --root and a class number"),
        ("train/a.JPEG cat", "Expected a path below --root and a class number"),
        ("train/n01440764/other.JPEG 2", "has images of class 0 and of class 2"),
    ],
)
def test_a_wrong_line_is_named(line: str, problem: str, tmp_path: Path):
    root, lists = imagenet(tmp_path)
    with (lists / "ImageNet_LT_train.txt").open("a") as file:
        file.write(f"{line}\n")

    with pytest.raises(SourceError, match=problem):
        read_protocol("imagenet-lt", root=root, folder=tmp_path, lists=lists)


def test_missing_lists_images_and_protocols_are_said(tmp_path: Path):
    root, lists = imagenet(tmp_path)
    benchmark = read_protocol("imagenet-lt", root=root, folder=tmp_path, lists=lists)
    (root / f"train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG").unlink()

    with pytest.raises(SourceError, match="1 of 87 images are not under"):
        write_benchmark(benchmark, tmp_path)
    with pytest.raises(ConfigError, match="needs --lists"):
        read_protocol("places-lt", root=root, folder=tmp_path)
    with pytest.raises(SourceError, match=r"Places_LT_train.txt cannot be read"):
        read_protocol("places-lt", root=root, folder=tmp_path, lists=lists)
    with pytest.raises(ConfigError, match="no protocol 'imagenet'"):
        read_protocol("imagenet", root=root, folder=tmp_path)


def test_tiny_imagenet_is_thinned_by_the_law_and_judged_by_its_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tiny_imagenet(tmp_path)

    shown = command(tmp_path, monkeypatch, "tiny-imagenet-lt", "--root", str(root), "--imbalance", "10")

    pool = Counter(row["class_id"] for row in rows(tmp_path) if row["split"] == "pool")
    assert sorted(pool.values(), reverse=True) == [40, 13, 4]
    assert "57 in the pool, 3 for testing" in shown
    assert not any("test/" in key for key in images_of(tmp_path))
    assert "n01440764,tench\n" in (tmp_path / "classes.csv").read_text()


def test_the_same_seed_thins_alike_and_more_imbalance_keeps_a_part(tmp_path: Path):
    root = tiny_imagenet(tmp_path)

    def train(**law: object) -> set[str]:
        tail = Tail(**law)  # type: ignore[arg-type]
        return set(read_protocol("tiny-imagenet-lt", root=root, folder=tmp_path, tail=tail).train)

    assert train(imbalance=10.0) == train(imbalance=10.0)
    assert train(imbalance=20.0) < train(imbalance=10.0)
    assert train(imbalance=10.0, random_seed=1) != train(imbalance=10.0)
    assert len(train(law="pareto", imbalance=10.0)) == 40 + 9 + 4


@pytest.mark.parametrize("has_parts", [True, False])
def test_any_folder_with_a_folder_a_class_becomes_long_tailed(
    has_parts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "birds"
    for name in ("crow", "dove"):
        for k in range(20):
            picture(root / ("train" if has_parts else "") / name / f"{k}.jpg", k)
        if has_parts:
            picture(root / "val" / name / "0.jpg")

    command(tmp_path, monkeypatch, "folders", "--root", str(root), "--imbalance", "4", "--test-per-class", "4")

    found = Counter((row["split"], row["class_id"]) for row in rows(tmp_path))
    largest, judges = (20, 1) if has_parts else (16, 4)
    assert sorted(found.values(), reverse=True) == sorted([largest, largest // 4, judges, judges], reverse=True)
    assert splits(tmp_path)["pool"].isdisjoint(splits(tmp_path)["test"])
    assert Project.load(tmp_path / "vlmine.yaml").settings.name == "birds-lt"


def test_a_folder_with_both_parts_is_judged_by_test_and_stops_early_by_val(tmp_path: Path):
    for name in ("crow", "dove"):
        for part, count in (("train", 8), ("val", 2), ("test", 3)):
            for k in range(count):
                picture(tmp_path / "birds" / part / name / f"{k}.jpg", k)

    found = read_protocol("folders", root=tmp_path / "birds", folder=tmp_path, tail=Tail(imbalance=2.0))

    assert Counter(path.partition("/")[0] for path in found.test) == {"test": 6}
    assert Counter(path.partition("/")[0] for path in found.validation) == {"val": 4}
    assert Counter(path.partition("/")[0] for path in found.train) == {"train": 12}


def test_cifar_is_read_from_its_binary_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = cifar_10(tmp_path)

    shown = command(tmp_path, monkeypatch, "cifar-10-lt", "--root", str(root), "--imbalance", "10")

    pool = Counter(row["class_id"] for row in rows(tmp_path) if row["split"] == "pool")
    assert (max(pool.values()), min(pool.values())) == (20, 2)
    assert "40 for testing" in shown
    found = images_of(tmp_path)
    assert Counter(found.values())["test"] == 40
    assert len(found) == sum(pool.values()) + 40
    with tarfile.open(tmp_path / "images/test/test-0000.tar") as tar:
        member = tar.extractfile("test_batch-00000.png")
        assert member is not None
        pixels = np.asarray(Image.open(member))
    red = np.frombuffer((root / "test_batch.bin").read_bytes()[1:1025], np.uint8).reshape(32, 32)
    assert np.array_equal(pixels[:, :, 0], red)


def test_cifar_100_counts_its_second_label(tmp_path: Path):
    root = tmp_path / "cifar-100-binary"
    root.mkdir()
    for name in ("train", "test"):
        (root / f"{name}.bin").write_bytes(b"".join(bytes([9, k % 3]) + bytes(3072) for k in range(9)))
    (root / "fine_label_names.txt").write_text("apple\naquarium_fish\nbaby\n")

    found = read_protocol("cifar-100-lt", root=root, folder=tmp_path, tail=Tail(imbalance=1.0), pool="rest")

    assert Counter(found.train.values()) == {"0": 3, "1": 3, "2": 3}
    assert found.classes["1"] == "aquarium_fish"
    with pytest.raises(SourceError, match="contains no images beyond the train set"):
        write_benchmark(found, tmp_path, pool="rest")


def test_a_pickle_is_refused(tmp_path: Path):
    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    (root / "data_batch_1").write_bytes(pickle.dumps({"data": 1}))

    with pytest.raises(
        SourceError, match=r"data_batch_1 is a pickle, and opening a pickle can run code: it is not read"
    ):
        read_protocol("cifar-10-lt", root=root, folder=tmp_path)


def test_a_record_that_breaks_off_is_said(tmp_path: Path):
    root = cifar_10(tmp_path)
    (root / "test_batch.bin").write_bytes(b"\0" * 3074)

    with pytest.raises(SourceError, match=r"test_batch.bin: 3,074 bytes are not a whole number of records of 3,073"):
        read_protocol("cifar-10-lt", root=root, folder=tmp_path)


def test_the_rule_for_few_shot_is_a_choice(tmp_path: Path):
    root, lists = imagenet(tmp_path)
    benchmark = read_protocol("imagenet-lt", root=root, folder=tmp_path, lists=lists)

    write_benchmark(benchmark, tmp_path, few_shot="up-to-20")

    labels = Project.load(tmp_path / "vlmine.yaml").settings.dataset.labels
    assert labels is not None
    assert (labels.many_over, labels.few_under) == (99, 21)
    with pytest.raises(ConfigError, match="few-shot rule 'none'"):
        write_benchmark(benchmark, tmp_path, few_shot="none")
