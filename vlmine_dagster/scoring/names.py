"""By which names classes may be told, and what names say about rarity where nothing is labelled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.class_names import Singles, name_shares, posterior_with_others
from vlmine_dagster.mining.class_sizes import few_shot_by_size
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.neighbours import Blocks
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.evidence import Evidence, EvidenceBlocks
from vlmine_dagster.settings.project import Project

_DEFAULT_FEW_UNDER = 20

Floats = npt.NDArray[np.float64]
Words = Callable[[], Iterator[list[str]]]


@dataclass(frozen=True)
class Naming:
    """By which names classes may be told.

    Attributes:
        announced: Classes that the project names, those without any label too.
        tags: Names of the tags, in the order of their probabilities.
        are_keywords_tags: Whether keywords are these tags again, and so tell nothing more.
    """

    announced: Sequence[str] = ()
    tags: Sequence[str] = ()
    are_keywords_tags: bool = True

    def shares(self, images: Evidence, classes: Sequence[str]) -> tuple[Singles, npt.NDArray[np.bool_]]:
        """Return `name_shares` of images."""
        return self.shares_of(images.tag_probabilities, classes, images.keywords)

    def shares_of(
        self, tags: npt.NDArray[Any], classes: Sequence[str], keywords: Sequence[Sequence[str]]
    ) -> tuple[Singles, npt.NDArray[np.bool_]]:
        """Return `name_shares` of images by their tag probabilities, shape (B, T), and keywords."""
        return name_shares(classes, self.tags, tags, None if self.are_keywords_tags else keywords)

    def named(self, pool: EvidenceBlocks, classes: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return which classes can be told by their names, shape (C,); where keywords are tags, one block tells."""
        is_named = np.zeros(len(classes), dtype=bool)
        for block in pool.blocks():
            is_named |= self.shares(block, classes)[1]
            if self.are_keywords_tags:
                break
        return is_named


def few_shot_under(project: Project) -> int:
    """Return the number of images below which a class is few-shot."""
    settings = project.settings.dataset.labels
    return _DEFAULT_FEW_UNDER if settings is None else settings.few_under


def naming_of(project: Project, labels: Labels | None, tags: Sequence[str], variant: str) -> Naming:
    """Return by which names a project's classes may be told.

    Args:
        project: The project.
        labels: Its labels, which announce classes.
        tags: Names of the encoder's tags, in the order of their probabilities.
        variant: Extraction variant whose keywords count.
    """
    announced = labels.announced if labels is not None else ()
    return Naming(announced, tags, project.settings.variant(variant).describer.capabilities.names_encoder_classes)


@dataclass(frozen=True, eq=False)
class ClassNames:
    """What it takes to look for classes by their names.

    Attributes:
        naming: The names.
        words: Yields the keywords of each image; asked only where keywords are not tags.
        few_under: A class is few-shot with fewer images than this.
    """

    naming: Naming
    words: Words
    few_under: int

    @property
    def classes(self) -> list[str]:
        """The announced classes."""
        return sorted(set(self.naming.announced))

    def shares(self, tags: Blocks) -> Iterator[tuple[Singles, npt.NDArray[np.bool_]]]:
        """Yield `name_shares` of images, tag probabilities of shape (B, T) at a time."""
        keywords = iter(()) if self.naming.are_keywords_tags else self.words()
        for block in tags():
            yield self.naming.shares_of(block, self.classes, list(islice(keywords, len(block))))

    def known(self, tags: Blocks) -> npt.NDArray[np.bool_]:
        """Return which announced classes are known by name; where keywords are tags, one block tells."""
        is_named = np.zeros(len(self.classes), dtype=bool)
        for _, known in self.shares(tags):
            is_named |= known
            if self.naming.are_keywords_tags:
                break
        return is_named


@dataclass(frozen=True, eq=False)
class RarityByNames:
    """What names of classes say about N images of which none is labelled.

    Attributes:
        columns: Arrays of shape (N,), higher is rarer: the probability of a few-shot class, and how few images have a
            like posterior. None where no class is known by name.
        coverage: Share of the announced classes that are known by name.
    """

    columns: Sequence[Floats] = ()
    coverage: float = 0.0


def rarity_by_names(tags: Blocks, names: ClassNames, *, search: str) -> RarityByNames:
    """Look for rare classes by their names alone.

    An image's posterior is over the classes that are known by name, and all others (`posterior_with_others`). Its sum
    over the images is a class's predicted size.

    Args:
        tags: Shape (N, T) in blocks, probabilities.
        names: The names.
        search: As in `mining.neighbours.nearest_neighbours`.
    """
    is_named = names.known(tags)
    if not is_named.any():
        return RarityByNames()
    coverage = float(is_named.mean())

    def posteriors() -> Iterator[Singles]:
        for shares, _ in names.shares(tags):
            yield posterior_with_others(shares[:, is_named], coverage=coverage)

    sizes = np.sum([block.sum(axis=0, dtype=np.float64) for block in posteriors()], axis=0)
    few = few_shot_by_size(sizes, few_under=names.few_under)
    few[-1] = 0.0  # the others are not a class of their own
    chances = np.concatenate([block @ few for block in posteriors()])
    return RarityByNames((chances, 0.0 - semantic_density(posteriors, search=search)), coverage)
