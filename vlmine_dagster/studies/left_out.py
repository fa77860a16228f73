"""What draws of the seed do not make anew, so that a study says why an experiment or a model is missing."""

from collections.abc import Collection

from vlmine_dagster.domain.plugins import OURS
from vlmine_dagster.domain.signals import REGISTRY
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings
from vlmine_dagster.settings.project import ProjectSettings


def left_out(settings: ProjectSettings, drawn: Collection[str]) -> list[str]:
    """Return a sentence for each experiment that was not drawn, and one if draws learn by another model.

    Args:
        settings: The project's.
        drawn: Names of the experiments that were drawn.
    """
    words = [
        f"not drawn: {name}, because {_reason(experiment)}"
        for name, experiment in settings.strategies.items()
        if name not in drawn
    ]
    model = settings.task_model
    if model.capabilities.reads != "features" or model.members > 1:
        of_several = f" of {model.members} members" if model.members > 1 else ""
        words.append(
            f"uncertainty here is that of linear probes on the encoder's features, fitted in every draw, of one probe "
            f"for all but the signals of members, not of the project's task model ({model.kind}{of_several})"
        )
    return words


def _reason(experiment: ExperimentSettings) -> str:
    if experiment.variant != DEFAULT_VARIANT:
        return f"it mines by the extraction variant {experiment.variant}, which `vlmine study describers` compares"
    foreign = [name for name in experiment.signals if REGISTRY.package_of(name) != OURS]
    if foreign:
        return f"{', '.join(foreign)} comes from a plug-in, which does not say how it follows another labelled set"
    return "its second step (diversity) picks by what was picked before, which only `vlmine run` does"
