"""What is known of images without any label: how rare their tags are, and how isolated they are among neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.density import embedding_density, semantic_density
from vlmine_dagster.mining.isolation import (
    NeighbourLists,
    half_whitened,
    local_outlier_factor,
    neighbour_lists,
    tag_information,
    tag_weight,
)
from vlmine_dagster.mining.neighbours import Blocks
from vlmine_dagster.mining.propagation import log_share, neighbour_graph, spread
from vlmine_dagster.mining.rarity import chosen_signal, soft_novelty, strangeness, unlabelled_rarity
from vlmine_dagster.scoring.names import ClassNames, RarityByNames, rarity_by_names
from vlmine_dagster.scoring.reading import Reader

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SCALES = (5, 10, 20)
"""Neighbours of the local outlier factors: groups of fewer images than these are noticed."""

SURE_PRECISION = 0.35
"""From which isolation is not joined. Draws of blood cells have 0.17, satellite pictures 0.24 and handwritten digits
0.39, where isolation costs the lists of rare classes most (docs/log.md)."""

_CHOSEN_FROM = {"sparsity": "chosen_sparsity", "local_isolation": "chosen_isolation"}

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What is known of N images, labelled or not, without a label.

    Attributes:
        columns: Shape (N,) each, higher is rarer: sparsity and soft_novelty, by tags; local_isolation, by features;
            unlabelled_rarity, of all that and of names of classes, NaN where nobody asks for it.
        tag_weight: How much tags count in this pool, from 0 to 1.
        lists: Nearest neighbours by features.
        nameless_rarity: Shape (N,), unlabelled_rarity as it is without names of classes.
    """

    columns: Mapping[str, Floats]
    tag_weight: float
    lists: NeighbourLists
    nameless_rarity: Floats

    def nameless(self) -> "Surroundings":
        """Return the same where classes have no names."""
        return replace(self, columns={**self.columns, "unlabelled_rarity": self.nameless_rarity})

    @cached_property
    def graph(self) -> "csr_array":
        """The graph of neighbours."""
        return neighbour_graph(self.lists)


def surroundings(reader: Reader, features: Blocks, tags: Blocks, *, names: ClassNames | None = None) -> Surroundings:
    """Look at N images by their tags and by their features at several scales.

    local_isolation joins local outlier factors over 5, 10 and 20 neighbours by Fisher's rule.

    Args:
        reader: Tells how neighbours are searched for.
        features: Shape (N, D) in blocks.
        tags: Shape (N, T) in blocks, probabilities.
        names: Of classes, for unlabelled_rarity; None where nobody asks for it.
    """
    search = reader.project.settings.neighbour_search
    lists = neighbour_lists(features, count=_SCALES[-1], search=search)
    columns = {
        "sparsity": 0.0 - semantic_density(tags, search=search),
        "soft_novelty": soft_novelty(tags),
        "local_isolation": strangeness([local_outlier_factor(lists, neighbours=scale) for scale in _SCALES]),
    }
    weight = tag_weight(tag_information(tags))
    rarity = nameless = np.full(len(lists), np.nan)
    if names is not None:
        by_tags = [columns["sparsity"], columns["soft_novelty"]]
        by_names = RarityByNames()
        if weight > 0 and len(lists) > 1:
            by_tags.append(0.0 - embedding_density(half_whitened(features), search=search))
            by_names = rarity_by_names(tags, names, search=search)
        rarity, nameless = (
            unlabelled_rarity(
                columns["local_isolation"], by_tags, weight=weight, by_names=named, coverage=by_names.coverage
            )
            for named in ([*by_names.columns, columns["sparsity"]] if by_names.columns else [], [])
        )
    return Surroundings({**columns, "unlabelled_rarity": rarity}, weight, lists, nameless)


@dataclass(frozen=True, eq=False)
class Placed:
    """Surroundings of which some images can be mined and some are labelled.

    Attributes:
        around: Of all images.
        pool: Shape (N,), places of those that can be mined.
        seed: Shape (M,), places of the labelled ones.
    """

    around: Surroundings
    pool: Places
    seed: Places

    def of_pool(self, name: str) -> Floats:
        """Return a column of the images that can be mined, shape (N,)."""
        return self.around.columns[name][self.pool]

    def chosen(self, few_shot: Floats, *, precision: float) -> dict[str, Floats]:
        """Return what the labelled set chooses of sparsity and local_isolation, for the images that can be mined.

        The other one is 0 for all images. Tags are believed as far as they count in this pool. Isolation helps where
        models cannot tell which images are rare; where they are sure of it, both are 0.

        Args:
            few_shot: Shape (M,), P(few-shot) of the class of each labelled image.
            precision: `expected_precision` of the images that can be mined; 0 where there may be classes of which
                models know nothing, since the project announces none.

        Returns:
            `chosen_sparsity` and `chosen_isolation`, shape (N,).
        """
        columns = {name: self.around.columns[name] for name in _CHOSEN_FROM}
        name = chosen_signal(columns, self.seed, few_shot, trust={"sparsity": self.around.tag_weight})
        if name == "local_isolation" and precision >= SURE_PRECISION:
            name = None
        return {
            chosen: values[self.pool] if one == name else np.zeros(len(self.pool))
            for (one, values), chosen in zip(columns.items(), _CHOSEN_FROM.values(), strict=True)
        }

    def propagation(self, numbers: npt.NDArray[np.int64], shift: Floats | None) -> "Propagation":
        """Return posteriors by labels that spread over the graph of neighbours."""
        return Propagation(self, numbers, shift)


class Propagation:
    """Class posteriors of the pool by labels that spread over the graph of neighbours, one class at a time.

    Args:
        placed: The images.
        numbers: Shape (M,), classes of the labelled ones.
        shift: Shape (C,), by which posteriors are multiplied where labels are not a random draw.
    """

    def __init__(self, placed: Placed, numbers: npt.NDArray[np.int64], shift: Floats | None):
        self._placed, self._numbers, self._shift = placed, numbers, shift
        self._class_count = len(np.unique(numbers))
        weights = np.ones(len(numbers)) if shift is None else shift[numbers]
        self._of_all = self._spread(weights)

    def log_posterior(self, number: int) -> npt.NDArray[np.float32]:
        """Return the logarithm of a class's posterior, shape (N,)."""
        factor = 1.0 if self._shift is None else self._shift[number]
        of_class = self._spread(factor * (self._numbers == number))
        return log_share(of_class, self._of_all, class_count=self._class_count)

    def _spread(self, weights: Floats) -> npt.NDArray[np.float32]:
        start = np.zeros(len(self._placed.around.lists), dtype=np.float32)
        start[self._placed.seed] = weights
        return spread(self._placed.around.graph, start)[self._placed.pool]
