"""From images to descriptions to keywords: the rows of `descriptions`, `keywords` and `keyword_answers` of a shard."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.tables import DESCRIPTIONS, JUDGES, KEYWORD_ANSWERS, KEYWORDS, Outcome
from vlmine_dagster.resources.describers import Describer, DescriberInput, Description, Tag
from vlmine_dagster.resources.intake import by_shard, read_bytes
from vlmine_dagster.resources.keyworders import KeywordAnswer, Keyworder
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.replies import Reply, Usage
from vlmine_dagster.resources.rows import Bill, RowBuffer, answer_row
from vlmine_dagster.resources.sources import ImageSource

Loader = Callable[[Sequence[str]], Iterator[DescriberInput]]


def described_images(images: pa.Table) -> dict[str, str]:
    """Return SHA-256 by id of the images to describe: the readable ones that judge no model.

    Args:
        images: Rows of `images` (image_id, sha256, outcome, split).
    """
    columns = images.select(["image_id", "sha256", "outcome", "split"]).to_pydict()
    rows = zip(columns["image_id"], columns["sha256"], columns["outcome"], columns["split"], strict=True)
    return {name: digest for name, digest, outcome, split in rows if outcome == "ok" and split not in JUDGES}


class SharedAnswers(Protocol):
    """What reads about which images no model is asked."""

    def needs(self, table: str) -> bool:
        """Whether it reads a table."""

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table."""


def taken_over(images: Iterable[str], reader: SharedAnswers) -> list[str]:
    """Return those of some images about which no model is asked, since another one shows the same picture.

    Args:
        images: Ids.
        reader: Reads `shard_duplicates` (image_id), where models are asked about each picture once.
    """
    if not reader.needs("shard_duplicates"):
        return []
    others = set(reader.read("shard_duplicates", ["image_id"]).column(0).to_pylist())
    return [name for name in images if name in others]


def with_taken_over(rows: pa.Table, names: Sequence[str], variant_hash: str) -> pa.Table:
    """Return rows of answers with one more for each image that takes over another's: it says nothing and costs nothing.

    Args:
        rows: Rows of `descriptions` or `keyword_answers`.
        names: Images about which no model was asked.
        variant_hash: How models are asked.
    """
    if not names:
        return rows
    answers = (KeywordAnswer(name, (), Outcome.TAKEN_OVER) for name in names)
    more = pa.Table.from_pylist([answer_row(answer, variant_hash) for answer in answers], rows.schema)
    return pa.concat_tables([rows, more]).sort_by("image_id")


def kept_replies(rows: pa.Table, fingerprint: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, Reply]]:
    """Yield the good answers of published rows by the hash of their image, if they were asked for in this way.

    Args:
        rows: Rows of `descriptions`.
        fingerprint: How is asked now.
        wanted: SHA-256 by id of the images to describe.
    """
    for row in rows.to_pylist():
        if row["outcome"] == "ok" and row["variant_hash"] == fingerprint and row["image_id"] in wanted:
            used = {one.name: row[one.name] for one in fields(Usage)}
            yield wanted[row["image_id"]], Reply(row["description"], **used)


def loader(reads: str, source: ImageSource, shard: str, probabilities: Callable[[], Mapping[str, Any]]) -> Loader:
    """Return what loads for a describer what it needs of images, by their ids.

    Args:
        reads: What the describer reads: `pixels`, `encodings`, or nothing.
        source: The images.
        shard: Their shard.
        probabilities: Returns the encoder's class probabilities by id; called only where the describer needs them.
    """

    def load(wanted: Sequence[str]) -> Iterator[DescriberInput]:
        if not wanted:
            return
        if reads == "pixels":
            for name, data in read_bytes(source, shard, wanted):
                yield DescriberInput(name, data)
            return
        known = probabilities() if reads == "encodings" else {}
        for name in wanted:
            yield DescriberInput(name, tag_probabilities=known.get(name))

    return load


def pool_loader(source: ImageSource, shards: Sequence[str]) -> Loader:
    """Return what loads pictures of any shard by their ids."""

    def load(wanted: Sequence[str]) -> Iterator[DescriberInput]:
        for shard, names in by_shard(wanted, shards).items():
            for name, data in read_bytes(source, shard, names):
                yield DescriberInput(name, data)

    return load


def describe(
    describer: Describer, wanted: Mapping[str, str], load: Loader, *, progress: Progress, is_failure_retried: bool
) -> tuple[pa.Table, Bill]:
    """Ask a describer about images; return the rows of `descriptions`, sorted by id, and what they cost.

    Args:
        describer: Who is asked.
        wanted: SHA-256 by id of the images.
        load: Yields what the describer needs of images, by their ids.
        progress: Counts answers.
        is_failure_retried: Whether to ask again where the kept answer is a failure.
    """
    rows, bill = RowBuffer(DESCRIPTIONS.schema), Bill()
    for answer in describer.describe(wanted, load, is_failure_retried=is_failure_retried):
        rows.add(description_row(answer, describer.fingerprint))
        bill.add(answer)
        progress.add(1, str(bill), failed=bill.failed, cost_usd=bill.cost_usd)
    return rows.table().sort_by("image_id"), bill


def description_row(answer: Description, fingerprint: str) -> dict[str, Any]:
    """Return an answer as a row of `descriptions`."""
    tags = None if answer.tags is None else [{"tag": t.tag, "probability": t.probability} for t in answer.tags]
    return {**answer_row(answer, fingerprint), "description": answer.text, "tags": tags}


@dataclass(frozen=True)
class Extraction:
    """The keywords of a shard.

    Attributes:
        keywords: Rows of `keywords`, sorted.
        answers: Rows of `keyword_answers`, sorted by id.
        bill: What they cost.
    """

    keywords: pa.Table
    answers: pa.Table
    bill: Bill

    def facts(self) -> dict[str, Any]:
        """Return what people ask of keywords: images described, those without keywords, keywords per image."""
        count = self.answers.num_rows
        ok_count = pc.sum(pc.equal(self.answers.column("outcome"), Outcome.OK.value)).as_py() or 0
        return {
            "images described": count,
            "images without keywords": count - ok_count,
            "keywords per image": round(self.keywords.num_rows / count, 2) if count else 0.0,
        }

    @property
    def answers_without_empty(self) -> pa.Table:
        """The answers, those that name nothing taken as no failure: a description may name nothing."""
        is_empty = pc.equal(self.answers.column("outcome"), Outcome.EMPTY.value)
        failure = pc.if_else(is_empty, pa.scalar(None, pa.string()), self.answers.column("failure"))
        return self.answers.set_column(self.answers.column_names.index("failure"), "failure", failure)


def extract(
    keyworder: Keyworder,
    described: Sequence[Description],
    variant_hash: str,
    *,
    progress: Progress,
    is_failure_retried: bool,
) -> Extraction:
    """Turn descriptions into keywords, each once per image.

    Args:
        keyworder: Who extracts them.
        described: Descriptions that are ok.
        variant_hash: How they were described and are extracted.
        progress: Counts descriptions.
        is_failure_retried: Whether to ask again where the kept answer is a failure.
    """
    bill, words, answers = Bill(), RowBuffer(KEYWORDS.schema), RowBuffer(KEYWORD_ANSWERS.schema)
    for answer in keyworder.extract(described, is_failure_retried=is_failure_retried):
        for word in answer.keywords:
            words.add({"image_id": answer.image_id, "keyword": word, "variant_hash": variant_hash})
        answers.add(answer_row(answer, variant_hash))
        bill.add(answer)
        progress.add(1, str(bill), failed=bill.failed, cost_usd=bill.cost_usd)
    order = [("image_id", "ascending"), ("keyword", "ascending")]
    return Extraction(words.table().sort_by(order), answers.table().sort_by("image_id"), bill)


def usable_descriptions(rows: pa.Table) -> list[Description]:
    """Return the descriptions of rows that are ok.

    Args:
        rows: Rows of `descriptions` (image_id, description, tags, outcome).
    """
    return [
        Description(row["image_id"], row["description"], _tags(row["tags"]))
        for row in rows.to_pylist()
        if row["outcome"] == Outcome.OK
    ]


def _tags(tags: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...] | None:
    return None if tags is None else tuple(Tag(tag["tag"], tag["probability"]) for tag in tags)


def preview(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the first rows of `descriptions` for people: the answer, or why there is none."""
    shown = rows.slice(0, 5).select(["image_id", "description", "failure"]).to_pylist()
    return [{"image": row["image_id"], "answer": row["failure"] or row["description"]} for row in shown]
