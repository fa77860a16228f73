"""Features of one's own: of a file, and of tiny models of the kinds that people use."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import jpeg
from tiny_models import make_tokenizer

from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.resources.encoder import Encodings
from vlmine_dagster.resources.features import FeatureFile, FeatureModel, with_features
from vlmine_dagster.settings.describing import FeatureSettings
from vlmine_dagster.settings.project import parse_settings

NAMES = [f"a/{number}" for number in range(6)]
PIXELS = {"size": {"height": 16, "width": 16}, "crop_size": {"height": 16, "width": 16}}


def written(folder, vectors, names=NAMES, **how):
    table = pa.table({"image_id": names, "embedding": pa.array(vectors, pa.list_(pa.float32()))})
    pq.write_table(table, folder / "own.parquet", **how)
    return FeatureFile(str(folder / "own.parquet"), folder)


def seen(names=NAMES):
    count = len(names)
    return Encodings(list(names), np.ones((count, 1280), np.float16), np.full((count, 1000), 0.001, np.float16))


def load(names):
    return [(name, jpeg("coffee", int(name[2:]))) for name in names]


def given(features, names=NAMES):
    return with_features(seen(names), features, load, max_pixels=10**7)


@pytest.mark.parametrize("row_group_size", [2, 100])
def test_vectors_of_a_file_stand_for_the_encoders_and_end_in_zeros(tmp_path, row_group_size):
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    order = [4, 0, 5, 2, 1, 3]
    names = [NAMES[place] for place in order] + ["b/other"]
    file = written(tmp_path, [*vectors[order].tolist(), [9.0] * 5], names, row_group_size=row_group_size)

    found = given(file)

    assert found.image_ids == NAMES
    assert np.allclose(found.embeddings[:, :5], vectors, rtol=1e-3)
    assert not found.embeddings[:, 5:].any()
    assert found.probabilities.shape == (6, 1000)


@pytest.mark.parametrize(
    ("vectors", "names", "message"),
    [
        ([[1.0, 2.0]] * 4, NAMES[:4], "has no vector of 2 of 6 images, such as a/4"),
        ([[1.0, 2.0]] * 5 + [[1.0]], NAMES, "the vector of 'a/5' has 1 numbers, the first of the file 2"),
        ([[1.0, 2.0]] * 5 + [None], NAMES, "the vector of 'a/5' has 0 numbers"),
        ([[1.0, 2.0]] * 6, [*NAMES[:5], "a/0"], "'a/0' is in it twice. Write one row per image"),
        ([[1.0, float("nan")]] * 6, NAMES, "the vector of 'a/0' contains NaN or values above 65,504"),
        ([[1.0, 1e6]] * 6, NAMES, "contains NaN or values above 65,504"),
        ([[1.0, 2.0]] * 5 + [[0.0, 0.0]], NAMES, "the vector of 'a/5' contains only zeros"),
        ([[1.0, 2.0]] * 5 + [[1e-9, 0.0]], NAMES, "the vector of 'a/5' contains only zeros"),
        ([[0.5] * 1281] * 6, NAMES, "vectors of 1,281 numbers; 1 to 1,280 can be kept"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(vectors, names, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        given(written(tmp_path, vectors, names))


TEXTS, VECTORS = pa.array(NAMES), pa.array([[1.0, 2.0]] * 6)


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (pa.array(range(6)), VECTORS, "image_id is int64, expected text"),
        (pa.array([name.encode() for name in NAMES]), VECTORS, "image_id is binary, expected text"),
        (TEXTS, pa.array([1.0] * 6), "embedding is double, expected a list of numbers"),
        (TEXTS, pa.array(["[1, 2]"] * 6), "embedding is string, expected a list of numbers"),
        (TEXTS, pa.array([[["1"]]] * 6), "expected a list of numbers"),
    ],
)
def test_columns_of_other_types_are_named(ids, vectors, message, tmp_path):
    pq.write_table(pa.table({"image_id": ids, "embedding": vectors}), tmp_path / "own.parquet")
    file = FeatureFile(str(tmp_path / "own.parquet"), tmp_path)

    for asked in (file.look, lambda: given(file)):
        with pytest.raises(ModelError, match=message):
            asked()


@pytest.mark.parametrize("ids", [TEXTS.cast(pa.large_string()), TEXTS.dictionary_encode()])
@pytest.mark.parametrize("kind", [pa.large_list(pa.float64()), pa.list_(pa.float16(), 2), pa.list_(pa.int8())])
def test_vectors_are_read_as_any_library_writes_them(ids, kind, tmp_path):
    vectors = pa.array([[1.0, 2.0]] * 6).cast(kind)
    pq.write_table(pa.table({"image_id": ids, "embedding": vectors}), tmp_path / "own.parquet")

    assert given(FeatureFile(str(tmp_path / "own.parquet"), tmp_path)).embeddings[:, :2].tolist() == [[1, 2]] * 6


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", "x"])
def test_what_is_no_such_parquet_file_says_what_is_wanted(content, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / "own.parquet").write_bytes(content)
    else:
        pq.write_table(pa.table({"id": ["a/0"], "vector": [[1.0]]}), tmp_path / "own.parquet")

    with pytest.raises(ModelError, match="as Parquet with the columns image_id and embedding"):
        given(FeatureFile(str(tmp_path / "own.parquet"), tmp_path))


def test_before_a_run_one_hears_what_a_file_and_a_model_hold(tmp_path):
    file = written(tmp_path, [[1.0, 2.0]] * 6)
    make_vit(tmp_path / "vit")
    model = FeatureModel(FeatureSettings(model="m", device="cpu"), model=str(tmp_path / "vit"), folder=tmp_path)

    assert file.look() == f"6 vectors of 2 numbers in {tmp_path / 'own.parquet'}"
    assert model.look() == "m: vectors of 16 numbers, on cpu"
    with pytest.raises(ModelError, match="gives vectors of 1,281 numbers"):
        written(tmp_path, [[0.5] * 1281] * 6).look()
    (tmp_path / "own.parquet").unlink()
    with pytest.raises(ConfigError, match="features.path: there is no"):
        file.look()


def test_another_content_is_another_fingerprint_and_a_missing_file_is_named(tmp_path):
    one = written(tmp_path, [[1.0]] * 6).fingerprint
    assert written(tmp_path, [[1.0]] * 6).fingerprint == one
    assert written(tmp_path, [[2.0]] * 6).fingerprint != one
    with pytest.raises(ConfigError, match="features.path: there is no"):
        _ = FeatureFile(str(tmp_path / "no.parquet"), tmp_path).fingerprint


def make_vit(folder):
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=16, patch_size=8)).save_pretrained(folder)
    ViTImageProcessorPil(size=PIXELS["size"]).save_pretrained(folder)
    return 16


def make_dinov2(folder):
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    Dinov2Model(Dinov2Config(**sizes, image_size=16, patch_size=8)).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 16}, crop_size=PIXELS["crop_size"]).save_pretrained(folder)
    return 24


def make_resnet(folder):
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(folder)
    return 20


def make_clip(folder):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**part, "vocab_size": len(make_tokenizer()), "max_position_embeddings": 16}
    vision = {**part, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=PIXELS["crop_size"]).save_pretrained(folder)
    return 12


@pytest.mark.parametrize("make", [make_vit, make_dinov2, make_resnet, make_clip])
def test_a_model_of_images_gives_each_picture_a_vector_whatever_the_batch(make, tmp_path):
    import torch

    torch.manual_seed(0)
    length = make(tmp_path)
    by_batch = [
        given(
            FeatureModel(
                FeatureSettings(model="m", batch_size=size, device="cpu"), model=str(tmp_path), folder=tmp_path
            )
        )
        for size in (1, 4)
    ]

    one, other = (found.embeddings.astype(np.float32) for found in by_batch)
    assert np.allclose(one, other, atol=2e-3)
    assert not one[:, length:].any()
    assert (one[:, :length] != 0).any(axis=1).all()
    assert len(np.unique(one.round(4), axis=0)) == len(NAMES)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path):
    make_vit(tmp_path)
    model = FeatureModel(FeatureSettings(model="m"), model=str(tmp_path), folder=tmp_path)

    with pytest.raises(ModelError, match="features.model m has no vector of 1 of 2 images, such as a/1"):
        with_features(
            seen(["a/0", "a/1"]), model, lambda _names: [("a/0", jpeg("coffee", 0)), ("a/1", b"no")], max_pixels=10**7
        )


def test_what_is_no_model_of_images_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    model = FeatureModel(FeatureSettings(model="m"), model=str(tmp_path), folder=tmp_path)

    with pytest.raises(ModelError, match="features.model m cannot be loaded as an image model on"):
        given(model)


@pytest.mark.parametrize("features", [{}, {"path": "a.parquet", "model": "b"}])
def test_features_come_from_one_place(features):
    with pytest.raises(ConfigError, match="set `path`, a Parquet file, or `model`, a checkpoint"):
        parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "features": features})


def test_a_model_of_too_many_numbers_says_what_to_do():
    wide = SimpleNamespace(what="features.model x", vectors=lambda names, *_a, **_k: [(names, np.ones((6, 1536)))])

    with pytest.raises(ModelError, match="features.model x gives vectors of 1,536 numbers; 1 to 1,280 can be kept"):
        given(wide)
