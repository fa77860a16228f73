"""What became of an image, an object or a model call, and which part an image plays."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of an image, an object or a model call. Only `OK` rows are counted, scored and mined.

    `TAKEN_OVER` is not a failure: another image of the same picture is asked about, and its answer holds for this one.
    """

    OK = "ok"
    CORRUPT = "corrupt"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSEABLE = "unparseable"
    TIMED_OUT = "timed_out"
    EMPTY = "empty"
    NOT_SEEN = "not_seen"
    TOO_SMALL = "too_small"
    BAD_BOX = "bad_box"
    TAKEN_OVER = "taken_over"


NO_FAILURES = frozenset({Outcome.OK, Outcome.TAKEN_OVER})
"""Outcomes of which there is nothing to fix."""


class Split(StrEnum):
    """Which part an image plays: `SEED` teaches, `VAL` says when to stop, `TEST` judges, `POOL` is mined."""

    SEED = "seed"
    VAL = "val"
    TEST = "test"
    POOL = "pool"


JUDGES = frozenset({Split.VAL, Split.TEST})
"""Splits that judge models; nothing is learned from their images, and none is mined, described or counted."""
