"""Scans are cut into tiles whose ids say where they lie."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.media.bands import Bands, BandsSettings
from vlmine_dagster.resources.sources import open_source, survey
from vlmine_dagster.settings import DatasetSettings
from vlmine_dagster.settings.project import Project, parse_settings

pytest.importorskip("zarr", reason="pip install 'vlmine-dagster[tiles]'")

DRAW = np.random.default_rng(0)
SLIDE = DRAW.integers(0, 255, (700, 1100, 3), dtype=np.uint8)
SLIDE[:256, :256] = 240  # glass
SCENE = DRAW.integers(0, 4000, (6, 300, 520), dtype=np.uint16)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    stored = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "slide.svs") as file:
        file.write(SLIDE, subifds=1, **stored)
        file.write(SLIDE[::2, ::2], subfiletype=1, **stored)
    place = [(33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 500_000.0, 5_400_000.0, 0.0))]
    tifffile.imwrite(tmp_path / "scene.tif", SCENE, planarconfig="separate", photometric="minisblack", extratags=place)
    return tmp_path


def opened(root: Path, **settings):
    dataset = {"kind": "tiles", "root": str(root), "side": 256, "shard_count": 2, **settings}
    return open_source(Project(parse_settings({"name": "p", "dataset": dataset}), root, str(root / "home")))


def tiles(root: Path, **settings):
    source = opened(root, **settings)
    return {raw.key: raw for shard in source.shards() for raw in source.read(shard)}


def pixels(raw):
    return tifffile.imread(io.BytesIO(raw.data))


def test_every_pixel_is_in_one_tile_and_narrow_edges_are_left_out(scans):
    found = tiles(scans)

    assert sorted(key for key in found if key.startswith("slide")) == [
        f"slide.svs@x{x}-y{y}" for x in (0, 256, 512, 768) for y in (0, 256, 512)
    ]
    assert (pixels(found["slide.svs@x512-y256"]) == SLIDE[256:512, 512:768]).all()
    assert pixels(found["slide.svs@x768-y512"]).shape == (188, 256, 3)
    assert (pixels(found["scene.tif@x256-y0"]) == SCENE[:, :256, 256:512].transpose(1, 2, 0)).all()
    assert found["slide.svs@x512-y256"].uri.endswith("slide.svs#x=512&y=256")


def test_a_coarser_level_of_the_pyramid_is_cut_and_of_a_file_without_one_the_only(scans):
    found = tiles(scans, level=3)

    assert (pixels(found["slide.svs@x256-y0"]) == SLIDE[::2, ::2][:256, 256:512]).all()
    assert "scene.tif@x256-y0" in found


def test_a_tile_of_a_geotiff_says_where_its_centre_lies_on_the_map(scans):
    found = tiles(scans)

    assert found["scene.tif@x256-y0"].attributes == {"map_x": 503_840.0, "map_y": 5_398_720.0}
    assert found["slide.svs@x0-y0"].attributes == {}


@pytest.mark.parametrize(
    ("tags", "centre"),
    [
        # turned by 90 degrees: columns go north, rows go east
        ([(34264, "d", 16, (0.0, 10, 0, 5e5, 10, 0, 0, 5.4e6, 0, 0, 0, 0, 0, 0, 0, 1))], (501_280.0, 5_403_840.0)),
        # the tie point is the centre of a pixel
        (
            [
                (33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5.4e6, 0.0)),
                (34735, "H", 8, (1, 1, 0, 1, 1025, 0, 1, 2)),
            ],
            (503_835.0, 5_398_725.0),
        ),
    ],
)  # fmt: skip
def test_turned_rasters_and_those_of_points_lie_where_their_files_say(tmp_path, tags, centre):
    tifffile.imwrite(tmp_path / "scene.tif", SCENE, planarconfig="separate", photometric="minisblack", extratags=tags)

    found = tiles(tmp_path)["scene.tif@x256-y0"].attributes

    assert (found["map_x"], found["map_y"]) == centre


def test_tiles_keep_the_mark_of_pixels_without_a_value(tmp_path):
    values = np.full((256, 512), -9999, np.float32)
    values[:, 300:] = np.linspace(0, 1, 212)
    tifffile.imwrite(tmp_path / "height.tif", values, extratags=[(42113, "s", 0, "-9999", True)])

    found = tiles(tmp_path, skip_blank=True)

    assert list(found) == ["height.tif@x256-y0"]
    shown = Bands(BandsSettings(kind="bands", shown=(1, 1, 1))).picture(found["height.tif@x256-y0"].data)
    seen = np.asarray(Image.open(io.BytesIO(shown)))[0, :, 0]
    assert seen[:44].max() == 0 and 120 < seen[150] < 135


def test_tiles_of_one_colour_are_left_out_only_where_that_is_asked(scans, caplog):
    assert "slide.svs@x0-y0" in tiles(scans)
    with caplog.at_level("INFO"):
        assert set(tiles(scans)) - set(tiles(scans, skip_blank=True)) == {"slide.svs@x0-y0"}
    assert "slide.svs: 1 tiles of one colour are left out" in caplog.text


def test_photos_and_bands_are_read_from_a_tile(scans):
    found = tiles(scans)
    shown = Bands(BandsSettings(kind="bands", shown=(4, 3, 2))).picture(found["scene.tif@x0-y0"].data)

    assert Image.open(io.BytesIO(shown)).size == (256, 256)
    assert Image.open(io.BytesIO(found["slide.svs@x512-y256"].data)).mode == "RGB"


def test_some_tiles_are_read_without_the_others_and_what_is_no_scan_is_one_unreadable_item(scans):
    (scans / "empty.tif").write_bytes(b"")
    (scans / "page.tif").write_bytes(b"<html>404</html>")
    (scans / "cut.svs").write_bytes((scans / "slide.svs").read_bytes()[:200_000])
    source = opened(scans, shard_count=1)

    wanted = {"slide.svs@x512-y256", "page.tif"}
    assert {raw.key for raw in source.read("shard-000", keys=wanted)} == wanted
    found = {raw.key: raw for raw in source.read("shard-000")}
    assert (found["empty.tif"].data, found["empty.tif"].failure) == (b"", None)
    assert "no readable TIFF" in found["page.tif"].failure
    broken = [raw for key, raw in found.items() if key.startswith("cut.svs")]
    assert any(raw.failure for raw in broken)
    assert not any(raw.data for raw in broken if raw.failure)


def test_without_the_extra_one_line_says_what_to_install(scans, monkeypatch):
    monkeypatch.setattr("vlmine_dagster.resources.sources.tiles.find_spec", lambda _name: None)

    with pytest.raises(ConfigError, match=r"pip install 'vlmine-dagster\[tiles\]'"):
        tiles(scans)


def test_init_cuts_slides_and_rasters_too_large_for_a_picture_and_names_the_bands_of_small_ones(tmp_path, monkeypatch):
    def found(name, *values, ending="tif", **more):
        (tmp_path / name).mkdir()
        for number, pixels in enumerate(values):
            tifffile.imwrite(tmp_path / name / f"{number}.{ending}", pixels, **more)
        return survey(str(tmp_path / name))

    bands = {"planarconfig": "separate", "photometric": "minisblack"}
    slides = found("slides", SLIDE, SLIDE, ending="svs", photometric="rgb")
    assert (slides.settings.kind, slides.settings.shard_count, slides.settings.skip_blank) == ("tiles", 2, True)
    assert (slides.settings.medium.kind, slides.contents) == ("photo", "files: 2 .svs")
    chips = found("chips", SCENE, SCENE, **bands)
    assert (chips.settings.kind, chips.settings.medium.kind) == ("folder", "photo")
    assert any("TIFFs have 6 bands, and 1 to 3 of them are shown" in note for note in chips.notes)
    assert not found("colours", SLIDE, photometric="rgb").notes
    monkeypatch.setattr(DatasetSettings.model_fields["max_pixels"], "default", 100_000)
    scenes = found("scenes", SCENE, SCENE, **bands)
    assert (scenes.settings.kind, scenes.settings.medium.kind) == ("tiles", "bands")
    (tmp_path / "slides/a.jpg").write_bytes(b"x")
    (tmp_path / "slides/b.jpg").write_bytes(b"x")
    assert survey(str(tmp_path / "slides")).settings.kind == "folder"
