"""The mined lists of a project, as commands ask for them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ConfigError

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import ExperimentSettings

_ROWS_AT_ONCE = 10_000


def experiment_of(bench: "Workbench", name: str) -> "ExperimentSettings":
    """Return the settings of an experiment.

    Raises:
        ConfigError: there is none of that name.
    """
    known = bench.project.settings.experiments
    if name not in known:
        raise ConfigError(f"there is no experiment {name!r}. There are: {', '.join(known)}")
    return known[name]


def shown_experiment(bench: "Workbench") -> str:
    """Return the experiment to show if none is named: the usual one among those that were run, if any was."""
    from vlmine_dagster.settings import default_experiment

    known = bench.project.settings.experiments
    made = [name for name in known if bench.lake.path("pareto_set", name).exists()]
    return default_experiment(made or known)


def mined(bench: "Workbench", experiment: str, count: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the images of an experiment in its order: their ranks, reasons, signals, and where the bytes lie.

    Args:
        bench: The project's resources.
        experiment: Name of the experiment.
        count: Images from the first on; None means those that the budget selects.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: it was not run yet.
    """
    experiment_of(bench, experiment)
    paths = bench.lake.require("pareto_set", [experiment])
    images = bench.lake.require("images", bench.lake.partitions("images"))
    with bench.lake.connect(pareto_set=paths, images=images) as connection:
        found = connection.sql(
            """SELECT pareto_set.*, images.uri FROM pareto_set JOIN images USING (image_id)
               WHERE coalesce(rank <= $n::BIGINT, selected) ORDER BY rank""",
            params={"n": count},
        )
        for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
            yield from batch.to_pylist()
