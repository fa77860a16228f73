"""Near-duplicates: which pairs are candidates, which are one picture, who stands for whom."""

import numpy as np
import pytest
from conftest import photo
from PIL import Image, ImageEnhance

from vlmine_dagster.mining.near_duplicates import LEAST_CORRELATION, SIDE, candidate_pairs, kept_of, same_picture


def grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)


@pytest.fixture(scope="module")
def whole() -> Image.Image:
    return photo("chelsea").convert("RGB")


@pytest.mark.parametrize("way", ["crop", "mirrored", "bright", "smaller", "faint"])
def test_a_changed_copy_is_the_same_picture(whole, way):
    wide, high = whole.size
    made = {
        "crop": lambda: whole.crop((wide // 20, high // 20, wide - wide // 20, high - high // 20)),
        "mirrored": lambda: whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "bright": lambda: ImageEnhance.Brightness(whole).enhance(1.3),
        "smaller": lambda: whole.resize((wide // 3, high // 3)),
        "faint": lambda: ImageEnhance.Contrast(whole).enhance(0.5),
    }[way]()

    assert same_picture(grey(whole), grey(made)) >= LEAST_CORRELATION
    assert same_picture(grey(made), grey(whole)) >= LEAST_CORRELATION


def test_another_photo_and_a_flat_picture_are_not(whole):
    assert same_picture(grey(whole), grey(photo("rocket"))) < 0.8
    flat = np.full((SIDE, SIDE), 7.0, np.float32)
    assert same_picture(flat, flat) == 0.0


def test_candidates_are_the_pairs_whose_features_are_near_and_each_comes_once():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 12))
    vectors[31] = vectors[4] + 0.01 * rng.normal(size=12)
    vectors[17] = vectors[4] + 0.01 * rng.normal(size=12)

    pairs = sorted((one, other) for one, other, _ in candidate_pairs(lambda: [vectors[:23], vectors[23:]], least=0.95))

    assert pairs == [(4, 17), (4, 31), (17, 31)]


def test_no_chain_joins_what_has_nothing_in_common():
    assert kept_of([(0, 1), (1, 2), (2, 3)], order=range(4)) == {1: 0, 3: 2}
    assert kept_of([], order=range(3)) == {}
