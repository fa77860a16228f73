"""Detectors on this machine: tiny random ones, with the real processors."""

import io
from pathlib import Path

import pytest
import torch
from conftest import jpeg, plain_rows
from PIL import Image
from pydantic import ValidationError
from tiny_models import make_detr, make_owlvit

from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.domain.tables import VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.resources.detectors.contract import Detection, detected_boxes
from vlmine_dagster.resources.detectors.local_detector import LocalDetector
from vlmine_dagster.resources.detectors.transformers import (
    RareKeywords,
    TransformersDetectorSettings,
    rare_keywords,
)
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.settings.objects import ObjectSettings

PICTURES = [(f"{name}-{k}", jpeg(name, k)) for name in ("coffee", "rocket") for k in (0, 1)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return {
        "detr": make_detr(tmp_path_factory.mktemp("detr")),
        "owlvit": make_owlvit(tmp_path_factory.mktemp("owlvit")),
    }


@pytest.fixture
def build(checkpoints, tmp_path):
    def detector(name="detr", folder=None, **changes):
        settings = TransformersDetectorSettings(
            kind="transformers", model=str(folder or checkpoints[name]), **{"threshold": 0.0, **changes}
        )
        return LocalDetector(settings, name=name, folder=tmp_path, max_pixels=10**6)

    return detector


def by_hand(folder, data: bytes) -> list[Detection]:
    """What the checkpoint finds in one picture, without any code of ours but the decoding."""
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    picture = decode_picture(data, max_pixels=10**6)
    processor, model = AutoImageProcessor.from_pretrained(folder), AutoModelForObjectDetection.from_pretrained(folder)
    with torch.inference_mode():
        outputs = model.eval()(**processor(images=picture, return_tensors="pt"))
    (found,) = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=[picture.size[::-1]])
    rows = zip(found["scores"].tolist(), found["labels"].tolist(), found["boxes"].tolist(), strict=True)
    best_first = sorted(rows, key=lambda row: -row[0])
    return [
        Detection((x, y, r - x, b - y), model.config.id2label[label], score)
        for score, label, (x, y, r, b) in best_first
    ]


def close(left: Detection, right: Detection) -> bool:
    return left.label == right.label and [*left.box, left.score] == pytest.approx([*right.box, right.score], abs=0.05)


def test_a_detector_finds_what_its_checkpoint_finds_best_first_in_batches_of_any_size(build, checkpoints):
    together = dict(build(batch_size=3).detect(PICTURES))
    alone = dict(build(batch_size=1).detect(PICTURES))

    assert list(together) == [name for name, _ in PICTURES]
    expected = by_hand(checkpoints["detr"], PICTURES[2][1])
    assert len(expected) == 6
    assert all(map(close, together["rocket-0"], expected))
    assert all(close(*pair) for name in together for pair in zip(together[name], alone[name], strict=True))
    assert not close(together["coffee-0"][0], together["rocket-0"][0])  # the picture decides


def test_a_picture_that_lies_down_is_searched_upright(build):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture, lying = Image.open(io.BytesIO(PICTURES[0][1])), io.BytesIO()
    picture.save(lying, "PNG", exif=exif)
    upright = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_270).save(upright, "PNG")

    (_, one), (_, other) = build().detect([("lying", lying.getvalue()), ("upright", upright.getvalue())])

    assert one == other


def test_a_picture_that_cannot_be_read_takes_no_other_down(build):
    found = dict(build(batch_size=2).detect([("bad", b"\xff\xd8\xff no"), *PICTURES]))

    assert "not a readable JPEG" in found["bad"]
    assert [len(found[name]) for name, _ in PICTURES] == [6] * 4
    boxes = detected_boxes(build(), found.items())
    assert boxes.failures.keys() == {"bad"}
    assert boxes.rows.num_rows == 24
    assert boxes.rows.column("origin")[0].as_py() == "detector detr: object 1"


def test_objects_under_the_threshold_are_left_out(build):
    scores = [one.score for _, objects in build().detect(PICTURES) for one in objects]
    middle = sorted(scores)[12]

    kept = [one.score for _, objects in build(threshold=middle).detect(PICTURES) for one in objects]

    assert sorted(kept) == pytest.approx(sorted(scores)[13:], abs=1e-4)


def test_a_zero_shot_detector_looks_for_its_prompts(build):
    detector = build("owlvit", prompts=("red cup", "rocket"))

    found = dict(detector.detect(PICTURES))

    assert detector.kind == "zero-shot, 2 prompts"
    assert {one.label for objects in found.values() for one in objects} <= {"red cup", "rocket"}
    assert all(len(objects) == 16 for objects in found.values())  # 4 x 4 patches
    other = dict(build("owlvit", prompts=("dog",)).detect(PICTURES))
    assert {one.label for objects in other.values() for one in objects} == {"dog"}


def test_prompts_are_the_rare_keywords_of_a_project_that_mined_whole_images(make_project):
    images = make_project({"a": {"x.jpg": jpeg("coffee", 0)}})
    counts = {"cup": 40, "rocket": 2, "typo": 1, "fire engine": 2, "horse": 7}
    rows = plain_rows(VOCAB_COUNTS, keyword=list(counts), image_count=list(counts.values()))
    images.bench.lake.publish("vocab_counts", WHOLE_POOL, rows, inputs="x")
    wanted = RareKeywords(project="../" + images.folder.name, count=3)

    assert rare_keywords(wanted, images.folder) == ("fire engine", "rocket", "horse")
    file = RareKeywords(project=str(images.folder / "vlmine.yaml"), count=1, at_least=1)
    assert rare_keywords(file, Path("/elsewhere")) == ("typo",)
    with pytest.raises(ConfigError, match="no keyword of .* is in 50 images or more"):
        rare_keywords(RareKeywords(project=".", at_least=50), images.folder)
    with pytest.raises(ConfigError, match="no .*vlmine.yaml here"):
        rare_keywords(RareKeywords(project="nowhere"), images.folder)


def test_a_project_asks_a_zero_shot_detector_for_the_rare_keywords_of_another(make_project, checkpoints):
    images = make_project({"a": {"x.jpg": jpeg("coffee", 0)}})
    prompts = {"project": str(images.folder), "count": 2}
    objects = {"detector": {"kind": "transformers", "model": str(checkpoints["owlvit"]), "prompts": prompts}}
    made = make_project({"a": {"x.jpg": jpeg("coffee", 0)}}, unit="object", objects=objects)
    fingerprints = []
    for keywords in (["red cup", "rocket", "car"], ["red cup", "dog", "car"]):
        rows = plain_rows(VOCAB_COUNTS, keyword=keywords, image_count=[2, 3, 4])
        images.bench.lake.publish("vocab_counts", WHOLE_POOL, rows, inputs=str(keywords))
        detector = made.bench.detector
        fingerprints.append(detector.fingerprint)

    assert detector.kind == "zero-shot, 2 prompts"
    assert fingerprints[0] != fingerprints[1]
    assert {one.label for one in dict(detector.detect(PICTURES[:1]))["coffee-0"]} <= {"red cup", "dog"}


def test_a_zero_shot_detector_without_prompts_and_a_model_that_is_none_say_so(build, tmp_path):
    from transformers import BertConfig

    BertConfig(hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path / "bert")

    with pytest.raises(ModelError, match="owlvit is a zero-shot detector: it finds what it is asked for"):
        list(build("owlvit").detect(PICTURES))
    with pytest.raises(ModelError, match="cannot be loaded as a detector: a model of type bert finds no objects"):
        _ = build(folder=tmp_path / "bert").kind
    with pytest.raises(ModelError, match="cannot be loaded as a detector"):
        _ = build(folder=tmp_path).kind


def test_a_fingerprint_changes_with_what_changes_the_objects_alone(build, checkpoints, tmp_path):
    plain = build().fingerprint

    assert build(batch_size=1, device="cpu").fingerprint == plain
    changed = [build(threshold=0.3), build(prompts=("cup",)), build(folder=make_detr(tmp_path / "other", seed=1))]
    assert len({plain, *(one.fingerprint for one in changed)}) == 4


def test_boxes_come_from_files_or_from_a_detector():
    detector = {"kind": "transformers", "model": "m"}

    assert ObjectSettings(detector=detector).detector.threshold == 0.5
    for wrong in ({}, {"detector": detector, "boxes": "a.json"}):
        with pytest.raises(ValidationError, match="the objects need boxes from one place"):
            ObjectSettings(**wrong)
