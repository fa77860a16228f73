"""Pictures as cameras, browsers and instruments write them; files in `data/` were made with pillow-heif."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.deep_pixels import stretched
from vlmine_dagster.resources.picture_formats import FORMATS, IMAGE_SUFFIXES
from vlmine_dagster.resources.pictures import decode_picture, inspect_picture, jpeg_for_model, picture_suffix
from vlmine_dagster.resources.sources.contract import is_image

MAX_PIXELS = 1_000_000
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
DATA = Path(__file__).parent / "data"


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(width=48, height=32, mode="RGB"):
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def red_left_blue_right():
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (0, 0, 20, 20))
    return image


def chunk(name, body, checksum=None):
    checksum = zlib.crc32(name + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png_with(*chunks, end=b""):
    data = encode(red_left_blue_right(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:-12] + end + data[-12:]


def jpeg_with(marker, body):
    data = encode(red_left_blue_right(), "JPEG", quality=95)
    return data[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + data[2:]


def tiff(values, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def ramp(bits, *shape):
    """Values from 0 to the largest of so many bits."""
    return np.linspace(0, 2**bits - 1, int(np.prod(shape))).reshape(shape).astype(np.uint16)


def facts_of(data):
    return inspect_picture(data, max_pixels=MAX_PIXELS)


def pixels(data):
    return np.asarray(decode_picture(data, max_pixels=MAX_PIXELS)).astype(int)


def assert_red_and_blue(data, *, tolerance=30):
    assert facts_of(data).failure is None
    assert (facts_of(data).width, facts_of(data).height) == (40, 20)
    found = pixels(data)
    assert np.abs(found[10, 4] - RED).max() <= tolerance
    assert np.abs(found[10, 35] - BLUE).max() <= tolerance


@pytest.mark.parametrize("name", ["phone.heic", "burst.heif", "ten_bits.heic"])
def test_pictures_of_phones_are_decoded(name):
    assert_red_and_blue((DATA / name).read_bytes())


def test_a_turned_picture_of_a_phone_is_upright():
    data = (DATA / "turned.heic").read_bytes()  # red was left, and the phone was held upright
    assert (facts_of(data).width, facts_of(data).height) == (20, 40)
    assert np.abs(pixels(data)[4, 10] - RED).max() <= 30


def test_a_cut_picture_of_a_phone_is_corrupt():
    data = (DATA / "phone.heic").read_bytes()
    facts = facts_of(data[: len(data) - 40])
    assert facts.outcome is Outcome.CORRUPT
    assert "HEIC" in facts.failure


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_what_only_begins_like_an_iso_media_file_says_what_it_is_not(suffix):
    data = b"\0\0\0\x18ftypisom\0\0\0\0mp42avc1" + bytes(200)  # a video
    assert facts_of(data).outcome is Outcome.CORRUPT
    assert "not one of JPEG" in facts_of(data).failure


@pytest.mark.parametrize(
    ("format", "options", "suffix"),
    [
        ("AVIF", {"quality": 90}, ".avif"),
        ("JPEG2000", {"irreversible": False}, ".jp2"),
        ("JPEG2000", {"no_jp2": True}, ".jp2"),
        ("MPO", {"quality": 95}, ".jpg"),
        ("TIFF", {"compression": "tiff_lzw"}, ".tif"),
        ("TIFF", {"compression": "jpeg", "quality": 95}, ".tif"),
        ("TIFF", {"big_tiff": True}, ".tif"),
    ],
)
def test_further_formats_are_decoded_and_named_by_their_first_bytes(format, options, suffix):
    data = encode(red_left_blue_right(), format, **options)
    assert_red_and_blue(data)
    assert picture_suffix(data) == suffix


@pytest.mark.parametrize("format", ["AVIF", "JPEG2000", "MPO"])
def test_further_formats_cut_in_half_are_corrupt(format):
    data = encode(noise(480, 320), format)
    assert facts_of(data[: len(data) // 2]).outcome is Outcome.CORRUPT


def test_of_a_camera_that_writes_two_pictures_in_a_file_the_first_is_taken():
    data = encode(red_left_blue_right(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 4))], quality=95)
    assert_red_and_blue(data)


def test_of_an_animated_avif_the_first_frame_is_taken():
    frames = [Image.new("RGB", (24, 12), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=40, quality=95)
    assert np.abs(pixels(data)[3, 3] - RED).max() <= 30


def test_every_ending_of_a_known_format_is_an_image_in_any_case():
    assert all(is_image(f"folder/a{suffix}") and is_image(f"A{suffix.upper()}") for suffix in IMAGE_SUFFIXES)
    assert {".jfif", ".heic", ".avif", ".jp2", ".mpo", ".pgm"} <= set(IMAGE_SUFFIXES)
    assert len(set(IMAGE_SUFFIXES)) == sum(len(form.suffixes) for form in FORMATS)


WORKFLOW = b"workflow\0\0" + zlib.compress(b'{"x":1}' * 250_000)


@pytest.mark.parametrize(
    "data",
    [
        png_with(chunk(b"zTXt", WORKFLOW)),
        png_with(end=chunk(b"zTXt", WORKFLOW)),
        png_with(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))] * 70),
        png_with(chunk(b"tEXt", b"a\0b", checksum=0)),
        png_with(chunk(b"iCCP", b"profile\0\0" + b"no zlib", checksum=None)),
        png_with(chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2_000_000)))),
        png_with(chunk(b"pHYs", b"\0")),
        png_with(chunk(b"sRGB", b"")),
        png_with(chunk(b"gAMA", b"\0")),
        png_with(chunk(b"cHRM", b"\1\2\3")),
        png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0not zlib")),
        png_with(chunk(b"acTL", b"\0" * 8)),
        png_with(chunk(b"eXIf", b"MM\0*nonsense", checksum=5)),
        png_with()[:-12],
        png_with() + b"behind the end",
    ],
    ids=range(15),
)
def test_odd_metadata_do_not_spoil_the_pixels_of_a_png(data):
    assert_red_and_blue(data, tolerance=0)


def test_a_png_without_its_odd_metadata_is_still_turned_and_transparent():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = red_left_blue_right()
    good = encode(image, "PNG", exif=exif, transparency=BLUE)
    data = good[:33] + chunk(b"tEXt", b"a\0b", checksum=0) + good[33:]
    found = pixels(data)
    assert found.shape == (40, 20, 3)
    assert tuple(found[4, 10]) == RED
    assert tuple(found[35, 10]) == WHITE


def test_a_png_with_odd_metadata_and_missing_pixels_is_corrupt():
    good = encode(noise(), "PNG")
    data = good[:33] + chunk(b"tEXt", b"a\0b", checksum=0) + good[33:]
    assert facts_of(data[: len(data) // 2]).outcome is Outcome.CORRUPT


@pytest.mark.parametrize(
    ("marker", "body"),
    [(0xE2, b"ICC_PROFILE\0"), (0xED, b"Photoshop 3.0\x008BIM\x03\xed"), (0xFE, bytes(range(256)) * 8)],
)
def test_odd_metadata_do_not_spoil_the_pixels_of_a_jpeg(marker, body):
    assert_red_and_blue(jpeg_with(marker, body))


JPEGS = [
    {},
    {"quality": 95, "subsampling": 0},
    {"progressive": True},
    {"progressive": True, "subsampling": 0, "optimize": True},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1, "subsampling": 2},
    {"progressive": True, "restart_marker_blocks": 5},
]


@pytest.mark.parametrize("options", JPEGS, ids=range(len(JPEGS)))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_only_its_end_mark_is_good(mode, options):
    whole = encode(noise(99, 70, mode), "JPEG", **options)
    for data in (whole[:-2], whole[:-1], whole[:-2] + bytes(300)):
        assert facts_of(data).failure is None
        assert (pixels(data) == pixels(whole)).all()


@pytest.mark.parametrize("options", JPEGS, ids=range(len(JPEGS)))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_pixels_is_corrupt_also_where_zeros_stand_for_them(mode, options):
    whole = encode(noise(99, 70, mode), "JPEG", **options)
    for missing in (6, 10, 30, 81, 400, len(whole) // 2):
        data = whole[:-missing]
        assert facts_of(data).outcome is Outcome.CORRUPT
        assert facts_of(data + bytes(max(missing, 64))).outcome is Outcome.CORRUPT


def test_a_jpeg_cut_between_its_intervals_or_scans_is_corrupt():
    intervals = encode(noise(96, 64), "JPEG", restart_marker_rows=1)
    last_mark = max(intervals.rfind(bytes((0xFF, 0xD0 + number))) for number in range(8))
    assert facts_of(intervals[:last_mark]).outcome is Outcome.CORRUPT
    scans = encode(noise(96, 64), "JPEG", progressive=True)
    assert facts_of(scans[: scans.rfind(b"\xff\xda")]).outcome is Outcome.CORRUPT


def test_a_model_gets_a_jpeg_with_its_end_mark():
    whole = encode(red_left_blue_right(), "JPEG", quality=95)
    assert jpeg_for_model(whole, side=64, max_pixels=MAX_PIXELS) is whole
    sent = jpeg_for_model(whole[:-2], side=64, max_pixels=MAX_PIXELS)
    assert sent.endswith(b"\xff\xd9")
    assert_red_and_blue(sent)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_that_uses_fewer_than_sixteen_bits_reaches_white(format, bits):
    values = ramp(bits, 6, 50)
    found = pixels(encode(Image.fromarray(values), format))[:, :, 0]
    assert (found == np.round(values * (255 / (2**bits - 1)))).all()


def png_of_deep_colours(values):
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("make", [png_of_deep_colours, tiff, lambda v: tiff(v, compression="zlib")])
@pytest.mark.parametrize("bits", [12, 14, 16])
def test_colours_that_use_fewer_than_sixteen_bits_reach_white(make, bits):
    values = ramp(bits, 7, 11, 3)
    assert np.abs(pixels(make(values)) - values * (255 / (2**bits - 1))).max() <= 1


@pytest.mark.parametrize(
    "values",
    [
        ramp(8, 3, 9, 14).astype(np.uint8),  # planes
        np.linspace(-1, 1, 9 * 14 * 3).reshape(9, 14, 3).astype(np.float32),
        np.linspace(0, 1, 9 * 14).reshape(9, 14).astype(np.float64),
        np.linspace(0, 1, 9 * 14).reshape(9, 14).astype(np.float16),
        np.linspace(-900, 900, 9 * 14).reshape(9, 14).astype(np.int16),
        np.linspace(0, 2**31, 9 * 14).reshape(9, 14).astype(np.uint32),
        ramp(12, 9, 14, 5),  # bands of a satellite
    ],
    ids=["planes", "float colours", "float64", "float16", "signed", "32 bits", "five bands"],
)
def test_tiffs_of_instruments_show_their_whole_range(values):
    options = {"photometric": "rgb", "planarconfig": "separate"} if values.shape[0] == 3 else {}
    if values.shape[-1] == 5:
        options = {"photometric": "minisblack", "planarconfig": "contig"}
    data = tiff(values, **options)
    facts = facts_of(data)
    assert (facts.width, facts.height, facts.failure) == (14, 9, None)
    found = pixels(data)
    assert found.shape == (9, 14, 3)
    assert found.min() == 0
    assert found.max() >= 253


def test_values_that_are_not_set_do_not_flatten_a_map():
    heights = np.linspace(1000, 1100, 60).reshape(6, 10).astype(np.float32)
    for unset, options in ((np.nan, {}), (-3.4e38, {}), (-9999.0, {"extratags": [(42113, "s", 0, "-9999", True)]})):
        values = heights.copy()
        values[0, :4] = unset
        found = pixels(tiff(values, **options))[:, :, 0]
        assert (found[0, :4] == 0).all()
        assert found[5, 9] == 255
        assert 100 < found[3, 0] < 150


def test_a_tiff_of_instruments_obeys_the_pixel_limit_and_breaks_off_when_cut():
    data = tiff(np.random.default_rng(3).random((60, 80, 3)).astype(np.float32))
    assert inspect_picture(data, max_pixels=4799).outcome is Outcome.CORRUPT
    assert inspect_picture(data, max_pixels=4800).outcome is Outcome.OK
    assert facts_of(data[: len(data) // 2]).outcome is Outcome.CORRUPT
    with pytest.raises(PictureError):
        decode_picture(data[: len(data) // 2], max_pixels=MAX_PIXELS)


def test_cielab_becomes_rgb():
    lab = Image.merge("LAB", [Image.new("L", (12, 6), value) for value in (255, 128, 128)])
    data = encode(lab, "TIFF")
    assert np.abs(pixels(data) - 255).max() <= 3


def test_stretching_leaves_eight_bits_and_its_input_alone():
    values = np.array([[0, 7, 200]], np.uint8)
    kept = values.copy()
    assert (stretched(values) == kept).all()
    assert (values == kept).all()
    assert (stretched(np.array([np.nan, np.inf])) == 0).all()


def png_of_sixteen_bits(values, colour_type, *extra):
    """A PNG of 16 bits a channel: colour type 4 is grey with alpha, 6 colours with alpha."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    data = b"".join((*extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 4), (3, 6)])
@pytest.mark.parametrize("bits", [12, 16])
def test_an_alpha_channel_does_not_keep_fewer_than_sixteen_bits_from_white(channels, colour_type, bits):
    values = ramp(bits, 7, 11, channels)
    opaque = np.full((7, 11, 1), 2**16 - 1, np.uint16)
    found = pixels(png_of_sixteen_bits(np.concatenate([values, opaque], axis=2), colour_type))
    assert np.abs(found[..., :channels] - values * (255 / (2**bits - 1))).max() <= 1


def test_the_transparent_part_of_a_deep_picture_is_white():
    values = np.concatenate([ramp(12, 4, 6, 3), np.zeros((4, 6, 1), np.uint16)], axis=2)
    values[:, 3:, 3] = 2**16 - 1
    found = pixels(png_of_sixteen_bits(values, 6))
    assert (found[:, :3] == 255).all()
    assert found[-1, -1, 2] == 255
    assert found[0, 3].max() < 50


def test_a_deep_picture_is_turned_as_its_exif_data_say():
    exif = Image.Exif()
    exif[0x0112] = 6
    values = ramp(12, 4, 6, 3)
    found = pixels(png_of_sixteen_bits(values, 2, chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))))
    assert found.shape == (6, 4, 3)


def test_a_picture_whose_alpha_channel_was_never_set_shows_its_colours():
    image = red_left_blue_right().convert("RGBA")
    image.putalpha(0)
    assert_red_and_blue(encode(image, "PNG"))
    assert_red_and_blue(bmp_with_alpha(image))


def bmp_with_alpha(image):
    """A BMP with masks for four channels, as screenshots and old editors write it."""
    rows = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, image.width, image.height, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


def test_what_follows_the_end_of_a_jpeg_is_ignored_as_in_photos_with_a_video_behind_them():
    assert_red_and_blue(encode(red_left_blue_right(), "JPEG", quality=95) + b"MotionPhoto_Data" + bytes(500))


def test_a_fax_of_one_bit_shows_black_on_white():
    image = Image.new("1", (40, 20), 1)
    image.paste(0, (0, 0, 20, 20))
    found = pixels(encode(image, "TIFF", compression="group4"))
    assert (found[:, :20] == 0).all()
    assert (found[:, 20:] == 255).all()
