"""The sample clip shows what its box file says."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from vlmine_dagster.resources.datasets.video import VideoSettings
from vlmine_dagster.resources.sample_clip import CLIP_BOX_FILE, CLIP_EVERY_S, make_sample_clip
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.video import VideoSource

pytest.importorskip("av")


def test_each_frame_shows_its_boxes_and_the_rare_object_passes_by(tmp_path: Path):
    make_sample_clip(tmp_path)
    made = (tmp_path / "scenes" / "clip.mp4").stat().st_mtime_ns
    make_sample_clip(tmp_path)
    assert (tmp_path / "scenes" / "clip.mp4").stat().st_mtime_ns == made

    settings = VideoSettings(kind="video", root=str(tmp_path / "scenes"), every_s=CLIP_EVERY_S, shard_count=1)
    source = VideoSource(FileTree(settings.root), settings, cache=FingerprintCache())
    frames = {raw.key: Image.open(io.BytesIO(raw.data)) for raw in source.read("shard-000")}
    content = json.loads((tmp_path / CLIP_BOX_FILE).read_text())
    names = {one["id"]: one["file_name"] for one in content["images"]}
    classes = {one["id"]: one["name"] for one in content["categories"]}
    rare = [one for one in content["annotations"] if classes[one["category_id"]] == "rocket"]

    assert list(frames) == list(names.values())
    assert [names[one["image_id"]] for one in rare] == [
        f"clip.mp4@{at}s" for at in ("3.000", "3.500", "4.000", "4.500")
    ]
    for one in rare:  # a rocket at night is dark and blue; grass is grey
        x, y, width, height = one["bbox"]
        red, _, blue = ImageStat.Stat(frames[names[one["image_id"]]].crop((x, y, x + width, y + height))).mean
        assert blue > 1.3 * red
