"""Boxes with a longer tail: of some classes all but a few boxes are taken out of a folder in Pascal VOC's layout.

    python -m benchmarks.thinned_boxes Annotations thinned --keep WBC=20 --keep Platelets=20
    vlmine init JPEGImages --boxes thinned

Pictures stay as they are: an object that is left out is part of the background, as in a set that nobody labelled whole.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np


def thinned(annotations: Path, to: Path, *, keep: Mapping[str, int], seed: int) -> dict[str, int]:
    """Write a copy of the annotations in which the named classes keep so many boxes; return boxes by class.

    Args:
        annotations: Folder of XML files.
        to: Folder for the copies, which keep their names.
        keep: Boxes by class; classes that are not named keep all of theirs.
        seed: Of the choice, which is uniform over the boxes of a class.
    """
    trees = {file.name: ElementTree.parse(file) for file in sorted(annotations.glob("*.xml"))}  # noqa: S314 - our own data
    by_class: dict[str, list[tuple[str, ElementTree.Element]]] = {}
    for name, tree in trees.items():
        for one in tree.getroot().findall("object"):
            by_class.setdefault(one.findtext("name") or "", []).append((name, one))
    draw = np.random.default_rng(seed)
    for label, boxes in sorted(by_class.items()):
        for place in draw.permutation(len(boxes))[keep.get(label, len(boxes)) :].tolist():
            name, one = boxes[place]
            trees[name].getroot().remove(one)
    to.mkdir(parents=True, exist_ok=True)
    for name, tree in trees.items():
        tree.write(to / name, encoding="utf-8")
    return {label: min(len(boxes), keep.get(label, len(boxes))) for label, boxes in sorted(by_class.items())}


def _amounts(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    pairs = [one.rpartition("=") for one in given]
    if not all(label and count.isdecimal() for label, _, count in pairs):
        raise click.BadParameter("expected a class and a number, such as WBC=20")
    return {label: int(count) for label, _, count in pairs}


@click.command()
@click.argument("annotations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("to", type=click.Path(path_type=Path))
@click.option("--keep", multiple=True, callback=_amounts, help="CLASS=COUNT: boxes that a class keeps.")
@click.option("--seed", default=0, show_default=True)
def main(annotations: Path, to: Path, *, keep: dict[str, int], seed: int) -> None:
    """Write thinned annotations and print the boxes that each class has left."""
    for label, count in thinned(annotations, to, keep=keep, seed=seed).items():
        click.echo(f"{label}: {count:,}")


if __name__ == "__main__":
    main()
