"""More like these: a search is kept as an experiment, and its list is mined at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.settings import ExperimentSettings, LikeSettings
from vlmine_dagster.settings.searches import drop_search, keep_search, search_name

if TYPE_CHECKING:
    import dagster as dg

    from vlmine_dagster.automation.execution import Watcher
    from vlmine_dagster.settings.project import Project

BUDGET = 200


def search(
    project: "Project",
    instance: "dg.DagsterInstance",
    *,
    images: Sequence[str],
    text: str = "",
    name: str | None = None,
    budget: int = BUDGET,
    watcher: "Watcher | None" = None,
) -> str:
    """Mine a list of images that are like some examples, as an experiment with an MLflow run of its own.

    Args:
        project: The project; it must have been run.
        instance: Dagster's instance.
        images: Ids of example images.
        text: What to look for, in words.
        name: Of the experiment; made from the examples if None, so that the same search has the same name.
        budget: Images to select.
        watcher: Receives what happens.

    Returns:
        The name of the experiment.

    Raises:
        ConfigError: the name is taken, or another run is at work.
        MissingInputError: the list cannot be mined; the message says why. The search is not kept; one that it
            would have replaced is.
    """
    from vlmine_dagster.automation.runner import Runner

    like = LikeSettings(images=tuple(dict.fromkeys(images)), text=" ".join(text.split()))
    name = name or search_name(like)
    replaced = project.settings.experiments.get(name)
    keep_search(project, name, ExperimentSettings(signals=("likeness",), like=like, budget=budget))
    outcome = Runner(str(project.file), instance, watcher=watcher).mine(name)
    problems = [*outcome.failures.values(), *outcome.waiting.values()]
    if problems:
        if replaced is None:
            drop_search(project, name)
        else:
            keep_search(project, name, replaced)
        raise MissingInputError(f"{name} was not mined: {problems[0]} If tables are missing, `vlmine run` makes them.")
    return name
