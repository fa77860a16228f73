"""Software-defined assets, one module per stage: its declaration and its function."""

import gc
import pkgutil
from importlib import import_module

import dagster  # noqa: F401 - what it loads stays for good

from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.stage import Stage

gc.freeze()  # the collector would go through Dagster's objects again and again: a quarter of the time to start


def load_stages() -> list[Stage]:
    """Return every stage that a module of this package declares, by the name of the module.

    Raises:
        TypeError: a module declares no stage, or more than one.
    """
    found = []
    for module in pkgutil.iter_modules(__path__):
        stages = [one for one in vars(import_module(f"{__name__}.{module.name}")).values() if isinstance(one, Stage)]
        if len(stages) != 1:
            raise TypeError(f"assets/{module.name}.py declares {len(stages)} stages; expected one")
        found += stages
    return found


GRAPH = Graph(load_stages())
"""All stages."""
