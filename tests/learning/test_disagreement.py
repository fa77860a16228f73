"""Ensembles and Monte Carlo dropout."""

import numpy as np
import pytest
from test_learning import clouds, stripes
from torch import nn

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.learning.dropout import dropout_layers, dropout_pass
from vlmine_dagster.learning.networks import SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.task_model import load, save, train_task_model


def names(numbers):
    return [f"class {n}" for n in numbers]


def test_an_ensemble_of_probes_is_bagged_answers_by_its_mean_and_is_the_same_again():
    features, numbers = clouds()

    first, second = (train_task_model("probe", features, names(numbers), members=3, random_seed=4) for _ in range(2))
    members = first.members(features)

    assert members.shape == (3, 40, 3)
    assert len({one.tobytes() for one in members}) == 3
    np.testing.assert_allclose(first.predict(features), members.mean(axis=0))
    np.testing.assert_array_equal(members, second.members(features))


def test_draws_are_those_of_seed_0_unless_another_is_given():
    features, numbers = clouds()

    usual, first, other = (
        train_task_model("probe", features, names(numbers), members=2, **seed).predict(features)
        for seed in ({}, {"random_seed": 0}, {"random_seed": 1})
    )

    np.testing.assert_array_equal(usual, first)
    assert (usual != other).any()


def test_a_single_probe_sees_every_row_once():
    features, numbers = clouds()

    model = train_task_model("probe", features, names(numbers))

    np.testing.assert_allclose(model.networks[0].mean.numpy(), features.mean(axis=0), atol=1e-6)


def test_members_of_a_network_differ_by_their_seed():
    pictures, numbers = stripes(count=8)

    model = train_task_model("cnn", pictures, names(numbers), epochs=1, members=2)

    assert not np.array_equal(*model.members(pictures))


def test_an_ensemble_with_dropout_is_saved_whole(tmp_path):
    pictures, numbers = stripes(count=8)
    model = train_task_model("cnn", pictures, names(numbers), epochs=1, members=2, dropout=0.5)

    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")

    np.testing.assert_array_equal(again.members(pictures), model.members(pictures))
    np.testing.assert_array_equal(again.passes(pictures, 3), model.passes(pictures, 3))


def test_a_pass_leaves_out_the_same_for_every_image_whatever_its_batch():
    pictures, numbers = stripes(count=8)
    model = train_task_model("cnn", pictures, names(numbers), epochs=2, dropout=0.5)

    together = model.passes(pictures, 4)

    assert together.shape == (4, 8, 2)
    assert len({one.tobytes() for one in together}) == 4
    np.testing.assert_allclose(model.passes(pictures[5:], 4), together[:, 5:], atol=1e-6)
    np.testing.assert_array_equal(model.passes(pictures, 2), together[:2])


def test_a_pass_through_a_probe_doubles_a_feature_or_leaves_it_out():
    """With half dropped, one feature is worth its mean in a pass, or twice its distance from the mean."""
    features = np.array([[1.0], [2.0], [4.0], [5.0]], np.float32)
    classes = names([0, 0, 1, 1])
    plain = train_task_model("probe", features, classes)
    model = train_task_model("probe", features, classes, dropout=0.5)

    passes = model.passes(features, 12)

    np.testing.assert_array_equal(model.predict(features), plain.predict(features))
    doubled, without = plain.predict(2 * features - 3), plain.predict(np.full_like(features, 3))
    is_doubled = [np.allclose(one, doubled, atol=1e-6) for one in passes]
    assert [np.allclose(one, without, atol=1e-6) for one in passes] == [not one for one in is_doubled]
    assert 0 < sum(is_doubled) < 12


def test_a_probe_with_dropout_is_saved_whole(tmp_path):
    features, numbers = clouds()
    model = train_task_model("probe", features, names(numbers), members=2, dropout=0.25)

    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")

    np.testing.assert_array_equal(again.passes(features, 3), model.passes(features, 3))
    np.testing.assert_array_equal(again.members(features), model.members(features))


def test_nothing_is_left_out_after_a_pass():
    network = SmallConvNet(2, dropout=0.5).eval()
    pictures = stripes(count=4)[0]
    before = predict_probabilities(network, pictures)

    with dropout_pass(network, 0):
        during = predict_probabilities(network, pictures)

    assert not np.array_equal(during, before)
    np.testing.assert_array_equal(predict_probabilities(network, pictures), before)


def test_kept_features_are_scaled_so_that_their_mean_stays():
    layer = nn.Dropout(0.25).eval()
    ones = np.ones((1, 4000), np.float32)

    with dropout_pass(layer, 0):
        import torch

        dropped = layer(torch.from_numpy(ones)).numpy()

    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(dropped.mean() - 1) < 0.05


def test_a_model_that_drops_nothing_has_no_passes():
    pictures, numbers = stripes(count=8)
    model = train_task_model("cnn", pictures, names(numbers), epochs=1)

    assert dropout_layers(model.networks[0]) == []
    with pytest.raises(ModelError, match="none of its dropout layers drops anything.*task_model.dropout"):
        model.passes(pictures, 2)
