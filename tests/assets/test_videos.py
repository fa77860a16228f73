"""A hundred short videos through the real graph, with the settings that `vlmine init` writes."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import photo
from PIL import Image

from vlmine_dagster.cli.export import export_list
from vlmine_dagster.reporting.exporters.pictures import encoded_pictures
from vlmine_dagster.resources.sources import survey
from vlmine_dagster.settings.starter import settings_for, write_starter

av = pytest.importorskip("av")

RARE = (17, 48, 90)
"""Clips of a rocket; the others show a cup of coffee or a cat."""


def write_clip(file, name: str, number: int) -> None:
    """A second of a slow pan over a photo, 64 x 48 pixels, ten frames."""
    picture, draw = photo(name), np.random.default_rng(number)
    left, top = draw.integers(0, picture.width - 340), draw.integers(0, picture.height - 255)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for step in range(10):
            crop = picture.crop((left + step, top, left + step + 320, top + 240)).resize((64, 48), Image.Resampling.BOX)
            frame = av.VideoFrame.from_image(crop)
            frame.pts, frame.time_base = step, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_of_a_hundred_clips_the_three_that_show_something_rare_come_first(make_project, tmp_path):
    made = make_project({})
    clips = made.folder / "clips"
    clips.mkdir()
    for number in range(100):
        write_clip(
            clips / f"clip{number:02}.mp4", "rocket" if number in RARE else ("coffee", "chelsea")[number % 2], number
        )
    found = survey(str(clips))
    write_starter(made.folder, settings_for(found.settings, name="clips"), is_forced=True)

    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert (found.settings.kind, found.settings.shard_count) == ("video", 1)
    listed = made.frame("pareto_set", "fused").sort_values("rank")
    rare = {f"shard-000/clip{number}.mp4@0.000s" for number in RARE}
    assert set(listed["image_id"][:3]) == rare
    images = made.frame("images")
    assert len(images) == 100
    assert set(images["sequence_id"]) == {f"clip{number:02}.mp4" for number in range(100)}
    assert not list(made.folder.rglob("*.bmp"))

    exported = export_list(made.bench, "fused", tmp_path / "m.csv", count=3, images=tmp_path / "pictures")
    assert exported.row_count == 3
    assert {str(file.relative_to(tmp_path / "pictures")) for file in (tmp_path / "pictures").rglob("*.png")} == {
        f"{name}.png" for name in rare
    }


def test_photos_beside_videos_are_copied_as_they_are_and_frames_as_png(make_project):
    made = make_project({}, dataset={"kind": "video", "root": "mixed", "images": True, "shard_count": 1})
    (made.folder / "mixed").mkdir()
    write_clip(made.folder / "mixed/clip.mp4", "coffee", 0)
    photo("rocket").save(made.folder / "mixed/still.jpg")

    names = ["shard-000/clip.mp4@0.000s", "shard-000/still.jpg"]
    found = {one.name: one.data for one in encoded_pictures(made.bench, names)}

    assert list(found) == ["shard-000/clip.mp4@0.000s.png", "shard-000/still.jpg"]
    assert found["shard-000/clip.mp4@0.000s.png"].startswith(b"\x89PNG")
    assert found["shard-000/still.jpg"] == (made.folder / "mixed/still.jpg").read_bytes()
