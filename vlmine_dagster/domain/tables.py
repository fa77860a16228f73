"""Column contracts of every table: what a row is, and what holds for each column.

The Parquet schema, the Great Expectations suite and the column schema in the Dagster UI are all made from here.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Partition = Literal["shard", "pool", "experiment"]
Severity = Literal["critical", "warning"]

WHOLE_POOL = "pool"
"""The one partition of a table of the whole pool."""


class Outcome(StrEnum):
    """What became of an image or of a model call. Only `OK` rows are counted, scored and mined."""

    OK = "ok"
    CORRUPT = "corrupt"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSEABLE = "unparseable"
    TIMED_OUT = "timed_out"
    EMPTY = "empty"


class Split(StrEnum):
    """Which part an image plays: `SEED` teaches, `VAL` says when to stop, `TEST` judges, `POOL` is mined."""

    SEED = "seed"
    VAL = "val"
    TEST = "test"
    POOL = "pool"


JUDGES = frozenset({Split.VAL, Split.TEST})
"""Splits that judge models; nothing is learnt from their images, and none is mined, described or counted."""


@dataclass(frozen=True)
class Column:
    """One column and what must hold for every value in it.

    Attributes:
        name: Column name, units in the name.
        type_name: Arrow type, by name (see `arrow_type`): nothing heavy is loaded to declare a table.
        description: One line for people.
        nullable: Whether a value may be missing.
        minimum: Smallest allowed value, inclusive.
        maximum: Largest allowed value, inclusive.
        allowed: The only values allowed, if not empty.
    """

    name: str
    type_name: str
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    @property
    def type(self) -> "pa.DataType":
        """Arrow type."""
        return arrow_type(self.type_name)


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Attributes:
        name: The table's and its asset's name.
        partition: What one Parquet file of it holds: a shard, the whole pool or an experiment.
        row: What one row is.
        columns: The columns, in order.
        key: Columns that together are unique within a file.
        opens_to: Type name of extra columns whose names are not known before the run (the signals of an experiment).
    """

    name: str
    partition: Partition
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    opens_to: str | None = None

    @property
    def schema(self) -> "pa.Schema":
        """Arrow schema of the declared columns."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            KeyError: the table has no such column.
        """
        return next(c for c in self.columns if c.name == name)


@cache
def arrow_type(name: str) -> "pa.DataType":
    """Return the Arrow type of a name.

    Examples:
        >>> arrow_type("int64"), arrow_type("float16[4]")
        (DataType(int64), FixedSizeListType(fixed_size_list<item: halffloat>[4]))
    """
    import pyarrow as pa

    if name == TAGS_TYPE:
        return pa.list_(pa.struct([pa.field("tag", pa.string()), pa.field("probability", pa.float32())]))
    item, is_vector, size = name.rstrip("]").partition("[")
    return pa.list_(arrow_type(item), int(size)) if is_vector else pa.type_for_alias(name)


def _image_id() -> Column:
    return Column("image_id", "string", "shard/key, stable under re-runs and under renaming of the root")


def _outcome() -> Column:
    return Column("outcome", "string", "what became of it; only ok rows go on", allowed=tuple(Outcome))


def _failure() -> Column:
    return Column("failure", "string", "why the outcome is not ok", nullable=True)


def _variant_hash() -> Column:
    return Column("variant_hash", "string", "hash of everything that can change an answer")


EMBEDDING_SIZE = 1280
TAG_COUNT = 1000

TAGS_TYPE = "struct<tag: string, probability: float32>[]"


def _usage() -> tuple[Column, ...]:
    return (
        Column("prompt_tokens", "int32", "tokens read by the model", minimum=0),
        Column("output_tokens", "int32", "tokens written by the model", minimum=0),
        Column("latency_s", "float32", "seconds that the answer took", minimum=0),
        Column("cost_usd", "float64", "price of the answer in US dollars, if known", nullable=True, minimum=0),
    )


IMAGES = Table(
    "images",
    "shard",
    "an image found in the shard, readable or not",
    (
        _image_id(),
        Column("uri", "string", "where the bytes lie"),
        Column("sha256", "string", "SHA-256 of the bytes, in hex"),
        Column("width", "int32", "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("height", "int32", "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("n_bytes", "int64", "size of the encoded image in bytes", minimum=0),
        Column("label", "string", "class name where it is known to the miner", nullable=True),
        Column("split", "string", "seed, val, test or pool", allowed=tuple(Split)),
        _outcome(),
        _failure(),
    ),
    ("image_id",),
)

EMBEDDINGS = Table(
    "embeddings",
    "shard",
    "a readable image, as the image encoder sees it",
    (
        _image_id(),
        Column("embedding", f"float16[{EMBEDDING_SIZE}]", "pooled features"),
        Column("tag_probabilities", f"float16[{TAG_COUNT}]", "softmax over the encoder's 1,000 classes"),
    ),
    ("image_id",),
)

DESCRIPTIONS = Table(
    "descriptions",
    "shard",
    "one model answer about an image",
    (
        _image_id(),
        Column("description", "string", "what the model said", nullable=True),
        Column("tags", TAGS_TYPE, "the describer's own tags, likeliest first", nullable=True),
        _outcome(),
        _failure(),
        *_usage(),
        _variant_hash(),
    ),
    ("image_id",),
)

KEYWORDS = Table(
    "keywords",
    "shard",
    "one keyword of one image, no repeats within an image",
    (
        _image_id(),
        Column("keyword", "string", "normalised keyword"),
        _variant_hash(),
    ),
    ("image_id", "keyword"),
)

KEYWORD_ANSWERS = Table(
    "keyword_answers",
    "shard",
    "what became of the keywords of one described image",
    (
        _image_id(),
        _outcome(),
        _failure(),
        *_usage(),
        _variant_hash(),
    ),
    ("image_id",),
)

VOCAB_COUNTS = Table(
    "vocab_counts",
    "pool",
    "a keyword of the whole pool",
    (
        Column("keyword", "string", "normalised keyword"),
        Column("image_count", "int64", "images that yield the keyword", minimum=1),
        Column("image_share", "float64", "image_count over all images with keywords", minimum=0, maximum=1),
    ),
    ("keyword",),
)

NOVELTY_SCORES = Table(
    "novelty_scores",
    "shard",
    "an image with keywords",
    (
        _image_id(),
        Column("min_count", "int64", "image count of its rarest keyword", minimum=1),
        Column("mean_count", "float64", "mean image count of its keywords", minimum=1),
        Column("novelty_min", "float64", "1 / min_count, higher is rarer", minimum=0, maximum=1),
        Column("novelty_mean", "float64", "1 / mean_count, higher is rarer", minimum=0, maximum=1),
        Column("rarest_keyword", "string", "the keyword with min_count, first in the alphabet at ties"),
    ),
    ("image_id",),
)

RARITY_SCORES = Table(
    "rarity_scores",
    "pool",
    "an image that can be mined",
    (
        _image_id(),
        Column(
            "expected_rarity",
            "float64",
            "probability of a few-shot class, by the seed",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column(
            "class_rank_rarity",
            "float64",
            "how near the top of rare classes' lists it stands",
            nullable=True,
            minimum=0,
        ),
        Column(
            "rare_class",
            "string",
            "the rare class whose list it stands highest on; null: that of classes without label or name",
            nullable=True,
        ),
        Column("keyword_value", "float64", "value of its most telling keyword", nullable=True, minimum=0),
        Column("sparsity", "float64", "minus its similarities to its 100 nearest neighbours over tags"),
        Column("soft_novelty", "float64", "probability-weighted rarity of its tags, in nats"),
    ),
    ("image_id",),
)

NEIGHBOUR_SCORES = Table(
    "neighbour_scores",
    "pool",
    "an image that can be mined",
    (
        _image_id(),
        Column(
            "embedding_sparsity",
            "float64",
            "minus its similarities to its 100 nearest neighbours over embeddings; empty if no experiment asks",
            nullable=True,
        ),
        Column(
            "keyword_sparsity",
            "float64",
            "minus its similarities to its 100 nearest neighbours over keywords; empty if no experiment asks",
            nullable=True,
        ),
        Column(
            "seed_distance",
            "float64",
            "1 - cosine to the nearest labelled image; empty without a seed or if no experiment asks",
            nullable=True,
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
        Column("path", "string", "file or folder that holds it"),
        Column("sha256", "string", "SHA-256 of the file, in hex"),
        Column("class_count", "int32", "classes that it predicts", minimum=2),
        Column("seed_count", "int32", "labelled images that it was trained on", minimum=0),
        Column("seed_accuracy", "float64", "cross-validated or held-out accuracy on the seed", nullable=True),
    ),
    ("path",),
)


def _disagreement() -> tuple[Column, ...]:
    passes, members = "empty without Monte Carlo dropout", "empty without an ensemble"
    return (
        Column(
            "dropout_variation_ratio",
            "float64",
            f"1 - share of passes for the commonest class; {passes}",
            True,
            0,
            1,
        ),
        Column("dropout_bald", "float64", f"mutual information of class and weights in nats; {passes}", True, 0),
        Column(
            "ensemble_variation_ratio",
            "float64",
            f"1 - share of members for the commonest class; {members}",
            True,
            0,
            1,
        ),
        Column("ensemble_bald", "float64", f"mutual information of class and member in nats; {members}", True, 0),
        Column("vote_entropy", "float64", f"entropy of the members' votes in nats; {members}", True, 0),
    )


UNCERTAINTY_SCORES = Table(
    "uncertainty_scores",
    "shard",
    "an image that the task model judged",
    (
        _image_id(),
        Column("entropy", "float64", "predictive entropy in nats, higher is less sure", minimum=0),
        Column(
            "variation_ratio",
            "float64",
            "1 - the largest class probability, higher is less sure",
            minimum=0,
            maximum=1,
        ),
        Column("margin", "float64", "largest minus second class probability, lower is less sure", minimum=0, maximum=1),
        Column("predicted_label", "string", "likeliest class"),
        *_disagreement(),
    ),
    ("image_id",),
)

PARETO_SET = Table(
    "pareto_set",
    "experiment",
    "a ranked image of the pool",
    (
        _image_id(),
        Column("rank", "int64", "1 is mined first; the first n rows serve a budget of n", minimum=1),
        Column("front", "int64", "non-dominated front, 1 is the best", minimum=1),
        Column("selected", "bool", "whether the rank is within the experiment's budget"),
        Column("reason", "string", "why it stands here, for people"),
    ),
    ("image_id",),
    opens_to="float64",
)

RETRAIN_METRICS = Table(
    "retrain_metrics",
    "experiment",
    "one metric at one budget, and for trained ones at one seed",
    (
        Column("budget", "float64", "mined share of the pool; 0 is the seed alone", minimum=0, maximum=1),
        Column("mined_count", "int64", "images mined at that budget", minimum=0),
        Column("seed", "int64", "training seed; -1 where nothing is trained", minimum=-1),
        Column("metric", "string", "metric name"),
        Column("value", "float64", "metric value", nullable=True),
    ),
    ("budget", "seed", "metric"),
)

MINING_REPORT = Table(
    "mining_report",
    "experiment",
    "a report page",
    (
        Column("path", "string", "where the page lies"),
        Column("sha256", "string", "SHA-256 of the page, in hex"),
        Column("picture_count", "int32", "images on the contact sheet", minimum=0),
    ),
    ("path",),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        IMAGES,
        EMBEDDINGS,
        DESCRIPTIONS,
        KEYWORDS,
        KEYWORD_ANSWERS,
        VOCAB_COUNTS,
        NOVELTY_SCORES,
        RARITY_SCORES,
        NEIGHBOUR_SCORES,
        TASK_MODEL,
        UNCERTAINTY_SCORES,
        PARETO_SET,
        RETRAIN_METRICS,
        MINING_REPORT,
    )
}
