"""The contract of every table: what one row is, and what holds for each column.

The Parquet schema, the Great Expectations suite and the column schema in the Dagster UI are all made from here.
"""

from vlmine_dagster.domain.answer_tables import DESCRIPTIONS, GROUNDED_KEYWORDS, KEYWORD_ANSWERS, KEYWORDS
from vlmine_dagster.domain.changes import Cause
from vlmine_dagster.domain.columns import (
    failure,
    image_id,
    measures,
    moment,
    outcome,
    score,
    share,
)
from vlmine_dagster.domain.contracts import (
    TAGS_TYPE,
    WHOLE_POOL,
    Column,
    Partition,
    Severity,
    Table,
    arrow_type,
)
from vlmine_dagster.domain.encoders import ENCODER
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.junk import Junk
from vlmine_dagster.domain.outcomes import JUDGES, NO_FAILURES, Outcome, Split
from vlmine_dagster.domain.score_tables import (
    NEIGHBOUR_SCORES,
    NOVELTY_SCORES,
    RARITY_SCORES,
    TASK_MODEL,
    UNCERTAINTY_SCORES,
)
from vlmine_dagster.domain.verdicts import Verdict

__all__ = [
    "ATTRIBUTES",
    "DESCRIPTIONS",
    "DUPLICATES",
    "EMBEDDINGS",
    "GROUNDED_KEYWORDS",
    "IMAGES",
    "JUDGES",
    "JUNK",
    "KEYWORDS",
    "KEYWORD_ANSWERS",
    "LIST_CHANGES",
    "MINING_REPORT",
    "NEIGHBOUR_SCORES",
    "NOVELTY_SCORES",
    "NO_FAILURES",
    "OBJECTS",
    "PARETO_SET",
    "RARITY_SCORES",
    "RETRAIN_METRICS",
    "SHARD_DUPLICATES",
    "TABLES",
    "TAGS_TYPE",
    "TASK_MODEL",
    "UNCERTAINTY_SCORES",
    "UNMATCHED_BOXES",
    "UNRANKED",
    "VERDICTS",
    "VOCABULARY",
    "VOCAB_COUNTS",
    "WHOLE_POOL",
    "Column",
    "Outcome",
    "Partition",
    "Severity",
    "Split",
    "Table",
    "arrow_type",
    "partition_of",
]


IMAGES = Table(
    "images",
    "shard",
    "an image found in the shard, readable or not",
    (
        image_id(),
        Column("uri", "string", "where the image file is stored"),
        Column("sha256", "string", "SHA-256 of the file's bytes, in hex"),
        Column("width", "int32", "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("height", "int32", "pixels, after EXIF rotation", nullable=True, minimum=1),
        Column("n_bytes", "int64", "size of the image file in bytes", minimum=0),
        *measures(),
        *moment(),
        Column(
            "attributes", "string", "what else the source records about it, such as the weather, as JSON", nullable=True
        ),
        Column("label", "string", "class name, if the image is labelled", nullable=True),
        Column("split", "string", "seed (labelled), val, test or pool (to be mined)", allowed=tuple(Split)),
        outcome(),
        failure(),
    ),
    ("image_id",),
)


def _side(name: str, description: str) -> Column:
    return Column(name, "float64", f"{description}, in pixels of the upright picture; empty for a bad box", True, 0)


ATTRIBUTES = Table(
    "attributes",
    "shard",
    "an item, with what is known of it beside its picture",
    (
        image_id(),
        Column("attributes", "string", "values by name, such as the weather, as JSON", nullable=True),
    ),
    ("image_id",),
)

OBJECTS = Table(
    "objects",
    "shard",
    "an object in an image, as a box file or a detector has it",
    (
        Column("object_id", "string", "image_id#number; the number is the annotation's own id where it has one"),
        image_id(),
        _side("x", "left edge"),
        _side("y", "top edge"),
        _side("width", "width within the picture"),
        _side("height", "height within the picture"),
        Column("class_name", "string", "class that the box file or the detector gives it", nullable=True),
        score("score", "the detector's confidence"),
        Column("track_id", "string", "track through a sequence that it belongs to", nullable=True),
        Column("attributes", "string", "what else the box file records about it, as JSON", nullable=True),
        Column("origin", "string", "box file and place in it, or the detector"),
        Column("sha256", "string", "SHA-256 of the image's hash and the box, in hex"),
        *moment(),
        Column("label", "string", "class name, if the object is labelled", nullable=True),
        Column(
            "split",
            "string",
            "seed (labelled), val, test or pool (to be mined); else that of its image",
            allowed=tuple(Split),
        ),
        outcome(),
        failure(),
    ),
    ("object_id",),
)

UNMATCHED_BOXES = Table(
    "unmatched_boxes",
    "pool",
    "a name in a box file that belongs to no image or to several",
    (
        Column("origin", "string", "box file"),
        Column("name", "string", "the image's name in that file"),
        Column("box_count", "int64", "number of its boxes", minimum=0),
        outcome(),
        failure(),
    ),
    ("origin", "name"),
)

EMBEDDINGS = Table(
    "embeddings",
    "shard",
    "a readable image, as the image encoder sees it",
    (
        image_id(),
        Column("embedding", f"float16[{ENCODER.embedding_size}]", "pooled features of the encoder"),
        Column(
            "tag_probabilities",
            f"float16[{ENCODER.class_count}]",
            f"softmax over the encoder's {ENCODER.class_count:,} classes",
        ),
    ),
    ("image_id",),
)

VOCABULARY = Table(
    "vocabulary",
    "pool",
    "a keyword that is counted as another one, or not at all",
    (
        Column("keyword", "string", "keyword as the description has it"),
        Column("merged_into", "string", "keyword that replaces it, - where it is not counted"),
        Column("image_count", "int64", "number of images that have it", minimum=0),
        Column("version", "string", "hash of all merges"),
    ),
    ("keyword",),
)

VOCAB_COUNTS = Table(
    "vocab_counts",
    "pool",
    "a keyword of the whole pool",
    (
        Column("keyword", "string", "normalized keyword"),
        Column("image_count", "int64", "number of images with the keyword", minimum=1),
        share("image_share", "image_count divided by the number of images with keywords"),
        Column("unit_count", "int64", "number of units of count_by (images, sequences) with the keyword", minimum=1),
    ),
    ("keyword",),
)

DUPLICATES = Table(
    "duplicates",
    "pool",
    "an image, to be mined or labelled, that another one stands for, since both show one picture",
    (
        image_id(),
        Column("kept_id", "string", "the image that stands for it"),
        Column("kept_split", "string", "split of that image", allowed=tuple(Split)),
        Column("similarity", "float64", "correlation of their reduced pixels", minimum=-1, maximum=1),
    ),
    ("image_id",),
)

SHARD_DUPLICATES = Table(
    "shard_duplicates",
    "shard",
    "an image of the shard about which models are not asked, since another one stands for it",
    (
        image_id(),
        Column("kept_id", "string", "the image that is asked about, of any shard"),
    ),
    ("image_id",),
)

JUNK = Table(
    "junk",
    "pool",
    "an image of the pool that is probably worth no label: blurred, black, empty",
    (
        image_id(),
        Column("kind", "string", "what is wrong with it", allowed=tuple(Junk)),
        Column("value", "float64", "the measure that shows it (docs/junk.md)", minimum=0),
        Column("limit", "float64", "the value of that measure from which on an image of this pool is junk", minimum=0),
        Column("typical", "float64", "the median of that measure in the pool", minimum=0),
    ),
    ("image_id",),
)

VERDICTS = Table(
    "verdicts",
    "pool",
    "the last word of one reviewer about one item, of a finished round",
    (
        image_id(),
        Column("reviewer", "string", "who gave it"),
        Column("verdict", "string", "what the reviewer said", allowed=tuple(Verdict)),
        Column("class_name", "string", "the class that the reviewer named", nullable=True),
        Column("seconds", "float64", "how long the reviewer looked", minimum=0),
        Column("experiment", "string", "the list on which the item was"),
        Column("list_rank", "int64", "its rank there", minimum=1),
        Column("judged_at", "float64", "when, in seconds since 1970", minimum=0),
        Column("round", "int64", "the round, 1 for the first", minimum=1),
    ),
    ("image_id", "reviewer"),
)

PARETO_SET = Table(
    "pareto_set",
    "experiment",
    "a ranked image of the pool",
    (
        image_id(),
        Column("rank", "int64", "1 is mined first; a budget of n takes ranks 1 to n", minimum=1),
        Column("front", "int64", "non-dominated front, 1 is the best", minimum=1),
        Column("selected", "bool", "whether the rank is within the experiment's budget"),
        Column("reason", "string", "why the image has this rank, in plain English"),
        Column("more_frames", "int64", "frames of its sequence that the list skips in its favour", minimum=0),
        Column("listed_instead", "string", "the frame in whose favour the list skips this one", nullable=True),
        Column("slice", "string", "the slice of the pool that it belongs to; empty without slices", nullable=True),
        Column("junk", "string", "what is wrong with it, if it is in the junk lane", nullable=True),
    ),
    ("image_id",),
    opens_to="float64",
)

LIST_CHANGES = Table(
    "list_changes",
    "experiment",
    "an image that entered the mined list since the last one, or left it",
    (
        image_id(),
        Column("change", "string", "whether the budget reaches it now, or did before", allowed=("entered", "left")),
        Column("cause", "string", "why, in a word", allowed=tuple(Cause)),
        Column("why", "string", "why, in plain English"),
        Column("rank", "int64", "its rank now; empty where it is not in the list", nullable=True, minimum=1),
        Column("rank_before", "int64", "its rank in the last list; empty where it was not in it", True, 1),
    ),
    ("image_id",),
)

RETRAIN_METRICS = Table(
    "retrain_metrics",
    "experiment",
    "one metric at one budget, per training seed where a model was trained",
    (
        share("budget", "mined share of the pool; 0 is the labelled set alone"),
        Column("mined_count", "int64", "number of images mined at that budget", minimum=0),
        Column("seed", "int64", "random seed of the training; -1 where nothing is trained", minimum=-1),
        Column("metric", "string", "name of the metric"),
        score("value", "value of the metric"),
    ),
    ("budget", "seed", "metric"),
)

UNRANKED = "unranked_images"
"""The metric of `retrain_metrics` that counts the images of the pool that an experiment did not rank; no row: none."""

MINING_REPORT = Table(
    "mining_report",
    "experiment",
    "a report page",
    (
        Column("path", "string", "file of the page"),
        Column("sha256", "string", "SHA-256 of the page, in hex"),
        Column("picture_count", "int32", "number of images on the contact sheet", minimum=0),
    ),
    ("path",),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        IMAGES,
        OBJECTS,
        ATTRIBUTES,
        UNMATCHED_BOXES,
        EMBEDDINGS,
        DESCRIPTIONS,
        KEYWORDS,
        KEYWORD_ANSWERS,
        VOCABULARY,
        VOCAB_COUNTS,
        NOVELTY_SCORES,
        DUPLICATES,
        SHARD_DUPLICATES,
        JUNK,
        RARITY_SCORES,
        NEIGHBOUR_SCORES,
        TASK_MODEL,
        UNCERTAINTY_SCORES,
        VERDICTS,
        LIST_CHANGES,
        GROUNDED_KEYWORDS,
        PARETO_SET,
        RETRAIN_METRICS,
        MINING_REPORT,
    )
}


def partition_of(table: str) -> Partition:
    """Return how a table is cut, `items` too: whatever is mined is in shards."""
    return "shard" if table == ITEMS else TABLES[table].partition
