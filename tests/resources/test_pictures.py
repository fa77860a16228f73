import base64
import io
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.pictures import decode_picture, inspect_picture, thumbnail_data_url

MAX_PIXELS = 1_000_000
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(width=48, height=32, mode="RGB"):
    """A picture that compresses badly, so that any cut hits its pixels; never square."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def red_left_blue_right():
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (0, 0, 20, 20))
    return image


def png_header_of(width, height):
    size = struct.pack(">II", width, height) + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b""))]
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def close_to(pixel, expected, tolerance=12):
    return all(abs(value - wanted) <= tolerance for value, wanted in zip(pixel, expected, strict=True))


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")


@pytest.mark.parametrize("format", FORMATS)
def test_every_known_format_is_measured_and_decoded_to_rgb(format):
    data = encode(noise(48, 32), format)
    facts = inspect_picture(data, max_pixels=MAX_PIXELS)
    assert (facts.width, facts.height, facts.outcome, facts.failure) == (48, 32, Outcome.OK, None)
    picture = decode_picture(data, max_pixels=MAX_PIXELS)
    assert (picture.mode, picture.size) == ("RGB", (48, 32))


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_in_half_is_corrupt_and_says_so(format):
    data = encode(noise(), format)
    facts = inspect_picture(data[: len(data) // 2], max_pixels=MAX_PIXELS)
    assert facts.outcome is Outcome.CORRUPT
    assert facts.width is None
    assert facts.failure.startswith(("the ", "not a readable "))
    with pytest.raises(PictureError, match=r"^(the|not a readable) "):
        decode_picture(data[: len(data) // 2], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_cut_near_its_end_is_found_although_it_is_read_reduced(options):
    data = encode(noise(480, 320), "JPEG", quality=90, **options)
    facts = inspect_picture(data[:-100], max_pixels=MAX_PIXELS)
    assert facts.outcome is Outcome.CORRUPT
    assert "truncated" in facts.failure


def test_no_bytes_are_an_empty_image():
    facts = inspect_picture(b"", max_pixels=MAX_PIXELS)
    assert (facts.outcome, facts.failure) == (Outcome.EMPTY, "the file is empty (0 bytes)")
    with pytest.raises(PictureError, match=r"0 bytes"):
        decode_picture(b"", max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("data", [b"Not found\n", b"<svg>404</svg>", b"%!PS-Adobe-3.0 EPSF", b"\0" * 64])
def test_bytes_of_another_type_are_corrupt_and_the_message_shows_how_they_begin(data):
    facts = inspect_picture(data, max_pixels=MAX_PIXELS)
    assert facts.outcome is Outcome.CORRUPT
    assert repr(data[:8]) in facts.failure
    assert "not one of JPEG, PNG" in facts.failure


def test_a_decompression_bomb_is_refused_by_its_header():
    facts = inspect_picture(png_header_of(60_000, 60_000), max_pixels=MAX_PIXELS)
    assert facts.outcome is Outcome.CORRUPT
    assert facts.failure == "60,000 x 60,000 pixels, more than dataset.max_pixels (1,000,000); not decoded"


def test_the_pixel_limit_is_inclusive_and_a_users_own():
    data = encode(noise(40, 20), "PNG")
    assert inspect_picture(data, max_pixels=800).outcome is Outcome.OK
    assert inspect_picture(data, max_pixels=799).outcome is Outcome.CORRUPT


def test_a_limit_above_the_one_of_pil_is_followed_without_a_warning():
    limit = Image.MAX_IMAGE_PIXELS
    facts = inspect_picture(png_header_of(20_000, 10_000), max_pixels=10**9)  # PIL refuses more than 179 million
    assert facts.failure == "the PNG is cut or damaged: image file is truncated"  # so it was not the size
    assert limit == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_cmyk_becomes_rgb():
    data = encode(Image.new("CMYK", (20, 10), (0, 255, 255, 0)), "JPEG", quality=95)
    picture = decode_picture(data, max_pixels=MAX_PIXELS)
    assert picture.mode == "RGB"
    assert close_to(picture.getpixel((5, 5)), RED)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(format):
    values = np.array([[0, 257, 257 * 100, 65535], [128, 129, 65406, 65407]], dtype=np.uint16)
    data = encode(Image.fromarray(values), format)
    picture = np.asarray(decode_picture(data, max_pixels=MAX_PIXELS))
    # 257 * v is v of eight bits; halfway between two of them, 128.5, lies the border
    assert picture[:, :, 0].tolist() == [[0, 1, 100, 255], [0, 1, 254, 255]]


def test_floating_point_pictures_are_stretched_to_their_range():
    data = encode(Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32)), "TIFF")
    assert np.asarray(decode_picture(data, max_pixels=MAX_PIXELS))[0, :, 0].tolist() == [0, 128, 255]


def test_a_constant_floating_point_picture_is_black_and_no_division_by_zero():
    data = encode(Image.fromarray(np.full((2, 3), 7.0, dtype=np.float32)), "TIFF")
    assert not np.asarray(decode_picture(data, max_pixels=MAX_PIXELS)).any()


def test_palette_transparency_is_laid_on_white():
    image = Image.new("P", (4, 2), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    picture = decode_picture(encode(image, "PNG", transparency=0), max_pixels=MAX_PIXELS)
    assert [picture.getpixel((x, 0)) for x in range(2)] == [WHITE, RED]


def test_a_palette_without_transparency_keeps_its_colours():
    image = Image.new("P", (4, 2), 0)
    image.putpalette([0, 0, 255])
    assert decode_picture(encode(image, "PNG"), max_pixels=MAX_PIXELS).getpixel((0, 0)) == BLUE


def test_grey_with_alpha_is_laid_on_white():
    image = Image.new("LA", (4, 2), (0, 255))
    image.putpixel((1, 0), (0, 0))
    image.putpixel((2, 0), (0, 51))  # a fifth black, four fifths white
    picture = decode_picture(encode(image, "PNG"), max_pixels=MAX_PIXELS)
    assert [picture.getpixel((x, 0))[0] for x in range(3)] == [0, 255, 204]


def test_one_transparent_colour_of_an_rgb_png_becomes_white():
    picture = decode_picture(encode(red_left_blue_right(), "PNG", transparency=BLUE), max_pixels=MAX_PIXELS)
    assert picture.getpixel((5, 5)) == RED
    assert picture.getpixel((35, 5)) == WHITE


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_bilevel_pictures_become_rgb(mode):
    picture = decode_picture(encode(Image.new(mode, (6, 3), 255), "PNG"), max_pixels=MAX_PIXELS)
    assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", WHITE)


# Where the red left half goes when a viewer turns the picture as its EXIF data say.
RED_AT = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
CORNERS = {"left": (2, 2), "right": (-3, 2), "top": (2, 2), "bottom": (2, -3)}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_and_swaps_its_sides(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(red_left_blue_right(), format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
    expected = (20, 40) if orientation >= 5 else (40, 20)
    facts = inspect_picture(data, max_pixels=MAX_PIXELS)
    assert (facts.width, facts.height) == expected
    picture = decode_picture(data, max_pixels=MAX_PIXELS)
    assert picture.size == expected
    x, y = CORNERS[RED_AT[orientation]]
    assert close_to(picture.getpixel((x % expected[0], y % expected[1])), RED)
    assert picture.getexif().get(0x0112) is None


def test_damaged_exif_data_do_not_spoil_a_good_picture():
    data = encode(red_left_blue_right(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 30)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        facts = inspect_picture(data, max_pixels=MAX_PIXELS)
        decode_picture(data, max_pixels=MAX_PIXELS)
    assert (facts.width, facts.height, facts.outcome) == (40, 20, Outcome.OK)
    assert caught == []


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(format):
    frames = [Image.new("RGB", (24, 12), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], duration=40)
    assert inspect_picture(data, max_pixels=MAX_PIXELS).outcome is Outcome.OK
    picture = decode_picture(data, max_pixels=MAX_PIXELS)
    assert picture.size == (24, 12)
    assert close_to(picture.getpixel((3, 3)), RED)


def test_a_large_jpeg_comes_back_reduced_but_no_smaller_than_asked():
    data = encode(noise(800, 600), "JPEG")
    assert decode_picture(data, max_pixels=MAX_PIXELS, smallest_side=150).size == (200, 150)
    assert decode_picture(data, max_pixels=MAX_PIXELS, smallest_side=151).size == (400, 300)
    assert decode_picture(data, max_pixels=MAX_PIXELS).size == (800, 600)


def test_a_reduced_jpeg_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(noise(800, 600), "JPEG", exif=exif)
    assert decode_picture(data, max_pixels=MAX_PIXELS, smallest_side=150).size == (150, 200)
    facts = inspect_picture(data, max_pixels=MAX_PIXELS)
    assert (facts.width, facts.height) == (600, 800)


def test_a_thumbnail_is_a_jpeg_data_url_that_fits_and_leaves_the_picture_alone():
    image = noise(800, 600)
    url = thumbnail_data_url(image, 100)
    assert url.startswith("data:image/jpeg;base64,")
    small = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert small.size == (100, 75)
    assert image.size == (800, 600)
    assert url == thumbnail_data_url(image, 100)


def test_a_small_picture_is_not_blown_up_for_its_thumbnail():
    url = thumbnail_data_url(Image.new("RGBA", (30, 20)), 100)
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (30, 20)


def test_many_threads_decode_at_once_and_leave_the_warning_filters_as_they_were():
    tiff = encode(noise(), "TIFF")
    jpeg = encode(noise(), "JPEG")
    before = list(warnings.filters)
    outcomes = []

    def work():
        outcomes.extend(inspect_picture(data, max_pixels=MAX_PIXELS).outcome for data in [tiff, jpeg] * 20)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Outcome.OK] * 320
    assert warnings.filters == before


BEGINNINGS = [encode(noise(12, 8), format) for format in FORMATS] + [
    encode(noise(12, 8), "TIFF", compression="tiff_lzw")
]


@given(st.binary(max_size=300), st.sampled_from([b"", *(data[:24] for data in BEGINNINGS)]))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_inspection_raise(data, beginning):
    facts = inspect_picture(beginning + data, max_pixels=10_000)
    assert (facts.failure is None) == (facts.outcome is Outcome.OK)


@given(st.sampled_from(BEGINNINGS), st.data())
@settings(max_examples=400, deadline=None)
def test_flipped_and_cut_bytes_give_an_outcome_or_a_picture_error(data, draw):
    damaged = bytearray(data)
    for place in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=6)):
        damaged[place] = draw.draw(st.integers(0, 255))
    damaged = bytes(damaged[: draw.draw(st.integers(0, len(data)))])
    facts = inspect_picture(damaged, max_pixels=10_000)
    assert (facts.failure is None) == (facts.outcome is Outcome.OK)
    try:
        picture = decode_picture(damaged, max_pixels=10_000)
    except PictureError:
        return
    assert picture.mode == "RGB"
    assert facts.outcome is Outcome.OK
    assert picture.size == (facts.width, facts.height)


def test_a_heic_picture_without_its_reader_says_which_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    data = (Path(__file__).parent / "data/phone.heic").read_bytes()

    with pytest.raises(PictureError, match="HEIC needs the package pi-heif, which is not installed"):
        decode_picture(data, max_pixels=10**8)


def test_the_reduced_picture_is_upright_rgb_and_keeps_its_shape():
    whole = Image.new("RGB", (300, 200), "white")
    whole.paste("red", (0, 0, 150, 200))
    for mode in ("RGB", "L", "RGBA", "P", "CMYK", "I;16"):
        file = io.BytesIO()
        picture = (
            whole.convert("L").convert("I").point(lambda value: value * 256).convert("I;16")
            if mode == "I;16"
            else whole.convert(mode)
        )
        picture.save(file, "TIFF")

        facts = inspect_picture(file.getvalue(), max_pixels=MAX_PIXELS, reduced_side=100)

        assert facts.reduced.shape == (67, 100, 3), mode
        assert facts.reduced[30, 10].tolist() != facts.reduced[30, 90].tolist(), mode
        assert inspect_picture(file.getvalue(), max_pixels=MAX_PIXELS).reduced is None
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = io.BytesIO()
    whole.save(file, "JPEG", exif=exif)
    assert inspect_picture(file.getvalue(), max_pixels=MAX_PIXELS, reduced_side=100).reduced.shape == (100, 67, 3)
