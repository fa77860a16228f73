"""Crops of scikit-image's photos."""

import io
from collections.abc import Mapping
from functools import cache

import numpy as np
from PIL import Image

PHOTOS = ("coffee", "chelsea", "rocket", "astronaut", "brick")


@cache
def photo(name: str) -> Image.Image:
    import skimage.data

    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


@cache
def jpeg(name: str, number: int) -> bytes:
    """A crop of a photo, the same each time; never square."""
    picture = photo(name)
    draw = np.random.default_rng([PHOTOS.index(name), number])
    width, height = 180, 140
    left, top = draw.integers(0, picture.width - width), draw.integers(0, picture.height - height)
    file = io.BytesIO()
    picture.crop((left, top, left + width, top + height)).save(file, "JPEG", quality=85)
    return file.getvalue()


def members(counts: Mapping[str, int], *, start: int) -> dict[str, bytes]:
    """Crops of photos by file name; `start` keeps shards apart."""
    return {f"{name}-{k}.jpg": jpeg(name, k) for name, count in counts.items() for k in range(start, start + count)}
