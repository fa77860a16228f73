"""Kinds of junk: what is wrong with a picture that no label is worth, and what is measured to tell."""

from enum import StrEnum


class Junk(StrEnum):
    """What is wrong with a picture; of several kinds the first counts."""

    DARK = "too dark"
    BRIGHT = "too bright"
    FLAT = "flat colour"
    SHAPE = "odd shape"
    EMPTY = "nearly empty"
    TEXT = "text only"
    BLURRED = "blurred"
    FOREIGN = "out of domain"


MEASURED = {
    Junk.DARK: "brightest",
    Junk.BRIGHT: "darkest",
    Junk.FLAT: "contrast",
    Junk.SHAPE: "shorter side / longer side",
    Junk.EMPTY: "filled",
    Junk.TEXT: "text_lines",
    Junk.BLURRED: "sharpness",
    Junk.FOREIGN: "number of its keywords that out_of_domain lists",
}
"""By kind, the measure that tells it: a column of `images`, what follows from two, or what keywords say."""

PIXEL_MEASURES = ("darkest", "brightest", "contrast", "sharpness", "filled", "text_lines")
"""What is measured of the pixels of a photo: columns of `images`."""

READ_OF_IMAGES = ("image_id", "split", "outcome", "width", "height", *PIXEL_MEASURES)
"""Columns of `images` from which junk is told."""
