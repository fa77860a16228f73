"""What the stage `duplicates` compares, and who stands for whom."""

from io import BytesIO

import numpy as np
import pytest
from memory import MemoryReader
from photos import PHOTOS, photo
from PIL import Image
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import EMBEDDINGS, IMAGES
from vlmine_dagster.mining.near_duplicates import same_pictures
from vlmine_dagster.resources.sources import RawImage
from vlmine_dagster.scoring.near_duplicates import duplicate_rows, reduced_grey
from vlmine_dagster.settings.project import Project, parse_settings

READ = ("image_id", "split", "outcome", "width", "height")
USUAL = {"darkest": 0.0, "brightest": 1.0, "contrast": 1.0, "sharpness": 0.7, "filled": 0.9, "text_lines": 0}


def coded(picture: Image.Image, form: str) -> bytes:
    out = BytesIO()
    picture.save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("name", ["brick", "coffee", "chelsea", "rocket", "astronaut"])
def test_a_lossless_copy_of_a_jpeg_has_its_grey_values(name):
    plain = coded(photo(name).resize((216, 202)), "JPEG")
    lossless = coded(Image.open(BytesIO(plain)), "PNG")

    greys = np.stack([reduced_grey(data, max_pixels=10**6) for data in (plain, lossless)])
    correlations, is_one = same_pictures(greys, [(0, 1)])

    assert correlations[0] > 0.999
    assert is_one.all()


class Pictures:
    """All photos, of which the first comes twice: washed out as `a/0`, and as it is as `a/1`."""

    def read(self, shard, *, keys):
        first = photo(PHOTOS[0])
        shown = [first.point(lambda value: 222 + value // 8), first, *(photo(name) for name in PHOTOS[1:])]
        return [RawImage(key, key, coded(shown[int(key)], "PNG")) for key in sorted(keys)]


def kept(folder, splits, *, has_lane):
    """Return which image stands for which, where `a/0` is too bright for any label."""
    count = len(PHOTOS) + 1
    names = [f"a/{number}" for number in range(count)]
    measures = {name: [value] * count for name, value in USUAL.items()}
    measures["darkest"][0] = 0.9
    images = plain_rows(
        IMAGES,
        image_id=names,
        split=[*splits, *["pool"] * (count - len(splits))],
        outcome=["ok"] * count,
        width=[100] * count,
        height=[80] * count,
        **measures,
    )
    vectors = list(np.random.default_rng(0).normal(size=(count, 1280)).astype(np.float16))
    tables = {"images": {"a": images}, "embeddings": {"a": plain_rows(EMBEDDINGS, image_id=names, embedding=vectors)}}
    columns = {"images": (*READ, *USUAL), "embeddings": ("image_id", "embedding")}
    junk = "lane" if has_lane else "keep"
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "junk": junk})
    reader = MemoryReader(tables, columns, project=Project(settings, folder, str(folder / "home")))
    if not has_lane:
        del reader.columns["images"]
    rows = duplicate_rows(reader, Pictures(), max_pixels=10**6)
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("kept_id").to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("splits", "has_lane", "expected"),
    [
        (["pool", "pool"], True, {"a/0": "a/1"}),
        (["pool", "pool"], False, {"a/1": "a/0"}),
        (["seed", "pool"], True, {"a/1": "a/0"}),
        (["test", "pool"], True, {"a/1": "a/0"}),
        (["pool", "seed"], True, {"a/0": "a/1"}),
    ],
)
def test_a_labelled_image_stands_for_others_else_one_that_is_no_junk_else_the_first(
    tmp_path, splits, has_lane, expected
):
    assert kept(tmp_path, splits, has_lane=has_lane) == expected
