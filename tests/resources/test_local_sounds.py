"""Sounds are described by a model on this machine: a tiny random Qwen2-Audio with its real processor."""

import numpy as np
import pytest
from conftest import jpeg
from tiny_models import make_llava, make_qwen2_audio

from vlmine_dagster.describing.describers.transformers import TransformersSettings
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.local_model import LocalModel
from vlmine_dagster.resources.media.audio import Audio, AudioSettings, wave_bytes
from vlmine_dagster.resources.replies import Request
from vlmine_dagster.resources.samples import read_samples
from vlmine_dagster.resources.sounds import sound_format


def tone(hertz: float, seconds: float = 1.5, rate: int = 16_000) -> bytes:
    return wave_bytes(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), rate)


SOUNDS = [tone(hertz, seconds) for hertz in (200, 1000, 3000) for seconds in (0.5, 3)]
QUESTIONS = [Request(f"{number}", "", sound) for number, sound in enumerate(SOUNDS)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_qwen2_audio(tmp_path_factory.mktemp("ear"))


def answers(folder, questions, home, **changes):
    settings = TransformersSettings(kind="transformers", model=str(folder), **{"max_output_tokens": 12, **changes})
    model = LocalModel(settings, prompt="Describe the photo of", folder=home, max_pixels=10**8)
    return {content: reply for group in model.reply(questions, lambda _group: None) for content, reply in group}


def test_each_sound_has_its_own_answer_in_a_batch_and_alone(checkpoint, tmp_path):
    together = answers(checkpoint, QUESTIONS, tmp_path, batch_size=4)
    alone = answers(checkpoint, QUESTIONS, tmp_path, batch_size=1)

    assert {name: reply.text for name, reply in together.items()} == {name: one.text for name, one in alone.items()}
    assert len({reply.text for reply in together.values()}) == len(QUESTIONS)  # the sound decides
    short, long = together["0"].prompt_tokens, together["1"].prompt_tokens
    assert long > short > 0 and all(0 < reply.output_tokens <= 12 for reply in together.values())


def test_a_sound_is_heard_at_the_rate_of_the_model(checkpoint, tmp_path):
    asked = [Request("cd", "", tone(1000, rate=44_100)), Request("phone", "", tone(1000))]

    found = answers(checkpoint, asked, tmp_path)

    assert found["cd"].prompt_tokens == found["phone"].prompt_tokens


def test_a_broken_sound_is_corrupt_and_a_model_without_ears_says_so(checkpoint, tmp_path):
    found = answers(checkpoint, [Request("bad", "", b"RIFF....WAVEno"), QUESTIONS[0]], tmp_path)
    assert (found["bad"].outcome, found["0"].text is not None) == (Outcome.CORRUPT, True)

    with pytest.raises(ModelError, match="takes no sounds. Choose an audio-text-to-text checkpoint"):
        answers(make_llava(tmp_path / "eye"), QUESTIONS[:1], tmp_path)
    with pytest.raises(ModelError, match="takes no pictures"):
        answers(checkpoint, [Request("photo", "", jpeg("coffee", 0))], tmp_path)


def test_who_is_sent_sounds_is_tried_with_sounds(checkpoint, tmp_path):
    audio = Audio(AudioSettings(kind="audio", send="sound"))

    assert {sound_format(audio.example()), sound_format(audio.blank())} == {"wav"}
    assert read_samples(audio.blank()).values.any() == 0 and read_samples(audio.example()).values.any()
    assert sound_format(Audio(AudioSettings(kind="audio")).example()) is None
    found = answers(checkpoint, [Request("try", "", audio.example())], tmp_path)
    assert found["try"].output_tokens > 0
