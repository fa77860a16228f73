"""The mined lists of a project, as commands ask for them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from vlmine_dagster.cli.terminal import print_look
from vlmine_dagster.domain.errors import ConfigError, VlmineError
from vlmine_dagster.domain.items import OBJECT

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import ExperimentSettings

_ROWS_AT_ONCE = 10_000
_IMAGES = """
SELECT pareto_set.*, images.uri FROM pareto_set JOIN images USING (image_id)
WHERE coalesce(rank <= $n::BIGINT, selected) ORDER BY rank
"""
_JUNK = """
SELECT pareto_set.*, images.uri FROM pareto_set JOIN images USING (image_id)
WHERE junk IS NOT NULL ORDER BY rank LIMIT coalesce($n::BIGINT, 9223372036854775807)
"""
_OBJECTS = """
SELECT object_id, objects.image_id, {x: x, y: y, width: objects.width, height: objects.height} AS box,
       pareto_set.* EXCLUDE (image_id), images.uri
FROM pareto_set JOIN objects ON pareto_set.image_id = object_id JOIN images ON objects.image_id = images.image_id
WHERE coalesce(rank <= $n::BIGINT, selected) ORDER BY rank
"""


def experiment_of(bench: "Workbench", name: str) -> "ExperimentSettings":
    """Return the settings of an experiment.

    Raises:
        ConfigError: there is none of that name.
    """
    experiments = bench.project.settings.experiments
    if name not in experiments:
        raise ConfigError(f"there is no experiment {name!r}. There are: {', '.join(experiments)}")
    return experiments[name]


def shown_experiment(bench: "Workbench") -> str:
    """Return the experiment to show if none is named: the usual one among those that were run, if any was."""
    from vlmine_dagster.settings import default_experiment

    experiments = bench.project.settings.experiments
    made = [name for name in experiments if bench.lake.path("pareto_set", name).exists()]
    return default_experiment(made or experiments)


def print_stale(bench: "Workbench", experiments: Iterable[str]) -> None:
    """Print which lists are not those that `vlmine run` would make now; nothing where the pool cannot be read."""
    from vlmine_dagster.assets import GRAPH
    from vlmine_dagster.engine.freshness import Freshness

    unit = next(unit for unit in GRAPH.applicable(bench.project) if unit.stage.table == "pareto_set")
    try:
        freshness = Freshness(GRAPH, bench, bench.source.shards())
        stale = [name for name in experiments if freshness.state(unit, name) != "fresh"]
    except VlmineError:
        return
    if stale:
        lists = f"list of {stale[0]} is" if len(stale) == 1 else f"lists of {', '.join(stale)} are"
        print_look(f"The {lists} stale: what was read has changed since. `vlmine run` brings all up to date.")


def junk_count(bench: "Workbench", experiment: str) -> int:
    """Return how many images are in the junk lane of a list; 0 where an older version made it."""
    with bench.lake.connect(pareto_set=bench.lake.require("pareto_set", [experiment])) as connection:
        if "junk" not in connection.sql("FROM pareto_set").columns:
            return 0
        return int(connection.sql("SELECT count(junk) FROM pareto_set").fetchall()[0][0])


def changes_of(bench: "Workbench", experiment: str) -> "pa.Table":
    """Return what changed in a list since the last one: rows of `list_changes`; none where that is not known.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: it was not run yet.
    """
    from vlmine_dagster.domain.tables import LIST_CHANGES

    experiment_of(bench, experiment)
    bench.lake.require("pareto_set", [experiment])
    if bench.lake.stamp("list_changes", experiment) is None:  # a list that an older version made
        return LIST_CHANGES.schema.empty_table()
    return bench.lake.read("list_changes", experiment)


def mined(
    bench: "Workbench", experiment: str, count: int | None = None, *, is_junk: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield what an experiment mined in its order: ranks, reasons, signals, and where the image's bytes lie.

    Of objects it says their `object_id`, the `image_id` that they are part of, and their box in its upright pixels.

    Args:
        bench: The project's resources.
        experiment: Name of the experiment.
        count: Images from the first on; None means those that the budget selects, or all junk.
        is_junk: Whether those of the junk lane are meant.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: it was not run yet.
    """
    experiment_of(bench, experiment)
    if is_junk and not junk_count(bench, experiment):
        return
    lake, kind = bench.lake, bench.project.settings.items
    tables = {table: lake.require(table, lake.partitions(table)) for table in ("images", kind.table)}
    with lake.connect(pareto_set=lake.require("pareto_set", [experiment]), **tables) as connection:
        query = _JUNK if is_junk else _OBJECTS if kind is OBJECT else _IMAGES
        found = connection.sql(query, params={"n": count})
        for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
            yield from batch.to_pylist()
