"""Models that do not get the pictures, on a scripted endpoint: blind ones in every way, and ones that see."""

import hashlib
import random
from functools import partial

import numpy as np
import pytest
from conftest import jpeg, plain_rows
from scripted_endpoint import Answer, ScriptedEndpoint

from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
from vlmine_dagster.describing.unseen import GREY, SeenAnswer, failures_when_seen, unseen
from vlmine_dagster.domain.tables import DESCRIPTIONS, Outcome
from vlmine_dagster.mining.answers import judge_description
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.chat import ChatModel
from vlmine_dagster.resources.describers import DescriberInput, ModelDescriber
from vlmine_dagster.resources.encoder import Encoder
from vlmine_dagster.resources.media.contract import grey_picture
from vlmine_dagster.resources.questions import ChatQuestion
from vlmine_dagster.resources.replies import Asker, Spending

WAVE = "A man rides a wave on a white surfboard."
PICTURES = {f"s/{name}-{k}": jpeg(name, k) for name in ("coffee", "rocket", "brick", "chelsea") for k in range(5)}
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in PICTURES.items()}
THINGS = "dog beach car street tree lamp chair table bird river house boat".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def encoder(state):
    return Encoder(state / "models")


def about(data: bytes, seed: int = 0) -> str:
    """A description that depends on the picture, and on nothing else with the same seed."""
    words = random.Random(hashlib.sha256(data).hexdigest() + str(seed)).sample(THINGS, 4)
    return f"A {words[0]} and a {words[1]} by a {words[2]}, behind it a {words[3]}."


def looked_at(tmp_path, encoder, script, names=PICTURES):
    """Describe pictures by a script and look whether they were seen; return reasons and the calls beside the pool."""
    with ScriptedEndpoint(script) as endpoint:
        settings = OpenAIDescriberSettings(kind="openai", model="m", base_url=endpoint.url, max_attempts=1)
        model = ChatModel(ChatQuestion(settings, "Describe.", False, None, 10**8), first_pause_s=0.01)
        judge = partial(judge_description, language="en")
        describer = ModelDescriber(Asker(model, "Describe.", judge, "test", Spending(ReplyCache(tmp_path))))
        wanted = {name: DIGESTS[name] for name in names}

        def load(some):
            return (DescriberInput(name, PICTURES[name]) for name in some)

        answers = [
            SeenAnswer(a.image_id, wanted[a.image_id], a.text, a.prompt_tokens)
            for a in describer.describe(wanted, load)
            if a.outcome is Outcome.OK
        ]
        calls = len(endpoint.calls)

        def features(some):
            images = [(GREY, grey_picture())] if list(some) == [GREY] else [(name, PICTURES[name]) for name in some]
            return np.asarray(encoder.encode(images, max_pixels=10**8).embeddings)

        found = unseen(answers, describer, features, shard="s")
        describer.mark_unseen({wanted[name]: why for name, why in found.items()})
        probes = len(endpoint.calls) - calls
        again = {a.image_id for a in describer.describe(wanted, load) if a.outcome is Outcome.NOT_SEEN}
        assert again == set(found)
        assert len(endpoint.calls) == calls + probes
    return found, probes


def test_a_model_that_sees_is_believed_without_a_call_more(tmp_path, encoder):
    assert looked_at(tmp_path, encoder, lambda call: about(call.image)) == ({}, 0)


def test_one_answer_for_images_that_are_unlike_each_other_is_none(tmp_path, encoder):
    lost = {f"s/{name}-{k}" for name in ("coffee", "rocket", "brick", "chelsea") for k in (0, 3)}
    digests = {DIGESTS[name] for name in lost}
    found, _ = looked_at(tmp_path, encoder, lambda call: WAVE if call.digest in digests else about(call.image))

    assert set(found) == lost
    assert set(found.values()) == {"8 images that are unlike each other got this same answer"}


def test_one_answer_for_images_of_one_thing_is_a_description(tmp_path, encoder):
    cups = {DIGESTS[f"s/coffee-{k}"] for k in range(5)}
    found, probes = looked_at(
        tmp_path,
        encoder,
        lambda call: "A cup of coffee on a wooden table." if call.digest in cups else about(call.image),
    )

    assert found == {}
    assert probes == 0


def test_a_model_that_gives_a_grey_picture_the_same_answer_is_blind(tmp_path, encoder):
    found, probes = looked_at(tmp_path, encoder, lambda _call: WAVE)

    assert set(found) == set(PICTURES)
    assert set(found.values()) == {"a plain grey picture got this same answer"}
    assert probes == 1


def test_a_pool_of_one_thing_is_no_sign_of_blindness(tmp_path, encoder):
    grey = hashlib.sha256(grey_picture()).hexdigest()
    names = [name for name in PICTURES if "brick" in name]
    found, _ = looked_at(
        tmp_path,
        encoder,
        lambda call: "A plain grey area." if call.digest == grey else "A wall of red bricks in the sun.",
        names,
    )

    assert found == {}


@pytest.mark.parametrize("is_random", [True, False])
def test_tokens_that_do_not_grow_with_a_picture_count_where_answers_change_by_chance(tmp_path, encoder, is_random):
    def script(call):
        text = about(b"", call.number) if is_random else about(call.image or b"")
        return Answer(text, tokens=(12, 9))

    found, probes = looked_at(tmp_path, encoder, script)

    assert set(found) == (set(PICTURES) if is_random else set())
    assert set(found.values()) <= {"the prompt took 12 tokens without a picture, and no more with this one"}
    assert probes == 4


def test_tokens_that_grow_are_believed_however_few(tmp_path, encoder):
    found, probes = looked_at(
        tmp_path, encoder, lambda call: Answer(about(call.image or b""), tokens=(30 if call.image else 12, 9))
    )

    assert (found, probes) == ({}, 1)


def test_a_picture_that_got_lost_on_the_way_is_told_by_its_tokens_alone(tmp_path, encoder):
    lost = DIGESTS["s/rocket-2"]

    def script(call):
        is_there = call.image is not None and call.digest != lost
        return Answer(about(call.image or b""), tokens=(600 if is_there else 12, 9))

    found, probes = looked_at(tmp_path, encoder, script)

    assert (set(found), probes) == ({"s/rocket-2"}, 1)


def test_a_server_that_refuses_texts_alone_or_counts_nothing_proves_nothing(tmp_path, encoder):
    def script(call):
        return Answer("no", status=400) if call.image is None else Answer(about(call.image), tokens=(12, 9))

    assert looked_at(tmp_path / "a", encoder, script)[0] == {}
    assert looked_at(tmp_path / "b", encoder, lambda call: Answer(about(call.image or b""), tokens=(0, 0)))[0] == {}


def test_what_was_not_seen_is_no_failure_of_the_shard_but_counts_as_one_of_its_images():
    rows = plain_rows(
        DESCRIPTIONS,
        image_id=list("abcd"),
        outcome=["not_seen", "not_seen", "unparseable", "ok"],
        failure=["a grey picture got this same answer"] * 2 + ["broken", None],
    )

    assert failures_when_seen(rows).column("failure").to_pylist() == [None, None, "broken", None]
