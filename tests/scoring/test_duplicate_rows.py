"""What the stage `duplicates` compares, and who stands for whom."""

from io import BytesIO

import numpy as np
import pytest
from conftest import photo
from PIL import Image

from vlmine_dagster.mining.near_duplicates import same_pictures
from vlmine_dagster.scoring.near_duplicates import reduced_grey


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
