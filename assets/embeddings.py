"""Stage `embeddings`: what the image encoder sees, computed once and read by describer and task model alike."""

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import CORES_POOL, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun


@stage(
    "embeddings",
    group="describe",
    kinds={"python", "onnx", "parquet"},
    reads=[Reads(ITEMS, ("image_id", "sha256", "outcome"))],
    fingerprints=lambda bench, _part: [bench.encoder.fingerprint],
    version=2,
    pool=CORES_POOL,
)
def embeddings(run: StageRun) -> Product:
    """The image encoder's features and class probabilities of every readable image of a shard.

    One row per image. Reads the pixels once; the tagger and the probe both work on what is written here.
    """
    from vlmine_dagster.resources.encoder import embedding_rows
    from vlmine_dagster.resources.intake import read_bytes

    images = run.read(ITEMS, ["image_id", "outcome"]).to_pylist()
    wanted = [row["image_id"] for row in images if row["outcome"] == "ok"]
    progress = run.progress(len(wanted))
    found = run.encoder.encode(
        read_bytes(run.encoder_inputs, run.partition, wanted) if wanted else (),
        max_pixels=run.project.settings.dataset.max_pixels,
        on_progress=progress.add,
    )
    for name, reason in found.failures.items():
        run.log.warning(f"{name} was readable before and is not now: {reason}")
    return Product(embedding_rows(found), {"images/s": progress.rate, "unreadable": len(found.failures)})
