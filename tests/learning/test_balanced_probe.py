"""The class-balanced probe of the labelling rounds."""

import numpy as np
import pytest
from scipy.optimize import minimize

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning import balanced_probe as module
from vlmine_dagster.learning.balanced_probe import BalancedProbe, fit_balanced_probe


def plain_loss(flat, features, labels, classes, l2):
    """Mean over classes of the mean cross-entropy of their labels, and the penalty, row by row in doubles."""
    both = flat.reshape(features.shape[1] + 1, len(classes))
    found = []
    for name in classes:
        losses = []
        for row in features[labels == name].astype(np.float64):
            logits = row @ both[:-1] + both[-1]
            losses.append(np.log(np.exp(logits).sum()) - logits[list(classes).index(name)])
        found.append(np.mean(losses))
    return np.mean(found) + l2 / 2 * (both[:-1] ** 2).sum()


def few_labels():
    """Labels of classes 0, 2 and 3 of four, unevenly many, far from the origin."""
    draw = np.random.default_rng(1)
    labels = np.repeat([0, 2, 3], [12, 5, 3])
    return (np.eye(4, 2)[labels] + draw.normal(size=(20, 2)) + [3, -2]).astype(np.float32), labels


@pytest.mark.parametrize("l2", [0.3, 0.05])
def test_a_probe_is_where_the_loss_is_least(l2):
    features, labels = few_labels()
    best = minimize(plain_loss, np.zeros(9), args=(features, labels, [0, 2, 3], l2), tol=1e-9).x.reshape(3, 3)

    found = fit_balanced_probe(features, labels, class_count=4, l2=l2)

    logits = features @ best[:-1] + best[-1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.weights[:, [0, 2, 3]], best[:-1], atol=0.01)
    np.testing.assert_allclose(found.probabilities(features)[:, [0, 2, 3]], expected, atol=0.005)
    assert (found.weights[:, 1] == 0).all()
    assert found.bias[1] == -np.inf


def test_the_penalty_is_three_tenths_if_none_is_given():
    features, labels = few_labels()

    plain, given = (fit_balanced_probe(features, labels, class_count=4, **way) for way in ({}, {"l2": 0.3}))

    np.testing.assert_array_equal(plain.weights, given.weights)


def test_the_loss_and_its_gradient_are_those_of_a_plain_sum():
    features, labels = few_labels()
    at = np.random.default_rng(2).normal(size=9)
    importance = np.float32(1) / (np.repeat([12, 5, 3], [12, 5, 3]) * 3)
    loss = module._BalancedLoss(features, np.repeat([0, 1, 2], [12, 5, 3]), importance.astype(np.float32), 0.7)

    def plain(flat):
        return plain_loss(flat, features, labels, [0, 2, 3], 0.7)

    value, gradient = loss(at)

    assert value == pytest.approx(plain(at), rel=1e-5)
    steps = 1e-5 * np.eye(9)
    np.testing.assert_allclose(gradient, [(plain(at + one) - plain(at - one)) / 2e-5 for one in steps], atol=1e-4)


def test_the_loss_of_large_logits_is_finite():
    features, labels = few_labels()
    importance = (1 / (np.repeat([12, 5, 3], [12, 5, 3]) * 3)).astype(np.float32)
    loss = module._BalancedLoss(features, np.repeat([0, 1, 2], [12, 5, 3]), importance, 0.0)

    for side in (-40, 40):  # e^120 is more than single numbers hold
        at = side * np.array([1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        assert loss(at)[0] == pytest.approx(plain_loss(at, features, labels, [0, 2, 3], 0.0), rel=1e-4)


def test_probabilities_are_those_of_a_softmax_however_large_the_logits():
    probe = BalancedProbe(np.array([[1.0, 2.0]], np.float32), np.array([0.5, 0.0], np.float32))

    odds = np.exp(0.5 - 3.0)
    assert probe.logits(np.array([[3.0]], np.float32)).tolist() == [[3.5, 6.0]]
    assert probe.probabilities(np.array([[3.0]], np.float32)) == pytest.approx(np.array([[odds, 1]]) / (odds + 1))
    assert probe.probabilities(np.array([[2000.0]], np.float32)).tolist() == [[0.0, 1.0]]
    assert probe.probabilities(np.array([[-2000.0]], np.float32)).tolist() == [[1.0, 0.0]]


def test_a_probe_starts_from_the_one_before(monkeypatch):
    features, labels = few_labels()
    best = fit_balanced_probe(features, labels, class_count=4)
    monkeypatch.setattr(module, "_MOST_STEPS", 1)

    warm = fit_balanced_probe(features, labels, class_count=4, start=best)
    cold = fit_balanced_probe(features, labels, class_count=4)

    np.testing.assert_allclose(warm.weights, best.weights, atol=0.01)
    np.testing.assert_allclose(warm.bias[[0, 2, 3]], best.bias[[0, 2, 3]], atol=0.01)
    assert abs(cold.weights - best.weights).max() > 0.1


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
