"""Stage `embeddings`: what the image encoder sees, computed once and read by describer and task model alike."""

from functools import partial

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import CORES_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def _fingerprints(bench: Workbench, _part: Part) -> list[str]:
    own = [] if bench.features is None else [bench.features.fingerprint]
    return [bench.encoder.fingerprint, *own]


@stage(
    "embeddings",
    group="describe",
    kinds={"python", "onnx", "parquet"},
    reads=[Reads(ITEMS, ("image_id", "sha256", "outcome"))],
    fingerprints=_fingerprints,
    version=3,
    pool=CORES_POOL,
)
def embeddings(run: StageRun) -> Product:
    """The image encoder's features and class probabilities of every readable image of a shard.

    One row per image. Reads the pixels once; the tagger and the probe both work on what is written here. `features` of
    your own, from a file or a model, take the place of the encoder's.
    """
    from vlmine_dagster.resources.encoder import embedding_rows
    from vlmine_dagster.resources.features import with_features
    from vlmine_dagster.resources.intake import read_bytes

    images = run.read(ITEMS, ["image_id", "outcome"]).to_pylist()
    wanted = [row["image_id"] for row in images if row["outcome"] == "ok"]
    progress, max_pixels = run.progress(len(wanted)), run.project.settings.dataset.max_pixels
    read = partial(read_bytes, run.encoder_inputs, run.partition)
    found = run.encoder.encode(read(wanted) if wanted else (), max_pixels=max_pixels, on_progress=progress.add)
    for name, reason in found.failures.items():
        run.log.warning(f"{name} was readable before and is not now: {reason}")
    if run.features is not None and found.image_ids:
        own = run.progress(len(found.image_ids))
        found = with_features(found, run.features, read, max_pixels=max_pixels, on_progress=own.add)
    return Product(embedding_rows(found), {"images/s": progress.rate, "unreadable": len(found.failures)})
