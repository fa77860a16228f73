"""Retraining with mined labels: one model a budget and a seed, the same for every experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.learning.task_model import train_task_model


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


def retrain_curve(
    kind: str,
    *,
    seed_inputs: npt.NDArray[Any],
    seed_labels: Sequence[str],
    pool_inputs: npt.NDArray[Any],
    pool_labels: Sequence[str],
    budgets: Sequence[int],
    seeds: Sequence[int],
    test_inputs: npt.NDArray[Any],
    classes: Sequence[str],
    epochs: int = 30,
) -> list[Retrained]:
    """Train on the seed, then on the seed and the first n mined images for each budget n.

    The probe is convex and has no randomness, so it is trained once a budget, under the first seed. Networks start
    from the same weights under the same seed, whatever the experiment.

    Args:
        kind: "probe" or "cnn".
        seed_inputs: What the model reads of the labelled seed.
        seed_labels: Their classes.
        pool_inputs: What it reads of the mined images, best first; at least as many as the largest budget.
        pool_labels: Their true classes.
        budgets: Numbers of mined images; 0 is added.
        seeds: Training seeds.
        test_inputs: What it reads of the test images.
        classes: All classes.
        epochs: Passes of the cnn.

    Returns:
        One result a budget and seed, by rising budget.
    """
    results = []
    for budget in sorted({0, *budgets}):
        inputs = np.concatenate([seed_inputs, pool_inputs[:budget]])
        labels = [*seed_labels, *pool_labels[:budget]]
        for seed in seeds[:1] if kind == "probe" else seeds:
            model = train_task_model(kind, inputs, labels, classes=classes, epochs=epochs, seed=seed)
            likeliest = model.predict(test_inputs).argmax(axis=1)
            results.append(Retrained(budget, seed, [model.classes[place] for place in likeliest]))
    return results
