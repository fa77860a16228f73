"""Whether labels are a random draw of the pool, and how large classes are where they are not."""

import numpy as np
import pytest

from vlmine_dagster.scoring.class_sizes import class_sizes
from vlmine_dagster.scoring.evidence import Evidence

POOL = Evidence(np.zeros((400, 1)), np.zeros((400, 1)), [[] for _ in range(400)])


def predicts(*shares):
    """A model that is sure of the class of each image, with these shares of the classes."""
    classes = np.repeat(np.arange(len(shares)), np.rint(np.array(shares) * len(POOL)).astype(int))
    sure = np.eye(len(shares))[classes]
    return lambda block: sure[: len(block)]


def sizes(known, shares):
    known = np.array(known)
    return class_sizes(POOL, predicts(*shares), known=known, by_chance=known, fraction=0.1)


def test_thirty_labels_are_enough_to_tell_that_they_are_no_random_draw():
    few, enough = (sizes(known, [0.9, 0.1]) for known in ([15, 14], [15, 15]))

    assert few.shift is None
    assert few.distance == 0.0  # nothing was compared
    assert enough.shift is not None
    assert enough.distance == pytest.approx(0.4)


def test_labels_with_the_shares_of_the_pool_stay_as_they_are():
    found = sizes([90, 10], [0.9, 0.1])

    assert found.by_chance.tolist() == [90, 10]
    assert found.shift is None
    assert found.distance == pytest.approx(0.0)


@pytest.mark.parametrize(("share", "is_shifted"), [(0.595, False), (0.605, True)])
def test_labels_whose_shares_differ_by_a_tenth_at_most_pass_for_a_draw(share, is_shifted):
    found = sizes([5000, 5000], [share, 1 - share])  # of so many, the difference is certainly no chance

    assert found.distance == pytest.approx(share - 0.5)
    assert (found.shift is not None) == is_shifted


def test_balanced_labels_count_as_a_draw_of_what_the_pool_holds():
    # 400 images, 360 and 40 of a class, and 20 labels of each; a third class has no label
    found = sizes([20, 20, 0], [0.9, 0.1, 0.0])

    assert found.by_chance.tolist() == [38, 6, 0]  # a tenth of 380 and 60
    assert found.shift == pytest.approx([1.8, 0.2, 1.0], rel=0.01)  # a class without a label is left as it is
    assert found.corrected(np.array([[0.5, 0.5, 0.0]])) == pytest.approx(np.array([[0.9, 0.1, 0.0]]), rel=0.01)
