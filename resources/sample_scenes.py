"""Scenes of many objects with known boxes, composed of the photos that scikit-image ships."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vlmine_dagster.resources.sample_pool import SUBJECTS, Subject, made_once, open_picture, variation

SCENE_COUNT = 120
SCENE_SIZE = (640, 480)
BOX_FILE = "boxes.json"

_RECIPE = "scenes 1"
_SEED = 20260915
_CELL = 160  # pixels; each cell of the grid holds one object or none
_FILLED = 0.75
_SIDES = (64, 148)
_GROUND = ("grass", "gravel", "brick wall", "handwriting")
_RARE = {"rocket": 3, "astronaut": 4, "motorcycle": 5, "cat": 6, "horse drawing": 8}
_JPEG_QUALITY = 90


def make_sample_scenes(folder: Path) -> Path:
    """Make the sample scenes, the same bytes each time; return at once where they are already.

    - `scenes/scene-000.jpg` ...: 120 pictures of 640 x 480, each a ground with about nine objects on a loose grid.
    - `boxes.json`: every object with its class, in COCO's format. The commonest classes have more than a hundred
      objects, the five rarest 3 to 8.

    Args:
        folder: Where to put it; it appears whole or not at all.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder holds something else.
        SourceError: the installed scikit-image lacks one of the pictures.
    """
    return made_once(folder, _RECIPE, _write)


def _write(folder: Path) -> None:
    draw = np.random.default_rng(_SEED)
    pictures = {subject.name: (subject, open_picture(subject)) for subject in SUBJECTS}
    places = [_places(draw) for _ in range(SCENE_COUNT)]
    classes = _classes(sum(map(len, places)), draw)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    (folder / "scenes").mkdir(parents=True)
    for number, cells in enumerate(places):
        name = f"scene-{number:03d}.jpg"
        ground = pictures[_GROUND[int(draw.integers(len(_GROUND)))]]
        scene = variation(ground[1].convert("RGB"), ground[0], draw).resize(SCENE_SIZE, Image.Resampling.BICUBIC)
        for cell in cells:
            label = classes.pop()
            box = _paste(scene, *pictures[label], cell, draw)
            annotations.append(_annotation(len(annotations) + 1, number, label, box))
        scene.save(folder / "scenes" / name, "JPEG", quality=_JPEG_QUALITY)
        images.append({"id": number, "file_name": name, "width": SCENE_SIZE[0], "height": SCENE_SIZE[1]})
    categories = [{"id": place, "name": name} for place, name in enumerate(_names(), start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / BOX_FILE).write_text(json.dumps(content), encoding="utf-8")


def _names() -> list[str]:
    return sorted(subject.name for subject in SUBJECTS if subject.name not in _GROUND)


def _places(draw: np.random.Generator) -> list[tuple[int, int]]:
    """Return the cells of a scene's grid that hold an object."""
    cells = [(x, y) for y in range(SCENE_SIZE[1] // _CELL) for x in range(SCENE_SIZE[0] // _CELL)]
    return [cell for cell in cells if draw.random() < _FILLED]


def _classes(count: int, draw: np.random.Generator) -> list[str]:
    """Return a class for each object, in random order: a few of the rare ones, the rest by a law of 1 / rank."""
    common = [name for name in _names() if name not in _RARE]
    shares = 1 / np.arange(1, len(common) + 1)
    rare = [name for name, number in _RARE.items() for _ in range(number)]
    rest = draw.choice(len(common), count - len(rare), p=shares / shares.sum())
    found = np.array([*rare, *(common[place] for place in rest)])
    named: list[str] = found[draw.permutation(count)].tolist()
    return named


def _paste(
    scene: Image.Image, subject: Subject, picture: Image.Image, cell: tuple[int, int], draw: np.random.Generator
) -> Sequence[int]:
    """Paste a view of a class into a cell; return its box: x, y, width, height."""
    view = variation(picture.convert("RGB"), subject, draw)
    side = int(draw.integers(*_SIDES))
    view.thumbnail((side, side), Image.Resampling.LANCZOS)
    x, y = (place * _CELL + int(draw.integers(0, _CELL - size)) for place, size in zip(cell, view.size, strict=True))
    scene.paste(view, (x, y))
    return x, y, *view.size


def _annotation(number: int, image: int, label: str, box: Sequence[int]) -> dict[str, object]:
    category = _names().index(label) + 1
    area = box[2] * box[3]
    return {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "area": area, "iscrowd": 0}
