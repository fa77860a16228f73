"""Encoders of pictures: what others must know of one to store, compare and read what it saw."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderFacts:
    """The sizes of what an encoder gives and takes.

    Attributes:
        name: Its name.
        embedding_size: Numbers of an embedding.
        class_count: Classes whose probabilities it gives, which are its tags.
        input_side: Pixels per side of the square picture that it takes.
    """

    name: str
    embedding_size: int
    class_count: int
    input_side: int


ENCODER = EncoderFacts("efficientnet-lite0", embedding_size=1280, class_count=1000, input_side=224)
"""The encoder of this version: EfficientNet-Lite0 with ImageNet-1k weights."""
