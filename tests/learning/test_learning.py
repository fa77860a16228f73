from functools import partial
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmine_dagster.domain.errors import ConfigError, ContractError, ModelError
from vlmine_dagster.learning import user_model
from vlmine_dagster.learning.examples import class_numbers
from vlmine_dagster.learning.networks import SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.task_model import _folds, held_out_accuracy, load, save, train_task_model
from vlmine_dagster.learning.training import Recipe, fit_network, fit_probe
from vlmine_dagster.learning.user_model import load_checkpoint, prediction_classes, read_predictions


def clouds(count=40, classes=3, size=12, seed=0):
    """Features in well separated clouds, one a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return (rng.normal(0, 0.3, (count, size)) + 3 * np.eye(classes, size)[labels]).astype(np.float32), labels


def stripes(count=24, side=(20, 16), seed=0):
    """Pictures with stripes that run down or across."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 30, (count, *side, 3), dtype=np.uint8)
    pictures[0::2, :, ::4] += 200
    pictures[1::2, ::4, :] += 200
    return pictures, np.arange(count) % 2


def test_the_probe_learns_clouds_and_its_rows_sum_to_one():
    features, labels = clouds()

    probabilities = predict_probabilities(fit_probe(features, labels, class_count=3), features, batch_size=7)

    assert (probabilities.argmax(axis=1) == labels).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_the_probe_has_no_randomness():
    features, labels = clouds()

    first, second = (predict_probabilities(fit_probe(features, labels, class_count=3), features) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_a_class_without_rows_is_unlikely_and_no_error():
    features, labels = clouds()

    probabilities = predict_probabilities(fit_probe(features, labels, class_count=5), features)

    assert probabilities.shape == (40, 5)
    assert (probabilities[:, 3:] < 0.2).all()


def test_a_stronger_penalty_is_less_sure():
    features, labels = clouds()
    weak, strong = (
        predict_probabilities(fit_probe(features, labels, class_count=3, l2=l2), features).max() for l2 in (0.01, 10.0)
    )

    assert strong < weak


def test_the_network_learns_stripes_and_is_deterministic():
    pictures, labels = stripes()

    recipe = Recipe(epochs=15, batch_size=8)
    first, second = (
        fit_network(partial(SmallConvNet, 2), pictures, labels, class_count=2, recipe=recipe, random_seed=3)
        for _ in range(2)
    )
    probabilities = predict_probabilities(first, pictures)

    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_array_equal(probabilities, predict_probabilities(second, pictures))


def test_a_lonely_last_picture_is_no_trouble():
    pictures, labels = stripes(count=9)

    network = fit_network(
        partial(SmallConvNet, 2), pictures, labels, class_count=2, recipe=Recipe(epochs=1, batch_size=8)
    )

    assert predict_probabilities(network, pictures[:0]).shape == (0, 2)


def test_training_on_nothing_is_refused():
    with pytest.raises(ContractError, match="0 inputs and 0 labels"):
        fit_probe(np.empty((0, 3), np.float32), [], class_count=2)


def test_labels_outside_the_classes_are_named():
    with pytest.raises(ContractError, match="label 'comet' is not one of the 1 classes"):
        class_numbers(["comet"], ["moon"])


@pytest.mark.parametrize(("kind", "data"), [("probe", clouds), ("cnn", stripes)])
def test_a_saved_model_answers_as_before(kind, data, tmp_path):
    inputs, numbers = data()
    model = train_task_model(kind, inputs, [f"class {n}" for n in numbers], epochs=2)

    save(model, tmp_path / "models" / "m.safetensors")
    again = load(tmp_path / "models" / "m.safetensors")

    assert again.classes == model.classes
    assert again.kind == kind
    np.testing.assert_array_equal(again.predict(inputs), model.predict(inputs))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["m.safetensors"]


def test_the_same_model_is_the_same_bytes(tmp_path):
    inputs, numbers = clouds()
    model = train_task_model("probe", inputs, [f"class {n}" for n in numbers], epochs=1)

    files = [tmp_path / f"{k}.safetensors" for k in range(8)]
    for file in files:
        save(model, file)

    assert len({file.read_bytes() for file in files}) == 1


def test_a_damaged_model_says_what_to_do(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"no model")

    with pytest.raises(ModelError, match="cannot be read.*Materialize task_model again"):
        load(tmp_path / "m.safetensors")


def test_one_class_is_too_few():
    with pytest.raises(ContractError, match="of 1 class, expected at least 2 classes"):
        train_task_model("probe", np.ones((3, 2), np.float32), ["a", "a", "a"])


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="unknown kind 'forest'"):
        train_task_model("forest", np.ones((2, 2), np.float32), ["a", "b"])


def test_held_out_accuracy_keeps_the_frames_of_a_scene_together():
    draw = np.random.default_rng(5)
    features = np.repeat(draw.normal(size=(12, 8)), 5, axis=0) + draw.normal(0, 0.01, (60, 8))
    labels = [str(scene % 2) for scene in range(12) for _ in range(5)]  # nothing tells the classes but the scene itself
    scenes = [f"drive-{scene}" for scene in range(12) for _ in range(5)]

    assert held_out_accuracy("probe", features, labels) > 0.95
    assert held_out_accuracy("probe", features, labels, scenes=scenes) < 0.75


def test_held_out_accuracy_is_high_on_clouds_and_unknown_for_few():
    features, labels = clouds(count=30)

    assert held_out_accuracy("probe", features, [str(n) for n in labels]) > 0.9
    assert held_out_accuracy("probe", features[:4], [str(n) for n in labels[:4]]) is None


@pytest.mark.parametrize("frames", [1, 2])
def test_held_out_accuracy_is_the_share_that_models_of_the_other_two_folds_get_right(frames):
    draw = np.random.default_rng(8)
    features, labels = draw.normal(size=(40, 6)), draw.choice(["car", "bus", "kite"], 40)  # unlike each other by chance
    scenes = [str(place // frames) for place in range(40)]
    fold = _folds(labels.tolist(), scenes, random_seed=0)

    right = 0
    for held in range(3):
        model = train_task_model("probe", features[fold != held], labels[fold != held].tolist())
        found = np.array(model.classes)[model.predict(features[fold == held]).argmax(axis=1)]
        right += np.sum(found == labels[fold == held])

    accuracy = partial(held_out_accuracy, "probe", features, labels.tolist(), scenes=scenes)
    assert accuracy() == right / 40  # the same whenever it is asked for
    assert len({accuracy(random_seed=seed) for seed in range(5)}) > 1  # as folds of other seeds are not


def test_held_out_accuracy_counts_classes_of_one_image_as_wrong_and_needs_ten_images_of_two_classes():
    features, labels = clouds(count=31)
    names = [str(number) for number in labels[:30]]
    features[30] = -9

    assert held_out_accuracy("probe", features[:30], names) == 1
    assert held_out_accuracy("probe", features, [*names, "alone"]) == 30 / 31
    few, numbers = clouds(count=10, classes=2, size=2)
    names = [str(number) for number in numbers]
    assert held_out_accuracy("probe", few, names) == 1
    assert held_out_accuracy("probe", few[:9], names[:9]) is None
    assert held_out_accuracy("probe", few, ["car"] * 10) is None


def read_all(path, image_ids) -> dict[str, list[float]]:
    """Return the probabilities of each image that the file has."""
    blocks = list(read_predictions(str(path), image_ids))
    return {name: row.tolist() for names, rows in blocks for name, row in zip(names, rows, strict=True)}


def test_predictions_of_a_user_are_those_of_each_wanted_image(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"image_id": ["b", "c", "a"], "cat": [0.25, 0.5, 1.0], "dog": [0.75, 0.5, 0.0]}), path)

    assert prediction_classes(str(path)) == ("cat", "dog")
    assert read_all(path, ["a", "missing", "b"]) == {"b": [0.25, 0.75], "a": [1.0, 0.0]}


def test_predictions_of_other_images_are_not_looked_at(tmp_path):
    path = tmp_path / "p.parquet"
    names = [f"{number:05}" for number in range(10_000)]
    cat = np.linspace(0, 1, 10_000)
    cat[7] = 3.0
    pq.write_table(pa.table({"dog": 1 - cat, "image_id": names, "cat": cat}), path, row_group_size=3000)

    found = read_all(path, [names[9000], names[4500], names[1]])

    assert found == {names[n]: [1 - cat[n], cat[n]] for n in (1, 4500, 9000)}


def test_row_groups_of_other_images_are_not_even_opened(tmp_path, monkeypatch):
    path = tmp_path / "p.parquet"
    names = [f"{number:05}" for number in range(10_000)]
    half = [0.5] * 10_000
    pq.write_table(pa.table({"image_id": names, "cat": half, "dog": half}), path, row_group_size=1000)
    opened = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda file, group, *more: opened.append(group) or read(file, group, *more)
    )

    found = read_all(path, names[2999:4001])

    assert list(found) == names[2999:4001]
    assert opened == [2, 3, 4]


def test_no_more_than_a_block_of_predictions_is_in_memory(tmp_path):
    path = tmp_path / "p.parquet"
    names = [f"{number:05}" for number in range(10_000)]
    pq.write_table(pa.table({"image_id": names, "cat": [0.5] * 10_000, "dog": [0.5] * 10_000}), path)

    sizes = [rows.shape for _, rows in read_predictions(str(path), names)]

    assert sum(count for count, _ in sizes) == 10_000
    assert max(sizes) <= (4096, 2)


@pytest.mark.parametrize("apart", [1, 5000])
def test_an_image_with_two_predictions_is_refused(apart, tmp_path):
    path = tmp_path / "p.parquet"
    names = ["twice", *(f"{number:05}" for number in range(1, apart)), "twice"]
    pq.write_table(pa.table({"image_id": names, "cat": [0.5] * len(names), "dog": [0.5] * len(names)}), path)

    with pytest.raises(ModelError, match="'twice' is in it twice"):
        read_all(path, ["twice", "00001"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"image_id": ["a"], "cat": [3.0], "dog": [1.0]}, "row of 'a' is not a probability distribution .it sums to 4"),
        ({"image_id": ["a"], "cat": [1.0]}, "1 class column, expected at least 2"),
        ({"name": ["a"], "cat": [1.0], "dog": [0.0]}, "cannot be read as Parquet with image_id"),
        ({"image_id": ["a"], "cat": [1.0], "dog": [0.0], "__index_level_0__": [7]}, "row index .* with index=False"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(table, message, tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table(table), path)

    with pytest.raises(ModelError, match=message):
        read_all(path, ["a"])


def test_a_local_checkpoint_is_read_by_its_own_processor_and_without_a_bar(tmp_path, capfd):
    from PIL import Image
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        id2label={0: "moon", 1: "brick", 2: "rocket"},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    pictures = [Image.new("RGB", (40, 20), color) for color in ("red", "blue")]

    capfd.readouterr()
    checkpoint = load_checkpoint(str(tmp_path))
    assert "Loading weights" not in capfd.readouterr().err
    together = checkpoint.predict(pictures)

    assert checkpoint.classes == ("moon", "brick", "rocket")
    assert checkpoint.predict([]).shape == (0, 3)
    np.testing.assert_allclose(together.sum(axis=1), 1.0)
    np.testing.assert_allclose(together[1:], checkpoint.predict(pictures[1:]), atol=1e-6)


@pytest.mark.parametrize(
    "processor",
    [
        {"size": {"height": 32, "width": 32}},
        {"size": {"shortest_edge": 32}},
        {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    ],
)
def test_the_side_of_a_picture_is_what_the_processor_calls_it(processor):
    assert user_model._side(SimpleNamespace(**processor)) == 32


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not a local image-classification checkpoint"):
        load_checkpoint(str(tmp_path))
