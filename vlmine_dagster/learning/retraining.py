"""Retraining with mined labels: one model per budget and training seed, the same for every experiment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from vlmine_dagster.learning.examples import Examples, class_numbers, validation_rows
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.training import Recipe, fit_network, fit_probe


class Learner(Protocol):
    """What is retrained, as a kind of `vlmine.retrained_models` makes it."""

    @property
    def is_random(self) -> bool:
        """Whether two training seeds give two models."""

    def fit(
        self, taught: Examples, validation: Examples | None = None, /, *, class_count: int, training_seed: int = 0
    ) -> nn.Module:
        """Train one model.

        Args:
            taught: The labelled images; some of them tell when to stop if there is patience and nobody else does.
            validation: Images that tell when to stop.
            class_count: Classes.
            training_seed: Of all that is drawn.

        Raises:
            ModelError: there is no such checkpoint.
        """


@dataclass(frozen=True)
class ProbeLearner:
    """A linear probe: convex, and without randomness.

    Attributes:
        class_balance: How classes are weighed in the loss.
    """

    class_balance: str = "none"
    is_random: ClassVar[bool] = False

    def fit(
        self, taught: Examples, validation: Examples | None = None, /, *, class_count: int, training_seed: int = 0
    ) -> nn.Module:
        """Train one model; nothing stops it early."""
        return fit_probe(taught.inputs, taught.labels, class_count=class_count, class_balance=self.class_balance)


@dataclass(frozen=True)
class NetworkLearner:
    """A network. It starts from the same weights under the same training seed, whatever it is trained on.

    Attributes:
        build: Makes a network for a number of classes.
        recipe: How it is trained.
        validation_share: Share of each class's labelled images that tells when to stop, where the recipe has patience
            and there is no validation split.
    """

    build: Callable[[int], nn.Module]
    recipe: Recipe
    validation_share: float = 0.1
    is_random: ClassVar[bool] = True

    def fit(
        self, taught: Examples, validation: Examples | None = None, /, *, class_count: int, training_seed: int = 0
    ) -> nn.Module:
        """Train one model."""
        if self.recipe.patience and validation is None:
            taught, validation = _parted(taught, share=self.validation_share, random_seed=training_seed)
        return fit_network(
            partial(self.build, class_count),
            taught.inputs,
            taught.labels,
            class_count=class_count,
            recipe=self.recipe,
            random_seed=training_seed,
            validation=validation,
        )


@dataclass(frozen=True)
class Retrained:
    """What a retrained model says about the test images.

    Attributes:
        budget: Mined images that it was trained on, beside the seed.
        training_seed: Random seed of its training.
        predicted: Class names, one a test image.
    """

    budget: int
    training_seed: int
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
    learner: Learner,
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

    What has no randomness is trained once per budget, under the first training seed. The test images are asked when
    training is over, and their labels are not even known here.

    Args:
        learner: What is retrained, and how.
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
        ModelError: there is no such checkpoint.
    """
    watched = None if validation is None else Examples(validation.inputs, class_numbers(validation.labels, classes))
    results = []
    for budget in sorted(set(budgets)):
        inputs = np.concatenate([seed.inputs, mined.inputs[:budget]])
        taught = Examples(inputs, class_numbers([*seed.labels, *mined.labels[:budget]], classes))
        for number in training_seeds if learner.is_random else training_seeds[:1]:
            network = learner.fit(taught, watched, class_count=len(classes), training_seed=number)
            likeliest = predict_probabilities(network, test_inputs).argmax(axis=1)
            results.append(Retrained(budget, number, [classes[place] for place in likeliest]))
    return results


def _parted(taught: Examples, *, share: float, random_seed: int) -> tuple[Examples, Examples]:
    """Return the images that teach, and those that tell when to stop."""
    labels = np.asarray(taught.labels)
    held = validation_rows(labels, share=share, random_seed=random_seed)
    return Examples(taught.inputs[~held], labels[~held]), Examples(taught.inputs[held], labels[held])
