"""How many boxes a second are projected into a camera, and how many pairs overlapped, on one core.

`python -m benchmarks.geometry` prints both; a million of each per second is what the pipeline counts on.
"""

import time
from collections.abc import Callable

import click
import numpy as np

from vlmine_dagster.geometry.camera import Camera, projected_boxes
from vlmine_dagster.geometry.overlap import box_iou
from vlmine_dagster.geometry.poses import OPTICAL_FROM_FORWARD, inverted


def random_boxes(count: int, *, random_seed: int) -> np.ndarray:
    """Return boxes of the sizes of road users around a vehicle, shape (N, 7)."""
    draw = np.random.default_rng(random_seed)
    centre = draw.uniform([-75, -75, -1], [75, 75, 2], (count, 3))
    return np.concatenate([centre, draw.uniform(0.5, 12, (count, 3)), draw.uniform(-4, 4, (count, 1))], axis=1)


def per_second(count: int, work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return items per second of processor time, the best of some repeats."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return count / min(seconds)


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="Number of boxes and of pairs.")
def main(count: int) -> None:
    """Print boxes per second of one core."""
    boxes = random_boxes(count, random_seed=0)
    others = boxes + np.random.default_rng(1).normal(0, 0.5, boxes.shape)
    camera = Camera((1000, 1000), (960, 640), (1920, 1280), inverted(OPTICAL_FROM_FORWARD))
    click.echo(f"projection: {per_second(count, lambda: projected_boxes(boxes, camera)):,.0f} boxes per second")
    click.echo(f"3D IoU: {per_second(count, lambda: box_iou(boxes, others)):,.0f} pairs per second")


if __name__ == "__main__":
    main()
