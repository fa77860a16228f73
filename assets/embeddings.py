"""Stage `embeddings`: what the image encoder sees, computed once and read by describer and task model alike."""

from typing import Any

import pyarrow as pa

from vlmine_dagster.domain.tables import EMBEDDINGS
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.encoder import Encodings
from vlmine_dagster.resources.intake import read_bytes


def compute(run: StageRun) -> Product:
    """Read the pixels of a shard once, and keep what the encoder sees."""
    images = run.read("images", ["image_id", "outcome"]).to_pylist()
    wanted = [row["image_id"] for row in images if row["outcome"] == "ok"]
    progress = run.progress(len(wanted))
    found = run.bench.encoder.encode(
        read_bytes(run.bench.source, run.partition, wanted) if wanted else (),
        max_pixels=run.project.settings.dataset.max_pixels,
        on_progress=progress.add,
    )
    for name, reason in found.failures.items():
        run.log.warning(f"{name} was readable before and is not now: {reason}")
    return Product(embedding_rows(found), {"images/s": progress.rate, "unreadable": len(found.failures)})


def embedding_rows(found: Encodings) -> pa.Table:
    """Return what the encoder saw as rows of `embeddings`, sorted by image id."""
    return pa.table(
        {
            "image_id": pa.array(found.image_ids, pa.string()),
            "embedding": _vectors(found.embeddings, EMBEDDINGS.column("embedding").type),
            "tag_probabilities": _vectors(found.probabilities, EMBEDDINGS.column("tag_probabilities").type),
        }
    ).sort_by("image_id")


def _vectors(values: Any, kind: Any) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), pa.float16()), type=kind)
