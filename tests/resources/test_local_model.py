"""Vision-language models on this machine: tiny random ones, with the real processors and the real `generate`."""

import json
import shutil

import pytest
import torch
from conftest import jpeg
from tiny_models import make_idefics3, make_llava

from vlmine_dagster.describing.describers.transformers import TransformersSettings
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources import local_model
from vlmine_dagster.resources.checkpoints import folder_fingerprint, pinned_revision
from vlmine_dagster.resources.local_model import LocalModel
from vlmine_dagster.resources.replies import Request
from vlmine_dagster.resources.sources import FingerprintCache

MAKERS = {"llava": make_llava, "idefics3": make_idefics3}
QUESTIONS = [Request(f"{name}-{k}", "", jpeg(name, k)) for name in ("coffee", "chelsea", "rocket") for k in (0, 1)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture
def build(checkpoints, tmp_path):
    def model(name="llava", prompt="Describe the photo of", folder=None, **changes):
        settings = TransformersSettings(
            kind="transformers", model=str(folder or checkpoints[name]), **{"max_output_tokens": 12, **changes}
        )
        return LocalModel(settings, prompt=prompt, folder=tmp_path, max_pixels=10**8)

    return model


def answers(model, questions=QUESTIONS):
    return {content: reply for group in model.reply(questions, lambda _group: None) for content, reply in group}


@pytest.mark.parametrize("name", MAKERS)
class TestEveryArchitecture:
    def test_answers_are_the_same_in_a_batch_and_one_by_one(self, build, name):
        alone = answers(build(name, batch_size=1))
        together = answers(build(name, batch_size=4))

        assert {k: r.text for k, r in together.items()} == {k: r.text for k, r in alone.items()}
        assert len({reply.text for reply in alone.values()}) == 6  # the picture decides

    def test_tokens_are_counted_without_padding(self, build, name):
        alone = answers(build(name, batch_size=1))
        together = answers(build(name, batch_size=4))

        assert {r.prompt_tokens for r in together.values()} == {r.prompt_tokens for r in alone.values()}
        assert all(0 < reply.output_tokens <= 12 for reply in together.values())
        assert {reply.cost_usd for reply in together.values()} == {0.0}


def test_an_answer_that_reaches_the_limit_is_truncated(build):
    assert {reply.outcome for reply in answers(build(max_output_tokens=2)).values()} == {Outcome.TRUNCATED}


def test_an_answer_that_ends_is_ok_or_empty(build, checkpoints):
    model = build(max_output_tokens=300)
    answers(model, QUESTIONS[:1])
    loaded = model._load().model
    token = loaded.generate(**_inputs(model), max_new_tokens=4, do_sample=False)[0, -2]
    loaded.generation_config.eos_token_id = [2, int(token)]
    try:
        reply = answers(model, QUESTIONS[:1])["coffee-0"]
    finally:
        local_model._loaded.clear()

    assert reply.outcome in (Outcome.OK, Outcome.EMPTY)
    assert reply.output_tokens < 300


def _inputs(model):
    from vlmine_dagster.resources.pictures import decode_picture

    return model._inputs(model._load(), [(QUESTIONS[0], decode_picture(QUESTIONS[0].image, max_pixels=10**8))])


def test_each_question_has_its_own_words(build):
    image = QUESTIONS[0].image
    asked = [Request(f"{k}", f"Is there {'one more ' * k}rocket?", image) for k in range(3)]

    found = answers(build(batch_size=3), asked)

    assert len({reply.prompt_tokens for reply in found.values()}) == 3


def test_a_broken_image_is_corrupt_and_the_others_are_answered(build):
    found = answers(build(batch_size=2), [QUESTIONS[0], Request("bad", "", b"no image"), QUESTIONS[1]])

    assert found["bad"].outcome is Outcome.CORRUPT
    assert not found["bad"].is_kept
    assert found["coffee-0"].text == answers(build(), QUESTIONS[:1])["coffee-0"].text


def test_when_memory_runs_out_batches_are_halved_and_nothing_is_lost(build, monkeypatch):
    model = build(batch_size=4)
    expected = {k: r.text for k, r in answers(model).items()}
    loaded = model._load().model
    sizes, generate = [], loaded.generate

    def tight(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    monkeypatch.setattr(loaded, "generate", tight)

    assert {k: r.text for k, r in answers(model).items()} == expected
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1]
    assert model.where == "float32 on cpu, batches of 1"


def test_an_image_that_does_not_fit_alone_ends_the_work(build, monkeypatch):
    model = build(batch_size=2)
    answers(model, QUESTIONS[:1])

    def full(**_inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model._load().model, "generate", full)
    with pytest.raises(ModelError, match="not even one image fits into the memory of cpu"):
        answers(model)


def test_a_number_format_can_be_chosen_and_is_reported(build):
    model = build(dtype="bfloat16")
    assert model.where == "not loaded"

    answers(model, QUESTIONS[:2])

    assert model.where == "bfloat16 on cpu, batches of 8"


def test_the_fingerprint_of_a_local_checkpoint_survives_a_move(build, tmp_path):
    here = build()
    moved = tmp_path / "moved"
    shutil.copytree(here._settings.model, moved)

    assert build(folder=moved).fingerprint == here.fingerprint


def test_the_fingerprint_follows_weights_and_prompt_and_decoding_only(build, tmp_path):
    other = make_llava(tmp_path / "other", seed=1)
    base = build().fingerprint

    assert build(batch_size=2, device="cpu").fingerprint == base
    changed = [build(prompt="x"), build(max_output_tokens=13), build(image_side=64), build(folder=other)]
    assert len({base, *(model.fingerprint for model in changed)}) == 5


def test_a_folder_without_a_model_says_what_is_wanted(build, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelError, match="cannot be loaded as an image-text-to-text model on cpu"):
        answers(build(folder=tmp_path / "empty"))


def test_a_hub_id_that_cannot_be_reached_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = TransformersSettings(kind="transformers", model="nobody/no-model-here")

    with pytest.raises(ModelError, match="Give the folder of a downloaded checkpoint, or its hub id with `revision`"):
        _ = LocalModel(settings, prompt="x", folder=tmp_path, max_pixels=1).fingerprint


def test_a_revision_once_taken_stays(tmp_path):
    (tmp_path / "revisions.json").write_text(json.dumps({"org/model": "abc"}))

    assert pinned_revision("org/model", tmp_path / "revisions.json") == "abc"
    settings = TransformersSettings(kind="transformers", model="org/model")
    pinned = LocalModel(settings, prompt="x", folder=tmp_path, max_pixels=1).fingerprint
    named = LocalModel(settings.model_copy(update={"revision": "abc"}), prompt="x", folder=tmp_path, max_pixels=1)
    assert pinned == named.fingerprint


def test_code_that_comes_with_a_checkpoint_is_never_run(build, tmp_path):
    folder = make_llava(tmp_path / "hostile")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "hostile", "auto_map": {"AutoConfig": "evil.Config"}, "architectures": ["Hostile"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'proof')!r}, 'w')\n")

    with pytest.raises(ModelError):
        answers(build(folder=folder))
    assert not (tmp_path / "proof").exists()


def test_any_changed_byte_of_a_checkpoint_changes_its_fingerprint(tmp_path):
    (tmp_path / "here").mkdir()
    found = []
    for place in (0, 1, 2_000_000, 2_999_999):
        content = b"a" * place + b"b" + b"a" * (2_999_999 - place)
        (tmp_path / "here" / "weights").write_bytes(content)
        found.append(folder_fingerprint(tmp_path / "here", FingerprintCache(tmp_path / "kept.tsv")))

    assert len(set(found)) == 4
