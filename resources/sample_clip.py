"""A short video with known boxes, for the sample scenes: two common objects stay in sight, a rare one passes by."""

import importlib.util
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from vlmine_dagster.domain.files import replacing, write_whole
from vlmine_dagster.resources.sample_pool import SUBJECTS, open_picture
from vlmine_dagster.resources.sample_scenes import make_sample_scenes

CLIP_FILE = "clip.mp4"
CLIP_BOX_FILE = "clip-boxes.json"
CLIP_EVERY_S = 0.5
RARE_NAME, RARE_FROM_S, RARE_TO_S = "rocket", 3.0, 5.0

_SIZE = (640, 480)
_LENGTH_S = 8
_FRAMES_PER_S = 10
_GROUND = "grass"
# class, sides in pixels, where its upper left corner is at first, and pixels per second that it moves
_COMMON = (("espresso", (150, 110), (40, 60), (12, 4)), ("coins", (130, 130), (430, 300), (-15, -5)))
_RARE = (RARE_NAME, (130, 140), (10, 200), (230, -10))


def can_make_clip() -> bool:
    """Return whether PyAV is installed, without which videos are neither written nor read."""
    return importlib.util.find_spec("av") is not None


def make_scenes_and_clip(folder: Path) -> None:
    """Make the sample scenes, and the clip among them where it can be made."""
    make_sample_scenes(folder)
    if can_make_clip():
        make_sample_clip(folder)


def make_sample_clip(folder: Path) -> None:
    """Write `scenes/clip.mp4` and, for the frames at each half second, `clip-boxes.json` in COCO's format.

    Each object is one track. Return at once where both files are already.

    Args:
        folder: The folder of the sample scenes.
    """
    video, boxes = folder / "scenes" / CLIP_FILE, folder / CLIP_BOX_FILE
    if not video.exists():
        with replacing(video) as beside:
            _write_video(beside)
    if not boxes.exists():
        write_whole(boxes, json.dumps(_boxes()).encode())


def _write_video(file: Path) -> None:
    import av

    pictures = {subject.name: open_picture(subject).convert("RGB") for subject in SUBJECTS}
    ground = pictures[_GROUND].resize(_SIZE, Image.Resampling.BICUBIC)
    with av.open(str(file), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=_FRAMES_PER_S)
        stream.width, stream.height = _SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for number in range(_LENGTH_S * _FRAMES_PER_S):
            picture = ground.copy()
            for name, (x, y, width, height) in _shown(number / _FRAMES_PER_S):
                picture.paste(pictures[name].resize((width, height), Image.Resampling.BICUBIC), (x, y))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FRAMES_PER_S)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _shown(time_s: float) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Yield class and box of each object in sight."""
    for name, (width, height), (x, y), (right, down) in (*_COMMON, _RARE):
        since = time_s - (RARE_FROM_S if name == RARE_NAME else 0)
        if name != RARE_NAME or RARE_FROM_S <= time_s < RARE_TO_S:
            yield name, (round(x + right * since), round(y + down * since), width, height)


def _boxes() -> dict[str, object]:
    names = [name for name, *_ in (*_COMMON, _RARE)]
    times = [number * CLIP_EVERY_S for number in range(round(_LENGTH_S / CLIP_EVERY_S))]
    images = [
        {"id": number, "file_name": f"{CLIP_FILE}@{time_s:.3f}s", "width": _SIZE[0], "height": _SIZE[1]}
        for number, time_s in enumerate(times)
    ]
    annotations = [
        {"image_id": number, "category_id": names.index(name) + 1, "track_id": f"clip/{name}", "bbox": list(box)}
        for number, time_s in enumerate(times)
        for name, box in _shown(time_s)
    ]
    categories = [{"id": place, "name": name} for place, name in enumerate(names, start=1)]
    numbered = [{"id": number, **one} for number, one in enumerate(annotations, start=1)]
    return {"images": images, "annotations": numbered, "categories": categories}
