"""The contracts of the tables that hold scores, and of the task model that gives some of them."""

from vlmine_dagster.domain.columns import image_id, score, share
from vlmine_dagster.domain.contracts import Column, Table

NOVELTY_SCORES = Table(
    "novelty_scores",
    "shard",
    "an image with keywords",
    (
        image_id(),
        Column("min_count", "int64", "number of images (or sequences) that share its rarest keyword", minimum=1),
        Column(
            "mean_count", "float64", "mean number of images (or sequences) that share one of its keywords", minimum=1
        ),
        share("novelty_min", "1 / min_count, higher is rarer"),
        share("novelty_mean", "1 / mean_count, higher is rarer"),
        Column("rarest_keyword", "string", "the keyword with min_count; of several, the first in alphabetical order"),
    ),
    ("image_id",),
)

RARITY_SCORES = Table(
    "rarity_scores",
    "pool",
    "an image that can be mined",
    (
        image_id(),
        share(
            "expected_rarity", "probability that its class is few-shot, learned from the labelled set", nullable=True
        ),
        score("class_rank_rarity", "how close it ranks to the top of the rare classes' lists", minimum=0),
        Column(
            "rare_class",
            "string",
            "the rare class on whose list it ranks highest; null: the list of images unlike any labelled class",
            nullable=True,
        ),
        score("keyword_value", "value of its most informative keyword", minimum=0),
        Column("sparsity", "float64", "minus the sum of its similarities to its 100 nearest neighbours, by tags"),
        Column("soft_novelty", "float64", "probability-weighted rarity of its tags, in nats"),
        Column(
            "local_isolation",
            "float64",
            "how much sparser it is around it than around its neighbours, by features at three scales",
            minimum=0,
        ),
        score(
            "chosen_sparsity",
            "sparsity where it ranks the labelled images of rare classes higher than local_isolation does, else 0",
        ),
        score(
            "chosen_isolation",
            "local_isolation where it ranks the labelled images of rare classes higher than sparsity does, else 0",
        ),
        score(
            "unlabelled_rarity",
            "rarity by features, tags and names, tags and names as far as they count; empty if no experiment uses it",
            minimum=0,
        ),
        share("tag_weight", "how much tags count in this pool, the same for all: 0 if they tell no images apart"),
    ),
    ("image_id",),
)

_NEIGHBOURS = "minus the sum of its similarities to its 100 nearest neighbours"
_UNASKED = "empty if no experiment uses it"

NEIGHBOUR_SCORES = Table(
    "neighbour_scores",
    "pool",
    "an image that can be mined",
    (
        image_id(),
        score("embedding_sparsity", f"{_NEIGHBOURS}, by embeddings; {_UNASKED}"),
        score("keyword_sparsity", f"{_NEIGHBOURS}, by keywords; {_UNASKED}"),
        score(
            "seed_distance",
            f"1 - cosine similarity to the nearest labelled image; empty without a labelled set; {_UNASKED}",
            minimum=0,
            maximum=2,
        ),
    ),
    ("image_id",),
)

TASK_MODEL = Table(
    "task_model",
    "pool",
    "the trained task model",
    (
        Column("kind", "string", "probe, cnn, predictions or transformers"),
        Column("path", "string", "file or folder of the model"),
        Column("sha256", "string", "SHA-256 of the file, in hex"),
        Column("class_count", "int32", "number of classes that it predicts", minimum=2),
        Column("seed_count", "int32", "number of labelled images that it was trained on", minimum=0),
        score("seed_accuracy", "cross-validated or held-out accuracy on the labelled set"),
    ),
    ("path",),
)


def _disagreement() -> tuple[Column, ...]:
    passes, members = "empty without Monte Carlo dropout", "empty without an ensemble"
    return (
        share("dropout_variation_ratio", f"1 - share of passes for the most common class; {passes}", nullable=True),
        score("dropout_bald", f"mutual information of class and weights in nats; {passes}", minimum=0),
        share("ensemble_variation_ratio", f"1 - share of members for the most common class; {members}", nullable=True),
        score("ensemble_bald", f"mutual information of class and member in nats; {members}", minimum=0),
        score("vote_entropy", f"entropy of the members' votes in nats; {members}", minimum=0),
    )


UNCERTAINTY_SCORES = Table(
    "uncertainty_scores",
    "shard",
    "an image with a prediction of the task model",
    (
        image_id(),
        Column("entropy", "float64", "predictive entropy in nats, higher is less certain", minimum=0),
        share("variation_ratio", "1 - the largest class probability, higher is less certain"),
        share("margin", "largest minus second-largest class probability, lower is less certain"),
        Column("predicted_label", "string", "most probable class"),
        *_disagreement(),
    ),
    ("image_id",),
)
