"""What a reviewer may say of a mined item."""

from enum import StrEnum


class Verdict(StrEnum):
    """A reviewer's judgement of one mined item."""

    RARE = "rare"
    """Worth a label: the list was right."""
    COMMON = "common"
    """A good picture of something that the labelled set has enough of."""
    JUNK = "junk"
    """Not worth a label whatever it shows: blurred, black, a menu, a lens cap."""
    DUPLICATE = "duplicate"
    """The same as another item of the list."""
    WRONG_KEYWORD = "wrong keyword"
    """Listed for something that it does not show."""
    UNSURE = "unsure"
    """The reviewer cannot tell; nothing follows from it."""


MEANINGS = {
    Verdict.RARE: "worth a label: the list was right",
    Verdict.COMMON: "a good picture of something that you have enough of",
    Verdict.JUNK: "never worth a label: blurred, black, a screenshot",
    Verdict.DUPLICATE: "the same as another one",
    Verdict.WRONG_KEYWORD: "listed for something that it does not show",
    Verdict.UNSURE: "cannot tell; nothing follows from it",
}
"""What each verdict means, in a line for people."""

CONFIRMED = frozenset({Verdict.RARE})
"""Verdicts that say that a list was right."""

REJECTED = frozenset({Verdict.COMMON, Verdict.JUNK})
"""Verdicts that say something about what resembles the item too."""

DEFINITE = frozenset(Verdict) - {Verdict.UNSURE}
"""Verdicts that count: all but `UNSURE`."""
