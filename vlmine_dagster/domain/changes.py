"""Why an image entered a mined list, or left it."""

from enum import StrEnum


class Cause(StrEnum):
    """Why an image is on a list and was not on the one before, or the other way round."""

    NEW = "new"
    UNRANKED = "unranked"
    LABELLED = "labelled"
    GONE = "gone"
    UNREADABLE = "unreadable"
    JUNK = "junk"
    REPRESENTED = "represented"
    BUDGET = "budget"
    SIGNAL = "signal"
    VERDICT = "verdict"
    GROUNDING = "grounding"
    OTHERS = "others"
    ORDER = "order"


ENTERED = {
    Cause.NEW: "new",
    Cause.UNRANKED: "new or not ranked before",
    Cause.JUNK: "out of the junk lane",
    Cause.REPRESENTED: "listed in place of another one",
    Cause.BUDGET: "larger budget",
    Cause.SIGNAL: "risen by a signal",
    Cause.VERDICT: "risen by verdicts",
    Cause.GROUNDING: "since others sank by a second look",
    Cause.OTHERS: "since others left",
    Cause.ORDER: "since the experiment changed",
}
"""What is said of the images that entered for a cause."""

LEFT = {
    Cause.LABELLED: "labelled now",
    Cause.GONE: "no longer in the data set",
    Cause.UNREADABLE: "no longer readable",
    Cause.UNRANKED: "no longer ranked",
    Cause.JUNK: "in the junk lane now",
    Cause.REPRESENTED: "another one listed in its place",
    Cause.BUDGET: "smaller budget",
    Cause.SIGNAL: "fallen by a signal",
    Cause.VERDICT: "fallen by verdicts",
    Cause.GROUNDING: "not confirmed by a second look",
    Cause.OTHERS: "since others came before",
    Cause.ORDER: "since the experiment changed",
}
"""What is said of the images that left for a cause."""
