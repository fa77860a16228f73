"""The signals that come with vlmine: each is declared here, and made here where no table holds it.

Loading this module costs next to nothing: what computes is imported when it is called.
"""

from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import Signal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmine_dagster.scoring.pool import MinedPool
    from vlmine_dagster.scoring.reading import Reader


def _random(_reader: "Reader", pool: "MinedPool") -> "npt.NDArray[np.float64]":
    from vlmine_dagster.mining.selection import random_signal

    return random_signal(pool.image_ids())


def _tail_first(reader: "Reader", pool: "MinedPool") -> "npt.NDArray[np.float64]":
    from vlmine_dagster.mining.tail_first import tail_first
    from vlmine_dagster.scoring.labelled import labelled_counts

    return tail_first(pool.texts("predicted_label"), pool.numbers("entropy"), labelled_counts(reader))


def _oracle(reader: "Reader", pool: "MinedPool") -> "npt.NDArray[np.float64]":
    from vlmine_dagster.mining.longtail import true_rarity
    from vlmine_dagster.scoring.labelled import true_classes

    settings = reader.project.settings.dataset.labels
    if settings is None or pool.labels is None or not settings.oracle:
        raise ConfigError(
            f"pareto_set[{reader.partition}]: the signal oracle reads the true classes of the pool, which only a "
            f"benchmark shows. Set dataset.labels.oracle to true, or take the signal out of the experiment."
        )
    names = list(pool.image_ids())
    known = true_classes(pool.labels, names, reader.shards)
    return true_rarity([known.get(name) for name in names], pool.labels.class_counts())


RANDOM = Signal(
    "random",
    None,
    "a draw that knows nothing: the yardstick",
    "drawn at random",
    "mining.selection.random_signal",
    make=_random,
)

NOVELTY_MIN = Signal(
    "novelty_min",
    "novelty_scores",
    "1 / number of images that share its rarest keyword",
    'keyword "{keyword}" in {images}',
    "mining.novelty.novelty_from_count",
)

NOVELTY_MEAN = Signal(
    "novelty_mean",
    "novelty_scores",
    "1 / mean number of images that share its keywords",
    "keywords in {inverse:,.1f} images on average{rarest}",
    "mining.novelty.novelty_from_count",
)

SOFT_NOVELTY = Signal(
    "soft_novelty",
    "rarity_scores",
    "how rare what is seen in it is, every tag by its probability",
    "rare tags",
    "mining.rarity.soft_novelty",
)

ENTROPY = Signal(
    "entropy",
    "uncertainty_scores",
    "how undecided the task model is over all classes, in nats",
    "entropy {value:.2f} nats{guess}",
    "mining.uncertainty.predictive_entropy",
    needs="labels",
)

VARIATION_RATIO = Signal(
    "variation_ratio",
    "uncertainty_scores",
    "1 - the task model's largest class probability",
    "variation ratio {value:.2f}{guess}",
    "mining.uncertainty.variation_ratio",
    needs="labels",
)

MARGIN = Signal(
    "margin",
    "uncertainty_scores",
    "how close the task model's two likeliest classes are",
    "margin {value:.2f}{guess}",
    "mining.uncertainty.margin",
    needs="labels",
    is_negated=True,
)

DROPOUT_VARIATION_RATIO = Signal(
    "dropout_variation_ratio",
    "uncertainty_scores",
    "share of Monte Carlo dropout passes that do not choose the commonest class",
    "{value:.0%} of dropout passes say something else{guess}",
    "mining.uncertainty.variation_ratio_of_votes",
    needs="passes",
)

DROPOUT_BALD = Signal(
    "dropout_bald",
    "uncertainty_scores",
    "how much Monte Carlo dropout passes disagree: mutual information of class and weights, in nats",
    "dropout passes disagree by {value:.2f} nats{guess}",
    "mining.uncertainty.bald",
    needs="passes",
)

ENSEMBLE_VARIATION_RATIO = Signal(
    "ensemble_variation_ratio",
    "uncertainty_scores",
    "share of an ensemble's members that do not choose the commonest class",
    "{value:.0%} of the ensemble say something else{guess}",
    "mining.uncertainty.variation_ratio_of_votes",
    needs="members",
)

ENSEMBLE_BALD = Signal(
    "ensemble_bald",
    "uncertainty_scores",
    "how much an ensemble's members disagree: mutual information of class and member, in nats",
    "the ensemble disagrees by {value:.2f} nats{guess}",
    "mining.uncertainty.bald",
    needs="members",
)

VOTE_ENTROPY = Signal(
    "vote_entropy",
    "uncertainty_scores",
    "entropy of the votes of an ensemble's members, in nats",
    "the ensemble's votes have entropy {value:.2f} nats{guess}",
    "mining.uncertainty.vote_entropy",
    needs="members",
)

TAIL_FIRST = Signal(
    "tail_first",
    "uncertainty_scores",
    "Tail First Sampling: turn by turn, the least sure image of the predicted class with the fewest labels",
    "turn {negated:,.0f} of its class by Tail First Sampling{guess}",
    "mining.tail_first.tail_first",
    needs="labels",
    made_from=("entropy", "predicted_label"),
    make=_tail_first,
    reads={"images": ("image_id", "label", "split", "outcome")},
)

EXPECTED_RARITY = Signal(
    "expected_rarity",
    "rarity_scores",
    "probability of a few-shot class, by the labelled seed",
    "of a rare class with probability {value:.2f}{guess}",
    "mining.rarity.expected_rarity",
    needs="labels",
)

CLASS_RANK_RARITY = Signal(
    "class_rank_rarity",
    "rarity_scores",
    "how near the top of rare classes' own lists it stands, by their labels and their names",
    "{rare_class}",
    "mining.rarity.class_rank_rarity",
    needs="labels",
)

KEYWORD_VALUE = Signal(
    "keyword_value",
    "rarity_scores",
    "what the seed says about its most telling keyword",
    "telling keywords{rarest}",
    "mining.rarity.keyword_value",
    needs="labels",
)

SPARSITY = Signal(
    "sparsity",
    "rarity_scores",
    "how few images look like it, by their tags",
    "few images like it",
    "mining.density.semantic_density",
)

EMBEDDING_SPARSITY = Signal(
    "embedding_sparsity",
    "neighbour_scores",
    "how few images look like it, by the encoder's features",
    "few images look like it",
    "mining.density.embedding_density",
)

KEYWORD_SPARSITY = Signal(
    "keyword_sparsity",
    "neighbour_scores",
    "how few images share its keywords, for describers without probabilities",
    "few images share its keywords{rarest}",
    "mining.density.keyword_density",
)

SEED_DISTANCE = Signal(
    "seed_distance",
    "neighbour_scores",
    "how far it is from the nearest labelled image, by the encoder's features",
    "{value:.2f} from the nearest labelled image",
    "mining.density.seed_distance",
    needs="labels",
)

ORACLE = Signal(
    "oracle",
    None,
    "the true rarity of its class, by labels that nobody has: the ceiling",
    "an oracle says that its class has {inverse:,.0f} images",
    "mining.longtail.true_rarity",
    needs="oracle",
    make=_oracle,
)
