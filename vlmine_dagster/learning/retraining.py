"""Retraining with mined labels: one model a budget and a seed, the same for every experiment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.learning.examples import Examples, class_numbers, validation_rows
from vlmine_dagster.learning.networks import ResNet18, SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.training import Recipe, fit_network, fit_probe
from vlmine_dagster.learning.user_model import open_for_fine_tuning

KINDS = ("probe", "cnn", "resnet18", "transformers")


@dataclass(frozen=True)
class Plan:
    """What is retrained.

    Attributes:
        kind: One of `KINDS`.
        recipe: How; the probe takes its class_balance alone.
        side: `resnet18`: pixels a side of the pictures.
        checkpoint: `transformers`: folder of the checkpoint that is fine-tuned.
        validation_share: Share of each class's labelled images that tells when to stop, where the recipe has patience
            and there is no validation split.
    """

    kind: str
    recipe: Recipe
    side: int = 64
    checkpoint: str = ""
    validation_share: float = 0.1


@dataclass(frozen=True)
class Retrained:
    """What a retrained model says about the test images.

    Attributes:
        budget: Mined images that it was trained on, beside the seed.
        seed: Training seed.
        predicted: Class names, one a test image.
    """

    budget: int
    seed: int
    predicted: list[str]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with their classes.

    Attributes:
        inputs: N rows, as the model reads them.
        labels: N class names.
    """

    inputs: npt.NDArray[Any]
    labels: Sequence[str]


def retrain_curve(
    plan: Plan,
    *,
    seed: Labelled,
    mined: Labelled,
    validation: Labelled | None = None,
    test_inputs: npt.NDArray[Any],
    classes: Sequence[str],
    budgets: Sequence[int],
    training_seeds: Sequence[int],
) -> list[Retrained]:
    """Train on the labelled seed and the first n mined images for each budget n.

    The probe is convex and has no randomness, so it is trained once a budget, under the first training seed. Networks
    start from the same weights under the same training seed, whatever the experiment. The test images are asked when
    training is over, and their labels are not even known here.

    Args:
        plan: What is retrained, and how.
        seed: The labelled seed.
        mined: The mined images with their true classes, best first; at least as many as the largest budget.
        validation: Images of a validation split, that tell when to stop; without them some of the training images do.
        test_inputs: What the model reads of the test images.
        classes: All classes.
        budgets: Numbers of mined images; 0 is the labelled seed alone.
        training_seeds: One model each.

    Returns:
        One result a budget and training seed, by rising budget.

    Raises:
        ConfigError: the kind is unknown.
        ModelError: there is no such checkpoint.
    """
    watched = None if validation is None else Examples(validation.inputs, class_numbers(validation.labels, classes))
    results = []
    for budget in sorted(set(budgets)):
        inputs = np.concatenate([seed.inputs, mined.inputs[:budget]])
        taught = Examples(inputs, class_numbers([*seed.labels, *mined.labels[:budget]], classes))
        for number in training_seeds[:1] if plan.kind == "probe" else training_seeds:
            network = retrain(plan, taught, watched, class_count=len(classes), training_seed=number)
            likeliest = predict_probabilities(network, test_inputs).argmax(axis=1)
            results.append(Retrained(budget, number, [classes[place] for place in likeliest]))
    return results


def retrain(
    plan: Plan, taught: Examples, validation: Examples | None = None, *, class_count: int, training_seed: int = 0
) -> nn.Module:
    """Train one model.

    Args:
        plan: What is trained, and how.
        taught: The labelled images; some of them tell when to stop if the recipe has patience and nobody else does.
        validation: Images that tell when to stop.
        class_count: Classes.
        training_seed: Of all that is drawn.

    Raises:
        ConfigError: the kind is unknown.
        ModelError: there is no such checkpoint.
    """
    recipe = plan.recipe
    if plan.kind == "probe":
        return fit_probe(taught.inputs, taught.labels, class_count=class_count, class_balance=recipe.class_balance)
    builders: dict[str, Callable[[], nn.Module]] = {
        "cnn": partial(SmallConvNet, class_count),
        "resnet18": partial(ResNet18, class_count, side=plan.side),
        "transformers": partial(open_for_fine_tuning, plan.checkpoint, class_count),
    }
    if plan.kind not in builders:
        raise ConfigError(f"retraining: unknown kind {plan.kind!r}, expected {', '.join(KINDS)}.")
    if recipe.patience and validation is None:
        taught, validation = _parted(taught, share=plan.validation_share, seed=training_seed)
    return fit_network(
        builders[plan.kind],
        taught.inputs,
        taught.labels,
        class_count=class_count,
        recipe=recipe,
        seed=training_seed,
        validation=validation,
    )


def _parted(taught: Examples, *, share: float, seed: int) -> tuple[Examples, Examples]:
    """Return the images that teach, and those that tell when to stop."""
    labels = np.asarray(taught.labels)
    held = validation_rows(labels, share=share, seed=seed)
    return Examples(taught.inputs[~held], labels[~held]), Examples(taught.inputs[held], labels[held])
