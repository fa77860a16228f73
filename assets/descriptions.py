"""Stage `descriptions`: what the describer says about each image."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from assets.stages import Product, Reads, Stage, StageRun
from resources.describers import Describer, DescriberInput, Description
from resources.intake import outcome_counts, read_bytes, refuse_failures
from resources.workbench import Workbench
from vlmine_dagster.project import Project
from vlmine_dagster.tables import DESCRIPTIONS, EMBEDDINGS

IMAGES_READ = Reads("images", ("image_id", "sha256", "outcome", "split"))
EMBEDDINGS_READ = Reads("embeddings", ("image_id", "tag_probabilities"))


def compute(run: StageRun) -> Product:
    """One model answer about each readable image of a shard; images of the test split are left out.

    A row is an answer with its outcome, tokens, latency and price. Only `ok` answers go on.
    """
    describer = run.bench.describer(run.variant)
    images = run.read("images", ["image_id", "sha256", "outcome", "split"]).to_pylist()
    wanted = {r["image_id"]: r["sha256"] for r in images if r["outcome"] == "ok" and r["split"] != "test"}
    progress = run.progress(len(wanted))
    rows = []
    for answer in describer.describe(_inputs(run, describer, wanted)):
        rows.append(_row(answer, describer.fingerprint))
        progress.add(1)
    rows.sort(key=lambda row: str(row["image_id"]))
    table = pa.Table.from_pylist(rows, schema=DESCRIPTIONS.schema)
    where = f"descriptions[{run.partition}]"
    refuse_failures(table, where=where, max_share=run.project.settings.dataset.max_failure_share)
    return Product(table, {"outcomes": outcome_counts(table), "images/s": progress.rate, **_totals(rows)})


def _inputs(run: StageRun, describer: Describer, wanted: dict[str, str]) -> Iterator[DescriberInput]:
    if not wanted:
        return
    if describer.needs == "pixels":
        for name, data in read_bytes(run.bench.source, run.partition, list(wanted)):
            yield DescriberInput(name, wanted[name], data)
        return
    seen = dict(_probabilities(run))
    for name, digest in wanted.items():
        yield DescriberInput(name, digest, tag_probabilities=seen.get(name))


def _probabilities(run: StageRun) -> Iterator[tuple[str, Any]]:
    rows = run.read("embeddings", ["image_id", "tag_probabilities"])
    vectors = matrix(rows, "tag_probabilities")
    for place, name in enumerate(rows.column("image_id").to_pylist()):
        yield name, vectors[place]


def matrix(rows: pa.Table, column: str) -> Any:
    """Return a vector column of `embeddings` as an array of shape (N, size), float32."""
    size = EMBEDDINGS.column(column).type.list_size
    if not rows.num_rows:
        return np.empty((0, size), np.float32)
    flat = rows.column(column).combine_chunks().flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(-1, size).astype(np.float32)


def _row(answer: Description, fingerprint: str) -> dict[str, Any]:
    tags = None if answer.tags is None else [{"tag": t.tag, "probability": t.probability} for t in answer.tags]
    return {
        "image_id": answer.image_id,
        "description": answer.text,
        "tags": tags,
        "outcome": answer.outcome.value,
        "failure": answer.failure,
        "prompt_tokens": answer.prompt_tokens,
        "output_tokens": answer.output_tokens,
        "latency_s": answer.latency_s,
        "cost_usd": answer.cost_usd,
        "variant_hash": fingerprint,
    }


def _totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "output_tokens": sum(row["output_tokens"] for row in rows),
        "cost_usd": round(sum(row["cost_usd"] for row in rows), 6),
        "preview": "\n".join(f"- `{row['image_id']}` {row['description']}" for row in rows[:5]),
    }


def _reads(project: Project, _partition: str, variant: str) -> tuple[Reads, ...]:
    needs_encodings = project.settings.variant(variant).describer.kind == "tagger"
    return (IMAGES_READ, EMBEDDINGS_READ) if needs_encodings else (IMAGES_READ,)


def _settings(bench: Workbench, _partition: str, variant: str) -> list[Any]:
    return [bench.describer(variant).fingerprint]


STAGE = Stage(
    table="descriptions",
    group="describe",
    kinds=frozenset({"python", "parquet", "ai"}),
    compute=compute,
    reads=(IMAGES_READ, EMBEDDINGS_READ),
    reads_of=_reads,
    settings=_settings,
    is_variant=True,
    pool="describer",
)
