"""What a training run owes to its recipe: each of these was once left out without a test that failed."""

import os
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from test_learning import clouds, stripes
from torch import nn

from vlmine_dagster.learning.examples import Examples
from vlmine_dagster.learning.networks import SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.retraining import Labelled, NetworkLearner, ProbeLearner, retrain_curve
from vlmine_dagster.learning.training import Recipe, _varied, fit_network, fit_probe, seeded


def states_are_equal(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def grey(*levels, copies=1):
    """Pictures of one level each: flips and shifts change nothing in them."""
    return np.concatenate([np.full((copies, 4, 6, 3), level, np.uint8) for level in levels])


class OneLayer(nn.Module):
    """Logits from the mean of a picture; notes its weights whenever it is judged."""

    def __init__(self, classes=2):
        super().__init__()
        self.linear = nn.Linear(1, classes)
        self.judged = []

    def forward(self, pictures):
        if not self.training:
            self.judged.append({name: tensor.clone() for name, tensor in self.state_dict().items()})
        return self.linear(pictures.float().mean(dim=(1, 2, 3))[:, None] / 128 - 1)


def test_the_first_of_the_mined_images_teach_and_the_last_do_not():
    features, numbers = clouds(count=60)
    seed, first, last = ([k for k in range(45) if numbers[k] == n][:6] for n in range(3))

    [result] = retrain_curve(
        ProbeLearner(),
        seed=Labelled(features[seed], ["c0"] * 6),
        mined=Labelled(features[first + last], ["c1"] * 6 + ["c2"] * 6),
        budgets=[6],
        training_seeds=[0],
        test_inputs=features[45:],
        classes=["c0", "c1", "c2"],
    )

    assert set(result.predicted) == {"c0", "c1"}


def test_the_weights_of_the_best_epoch_are_taken_and_not_those_of_the_last():
    pictures = grey(0, 255, copies=4)
    labels = np.repeat([0, 1], 4)
    recipe = Recipe(epochs=9, learning_rate=0.1, batch_size=4, patience=3)

    network = fit_network(
        OneLayer, pictures, labels, class_count=2, recipe=recipe, validation=Examples(pictures, 1 - labels)
    )

    assert len(network.judged) == 4  # the more is learned, the worse: the first epoch, and three of patience
    assert states_are_equal(network.state_dict(), network.judged[0])
    assert not states_are_equal(network.judged[0], network.judged[-1])


def test_a_better_epoch_gives_patience_anew():
    pictures = grey(0, 255, copies=4)
    labels = np.repeat([0, 1], 4)
    recipe = Recipe(epochs=9, learning_rate=0.1, batch_size=4, patience=1)

    network = fit_network(
        OneLayer, pictures, labels, class_count=2, recipe=recipe, validation=Examples(pictures, labels)
    )

    assert len(network.judged) == 9
    assert states_are_equal(network.state_dict(), network.judged[-1])


@pytest.mark.parametrize("balance", ["inverse_frequency", "effective_number"])
def test_a_balanced_loss_gives_a_rare_class_its_share(balance):
    pictures, labels = grey(128, copies=20), np.array([0] * 18 + [1] * 2)  # nothing but the counts tells them apart
    recipes = [Recipe(epochs=60, learning_rate=0.1, batch_size=20, class_balance=name) for name in ("none", balance)]

    plain, balanced = (
        predict_probabilities(fit_network(OneLayer, pictures, labels, class_count=2, recipe=recipe), pictures[:1])[0, 1]
        for recipe in recipes
    )

    # smoothed, of 20 images: 2 * 0.95 + 20 * 0.025 = 2.4 are for the rare class; balanced, its weight of 9 to 1 also
    # multiplies what smoothing adds to it: 0.95 + 10 * 0.025 = 1.2 to 0.95 + 0.025 * 20 / 18 = 0.978
    assert plain == pytest.approx(2.4 / 20, abs=0.02)
    assert balanced == pytest.approx(1.2 / 2.178, abs=0.02)


def test_a_balanced_probe_gives_a_rare_class_its_share():
    features, labels = np.zeros((20, 3), np.float32), np.array([0] * 18 + [1] * 2)

    plain, balanced = (
        predict_probabilities(fit_probe(features, labels, class_count=2, class_balance=name), features[:1])[0, 1]
        for name in ("none", "inverse_frequency")
    )

    assert (plain, balanced) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.5, abs=0.01))


def test_labels_are_smoothed_by_a_twentieth():
    pictures, labels = grey(0, 255, copies=8), np.repeat([0, 1], 8)
    recipe = Recipe(epochs=200, learning_rate=0.2, batch_size=16)

    network = fit_network(OneLayer, pictures, labels, class_count=2, recipe=recipe)

    sure = predict_probabilities(network, grey(0, 255)).max(axis=1)
    np.testing.assert_allclose(sure, 0.975, atol=0.01)  # 0.95 + 0.05 / 2: whoever is surer pays for it


def test_another_training_seed_starts_from_other_weights():
    pictures, labels = stripes(count=8)
    learner = NetworkLearner(SmallConvNet, Recipe(epochs=1, learning_rate=1e-12, batch_size=8))

    first, other = (learner.fit(Examples(pictures, labels), class_count=2, training_seed=k) for k in (0, 1))

    assert np.abs((first.linear.weight - other.linear.weight).detach().numpy()).max() > 0.01


def test_pictures_are_flipped_and_shifted_in_another_way_in_each_epoch():
    pictures = np.zeros((8, 32, 48, 3), np.uint8)
    pictures[:, :, :10] = 255
    seen = []

    class Watching(SmallConvNet):
        def forward(self, pixels):
            seen.append(pixels.clone())
            return super().forward(pixels)

    fit_network(partial(Watching, 2), pictures, np.arange(8) % 2, class_count=2, recipe=Recipe(epochs=8, batch_size=8))

    brightest = [int(batch[k].float().mean(dim=(0, 2)).reshape(-1).argmax()) for batch in seen for k in range(8)]
    left = np.mean([place < 24 for place in brightest])
    assert 0.25 < left < 0.75  # half are flipped
    assert len({batch.numpy().tobytes() for batch in seen}) == 8


@pytest.mark.parametrize(("side", "reach"), [(8, 1), (16, 1), (32, 2), (64, 4)])
def test_pictures_are_shifted_by_up_to_a_sixteenth_of_their_side_and_by_one_pixel_at_least(side, reach):
    pictures = torch.zeros(1, side, side, 1, dtype=torch.uint8)
    pictures[0, 0, 0, 0] = 255  # a corner, so that a mirrored picture has its point in the other one
    draw = torch.Generator().manual_seed(0)

    found = [_varied(pictures, draw)[0, :, :, 0].argmax().item() for _ in range(400)]

    downs = {(place // side + side // 2) % side - side // 2 for place in found}
    rights = {(place % side + side // 2) % side - side // 2 for place in found}
    assert downs == set(range(-reach, reach + 1))
    assert rights == set(range(-reach - 1, reach + 1))


@pytest.mark.parametrize("devices", [0, 1])
def test_training_on_an_accelerator_asks_for_deterministic_algorithms_and_gives_them_back(monkeypatch, devices):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")

    with seeded(3):
        assert torch.are_deterministic_algorithms_enabled() is (devices > 0)
        assert torch.is_deterministic_algorithms_warn_only_enabled() is (devices > 0)
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if devices else None)

    assert not torch.are_deterministic_algorithms_enabled()
