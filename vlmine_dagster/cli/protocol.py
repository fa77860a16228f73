"""`vlmine protocol`: a project for a benchmark."""

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option("--root", required=True, type=click.Path(path_type=Path), help="Folder with the images.")
@click.option(
    "--lists",
    type=click.Path(path_type=Path),
    help="Folder with the split lists or JSON files (imagenet-lt, places-lt, lvis, coco-lt).",
)
@click.option(
    "--pool", default="split", show_default=True, type=click.Choice(["split", "rest"]), help="Images to mine."
)
@click.option(
    "--law",
    default="exponential",
    show_default=True,
    type=click.Choice(["exponential", "pareto"]),
    help="Shape of the tail.",
)
@click.option(
    "--imbalance",
    default=100.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Size of the largest class divided by the smallest.",
)
@click.option("--largest", type=click.IntRange(1), help="Images in the largest class. Default: all.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Random seed for which classes become rare."
)
@click.option(
    "--test-per-class",
    default=25,
    show_default=True,
    type=click.IntRange(1),
    help="Images per class held out for testing (folders).",
)
@click.option(
    "--few-shot",
    default="under-20",
    show_default=True,
    type=click.Choice(["under-20", "up-to-20"]),
    help="What counts as few-shot.",
)
@click.option("--force", "is_forced", is_flag=True, help="Overwrite an existing vlmine.yaml.")
def protocol(
    *,
    name: str,
    root: Path,
    lists: Path | None,
    pool: str,
    law: str,
    imbalance: float,
    largest: int | None,
    seed: int,
    test_per_class: int,
    few_shot: str,
    is_forced: bool,
) -> None:
    """Make a project for a benchmark: imagenet-lt, places-lt, tiny-imagenet-lt, cifar-10-lt, cifar-100-lt, folders.

    For detection: lvis, coco-lt. --root holds train2017 and val2017, --lists the JSON files; the options about tails
    and pools do not apply to them.

    --pool split mines the long-tailed training set; a random fifth of it is labelled. --pool rest labels that whole set
    and mines the rest of the full one, in which tail classes are common. Validation and test images are never mined.
    """
    from vlmine_dagster.protocols import (
        DETECTION_PROTOCOLS,
        Tail,
        read_detection,
        read_protocol,
        write_benchmark,
        write_detection,
    )

    if name in DETECTION_PROTOCOLS:
        made = write_detection(read_detection(name, root=root, lists=lists), Path.cwd(), is_forced=is_forced)
    else:
        tail = Tail(law, imbalance, largest, seed)
        given = {"root": root, "lists": lists, "tail": tail, "test_per_class": test_per_class, "pool": pool}
        benchmark = read_protocol(name, folder=Path.cwd(), **given)  # type: ignore[arg-type]
        made = write_benchmark(benchmark, Path.cwd(), pool=pool, few_shot=few_shot, is_forced=is_forced)  # type: ignore[arg-type]
    labelled = f"{made.seed_count:,} labelled, " if made.seed_count else ""
    click.echo(f"{made.file}: {labelled}{made.pool_count:,} in the pool, {made.test_count:,} for testing.")
    for sentence in made.words:
        click.echo(f"- {sentence}")
    click.echo("Next: vlmine run")
