"""The models that a draw of the seed trains: a probe on the encoder's features, its dropout passes, an ensemble."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.scoring.task_model import answers_of, fit
from vlmine_dagster.scoring.uncertainty import uncertainty_columns
from vlmine_dagster.settings import TaskModelSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.task_model import TaskModel

_MEMBERS = 5
_PASSES = 20

Floats = npt.NDArray[np.float64]


def drawn_model(settings: TaskModelSettings, signals: Collection[str]) -> TaskModelSettings:
    """Return how a draw's probes are trained and asked, so that they give some signals.

    Members, passes and the share that these leave out are the project's where it has them, else 5, 20 and 0.2. What no
    signal needs is not made.

    Args:
        settings: The project's task model, of any kind.
        signals: Names of the signals that are wanted.

    Examples:
        >>> drawn = drawn_model(TaskModelSettings(kind="cnn", members=3), ["entropy", "vote_entropy"])
        >>> drawn.kind, drawn.members, drawn.dropout_passes
        ('probe', 3, 0)
        >>> drawn_model(TaskModelSettings(kind="cnn", members=3), ["entropy"]) == TaskModelSettings()
        True
    """
    needs = {SIGNALS[name].needs for name in signals}
    drawn: dict[str, Any] = {}
    if "members" in needs:
        drawn["members"] = settings.members if settings.members > 1 else _MEMBERS
    if "passes" in needs:
        drawn |= {"dropout_passes": settings.dropout_passes or _PASSES, "dropout": settings.dropout or None}
    return TaskModelSettings(**drawn)


def model_facts(drawn: TaskModelSettings) -> list[float]:
    """Return what signals of members and passes depend on, nothing where there are neither.

    Examples:
        >>> model_facts(TaskModelSettings(members=5, dropout_passes=20)), model_facts(TaskModelSettings())
        ([5, 20, 0.2], [])
    """
    return [] if drawn == TaskModelSettings() else [drawn.members, drawn.dropout_passes, drawn.dropout_share]


def model_words(drawn: TaskModelSettings) -> str:
    """Say how signals of members and passes are made.

    Examples:
        >>> model_words(TaskModelSettings(members=5, dropout_passes=20))
        'ensembles are of 5 bagged probes, dropout passes 20 through one probe, each without 20% of the features'
    """
    return (
        f"ensembles are of {drawn.members} bagged probes, dropout passes {drawn.dropout_passes} through one probe, "
        f"each without {drawn.dropout_share:.0%} of the features"
    )


def told_by_probes(
    settings: TaskModelSettings,
    features: npt.NDArray[Any],
    labels: Sequence[str],
    asked: npt.NDArray[Any],
) -> tuple[dict[str, Floats], list[str]]:
    """Return what probes say of N images, fitted on the seed as `task_model` fits them.

    One probe, fitted on every row of the seed, gives all signals but those of the ensemble's members. So an arm that
    names them changes no other.

    Args:
        settings: By `drawn_model`.
        features: Shape (M, D), of the seed.
        labels: Its M classes.
        asked: Shape (N, D), features of the images, N >= 1.

    Returns:
        Shape (N,) by signal of `uncertainty_scores`, higher is more worth mining; and the N likeliest classes.
    """
    single = fit(settings.model_copy(update={"members": 1}), features, labels)
    columns = _columns(single, asked, passes=settings.dropout_passes)
    needs = {"labels"} | ({"passes"} if settings.dropout_passes else set())
    found = _signals(columns, needs)
    if settings.members > 1:
        ensemble = fit(TaskModelSettings(members=settings.members), features, labels)
        found |= _signals(_columns(ensemble, asked), {"members"})
    return found, columns["predicted_label"].tolist()


def _columns(model: "TaskModel", asked: npt.NDArray[Any], *, passes: int = 0) -> dict[str, npt.NDArray[Any]]:
    parts = [uncertainty_columns(one) for one in answers_of(model, asked, [""] * len(asked), passes=passes)]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _signals(columns: dict[str, npt.NDArray[Any]], needs: Collection[str]) -> dict[str, Floats]:
    return {
        name: -columns[name] if signal.is_negated else columns[name]
        for name, signal in SIGNALS.items()
        if name in columns and signal.needs in needs
    }
