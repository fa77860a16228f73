"""Stage `descriptions`: what the describer says about each image."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.describing.providers import describer_of
from vlmine_dagster.describing.unseen import GREY, answers_in, grey_picture, unseen, with_unseen
from vlmine_dagster.domain.tables import DESCRIPTIONS, JUDGES, Outcome
from vlmine_dagster.engine.catalog import DESCRIBED_COLUMNS
from vlmine_dagster.engine.facts import table_fact
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.describers import DescriberInput, Description, ModelDescriber
from vlmine_dagster.resources.intake import ASK_AGAIN, outcome_counts, read_bytes, refuse_failures
from vlmine_dagster.resources.replies import Reply
from vlmine_dagster.resources.rows import Bill, RowBuffer, answer_row
from vlmine_dagster.scoring.vectors import matrix


def compute(run: StageRun) -> Product:
    """Ask the describer about every readable image of a shard that does not judge models."""
    describer = describer_of(run.bench, run.variant)
    fingerprint, wanted = describer.fingerprint, _wanted(run)
    if isinstance(describer, ModelDescriber):
        describer.restore(list(_published(run, fingerprint, wanted)))
    progress = run.progress(len(wanted))
    rows, bill = RowBuffer(DESCRIPTIONS.schema), Bill()

    def load(image_ids: Sequence[str]) -> Iterator[DescriberInput]:
        return _inputs(run, image_ids)

    for answer in describer.describe(wanted, load, is_failure_retried=run.is_failure_retried):
        rows.add(description_row(answer, fingerprint))
        bill.add(answer)
        progress.add(1, str(bill))
    table = rows.table().sort_by("image_id")
    if isinstance(describer, ModelDescriber):
        table = _without_unseen(run, describer, table, wanted)
    where = f"descriptions[{run.partition}]"
    share = run.project.settings.dataset.max_failure_share
    refuse_failures(table.filter(pc.field("outcome") != "not_seen"), where=where, max_share=share, advice=ASK_AGAIN)
    facts = {
        "outcomes": outcome_counts(table),
        "images/s": progress.rate,
        **bill.facts(),
        "preview": table_fact(_preview(table)),
    }
    if isinstance(describer, ModelDescriber):
        facts |= {"asked": describer.model.label, "ran on": describer.model.where}
    return Product(table, facts)


def _without_unseen(run: StageRun, describer: ModelDescriber, table: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    """Return the rows, those of images that the model cannot have seen with outcome `not_seen`."""
    reasons = unseen(answers_in(table, wanted), describer, lambda names: _features(run, names), shard=run.partition)
    describer.mark_unseen({wanted[name]: why for name, why in reasons.items()})
    if reasons:
        run.log.warning(
            f"descriptions[{run.partition}]: {len(reasons):,} of {table.num_rows:,} pictures were not seen, for "
            f"example: {next(iter(reasons.values()))}. Does the server pass them on? `vlmine doctor` asks with one."
        )
    return with_unseen(table, reasons)


def _features(run: StageRun, names: Sequence[str]) -> Any:
    """Return what the encoder sees in some images of the shard, or in the grey picture."""
    images = [(GREY, grey_picture())] if list(names) == [GREY] else read_bytes(run.bench.source, run.partition, names)
    return run.bench.encoder.encode(images, max_pixels=run.project.settings.dataset.max_pixels).embeddings


def _wanted(run: StageRun) -> dict[str, str]:
    """Return SHA-256 by id of the images to describe."""
    columns = run.read("images", list(DESCRIBED_COLUMNS)).to_pydict()
    rows = zip(columns["image_id"], columns["sha256"], columns["outcome"], columns["split"], strict=True)
    return {name: digest for name, digest, outcome, split in rows if outcome == "ok" and split not in JUDGES}


def _published(run: StageRun, fingerprint: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, Reply]]:
    """Yield the answers of the published table, if it is of these very images: after pruning they cost nothing."""
    stamp = run.lake.stamp("descriptions", run.partition, variant=run.variant)
    if stamp is None or stamp.inputs != run.inputs:
        return
    for row in run.lake.read("descriptions", run.partition, variant=run.variant).to_pylist():
        if row["outcome"] == "ok" and row["variant_hash"] == fingerprint and row["image_id"] in wanted:
            used = (row[name] for name in ("prompt_tokens", "output_tokens", "latency_s", "cost_usd", "is_estimated"))
            yield wanted[row["image_id"]], Reply(row["description"], Outcome.OK, None, *used)


def _inputs(run: StageRun, wanted: Sequence[str]) -> Iterator[DescriberInput]:
    if not wanted:
        return
    reads = run.project.settings.variant(run.variant).describer.capabilities.reads
    if reads == "pixels":
        for name, data in read_bytes(run.bench.source, run.partition, wanted):
            yield DescriberInput(name, data)
        return
    seen = dict(_probabilities(run)) if reads == "encodings" else {}
    for name in wanted:
        yield DescriberInput(name, tag_probabilities=seen.get(name))


def _probabilities(run: StageRun) -> Iterator[tuple[str, Any]]:
    rows = run.read("embeddings", ["image_id", "tag_probabilities"])
    vectors = matrix(rows, "tag_probabilities")
    for place, name in enumerate(rows.column("image_id").to_pylist()):
        yield name, vectors[place]


def description_row(answer: Description, fingerprint: str) -> dict[str, Any]:
    """Return an answer as a row of `descriptions`."""
    tags = None if answer.tags is None else [{"tag": t.tag, "probability": t.probability} for t in answer.tags]
    return {**answer_row(answer, fingerprint), "description": answer.text, "tags": tags}


def _preview(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.slice(0, 5).select(["image_id", "description", "failure"]).to_pylist()
    return [{"image": row["image_id"], "answer": row["failure"] or row["description"]} for row in rows]
