"""Near-duplicates of small pools, all of whose pictures are compared by their pixels."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from PIL import Image

from vlmine_dagster.resources.sources import RawImage
from vlmine_dagster.scoring.near_duplicates import duplicate_rows
from vlmine_dagster.settings.project import Project, parse_settings

COLUMNS = {"images": ("image_id", "split", "outcome"), "embeddings": ("image_id", "embedding")}


def picture(number):
    """Blobs that are another picture for each number; never square."""
    blobs = np.random.default_rng(number).integers(0, 200, (9, 12), dtype=np.uint8)
    return Image.fromarray(blobs).resize((120, 90), Image.Resampling.BICUBIC)


def coded(shown):
    out = BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()


class Pictures:
    """Encoded pictures by key, in one shard."""

    def __init__(self, data):
        self.data = data

    def read(self, shard, *, keys):
        assert shard == "a"
        return [RawImage(key, key, self.data[key]) for key in sorted(keys)]


def stand_ins(folder, data, features, *, splits=None):
    """Return who stands for whom, and how much their pixels agree."""
    names = [f"a/{key}" for key in data]
    columns = pa.FixedSizeListArray.from_arrays(pa.array(features.astype(np.float16).ravel()), features.shape[1])
    images = pa.table({"image_id": names, "split": splits or ["pool"] * len(names), "outcome": ["ok"] * len(names)})
    tables = {"images": {"a": images}, "embeddings": {"a": pa.table({"image_id": names, "embedding": columns})}}
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "junk": "keep"})
    reader = MemoryReader(tables, COLUMNS, project=Project(settings, folder, str(folder / "home")))
    rows = duplicate_rows(reader, Pictures(data), max_pixels=10**6).to_pylist()
    return {row["image_id"]: (row["kept_id"], row["similarity"]) for row in rows}


def far_apart(count):
    """Features of which the first and the last are as different as can be, and all others between these."""
    features = np.random.default_rng(0).normal(0, 0.01, (count, 1280))
    features[0, 0], features[-1, 0] = 9, -9
    return features


def test_two_images_are_a_pool_in_which_one_can_stand_for_the_other(tmp_path):
    data = {"0": coded(picture(1)), "1": coded(picture(1).point(lambda value: value // 2))}

    assert stand_ins(tmp_path, data, far_apart(2)) == {"a/1": ("a/0", pytest.approx(1.0, abs=0.01))}


def test_one_image_stands_for_itself(tmp_path):
    assert stand_ins(tmp_path, {"0": coded(picture(1))}, far_apart(1)) == {}


def test_a_copy_is_found_by_its_pixels_where_many_images_are_nearer_by_features(tmp_path):
    shown = [picture(number) for number in range(20)]
    shown[-1] = shown[0].point(lambda value: value + 50)  # the last by place, the first by id
    keys = [f"{number:02d}" for number in range(1, 20)]
    data = dict(zip([*keys, "00"], map(coded, shown), strict=True))

    assert stand_ins(tmp_path, data, far_apart(20)) == {"a/01": ("a/00", pytest.approx(1.0, abs=0.01))}


def test_a_picture_that_cannot_be_read_any_more_is_like_no_other(tmp_path):
    data = {"0": coded(picture(1)), "1": b"no picture", "2": coded(picture(1))}

    assert stand_ins(tmp_path, data, far_apart(3)) == {"a/2": ("a/0", pytest.approx(1.0))}


def test_what_judges_models_stands_for_itself_and_for_images_of_the_pool(tmp_path):
    data = {key: coded(picture(1)) for key in "012"}

    found = stand_ins(tmp_path, data, far_apart(3), splits=["pool", "test", "test"])

    assert found == {"a/0": ("a/1", pytest.approx(1.0))}
