"""The contracts of the tables that hold answers: descriptions, keywords, and what a second model saw."""

from vlmine_dagster.domain.columns import failure, image_id, outcome, usage, variant_hash
from vlmine_dagster.domain.contracts import TAGS_TYPE, Column, Table

DESCRIPTIONS = Table(
    "descriptions",
    "shard",
    "the describer's answer for one image",
    (
        image_id(),
        Column("description", "string", "text of the answer", nullable=True),
        Column("tags", TAGS_TYPE, "the describer's own tags, most probable first", nullable=True),
        outcome(),
        failure(),
        *usage(),
        variant_hash(),
    ),
    ("image_id",),
)

KEYWORDS = Table(
    "keywords",
    "shard",
    "one keyword of one image, without repeats within an image",
    (
        image_id(),
        Column("keyword", "string", "normalized keyword"),
        variant_hash(),
    ),
    ("image_id", "keyword"),
)

KEYWORD_ANSWERS = Table(
    "keyword_answers",
    "shard",
    "the result of keyword extraction for one described image",
    (
        image_id(),
        outcome(),
        failure(),
        *usage(),
        variant_hash(),
    ),
    ("image_id",),
)

GROUNDED_KEYWORDS = Table(
    "grounded_keywords",
    "experiment",
    "a question whether the keyword that decides an image's place on the list is in the picture",
    (
        image_id(),
        Column("keyword", "string", "its rarest keyword"),
        Column("list_rank", "int64", "rank of the image on the list before anything sinks", minimum=1),
        Column(
            "is_confirmed", "bool", "whether the second model sees it; empty where it gave no answer", nullable=True
        ),
        Column("answer", "string", "text of the answer", nullable=True),
        outcome(),
        failure(),
        *usage(),
        variant_hash(),
    ),
    ("image_id",),
)
