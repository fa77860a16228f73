"""Near-duplicates: which pairs are candidates, which are one picture, who stands for whom."""

import numpy as np
import pytest
from photos import photo
from PIL import Image, ImageEnhance

from vlmine_dagster.mining import near_duplicates
from vlmine_dagster.mining.near_duplicates import (
    LEAST_CORRELATION,
    SIDE,
    candidate_pairs,
    kept_of,
    pixel_pairs,
    same_pictures,
    standard_blocks,
)


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

    correlations, is_one = same_pictures(np.stack([grey(whole), grey(made)]), [(0, 1), (1, 0)])
    assert (correlations >= LEAST_CORRELATION).all()
    assert is_one.all()


def test_another_photo_and_a_flat_picture_are_not(whole):
    flat = np.full((SIDE, SIDE), 7.0, np.float32)
    correlations, is_one = same_pictures(np.stack([grey(whole), grey(photo("rocket")), flat, flat]), [(0, 1), (2, 3)])
    assert correlations[0] < 0.8
    assert correlations[1] == 0.0
    assert not is_one.any()


def test_two_pictures_in_the_same_wide_frame_are_two(whole):
    def framed(picture: Image.Image) -> np.ndarray:
        page = Image.new("RGB", (300, 300), "white")
        page.paste(picture.resize((240, 240)).point(lambda value: value // 2), (30, 30))
        return grey(page)

    greys = np.stack([framed(whole), framed(photo("coffee")), framed(ImageEnhance.Brightness(whole).enhance(1.2))])
    correlations, is_one = same_pictures(greys, [(0, 1), (0, 2)])

    assert correlations[0] >= LEAST_CORRELATION
    assert is_one.tolist() == [False, True]


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_pictures_compared_some_at_a_time_agree_as_those_compared_at_once(whole, monkeypatch, size):
    greys = np.stack([grey(photo(name)) for name in ("chelsea", "coffee", "rocket")])
    greys = np.concatenate([greys, greys[:, :, ::-1] / 2, np.full((1, SIDE, SIDE), 7.0, np.float32)])
    pairs = [(0, 3), (0, 1), (4, 1), (6, 2), (5, 2), (2, 0), (3, 5), (6, 6)]
    correlations, is_one = same_pictures(greys, pairs)

    monkeypatch.setattr(near_duplicates, "_PAIRS_AT_ONCE", size)
    again, is_one_again = same_pictures(greys, pairs)

    np.testing.assert_allclose(again, correlations, atol=1e-6)
    assert is_one_again.tolist() == is_one.tolist() == [True, False, True, False, True, False, False, False]


def test_no_pairs_have_no_correlations():
    found, is_one = same_pictures(np.empty((0, SIDE, SIDE), np.uint8), [])

    assert (found.shape, is_one.shape) == ((0,), (0,))


def test_pixels_find_a_brighter_a_mirrored_and_a_cut_copy_whatever_the_features_say(whole):
    rng = np.random.default_rng(5)
    noise = [rng.uniform(0, 255, (SIDE, SIDE)).astype(np.float32) for _ in range(20)]
    wide, high = whole.size
    copies = [
        ImageEnhance.Brightness(whole).enhance(1.25),
        whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        whole.crop((wide // 24, high // 24, wide - wide // 24, high - high // 24)),
    ]
    greys = np.stack([*noise, grey(whole), *(grey(copy) for copy in copies)]).astype(np.uint8)

    found = set(pixel_pairs(greys))

    assert {(20, 21), (20, 22), (20, 23)} <= found
    assert all(one >= 20 for one, _ in found)
    assert list(pixel_pairs(greys[:1])) == []


def test_pixels_pair_pictures_that_correlate_by_just_the_least():
    cells = np.zeros((24, 24), np.float32)
    cells[4:20, 4:20] = np.indices((16, 16)).sum(axis=0) % 2 * 2 - 1  # a chessboard
    turned = cells.copy()
    turned[[4, 5, 18, 19]] *= -1  # a quarter of its rows: 3 / 4 - 1 / 4
    greys = 100 + 50 * np.kron(np.stack([cells, turned]), np.ones((2, 2), np.float32))

    assert list(pixel_pairs(greys, least=0.5)) == [(0, 1)]
    assert list(pixel_pairs(greys, least=0.501)) == []


def test_candidates_are_the_pairs_whose_features_are_near_and_each_comes_once():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 12))
    vectors[31] = vectors[4] + 0.01 * rng.normal(size=12)
    vectors[17] = vectors[4] + 0.01 * rng.normal(size=12)

    pairs = sorted((one, other) for one, other, _ in candidate_pairs(lambda: [vectors[:23], vectors[23:]], least=0.95))

    assert pairs == [(4, 17), (4, 31), (17, 31)]


def test_an_index_loses_no_pair_because_it_keeps_fewer_axes():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(3000, 400)).astype(np.float32)
    vectors[1500:1600] = 0.8 * vectors[:100] + 0.6 * rng.normal(size=(100, 400))

    found = {(one, other) for one, other, _ in candidate_pairs(lambda: [vectors], search="index")}

    assert sum((k, 1500 + k) in found for k in range(100)) >= 95
    assert len(found) < 110


def test_vectors_are_standardised_by_the_pool_so_that_one_alone_has_no_direction_and_two_are_opposite():
    pair = np.array([[1.0, 5.0, 2.0], [3.0, 1.0, 2.0]])  # the third column is the same

    (both,) = standard_blocks(lambda: [pair])()
    one, other = standard_blocks(lambda: [pair[:1], pair[1:]])()
    (alone,) = standard_blocks(lambda: [pair[:1]])()

    assert both == pytest.approx(np.array([[-1, 1, 0], [1, -1, 0]]) / np.sqrt(2), abs=1e-5)
    assert np.concatenate([one, other]) == pytest.approx(both)
    assert alone.tolist() == [[0, 0, 0]]


def test_numbers_that_vary_by_little_count_as_much_as_those_that_vary_by_much():
    draw = np.random.default_rng(2)
    plain = draw.normal(size=(50, 3))
    plain = (plain - plain.mean(axis=0)) / plain.std(axis=0)

    (found,) = standard_blocks(lambda: [plain * [0.01, 1.0, 100.0] + 3])()

    assert found == pytest.approx(plain / np.linalg.norm(plain, axis=1, keepdims=True), abs=1e-3)


def test_standardised_vectors_of_millions_are_as_near_as_those_of_few_on_the_axes_of_the_index():
    block = np.random.default_rng(0).normal((5, 0, 0), size=(50_000, 3))

    def vectors():
        return (block for _ in range(61))

    plain, indexed = (next(iter(standard_blocks(vectors, is_indexed=way)()))[:50] for way in (False, True))

    np.testing.assert_allclose(indexed @ indexed.T, plain @ plain.T, atol=1e-5)


def test_no_chain_joins_what_has_nothing_in_common():
    assert kept_of([(0, 1), (1, 2), (2, 3)], order=range(4)) == {1: 0, 3: 2}
    assert kept_of([], order=range(3)) == {}
