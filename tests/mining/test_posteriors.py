"""Class posteriors that need no names: the discriminant, and labels that spread."""

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.discriminant import fit_discriminant
from vlmine_dagster.mining.isolation import NeighbourLists, neighbour_lists
from vlmine_dagster.mining.main_axes import main_axes
from vlmine_dagster.mining.propagation import log_share, neighbour_graph, spread


def clouds(counts, seed=0, width=8):
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(len(counts), width)) * 4
    classes = np.repeat(np.arange(len(counts)), counts)
    return centres[classes] + draw.normal(size=(len(classes), width)), classes


def test_the_discriminant_finds_classes_of_few_labels():
    vectors, classes = clouds([200, 150, 12])
    labelled = np.concatenate([np.flatnonzero(classes == k)[:count] for k, count in enumerate((40, 30, 2))])

    fitted = fit_discriminant(vectors[labelled], classes[labelled], class_count=4, everything=vectors)

    found = fitted.posterior(vectors)
    assert (found.argmax(axis=1) == classes).mean() > 0.98
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[:, 3] == 0).all()  # no label, no probability


def test_the_discriminant_is_that_of_two_covariances_written_out():
    vectors, classes = clouds([30, 25], seed=1, width=3)

    fitted = fit_discriminant(vectors, classes, class_count=2, everything=vectors, shrinkage=0.2)

    means = np.array([vectors[classes == k].mean(axis=0) for k in range(2)])
    residuals = vectors - means[classes]
    within = residuals.T @ residuals / (len(vectors) - 2)
    within = 0.8 * within + 0.2 * np.trace(within) / 3 * np.eye(3)
    middle = vectors.mean(axis=0)
    total = (vectors - middle).T @ (vectors - middle) / len(vectors)
    values, turned = np.linalg.eig(np.linalg.inv(within) @ total)
    turned = turned.real / np.sqrt(np.einsum("ij,ik,kj->j", turned.real, within, turned.real))
    between = np.maximum(values.real - 1, 1e-3)
    logs = []
    for k, count in enumerate((30, 25)):
        centre = (means[k] - middle) @ turned * count * between / (1 + count * between)
        variance = 1 + between / (1 + count * between)
        rows = (vectors - middle) @ turned
        logs.append(np.log(count / 55) - 0.5 * ((rows - centre) ** 2 / variance + np.log(variance)).sum(axis=1))
    expected = np.exp(np.array(logs).T - np.max(logs, axis=0)[:, None])
    np.testing.assert_allclose(fitted.posterior(vectors), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_a_class_without_a_label_is_less_explained_than_those_with_some():
    vectors, classes = clouds([60, 50, 40], seed=3)
    labelled = np.concatenate([np.flatnonzero(classes == k)[:20] for k in range(2)])

    fitted = fit_discriminant(vectors[labelled], classes[labelled], class_count=3, everything=vectors)

    newness = fitted.newness(vectors)
    assert newness[classes == 2].min() > newness[classes < 2].max()
    other = 1 + fitted.between
    rows = (vectors - fitted.mean) @ fitted.axes
    of_new = -0.5 * (rows**2 / other + np.log(other)).sum(axis=1)
    known = [
        np.exp(-0.5 * ((rows - centre) ** 2 / spread + np.log(spread)).sum(axis=1)) / 2
        for centre, spread in zip(fitted.centres[:2], fitted.variances[:2], strict=True)
    ]
    near = classes < 2  # densities of the others are too small to be written out
    np.testing.assert_allclose(newness[near], (of_new - np.log(np.sum(known, axis=0)))[near], atol=1e-6)


def test_one_label_per_class_is_refused():
    with pytest.raises(ContractError, match="fit_discriminant: 2 rows and 2 labels, expected as many, and two of one"):
        fit_discriminant(np.eye(2), [0, 1], class_count=2, everything=np.eye(2))


def test_labels_spread_as_the_written_out_matrix_says():
    vectors, classes = clouds([12, 9], seed=2)
    lists = neighbour_lists(lambda: [vectors], count=4)
    start = np.zeros(21, dtype=np.float32)
    start[[0, 15]] = 1

    found = spread(neighbour_graph(lists, neighbours=3), start)

    weights = np.zeros((21, 21))
    for i, (row, cosines) in enumerate(zip(lists.places[:, :3], lists.cosines[:, :3], strict=True)):
        weights[i, row] = np.maximum(cosines, 0)
    weights = np.maximum(weights, weights.T)
    scaled = weights / np.sqrt(weights.sum(axis=1)[:, None] * weights.sum(axis=0)[None])
    expected = start.astype(float)
    for _ in range(20):
        expected = 0.9 * scaled @ expected + 0.1 * start
    np.testing.assert_allclose(found, expected, atol=1e-5)
    of_first = spread(neighbour_graph(lists, neighbours=3), (np.arange(21) == 0).astype(np.float32))
    shares = np.exp(log_share(of_first, found, class_count=2))
    assert shares[classes == 0].min() > 0.9
    assert shares[classes == 1].max() < 0.1


def test_an_image_that_no_label_reaches_is_of_any_class():
    alone = NeighbourLists(np.array([[1], [0], [3], [2]], np.int32), np.ones((4, 1), np.float32))
    graph = neighbour_graph(alone)
    first, second = (spread(graph, (np.arange(4) == place).astype(np.float32)) for place in (0, 1))

    shares = np.exp(log_share(first, first + second, class_count=2))

    np.testing.assert_allclose(shares[2:], 0.5, atol=1e-3)
    assert shares[0] > 0.5 > shares[1]


def test_main_axes_are_the_same_by_rows_and_by_columns():
    tall = np.random.default_rng(0).normal(size=(40, 6)) * [5, 4, 3, 2, 1, 0.5]
    tall -= tall.mean(axis=0)
    wide = np.hstack([tall, np.zeros((40, 60))])

    (by_columns, axes), (by_rows, others) = main_axes(tall), main_axes(wide)

    np.testing.assert_allclose(by_rows[:6], by_columns, atol=1e-9)
    np.testing.assert_allclose(np.abs(others[:6, :6]), np.abs(axes), atol=1e-6)
