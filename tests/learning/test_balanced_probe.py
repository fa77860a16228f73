"""The class-balanced probe of the labelling rounds."""

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning.balanced_probe import fit_balanced_probe


def test_a_probe_weighs_classes_alike_and_its_start_changes_nothing_but_time():
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 3], [90, 9, 6])
    features = (np.eye(4, 5)[labels] * 2 + draw.normal(size=(105, 5))).astype(np.float32)

    fresh = fit_balanced_probe(features, labels, class_count=4)
    once = fit_balanced_probe(features[::3], labels[::3], class_count=4)
    warm = fit_balanced_probe(features, labels, class_count=4, start=once)
    copied = fit_balanced_probe(
        np.vstack([features, features[:90]]), np.concatenate([labels, labels[:90]]), class_count=4
    )

    np.testing.assert_allclose(warm.probabilities(features), fresh.probabilities(features), atol=0.02)
    np.testing.assert_allclose(copied.probabilities(features), fresh.probabilities(features), atol=0.02)
    assert (fresh.probabilities(features)[:, 2] == 0).all()
    assert (fresh.probabilities(features).argmax(axis=1) == labels).mean() > 0.8


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ContractError, match="there is no label to learn from"):
        fit_balanced_probe(np.zeros((0, 3), np.float32), [], class_count=2)
