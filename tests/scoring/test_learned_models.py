"""What models that learn from labels take from the pool."""

import numpy as np
import pytest

from vlmine_dagster.scoring.evidence import Evidence
from vlmine_dagster.scoring.posteriors import Learned, _sampled_features, predicted_sizes


class Cut:
    """Images whose one feature is their place in the pool, some at a time."""

    def __init__(self, *sizes):
        ends = np.cumsum(sizes)
        self._spans = list(zip(ends - sizes, ends, strict=True))

    def __len__(self):
        return int(self._spans[-1][1])

    def blocks(self):
        for start, end in self._spans:
            places = np.arange(start, end, dtype=np.float32)[:, None]
            yield Evidence(places, places, [[]] * (end - start))


@pytest.mark.parametrize(
    ("sizes", "step"),
    [([1], 1), ([6000, 4000], 1), ([3333, 3333, 3335], 2), ([1, 10_000], 2), ([7, 19_993], 2), ([11, 5, 19_985], 3)],
)
def test_every_image_tells_how_images_vary_or_as_many_as_ten_thousand_evenly_over_the_pool(sizes, step):
    found = _sampled_features(Cut(*sizes))

    assert found[:, 0].tolist() == list(range(0, sum(sizes), step))
    assert len(found) <= 10_000


def evidence(count, seed=0):
    draw = np.random.default_rng(seed)
    features, tags = draw.normal(size=(count, 6)), draw.dirichlet(np.ones(5), count)
    return Evidence(features.astype(np.float32), tags.astype(np.float32), [[]] * count)


@pytest.mark.parametrize(("numbers", "models"), [([0, 1, 2], 2), ([0, 1, 1], 3), ([2, 2, 0], 3)])
def test_two_images_of_one_class_are_needed_to_learn_clouds(numbers, models):
    images = evidence(9, seed=1)

    learned = Learned(evidence(3), np.array(numbers), 3, images)

    assert learned.count == models
    assert len(learned.by_probes(images) + learned.by_clouds(images)) == models
    assert np.isnan(learned.newness(images)).all() == (models == 2)
    assert len(learned.newness(images)) == 9
    if models == 2:
        assert learned.unexplained_share(np.ones(3, dtype=bool)) == 0


def test_a_class_is_as_large_as_its_labels_and_what_models_take_for_it_on_average_in_all_blocks():
    def posteriors(images):
        sure = np.tile([1.0, 0.0, 0.0], (len(images), 1))
        return [sure, np.tile([0.25, 0.75, 0.0], (len(images), 1))]

    found = predicted_sizes(Cut(5, 3), posteriors, np.array([2, 7, 0]))

    np.testing.assert_array_equal(found, [2 + 8 * 0.625, 7 + 8 * 0.375, np.nan])
