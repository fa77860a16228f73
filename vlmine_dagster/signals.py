"""The signals by which an image may be mined: one table, from which settings, joins, reasons and documents follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Needs = Literal["nothing", "labels"]

CONTEXT = {"novelty_scores": ("min_count", "rarest_keyword"), "uncertainty_scores": ("predicted_label",)}
"""Columns that are told beside a table's signals."""


@dataclass(frozen=True)
class Signal:
    """A number an image; oriented so that higher is more worth mining.

    Attributes:
        name: Its name in `vlmine.yaml`.
        table: The table that holds it in a column of its name; None where it is made while mining.
        meaning: What it is, in a line for people.
        said: How a reason tells its value. Fields: `value` as the table holds it, `inverse` (1 / value), `keyword`
            (the rarest), `images` (its count in words), `rarest` (the keyword as an addition) and `guess` (the
            likeliest class as an addition).
        source: Where its formula stands.
        needs: What a project must have: `nothing`, or `labels` (a labelled seed, or a task model).
        is_negated: Whether the table's column is lower for what is more worth mining.
    """

    name: str
    table: str | None
    meaning: str
    said: str
    source: str
    needs: Needs = "nothing"
    is_negated: bool = False


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal(
            "random",
            None,
            "a draw that knows nothing: the yardstick",
            "drawn at random",
            "mining.selection.random_signal",
        ),
        Signal(
            "novelty_min",
            "novelty_scores",
            "1 / number of images that share its rarest keyword",
            'keyword "{keyword}" in {images}',
            "mining.novelty.novelty_scores",
        ),
        Signal(
            "novelty_mean",
            "novelty_scores",
            "1 / mean number of images that share its keywords",
            "keywords in {inverse:,.1f} images on average{rarest}",
            "mining.novelty.novelty_scores",
        ),
        Signal(
            "soft_novelty",
            "rarity_scores",
            "how rare what is seen in it is, every tag by its probability",
            "rare tags",
            "mining.rarity.soft_novelty",
        ),
        Signal(
            "entropy",
            "uncertainty_scores",
            "how undecided the task model is over all classes, in nats",
            "entropy {value:.2f} nats{guess}",
            "mining.uncertainty.predictive_entropy",
            needs="labels",
        ),
        Signal(
            "variation_ratio",
            "uncertainty_scores",
            "1 - the task model's largest class probability",
            "variation ratio {value:.2f}{guess}",
            "mining.uncertainty.variation_ratio",
            needs="labels",
        ),
        Signal(
            "margin",
            "uncertainty_scores",
            "how close the task model's two likeliest classes are",
            "margin {value:.2f}{guess}",
            "mining.uncertainty.margin",
            needs="labels",
            is_negated=True,
        ),
        Signal(
            "expected_rarity",
            "rarity_scores",
            "probability of a few-shot class, by the labelled seed",
            "of a rare class with probability {value:.2f}{guess}",
            "mining.rarity.expected_rarity",
            needs="labels",
        ),
        Signal(
            "class_rank_rarity",
            "rarity_scores",
            "how near the top of rare classes' own lists it stands",
            "near the top of a rare class's list",
            "mining.rarity.class_rank_rarity",
            needs="labels",
        ),
        Signal(
            "keyword_value",
            "rarity_scores",
            "what the seed says about its most telling keyword",
            "telling keywords{rarest}",
            "mining.rarity.keyword_value",
            needs="labels",
        ),
        Signal(
            "sparsity",
            "rarity_scores",
            "how few images look like it, by their tags",
            "few images like it",
            "mining.density.semantic_density",
        ),
    )
}


def signals_of(names: Iterable[str], table: str | None) -> list[str]:
    """Return those of some signals that a table holds; None asks for those that are made while mining.

    Examples:
        >>> signals_of(["novelty_min", "entropy", "margin"], "uncertainty_scores")
        ['entropy', 'margin']
    """
    return [name for name in names if SIGNALS[name].table == table]


def tables_of(names: Iterable[str]) -> list[str]:
    """Return the tables that hold some signals, each once.

    Examples:
        >>> tables_of(["random", "novelty_min", "entropy", "novelty_mean"])
        ['novelty_scores', 'uncertainty_scores']
    """
    return list(dict.fromkeys(table for name in names if (table := SIGNALS[name].table) is not None))


def columns_of(table: str, names: Sequence[str] = tuple(SIGNALS)) -> tuple[str, ...]:
    """Return the columns of a table that mining by some signals reads beside `image_id`.

    Examples:
        >>> columns_of("novelty_scores", ["novelty_mean", "entropy"])
        ('novelty_mean', 'min_count', 'rarest_keyword')
    """
    return (*signals_of(names, table), *CONTEXT.get(table, ()))
