import inspect
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_learning import clouds, stripes

from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.learning.examples import Examples, class_weights, validation_rows
from vlmine_dagster.learning.networks import ResNet18, SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.retraining import Labelled, NetworkLearner, ProbeLearner, retrain_curve
from vlmine_dagster.learning.training import Recipe, fit_network, fit_probe
from vlmine_dagster.scoring.retraining import learner_of
from vlmine_dagster.settings import RetrainingSettings
from vlmine_dagster.settings.project import Project

ONE = Recipe(epochs=1, batch_size=8)


def weights(network):
    """All weights as bytes."""
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


def learner_in(folder: Path, **retraining):
    """What a project retrains by its settings."""
    settings = {"name": "p", "dataset": {"kind": "folder", "root": "."}, "retraining": retraining}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(settings))
    return learner_of(Project.load(folder / "vlmine.yaml"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path_factory.mktemp("checkpoint")
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        hidden_dropout_prob=0.1, num_labels=5,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def test_retraining_uses_the_seed_first_and_then_the_mined_in_order():
    features, numbers = clouds(count=60)
    labels = [f"c{n}" for n in numbers]
    seed = [k for k in range(12) if numbers[k] < 2]  # the third class is not in the seed
    mined = [k for k in range(12, 40) if numbers[k] == 2]

    results = retrain_curve(
        ProbeLearner(),
        seed=Labelled(features[seed], [labels[k] for k in seed]),
        mined=Labelled(features[mined], [labels[k] for k in mined]),
        budgets=[4, 0, 2],
        training_seeds=[7, 8],
        test_inputs=features[40:],
        classes=["c0", "c1", "c2"],
    )

    assert [(r.budget, r.training_seed) for r in results] == [(0, 7), (2, 7), (4, 7)]
    assert "c2" not in results[0].predicted
    assert results[2].predicted == labels[40:]


def test_networks_are_retrained_once_a_seed():
    pictures, numbers = stripes(count=12)
    labels = [f"c{n}" for n in numbers]

    results = retrain_curve(
        NetworkLearner(SmallConvNet, ONE),
        seed=Labelled(pictures[:6], labels[:6]),
        mined=Labelled(pictures[6:10], labels[6:10]),
        budgets=[0, 4],
        training_seeds=[0, 1],
        test_inputs=pictures[10:],
        classes=["c0", "c1"],
    )

    assert [(r.budget, r.training_seed) for r in results] == [(0, 0), (0, 1), (4, 0), (4, 1)]


@pytest.mark.parametrize("kind", RetrainingSettings.plugins.names)
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(kind, checkpoint, tmp_path):
    inputs, labels = clouds(count=12) if kind == "probe" else stripes(count=12, side=(32, 32))
    learner = learner_in(tmp_path, kind=kind, image_size=32, epochs=1, path=checkpoint)
    taught = Examples(inputs, labels)

    first, second, other = (learner.fit(taught, class_count=3, training_seed=seed) for seed in (3, 3, 4))

    assert weights(first) == weights(second)
    assert (weights(first) == weights(other)) == (kind == "probe")
    assert predict_probabilities(first, inputs).shape == (12, 3)


def test_networks_start_from_the_same_weights_whatever_they_are_trained_on():
    pictures, labels = stripes(count=8)
    learner = NetworkLearner(SmallConvNet, Recipe(epochs=1, learning_rate=1e-12, batch_size=8))

    first = learner.fit(Examples(pictures, labels), class_count=2)
    second = learner.fit(Examples(pictures[::-1], labels), class_count=2)

    np.testing.assert_allclose(first.linear.weight.detach(), second.linear.weight.detach(), atol=1e-6)


def test_training_leaves_the_draws_of_others_alone():
    pictures, labels = stripes(count=8)
    torch.manual_seed(1)
    expected = torch.rand(3)

    torch.manual_seed(1)
    NetworkLearner(SmallConvNet, ONE).fit(Examples(pictures, labels), class_count=2)

    assert torch.equal(torch.rand(3), expected)


def test_nothing_about_test_labels_can_be_told_to_training_and_test_images_change_no_model():
    pictures, numbers = stripes(count=16)
    labels = [f"c{n}" for n in numbers]
    curve = partial(
        retrain_curve,
        NetworkLearner(SmallConvNet, Recipe(epochs=2, batch_size=8, patience=1), validation_share=0.25),
        seed=Labelled(pictures[:8], labels[:8]),
        mined=Labelled(pictures[8:12], labels[8:12]),
        budgets=[0, 4],
        training_seeds=[0],
        classes=["c0", "c1"],
    )

    whole = curve(test_inputs=pictures[12:])
    alone = [curve(test_inputs=pictures[k : k + 1]) for k in range(12, 16)]

    assert not {name for name in inspect.signature(retrain_curve).parameters if "test" in name} - {"test_inputs"}
    assert whole[1].predicted == [one[1].predicted[0] for one in alone]


def test_bfloat16_learns_the_same_task_from_the_same_weights_and_is_as_deterministic():
    pictures, labels = stripes(count=24)
    full, half = (Recipe(epochs=12, learning_rate=0.01, batch_size=8, is_half=h) for h in (False, True))
    fit = partial(fit_network, partial(SmallConvNet, 2), pictures[:16], labels[:16], class_count=2)

    first, second, whole = fit(recipe=half), fit(recipe=half), fit(recipe=full)

    assert weights(first) == weights(second) != weights(whole)
    assert all(tensor.dtype != torch.bfloat16 for tensor in first.state_dict().values())
    assert predict_probabilities(first, pictures[16:]).argmax(axis=1).tolist() == labels[16:].tolist()


def test_training_stops_early_and_takes_the_best_weights_by_validation_images_alone():
    pictures, labels = stripes(count=16)
    wrong = Examples(pictures[:4], 1 - labels[:4])  # the more is learned, the worse it looks here
    build = partial(SmallConvNet, 2)
    long = Recipe(epochs=12, learning_rate=0.01, batch_size=8, patience=2)

    stopped = fit_network(build, pictures, labels, class_count=2, recipe=long, validation=wrong)
    unwatched = fit_network(build, pictures, labels, class_count=2, recipe=long)

    def loss(network):
        found = predict_probabilities(network, wrong.inputs)
        return -np.log(found[np.arange(4), wrong.labels]).mean()

    assert loss(stopped) < loss(unwatched)


def test_images_of_a_validation_split_say_when_to_stop_and_none_is_taken_from_training():
    pictures, numbers = stripes(count=24)
    labels = [f"c{n}" for n in numbers]
    learner = NetworkLearner(SmallConvNet, Recipe(epochs=2, batch_size=8, patience=5), validation_share=0.5)
    curve = partial(
        retrain_curve,
        mined=Labelled(pictures[:0], []),
        budgets=[0],
        training_seeds=[0],
        test_inputs=pictures[20:],
        classes=["c0", "c1"],
    )

    with_split = learner.fit(
        Examples(pictures[:16], numbers[:16]), Examples(pictures[16:20], numbers[16:20]), class_count=2
    )
    without = learner.fit(Examples(pictures[:16], numbers[:16]), class_count=2)
    found = curve(
        learner, seed=Labelled(pictures[:16], labels[:16]), validation=Labelled(pictures[16:20], labels[16:20])
    )

    direct = fit_network(
        partial(SmallConvNet, 2), pictures[:16], numbers[:16], class_count=2, recipe=learner.recipe,
        validation=Examples(pictures[16:20], numbers[16:20]),
    )  # fmt: skip
    assert weights(with_split) == weights(direct)
    said = predict_probabilities(with_split, pictures[20:]).argmax(axis=1)
    assert found[0].predicted == [f"c{n}" for n in said]
    assert weights(with_split) != weights(without)


def test_without_a_validation_split_a_share_of_the_training_images_says_when_to_stop():
    pictures, numbers = stripes(count=16)
    recipe = Recipe(epochs=2, batch_size=8, patience=5)
    held = validation_rows(numbers, share=0.5, random_seed=3)

    found = NetworkLearner(SmallConvNet, recipe, validation_share=0.5).fit(
        Examples(pictures, numbers), class_count=2, training_seed=3
    )

    direct = fit_network(
        partial(SmallConvNet, 2), pictures[~held], numbers[~held], class_count=2, recipe=recipe, random_seed=3,
        validation=Examples(pictures[held], numbers[held]),
    )  # fmt: skip
    assert weights(found) == weights(direct)


def test_without_validation_images_patience_changes_nothing():
    pictures, labels = stripes(count=8)  # 4 of each class: a tenth of that is not an image
    patient, plain = (
        NetworkLearner(SmallConvNet, Recipe(epochs=2, batch_size=8, patience=p)).fit(
            Examples(pictures, labels), class_count=2
        )
        for p in (1, 0)
    )

    assert weights(patient) == weights(plain)


def test_validation_images_are_a_share_of_each_class_and_rare_classes_give_none():
    labels = np.repeat([0, 1, 2], [40, 10, 9])

    held = validation_rows(labels, share=0.1, random_seed=5)

    assert np.bincount(labels[held], minlength=3).tolist() == [4, 1, 0]
    np.testing.assert_array_equal(held, validation_rows(labels, share=0.1, random_seed=5))
    assert not np.array_equal(held, validation_rows(labels, share=0.1, random_seed=6))


def test_class_weights_have_mean_one_and_large_classes_are_alike_by_effective_number():
    labels = np.repeat([0, 1, 2], [20000, 10000, 10])

    inverse = class_weights(labels, 4, balance="inverse_frequency").numpy()
    effective = class_weights(labels, 4, balance="effective_number").numpy()

    for found in (inverse, effective):
        assert found.sum() == pytest.approx(3)
        assert found[3] == 0
    assert inverse[1] / inverse[0] == pytest.approx(2)
    assert effective[1] / effective[0] == pytest.approx(1, abs=1e-4)
    assert class_weights(labels, 4, balance="none") is None


def test_a_balanced_probe_believes_more_in_the_rare_class():
    features, numbers = clouds(count=60, classes=2)
    kept = np.concatenate([np.flatnonzero(numbers == 0), np.flatnonzero(numbers == 1)[:2]])
    between = features.mean(axis=0, keepdims=True)

    rare = [
        predict_probabilities(fit_probe(features[kept], numbers[kept], class_count=2, class_balance=balance), between)[
            0, 1
        ]
        for balance in ("none", "effective_number", "inverse_frequency")
    ]

    assert rare[0] < min(rare[1:])


def test_a_resnet_of_small_pictures_keeps_what_its_stem_would_pool_away():
    pictures = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    seen = []
    for side in (64, 128):
        network = ResNet18(3, side=side).eval()
        network.network.resnet.encoder.register_forward_hook(
            lambda _layer, _inputs, output: seen.append(output.last_hidden_state.shape[-1])
        )
        assert network(pictures).shape == (1, 3)

    assert seen == [4, 2]


def test_unknown_kinds_balances_and_checkpoints_are_named(tmp_path):
    pictures, labels = stripes(count=4)
    taught = Examples(pictures, labels)

    with pytest.raises(ConfigError, match="expected cnn, probe, resnet18, transformers, got 'forest'"):
        learner_in(tmp_path, kind="forest")
    with pytest.raises(ConfigError, match="unknown balance 'fair', expected none, effective_number"):
        NetworkLearner(SmallConvNet, Recipe(class_balance="fair")).fit(taught, class_count=2)
    with pytest.raises(ModelError, match="is not a local image-classification checkpoint"):
        learner_in(tmp_path, kind="transformers", path=str(tmp_path)).fit(taught, class_count=2)
