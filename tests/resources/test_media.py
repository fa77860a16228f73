"""Media: what people, the encoder and describers get of items that are not pictures."""

import hashlib
from dataclasses import asdict
from typing import ClassVar, Literal

import pytest
from conftest import jpeg

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.media.contract import Medium, RenderedSource
from vlmine_dagster.resources.media.photo import PHOTO
from vlmine_dagster.resources.sources.contract import Glance, RawImage
from vlmine_dagster.settings.media import MediumSettings

WAVE = b"RIFF\x24\0\0\0WAVEfmt "


class ClipSettings(MediumSettings):
    kind: Literal["clip"] = "clip"
    window_s: float = 5


class Clip(Medium):
    """A sound, whose picture is the same photo for all but a broken one."""

    def picture(self, item):
        if item == b"broken":
            raise PictureError("not a sound")
        return jpeg("coffee", 0)

    def request(self, item):
        return item


class OneShard:
    """A source of three items."""

    def shards(self):
        return ["s"]

    def fingerprint(self, shard):
        return f"files of {shard}"

    def glance(self, shard):
        return Glance(shard, 7)

    def read(self, shard, *, keys=None):
        for key, data in {"a": WAVE, "b": b"broken"}.items():
            if keys is None or key in keys:
                yield RawImage(key, key, data)
        yield RawImage("c", "c", b"", "too large")


def test_items_come_as_the_medium_renders_them_and_failures_are_kept():
    clip = Clip(ClipSettings())
    source = RenderedSource(OneShard(), clip.picture)

    a, b, c = source.read("s")
    assert (a.data, a.failure) == (jpeg("coffee", 0), None)
    assert (b.data, b.failure) == (b"", "not a sound")
    assert (c.data, c.failure) == (b"", "too large")
    assert next(raw.data for raw in RenderedSource(OneShard(), clip.request).read("s", keys=["a"])) == WAVE
    assert (source.shards(), source.fingerprint("s"), source.glance("s")) == (["s"], "files of s", Glance("s", 7))


def test_facts_of_an_item_are_those_of_its_picture():
    clip = Clip(ClipSettings())

    photo = PHOTO.facts(jpeg("coffee", 0), max_pixels=10**8)
    assert asdict(clip.facts(WAVE, max_pixels=10**8)) == asdict(photo)
    assert photo.outcome is Outcome.OK
    assert clip.facts(b"", max_pixels=10**8).outcome is Outcome.EMPTY
    broken = clip.facts(b"broken", max_pixels=10**8)
    assert (broken.outcome, broken.failure) == (Outcome.CORRUPT, "not a sound")


def test_the_digest_of_a_photo_is_that_of_its_bytes_and_of_others_depends_on_their_settings():
    assert PHOTO.digest(WAVE) == hashlib.sha256(WAVE).hexdigest()

    digests = {Clip(ClipSettings(window_s=s)).digest(WAVE) for s in (5, 6)} | {PHOTO.digest(WAVE)}
    assert len(digests) == 3


@pytest.mark.parametrize(("item", "part"), [(WAVE, "input_audio"), (jpeg("coffee", 0), "image_url")])
def test_a_chat_model_is_sent_a_sound_as_a_sound(item, part):
    from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
    from vlmine_dagster.resources.chat import ChatModel
    from vlmine_dagster.resources.questions import ChatQuestion, Dialect
    from vlmine_dagster.resources.replies import Request

    question = ChatQuestion(OpenAIDescriberSettings(kind="openai", model="m"), "What is it?", False, None, 10**8)
    request, failure = ChatModel(question)._prepared(Request("digest", "What is it?", item))

    assert failure is None
    first, second = question.body(request.prompt, request.image, Dialect())["messages"][0]["content"]
    assert (first["type"], second) == (part, {"type": "text", "text": "What is it?"})
    if part == "input_audio":
        assert first["input_audio"] == {"data": "UklGRiQAAABXQVZFZm10IA==", "format": "wav"}


def test_the_medium_may_ask_in_its_own_words(tmp_path):
    from vlmine_dagster.resources.prompts import load_prompt
    from vlmine_dagster.settings.project import Project, parse_settings

    class Spoken(ClipSettings):
        prompts: ClassVar = {"describe-general-v1": "What do you hear?"}

    settings = parse_settings({"name": "pool", "dataset": {"kind": "folder", "root": "."}})
    spoken = settings.dataset.model_copy(update={"medium": Spoken()})
    project = Project(settings, tmp_path)
    heard = Project(settings.model_copy(update={"dataset": spoken}), tmp_path)

    assert load_prompt(heard, "describe-general-v1") == "What do you hear?"
    assert load_prompt(heard, "describe-driving-v1") == load_prompt(project, "describe-driving-v1")
