"""What draws of the seed do not make anew, so that a study says why an experiment or a signal is missing."""

from collections.abc import Collection

from vlmine_dagster.project import ProjectSettings
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings
from vlmine_dagster.signals import SIGNALS

UNDRAWN = tuple(name for name, signal in SIGNALS.items() if signal.needs in ("passes", "members"))
"""Signals of models that are trained by `vlmine run` alone: a draw fits one probe, not an ensemble or a network."""


def left_out(settings: ProjectSettings, drawn: Collection[str]) -> list[str]:
    """Return a sentence for each experiment that was not drawn, and one if draws learn by another model.

    Args:
        settings: The project's.
        drawn: Names of the experiments that were drawn.
    """
    words = [
        f"not drawn: {name}, for {_reason(experiment)}"
        for name, experiment in settings.experiments.items()
        if name not in drawn
    ]
    model = settings.task_model
    if model.kind != "probe" or model.members > 1:
        of_several = f" of {model.members} members" if model.members > 1 else ""
        words.append(
            f"uncertainty here is that of a linear probe on the encoder's features, fitted in every draw, not of the "
            f"project's task model ({model.kind}{of_several})"
        )
    return words


def _reason(experiment: ExperimentSettings) -> str:
    if experiment.variant != DEFAULT_VARIANT:
        return f"it mines by the extraction variant {experiment.variant}, which `vlmine study describers` compares"
    if experiment.diversity is not None:
        return "its second step (diversity) picks by what was picked before, which only `vlmine run` does"
    undrawn = [name for name in experiment.signals if name in UNDRAWN]
    return f"{', '.join(undrawn)} needs models that only `vlmine run` trains"
