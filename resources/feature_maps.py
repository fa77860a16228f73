"""Maps of the encoder's features over a picture, for detectors that learn where things are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vlmine_dagster.resources.encoder import encoder_network
from vlmine_dagster.resources.pictures import decode_picture

MAP_STRIDE = 16
FINE_CHANNELS, COARSE_CHANNELS = 112, 320
PICTURE_SIDE = 512

_LAST_FINE_BLOCK = 10  # after it the network halves its map once more


@dataclass(frozen=True)
class FeatureMap:
    """What the encoder sees in a picture, place by place.

    Attributes:
        fine: Shape (112, 32, 32), float16; a place is 16 pixels of the picture scaled to 512.
        coarse: Shape (320, 16, 16), float16; a place is 32 of these pixels.
        scale: Pixels of the scaled picture per pixel of the picture.
    """

    fine: npt.NDArray[np.float16]
    coarse: npt.NDArray[np.float16]
    scale: float


class FeatureMaps:
    """The encoder without its pooling: pictures scaled to 512 pixels on their longer side, the rest filled with grey.

    Args:
        max_pixels: Larger images are not decoded.
    """

    def __init__(self, *, max_pixels: int):
        self._max_pixels = max_pixels

    def of(self, images: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, FeatureMap]]:
        """Yield image_id and map of encoded images, one by one.

        Raises:
            PictureError: one cannot be decoded.
        """
        import torch

        network = self._network
        for image_id, data in images:
            pixels, scale = scaled_picture(decode_picture(data, max_pixels=self._max_pixels))
            with torch.inference_mode():
                inputs = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127) / 128
                seen = network._swish(network._bn0(network._conv_stem(inputs)))
                fine = seen
                for place, block in enumerate(network._blocks):
                    seen = block(seen)
                    fine = seen if place <= _LAST_FINE_BLOCK else fine
            yield image_id, FeatureMap(fine[0].half().numpy(), seen[0].half().numpy(), scale)

    @cached_property
    def _network(self) -> Any:
        return encoder_network().eval()


def scaled_picture(picture: Image.Image) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale a picture to 512 pixels on its longer side, at the top left of a grey square.

    Returns:
        Shape (512, 512, 3), uint8, RGB, and the pixels of it per pixel of the picture.
    """
    scale = PICTURE_SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    square = np.full((PICTURE_SIDE, PICTURE_SIDE, 3), 127, np.uint8)
    square[:height, :width] = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0))
    return square, scale
