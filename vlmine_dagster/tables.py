"""Column contracts of every table: what a row is, and what holds for each column.

The Parquet schema, the Great Expectations suite and the column schema in the Dagster UI are all made from here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pyarrow as pa

Partition = Literal["shard", "pool", "experiment"]
Severity = Literal["critical", "warning"]


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
    """Which part an image plays: `SEED` is labelled and trains, `TEST` judges, `POOL` is mined."""

    SEED = "seed"
    TEST = "test"
    POOL = "pool"


@dataclass(frozen=True)
class Column:
    """One column and what must hold for every value in it.

    Attributes:
        name: Column name, units in the name.
        type: Arrow type.
        description: One line for people.
        nullable: Whether a value may be missing.
        minimum: Smallest allowed value, inclusive.
        maximum: Largest allowed value, inclusive.
        allowed: The only values allowed, if not empty.
    """

    name: str
    type: Any
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Attributes:
        name: The table's and its asset's name.
        partition: What one Parquet file of it holds: a shard, the whole pool or an experiment.
        row: What one row is.
        columns: The columns, in order.
        key: Columns that together are unique within a file.
        opens_to: Extra columns whose names are not known before the run (the signals of an experiment), by Arrow type.
    """

    name: str
    partition: Partition
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    opens_to: Any = field(default=None)

    @property
    def schema(self) -> Any:
        """Arrow schema of the declared columns."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            KeyError: the table has no such column.
        """
        return next(c for c in self.columns if c.name == name)


def _image_id() -> Column:
    return Column("image_id", pa.string(), "shard/key, stable under re-runs and under renaming of the root")


def _outcome() -> Column:
    return Column("outcome", pa.string(), "what became of it; only ok rows go on", allowed=tuple(Outcome))


def _failure() -> Column:
    return Column("failure", pa.string(), "why the outcome is not ok", nullable=True)


def _variant_hash() -> Column:
    return Column("variant_hash", pa.string(), "hash of everything that can change an answer")


EMBEDDING_SIZE = 1280
TAG_COUNT = 1000

TAG_TYPE = pa.struct([pa.field("tag", pa.string()), pa.field("probability", pa.float32())])


def _usage() -> tuple[Column, ...]:
    return (
        Column("prompt_tokens", pa.int32(), "tokens read by the model", minimum=0),
        Column("output_tokens", pa.int32(), "tokens written by the model", minimum=0),
        Column("latency_s", pa.float32(), "seconds that the answer took", minimum=0),
        Column("cost_usd", pa.float64(), "price of the answer in US dollars, if known", nullable=True, minimum=0),
    )


IMAGES = Table(
    "images",
    "shard",
    "an image found in the shard, readable or not",
    (
        _image_id(),
        Column("uri", pa.string(), "where the bytes lie"),
        Column("sha256", pa.string(), "SHA-256 of the bytes, in hex"),
        Column("width", pa.int32(), "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("height", pa.int32(), "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("n_bytes", pa.int64(), "size of the encoded image in bytes", minimum=0),
        Column("label", pa.string(), "class name where it is known to the miner", nullable=True),
        Column("split", pa.string(), "seed, test or pool", allowed=tuple(Split)),
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
        Column("embedding", pa.list_(pa.float16(), EMBEDDING_SIZE), "pooled features"),
        Column("tag_probabilities", pa.list_(pa.float16(), TAG_COUNT), "softmax over the encoder's 1,000 classes"),
    ),
    ("image_id",),
)

DESCRIPTIONS = Table(
    "descriptions",
    "shard",
    "one model answer about an image",
    (
        _image_id(),
        Column("description", pa.string(), "what the model said", nullable=True),
        Column("tags", pa.list_(TAG_TYPE), "the describer's own tags, likeliest first", nullable=True),
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
        Column("keyword", pa.string(), "normalised keyword"),
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
        Column("keyword", pa.string(), "normalised keyword"),
        Column("image_count", pa.int64(), "images that yield the keyword", minimum=1),
        Column("image_share", pa.float64(), "image_count over all images with keywords", minimum=0, maximum=1),
    ),
    ("keyword",),
)

NOVELTY_SCORES = Table(
    "novelty_scores",
    "shard",
    "an image with keywords",
    (
        _image_id(),
        Column("min_count", pa.int64(), "image count of its rarest keyword", minimum=1),
        Column("mean_count", pa.float64(), "mean image count of its keywords", minimum=1),
        Column("novelty_min", pa.float64(), "1 / min_count, higher is rarer", minimum=0, maximum=1),
        Column("novelty_mean", pa.float64(), "1 / mean_count, higher is rarer", minimum=0, maximum=1),
        Column("rarest_keyword", pa.string(), "the keyword with min_count, first in the alphabet at ties"),
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
            pa.float64(),
            "probability of a few-shot class, by the seed",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column(
            "class_rank_rarity",
            pa.float64(),
            "how near the top of rare classes' lists it stands",
            nullable=True,
            minimum=0,
        ),
        Column("keyword_value", pa.float64(), "value of its most telling keyword", nullable=True, minimum=0),
        Column("sparsity", pa.float64(), "minus its similarities to its 100 nearest neighbours over tags"),
        Column("soft_novelty", pa.float64(), "probability-weighted rarity of its tags, in nats"),
    ),
    ("image_id",),
)

TASK_MODEL = Table(
    "task_model",
    "pool",
    "the trained task model",
    (
        Column("kind", pa.string(), "probe, cnn, predictions or transformers"),
        Column("path", pa.string(), "file or folder that holds it"),
        Column("sha256", pa.string(), "SHA-256 of the file, in hex"),
        Column("class_count", pa.int32(), "classes that it predicts", minimum=2),
        Column("seed_count", pa.int32(), "labelled images that it was trained on", minimum=0),
        Column("seed_accuracy", pa.float64(), "cross-validated or held-out accuracy on the seed", nullable=True),
    ),
    ("path",),
)

UNCERTAINTY_SCORES = Table(
    "uncertainty_scores",
    "shard",
    "an image that the task model judged",
    (
        _image_id(),
        Column("entropy", pa.float64(), "predictive entropy in nats, higher is less sure", minimum=0),
        Column(
            "variation_ratio",
            pa.float64(),
            "1 - the largest class probability, higher is less sure",
            minimum=0,
            maximum=1,
        ),
        Column(
            "margin", pa.float64(), "largest minus second class probability, lower is less sure", minimum=0, maximum=1
        ),
        Column("predicted_label", pa.string(), "likeliest class"),
    ),
    ("image_id",),
)

PARETO_SET = Table(
    "pareto_set",
    "experiment",
    "a ranked image of the pool",
    (
        _image_id(),
        Column("rank", pa.int64(), "1 is mined first; the first n rows serve a budget of n", minimum=1),
        Column("front", pa.int64(), "non-dominated front, 1 is the best", minimum=1),
        Column("selected", pa.bool_(), "whether the rank is within the experiment's budget"),
        Column("reason", pa.string(), "why it stands here, for people"),
    ),
    ("image_id",),
    opens_to=pa.float64(),
)

RETRAIN_METRICS = Table(
    "retrain_metrics",
    "experiment",
    "one metric at one budget, and for trained ones at one seed",
    (
        Column("budget", pa.float64(), "mined share of the pool; 0 is the seed alone", minimum=0, maximum=1),
        Column("mined_count", pa.int64(), "images mined at that budget", minimum=0),
        Column("seed", pa.int64(), "training seed; -1 where nothing is trained", minimum=-1),
        Column("metric", pa.string(), "metric name"),
        Column("value", pa.float64(), "metric value", nullable=True),
    ),
    ("budget", "seed", "metric"),
)

MINING_REPORT = Table(
    "mining_report",
    "experiment",
    "a report page",
    (
        Column("path", pa.string(), "where the page lies"),
        Column("sha256", pa.string(), "SHA-256 of the page, in hex"),
        Column("picture_count", pa.int32(), "images on the contact sheet", minimum=0),
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
        TASK_MODEL,
        UNCERTAINTY_SCORES,
        PARETO_SET,
        RETRAIN_METRICS,
        MINING_REPORT,
    )
}
