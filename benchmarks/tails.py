"""Other long-tailed pools, cut from a benchmark's own: other classes are rare, and classes may lose their names."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.longtail import long_tail_sizes
from vlmine_dagster.mining.novelty import POOLINGS, novelty_scores
from vlmine_dagster.mining.vocabulary import count_images
from vlmine_dagster.scoring.evidence import Evidence
from vlmine_dagster.scoring.names import Naming
from vlmine_dagster.studies.pool import Floats, Places, Pool


@dataclass(frozen=True)
class Tail:
    """A law by which classes are thinned.

    Attributes:
        number: Another number draws other classes, in another order, and other images of them.
        class_count: Classes that are kept.
        imbalance: Largest over smallest class.
        largest: Images of the first class; a class that has fewer keeps them all.
        smallest_supply: Classes with fewer images are left out, so that no class is rare that was.
    """

    number: int
    class_count: int = 100
    imbalance: float = 50.0
    largest: int = 250
    smallest_supply: int = 20

    def places(self, truth: npt.NDArray[np.str_]) -> Places:
        """Return the rising places of the images that are kept.

        Raises:
            ConfigError: there are not so many classes with enough images.

        Examples:
            >>> truth = np.repeat(["a", "b", "c"], [30, 30, 2])
            >>> kept = Tail(0, class_count=2, imbalance=10, largest=20).places(truth)
            >>> sorted(Counter(truth[kept].tolist()).values())
            [2, 20]
        """
        draw = np.random.default_rng(self.number)
        known = sorted(name for name, count in Counter(truth.tolist()).items() if count >= self.smallest_supply)
        if len(known) < self.class_count:
            raise ConfigError(
                f"tail {self.number}: {len(known)} classes have {self.smallest_supply} images or more, expected "
                f"{self.class_count}. Ask for fewer --classes or a smaller --supply."
            )
        sizes = long_tail_sizes(self.class_count, largest=self.largest, imbalance=self.imbalance)
        chosen = draw.permutation(known)[: self.class_count]
        kept = [
            draw.permutation(np.flatnonzero(truth == name))[:size] for name, size in zip(chosen, sizes, strict=True)
        ]
        return np.sort(np.concatenate(kept))


class CutPool(Pool):
    """Some images of a pool: class sizes, counts and novelty are those of what is left, and nothing is kept.

    Args:
        whole: The pool.
        places: Rising places of the images that are left.
    """

    def __init__(self, whole: Pool, places: Places):
        self.__dict__.update(
            {name: vars(whole)[name] for name in ("_bench", "_variant", "_reader", "_seed_fraction", "_asked")}
        )
        self._kept, self._whole, self._places = None, whole, places
        self.ids = [whole.ids[place] for place in places.tolist()]
        self._keys = [whole._keys[place] for place in places.tolist()]
        self._frames = None if whole._frames is None else whole._frames.take(pa.array(places))
        self._sequences = [whole._sequences[place] for place in places.tolist()]
        self.truth = whole.truth[places]
        self.class_counts = dict(Counter(self.truth.tolist()))

    @cached_property
    def evidence(self) -> Evidence:
        """Features, tags and keywords of what is left."""
        return self._whole.evidence.take(self._places)

    @cached_property
    def is_described(self) -> npt.NDArray[np.bool_]:
        """Which images of what is left can be mined."""
        return self._whole.is_described[self._places]

    @cached_property
    def unit_counts(self) -> Mapping[str, int]:
        """Images by keyword among what is left."""
        return count_images(self.evidence.keywords)

    @cached_property
    def novelty(self) -> Mapping[str, Floats]:
        """Novelty by the counts of what is left."""
        words = self.evidence.keywords
        return {f"novelty_{pooling}": novelty_scores(words, self.unit_counts, pooling=pooling) for pooling in POOLINGS}

    @cached_property
    def naming(self) -> Naming:
        """Names of the classes that are left."""
        known = self._whole.naming
        left = [name for name in known.announced if name in self.class_counts]
        return Naming(left, known.tags, known.are_keywords_tags)
