"""The signals by which an image may be mined: one table, from which settings, joins, reasons and documents follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Needs = Literal["nothing", "labels", "passes", "members", "oracle"]

CONTEXT = {
    "novelty_scores": ("min_count", "rarest_keyword"),
    "uncertainty_scores": ("predicted_label",),
    "rarity_scores": ("rare_class",),
}
"""Columns that are told beside a table's signals."""


@dataclass(frozen=True)
class Signal:
    """A number an image; oriented so that higher is more worth mining.

    Attributes:
        name: Its name in `vlmine.yaml`.
        table: The table that holds it in a column of its name; None where it is made while mining.
        meaning: What it is, in a line for people.
        said: How a reason tells its value. Fields: `value` as the table holds it, `inverse` (1 / value), `negated`,
            `keyword` (the rarest), `images` (its count in words), `rarest` (the keyword as an addition), `guess` (the
            likeliest class as an addition) and `rare_class` (a clause about the one whose list it tops).
        source: Where its formula stands.
        needs: What a project must have: `nothing`; `labels` (a labelled seed, or the user's own task model); `passes`
            (a task model with Monte Carlo dropout); `members` (an ensemble as task model); `oracle` (the labels of a
            benchmark).
        is_negated: Whether the table's column is lower for what is more worth mining.
        made_from: Columns of the table of which it is made while mining, where it has no column itself.
    """

    name: str
    table: str | None
    meaning: str
    said: str
    source: str
    needs: Needs = "nothing"
    is_negated: bool = False
    made_from: tuple[str, ...] = ()


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
            "mining.novelty.novelty_from_count",
        ),
        Signal(
            "novelty_mean",
            "novelty_scores",
            "1 / mean number of images that share its keywords",
            "keywords in {inverse:,.1f} images on average{rarest}",
            "mining.novelty.novelty_from_count",
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
            "dropout_variation_ratio",
            "uncertainty_scores",
            "share of Monte Carlo dropout passes that do not choose the commonest class",
            "{value:.0%} of dropout passes say something else{guess}",
            "mining.uncertainty.variation_ratio_of_votes",
            needs="passes",
        ),
        Signal(
            "dropout_bald",
            "uncertainty_scores",
            "how much Monte Carlo dropout passes disagree: mutual information of class and weights, in nats",
            "dropout passes disagree by {value:.2f} nats{guess}",
            "mining.uncertainty.bald",
            needs="passes",
        ),
        Signal(
            "ensemble_variation_ratio",
            "uncertainty_scores",
            "share of an ensemble's members that do not choose the commonest class",
            "{value:.0%} of the ensemble say something else{guess}",
            "mining.uncertainty.variation_ratio_of_votes",
            needs="members",
        ),
        Signal(
            "ensemble_bald",
            "uncertainty_scores",
            "how much an ensemble's members disagree: mutual information of class and member, in nats",
            "the ensemble disagrees by {value:.2f} nats{guess}",
            "mining.uncertainty.bald",
            needs="members",
        ),
        Signal(
            "vote_entropy",
            "uncertainty_scores",
            "entropy of the votes of an ensemble's members, in nats",
            "the ensemble's votes have entropy {value:.2f} nats{guess}",
            "mining.uncertainty.vote_entropy",
            needs="members",
        ),
        Signal(
            "tail_first",
            "uncertainty_scores",
            "Tail First Sampling: turn by turn, the least sure image of the predicted class with the fewest labels",
            "turn {negated:,.0f} of its class by Tail First Sampling{guess}",
            "mining.tail_first.tail_first",
            needs="labels",
            made_from=("entropy", "predicted_label"),
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
            "how near the top of rare classes' own lists it stands, by their labels and their names",
            "{rare_class}",
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
        Signal(
            "embedding_sparsity",
            "neighbour_scores",
            "how few images look like it, by the encoder's features",
            "few images look like it",
            "mining.density.embedding_density",
        ),
        Signal(
            "keyword_sparsity",
            "neighbour_scores",
            "how few images share its keywords, for describers without probabilities",
            "few images share its keywords{rarest}",
            "mining.density.keyword_density",
        ),
        Signal(
            "seed_distance",
            "neighbour_scores",
            "how far it is from the nearest labelled image, by the encoder's features",
            "{value:.2f} from the nearest labelled image",
            "mining.density.seed_distance",
            needs="labels",
        ),
        Signal(
            "oracle",
            None,
            "the true rarity of its class, by labels that nobody has: the ceiling",
            "an oracle says that its class has {inverse:,.0f} images",
            "mining.longtail.true_rarity",
            needs="oracle",
        ),
    )
}


def signals_of(names: Iterable[str], table: str | None) -> list[str]:
    """Return those of some signals that a table holds or that are made of it; None asks for those made of no table.

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
    held = (column for name in signals_of(names, table) for column in SIGNALS[name].made_from or (name,))
    return tuple(dict.fromkeys((*held, *CONTEXT.get(table, ()))))
