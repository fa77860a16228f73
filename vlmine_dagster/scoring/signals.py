"""The signals that come with vlmine: each is declared here, and made here where no table holds it.

Loading this module costs next to nothing: what computes is imported when it is called.
"""

from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.items import ITEMS
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


def _likeness(reader: "Reader", pool: "MinedPool") -> "npt.NDArray[np.float64]":
    from vlmine_dagster.scoring.likeness import likeness_of

    like = reader.project.settings.experiments[reader.partition].like
    if like is None:
        raise ConfigError(f"pareto_set[{reader.partition}]: the signal likeness needs examples. Set like.")
    return likeness_of(reader, pool, like)


RANDOM = Signal(
    "random",
    None,
    "a random draw: the baseline",
    "chosen at random",
    "mining.selection.random_signal",
    make=_random,
)

NOVELTY_MIN = Signal(
    "novelty_min",
    "novelty_scores",
    "1 / number of images that share its rarest keyword",
    'keyword "{keyword}" in {images}',
    "mining.novelty.novelty_from_count",
    untagged="{nth}rarest content",
)

NOVELTY_MEAN = Signal(
    "novelty_mean",
    "novelty_scores",
    "1 / mean number of images that share its keywords",
    "keywords shared by {inverse:,.1f} {units} on average{rarest}",
    "mining.novelty.novelty_from_count",
    untagged="{nth}rarest content on average",
)

SOFT_NOVELTY = Signal(
    "soft_novelty",
    "rarity_scores",
    "rarity of its tags, weighted by their probability",
    "{nth}rarest content by its tags",
    "mining.rarity.soft_novelty",
    untagged="{nth}rarest content",
)

ENTROPY = Signal(
    "entropy",
    "uncertainty_scores",
    "how uncertain the task model is over all classes, in nats",
    "{nth}least certain prediction{guess}",
    "mining.uncertainty.predictive_entropy",
    needs="labels",
    measures="probabilities",
)

VARIATION_RATIO = Signal(
    "variation_ratio",
    "uncertainty_scores",
    "1 - the task model's largest class probability",
    "model {complement:.0%} sure of {best}",
    "mining.uncertainty.variation_ratio",
    needs="labels",
    measures="probabilities",
)

MARGIN = Signal(
    "margin",
    "uncertainty_scores",
    "how close the task model's two most probable classes are",
    "model prefers {best} to the next class by {value:.0%}",
    "mining.uncertainty.margin",
    needs="labels",
    measures="probabilities",
    is_negated=True,
)

DROPOUT_VARIATION_RATIO = Signal(
    "dropout_variation_ratio",
    "uncertainty_scores",
    "share of Monte Carlo dropout passes that do not choose the most common class",
    "{value:.0%} of dropout passes disagree{guess}",
    "mining.uncertainty.variation_ratio_of_votes",
    needs="passes",
    measures="pass_votes",
)

DROPOUT_BALD = Signal(
    "dropout_bald",
    "uncertainty_scores",
    "how much Monte Carlo dropout passes disagree: mutual information of class and weights, in nats",
    "{nth}strongest disagreement between dropout passes{guess}",
    "mining.uncertainty.bald",
    needs="passes",
    measures="passes",
)

ENSEMBLE_VARIATION_RATIO = Signal(
    "ensemble_variation_ratio",
    "uncertainty_scores",
    "share of an ensemble's members that do not choose the most common class",
    "{value:.0%} of the ensemble disagrees{guess}",
    "mining.uncertainty.variation_ratio_of_votes",
    needs="members",
    measures="member_votes",
)

ENSEMBLE_BALD = Signal(
    "ensemble_bald",
    "uncertainty_scores",
    "how much an ensemble's members disagree: mutual information of class and member, in nats",
    "{nth}strongest disagreement within the ensemble{guess}",
    "mining.uncertainty.bald",
    needs="members",
    measures="members",
)

VOTE_ENTROPY = Signal(
    "vote_entropy",
    "uncertainty_scores",
    "entropy of the votes of an ensemble's members, in nats",
    "{nth}most divided vote of the ensemble{guess}",
    "mining.uncertainty.vote_entropy",
    needs="members",
    measures="member_votes",
)

TAIL_FIRST = Signal(
    "tail_first",
    "uncertainty_scores",
    "Tail First Sampling: in turn, the least certain image of the predicted class with the fewest labels",
    "pick {negated:,.0f} for {best} by Tail First Sampling",
    "mining.tail_first.tail_first",
    needs="labels",
    made_from=("entropy", "predicted_label"),
    make=_tail_first,
    reads={ITEMS: ("image_id", "label", "split", "outcome")},
)

EXPECTED_RARITY = Signal(
    "expected_rarity",
    "rarity_scores",
    "probability that its class is few-shot, learned from the labelled set",
    "{value:.0%} likely to be of a rare class{guess}",
    "mining.rarity.expected_rarity",
    needs="labels",
)

CLASS_RANK_RARITY = Signal(
    "class_rank_rarity",
    "rarity_scores",
    "how close it ranks to the top of the rare classes' own lists, made from their labels and names",
    "{rare_class}",
    "mining.rarity.class_rank_rarity",
    needs="labels",
)

KEYWORD_VALUE = Signal(
    "keyword_value",
    "rarity_scores",
    "what the labelled set says about its most informative keyword",
    "{nth}strongest keyword evidence for a rare class",
    "mining.rarity.keyword_value",
    needs="labels",
    untagged="{nth}strongest evidence for a rare class",
)

SPARSITY = Signal(
    "sparsity",
    "rarity_scores",
    "how few images resemble it, by their tags",
    "{nth}least similar to the rest",
    "mining.density.semantic_density",
)

LOCAL_ISOLATION = Signal(
    "local_isolation",
    "rarity_scores",
    "how much sparser it is around it than around its neighbours, by the encoder's features",
    "{nth}most isolated in appearance",
    "mining.isolation.local_outlier_factor",
)

CHOSEN_SPARSITY = Signal(
    "chosen_sparsity",
    "rarity_scores",
    "sparsity, where it ranks the labelled images of rare classes higher than local_isolation does; else 0",
    "{nth}least similar to the rest",
    "mining.rarity.chosen_signal",
    needs="labels",
)

CHOSEN_ISOLATION = Signal(
    "chosen_isolation",
    "rarity_scores",
    "local_isolation, where it ranks the labelled images of rare classes higher than sparsity does and models are not "
    "sure which images are rare, or classes are not announced; else 0",
    "{nth}most isolated in appearance",
    "mining.rarity.chosen_signal",
    needs="labels",
    version=2,
)

UNLABELLED_RARITY = Signal(
    "unlabelled_rarity",
    "rarity_scores",
    "how isolated it is by features at several scales, and how rare by tags and class names as far as they tell this "
    "pool's images apart",
    "{nth}most isolated{rarest}",
    "mining.rarity.unlabelled_rarity",
    untagged="{nth}most isolated",
    version=2,
)

EMBEDDING_SPARSITY = Signal(
    "embedding_sparsity",
    "neighbour_scores",
    "how few images resemble it, by the encoder's features",
    "{nth}least similar to the rest in appearance",
    "mining.density.embedding_density",
)

KEYWORD_SPARSITY = Signal(
    "keyword_sparsity",
    "neighbour_scores",
    "how few images share its keywords; for describers without probabilities",
    "{nth}least similar to the rest by its keywords{rarest}",
    "mining.density.keyword_density",
    untagged="{nth}least similar to the rest",
)

SEED_DISTANCE = Signal(
    "seed_distance",
    "neighbour_scores",
    "how far it is from the nearest labelled image, by the encoder's features",
    "{nth}farthest from any labelled image",
    "mining.density.seed_distance",
    needs="labels",
)

LIKENESS = Signal(
    "likeness",
    None,
    "how near it is to the examples of `vlmine like`, and how much nearer than to any known class",
    "{nth}best match for the search",
    "mining.likeness.likeness",
    needs="examples",
    make=_likeness,
    reads={
        ITEMS: ("image_id", "label", "split", "outcome"),
        "embeddings": ("image_id", "embedding", "tag_probabilities"),
        "keywords": ("image_id", "keyword"),
        "vocab_counts": ("keyword", "image_count"),
    },
)

ORACLE = Signal(
    "oracle",
    None,
    "the true rarity of its class, from labels that nobody has: the upper bound",
    "true class has {inverse:,.0f} images",
    "mining.longtail.true_rarity",
    needs="oracle",
    make=_oracle,
)
