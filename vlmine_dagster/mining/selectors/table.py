"""The selectors by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vlmine_dagster.mining.selectors.badge import badge
from vlmine_dagster.mining.selectors.class_balance import class_balance
from vlmine_dagster.mining.selectors.clusters import aloe, cluster_wise, typiclust
from vlmine_dagster.mining.selectors.direct import direct
from vlmine_dagster.mining.selectors.galaxy import galaxy
from vlmine_dagster.mining.selectors.mutual_information import graph_cut, similar
from vlmine_dagster.mining.selectors.state import Ask, Places, PoolState
from vlmine_dagster.mining.selectors.uncertain import at_random, core_set, entropy, margin, tail_first


@dataclass(frozen=True)
class Selector:
    """A method that picks the images of a round.

    Attributes:
        name: Its name in tables.
        pick: Picks images: of a pool, as many as asked for; one that labels them one at a time is given how to ask.
        labels_one_by_one: Whether it sees each label before the next pick; all others see none before the round ends.
        needs_labels: Whether it needs labels of two classes to begin with.
    """

    name: str
    pick: Callable[[PoolState, int, Ask], Places]
    labels_one_by_one: bool = False
    needs_labels: bool = True


def _batch(pick: Callable[[PoolState, int], Places], state: PoolState, count: int, _ask: Ask) -> Places:
    return pick(state, count)


SELECTORS: dict[str, Selector] = {
    one.name: one
    for one in (
        Selector("random", partial(_batch, at_random), needs_labels=False),
        Selector("cluster_wise", partial(_batch, cluster_wise), needs_labels=False),
        Selector("typiclust", partial(_batch, typiclust), needs_labels=False),
        Selector("core_set", partial(_batch, core_set), needs_labels=False),
        Selector("entropy", partial(_batch, entropy)),
        Selector("margin", partial(_batch, margin)),
        Selector("badge", partial(_batch, badge)),
        Selector("galaxy", galaxy, labels_one_by_one=True),
        Selector("direct", direct, labels_one_by_one=True),
        Selector("similar", partial(_batch, similar)),
        Selector("graph_cut", partial(_batch, graph_cut)),
        Selector("tail_first", partial(_batch, tail_first)),
        Selector("aloe", partial(_batch, aloe)),
        Selector("class_balance", class_balance, labels_one_by_one=True),
    )
}
