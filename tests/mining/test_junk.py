"""Junk is recognized by its own measures and by what is usual in its pool."""

from collections.abc import Mapping

import numpy as np
import pytest
from photos import photo
from PIL import Image, ImageEnhance

from benchmarks.planted_junk import KINDS
from vlmine_dagster.domain.junk import Junk
from vlmine_dagster.mining.junk import SIDE, find_junk, measures_of

PLANTED = {
    "blurred": Junk.BLURRED,
    "black": Junk.DARK,
    "washed-out": Junk.BRIGHT,
    "flat": Junk.FLAT,
    "text": Junk.TEXT,
    "strip": Junk.SHAPE,
    "nearly-empty": Junk.EMPTY,
}


def measured(pictures: list[Image.Image]) -> dict[str, np.ndarray]:
    rows = []
    for picture in pictures:
        small = picture.copy()
        small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        shape = min(picture.size) / max(picture.size)
        rows.append({**vars(measures_of(np.asarray(small))), "shape": shape, "foreign_keywords": 0})
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def kinds_in(measures: Mapping[str, np.ndarray], labelled: int = 0) -> list[Junk | None]:
    """The kind of each image; the last ones are labelled."""
    is_labelled = np.arange(len(measures["shape"])) >= len(measures["shape"]) - labelled
    found = find_junk(measures, is_labelled=is_labelled, is_mined=~is_labelled).kinds
    return [None if number < 0 else list(Junk)[number] for number in found]


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    draw = np.random.default_rng(7)
    found = []
    for name in ("coffee", "chelsea", "astronaut", "brick"):
        whole = photo(name)
        for _ in range(3):
            left, top = draw.integers(0, whole.width - 260), draw.integers(0, whole.height - 200)
            found.append(whole.crop((left, top, left + 260, top + 200)))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_that_is_planted_among_photos_is_found_and_no_photo_is(name, photos):
    spoiled = [KINDS[name](one, np.random.default_rng(place)) for place, one in enumerate(photos[:3])]

    found = kinds_in(measured([*photos, *spoiled]))

    assert found == [None] * len(photos) + [PLANTED[name]] * 3


@pytest.mark.parametrize("brightness", [0.1, 0.3])
def test_where_everything_is_dark_nothing_is_too_dark(brightness, photos):
    night = [ImageEnhance.Brightness(one).enhance(brightness) for one in photos]

    assert kinds_in(measured(night)) == [None] * len(photos)
    assert kinds_in(measured([*night, Image.new("RGB", (260, 200))]))[-1] in (Junk.DARK, Junk.FLAT)


def test_where_everything_is_blurred_nothing_is(photos):
    smooth = [KINDS["blurred"](one, np.random.default_rng(place)) for place, one in enumerate(photos)]

    assert Junk.BLURRED not in kinds_in(measured(smooth))


def test_where_a_quarter_of_the_pool_is_text_documents_are_no_junk(photos):
    pages = [KINDS["text"](one, np.random.default_rng(place)) for place, one in enumerate(photos)]

    assert Junk.TEXT in kinds_in(measured([*photos, *pages[:4]]))
    assert Junk.TEXT not in kinds_in(measured([*photos, *pages[:5]]))


@pytest.mark.parametrize(("count", "is_found"), [(0, False), (1, True), (6, True), (7, False)])
def test_keywords_name_what_is_out_of_domain_unless_the_pool_is_about_it(photos, count, is_found):
    pool = measured(photos)  # of twelve
    pool["foreign_keywords"][:count] = 2

    assert kinds_in(pool) == [Junk.FOREIGN if is_found else None] * count + [None] * (12 - count)


def test_labelled_images_beside_the_pool_do_not_hide_its_pages_of_text(photos):
    pages = [KINDS["text"](one, np.random.default_rng(place)) for place, one in enumerate(photos[:2])]

    assert kinds_in(measured([*pages, *photos]), labelled=4) == [Junk.TEXT] * 2 + [None] * 12


def test_where_no_image_can_be_mined_what_labelled_ones_show_counts_for_nothing(photos):
    pool = measured(photos[:4])
    pool["brightest"][0] = 0.02

    found = find_junk(pool, is_labelled=np.ones(4, dtype=bool), is_mined=np.zeros(4, dtype=bool))

    assert (found.kinds.tolist(), found.labelled) == ([-1] * 4, (Junk.DARK,))
    assert np.isnan(found.limits[Junk.DARK])


@pytest.mark.parametrize(("last", "lines"), [(76, 5), (77, 0)])
def test_a_page_of_text_is_ground_to_seven_tenths_at_least(last, lines):
    page = np.full((100, 128, 3), 255, np.uint8)
    for top, ink in zip(range(5, 100, 20), (77, 77, 77, 77, last), strict=True):
        page[top : top + 10, :ink] = 0  # 3,840 of 12,800 pixels are ink, or 3,850

    assert measures_of(page).text_lines == lines


def test_where_everything_would_be_junk_nothing_is(photos):
    pool = measured(photos[:7])
    pool["brightest"][:2], pool["shape"][2:4], pool["foreign_keywords"][4:6] = 0.02, 0.1, 1
    without_the_last = {name: values[:6] for name, values in pool.items()}

    assert kinds_in(pool) == [*[Junk.DARK] * 2, *[Junk.SHAPE] * 2, *[Junk.FOREIGN] * 2, None]
    assert kinds_in(without_the_last) == [None] * 6


def test_what_is_out_of_domain_and_black_is_told_as_black(photos):
    pool = measured([*photos, KINDS["black"](photos[0], np.random.default_rng(0))])
    pool["foreign_keywords"][-1] = 1

    assert kinds_in(pool)[-1] is Junk.DARK


def test_what_people_label_as_often_as_it_comes_is_no_junk(photos):
    black = [KINDS["black"](one, np.random.default_rng(place)) for place, one in enumerate(photos)]
    pool = [*photos, black[0]]  # one of 13 is black

    assert kinds_in(measured([*pool, *photos]), labelled=12)[12] is Junk.DARK
    assert kinds_in(measured([*pool, *photos[:11], black[1]]), labelled=12)[12] is None


def test_the_order_of_the_pool_and_scaling_of_pictures_change_nothing(photos):
    pictures = [*photos, *(KINDS[name](photos[0], np.random.default_rng(1)) for name in KINDS)]
    small = [one.resize((one.width // 2 or 1, one.height // 2 or 1), Image.Resampling.BOX) for one in pictures]

    assert kinds_in(measured(pictures))[12:] == list(PLANTED.values())
    assert kinds_in(measured(pictures[::-1]))[::-1] == kinds_in(measured(pictures))
    assert kinds_in(measured(small)) == kinds_in(measured(pictures))


def test_a_limit_is_the_bound_of_the_kind_or_nearer_to_nothing_than_a_quarter_of_what_is_usual():
    usual = {"brightest": 0.9, "darkest": 0.1, "contrast": 0.16, "shape": 0.7, "filled": 0.8, "sharpness": 0.445}
    pool = {name: np.full(3, value) for name, value in usual.items()}
    pool |= {"text_lines": np.zeros(3), "foreign_keywords": np.zeros(3)}

    every = np.ones(3, dtype=bool)
    limits = find_junk(pool, is_labelled=~every, is_mined=every).limits

    assert limits == pytest.approx(
        {
            Junk.DARK: 0.125,
            Junk.BRIGHT: 0.85,
            Junk.FLAT: 0.04,
            Junk.SHAPE: 0.175,
            Junk.EMPTY: 0.03,
            Junk.TEXT: 6,
            Junk.BLURRED: 0.125 + 0.32 / 4,
            Junk.FOREIGN: 1,
        }
    )


def test_images_that_were_not_measured_are_no_junk():
    names = (*vars(measures_of(np.zeros((4, 5, 3), np.uint8))), "shape", "foreign_keywords")
    nothing = {name: np.full(3, np.nan) for name in names}

    assert kinds_in(nothing) == [None, None, None]


@pytest.mark.parametrize("shape", [(1, 1), (1, 128), (128, 1), (9, 9), (3, 128)])
def test_pictures_of_any_size_have_measures(shape):
    found = measures_of(np.full((*shape, 3), 77, np.uint8))

    assert (found.contrast, found.filled, found.text_lines) == (0, 0, 0)
    assert 0 <= found.sharpness <= 1


@pytest.mark.parametrize(("columns", "sharpness"), [(1, 0), (3, 0), (4, 100 / 102), (8, 100 / 102)])
def test_an_edge_makes_a_picture_sharp_from_half_a_hundredth_of_the_differences_on(columns, sharpness):
    tall = np.zeros((100, 8, 3), np.uint8)  # too narrow for edges that run down
    tall[50:, :columns] = 100  # `columns` of 99 x 8 differences

    assert measures_of(tall).sharpness == pytest.approx(sharpness)
    assert measures_of(tall.transpose(1, 0, 2)).sharpness == pytest.approx(sharpness)


@pytest.mark.parametrize(("brightest", "too_faint", "enough"), [(51, 3, 4), (102, 5, 6), (255, 13, 14)])
def test_what_a_cell_must_hold_goes_down_with_the_light_but_not_below_a_quarter_of_it(brightest, too_faint, enough):
    # a quarter of the pixels of the left half are k grey values brighter, so they deviate by k sqrt(3) / 4; that must
    # exceed 6 in a picture that reaches white, 2.4 in one that reaches two fifths of it, 1.5 in one of a fifth or less
    picture = np.full((64, 96, 3), brightest, np.uint8)

    def filled(k: int) -> float:
        picture[:, :48] = 10
        picture[::2, :48:2] = 10 + k
        return measures_of(picture).filled

    assert (filled(too_faint), filled(enough)) == (0, 0.5)


@pytest.mark.parametrize(
    ("dark", "bright", "darkest", "brightest"), [(1, 2, 100, 100), (2, 2, 0, 100), (1, 3, 100, 255), (2, 3, 0, 255)]
)
def test_a_hundredth_of_the_pixels_tell_how_dark_a_picture_is_and_more_than_that_how_bright(
    dark, bright, darkest, brightest
):
    pixels = np.full((200, 3), 100, np.uint8)
    pixels[:dark], pixels[dark : dark + bright] = 0, 255

    found = measures_of(pixels.reshape(10, 20, 3))

    assert (found.darkest, found.brightest) == (darkest / 255, brightest / 255)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_contrast_is_that_of_the_colour_that_varies_most(channel):
    picture = np.full((20, 50, 3), 100, np.uint8)
    picture[:2, :, 0] = 120
    picture[:2, :, channel] = 151

    assert measures_of(picture).contrast == 51 / 255
