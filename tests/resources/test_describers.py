"""The contracts that every describer and every keyworder keeps, and the encoder beneath the tagger."""

import hashlib

import numpy as np
import pytest
from conftest import PHOTOS, jpeg
from PIL import Image

from benchmarks.synthetic_pool import photo
from vlmine_dagster.describing.describers.tagger import Tagger, TaggerSettings
from vlmine_dagster.describing.keyworders.rules import RulesSettings, by_rules
from vlmine_dagster.describing.keyworders.tags import TagsSettings, by_tags
from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.describers import Describer, DescriberInput, Description, Tag
from vlmine_dagster.resources.encoder import Encoder, forget_session, prepare_pixels
from vlmine_dagster.resources.keyworders import Keyworder
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.settings import KeyworderSettings

PIXELS = 100_000_000


def described(describer, images):
    """Answers about images, in their order."""
    inputs = {image.image_id: image for image in images}
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in inputs}
    answers = describer.describe(digests, lambda names: (inputs[name] for name in names))
    found = {answer.image_id: answer for answer in answers}
    return [found[name] for name in inputs]


@pytest.fixture(scope="module")
def encoder(state):
    return Encoder(state / "models", batch_size=3, threads=2)


@pytest.fixture(scope="module")
def images(encoder):
    """One crop of each photo, as a describer gets it; the last one could not be encoded."""
    encoded = encoder.encode([(name, jpeg(name, 0)) for name in PHOTOS], max_pixels=PIXELS)
    seen = dict(zip(encoded.image_ids, encoded.probabilities.astype(np.float32), strict=True))
    inputs = [DescriberInput(name, jpeg(name, 0), seen[name]) for name in PHOTOS]
    return [*inputs, DescriberInput("broken", b"no image", None)]


@pytest.fixture(params=[TaggerSettings(), TaggerSettings(top=1), TaggerSettings(min_probability=0.9)], ids=str)
def describer(request, encoder) -> Describer:
    return Tagger(encoder, request.param)


class TestEveryDescriber:
    def test_gives_one_answer_an_image_in_order(self, describer, images):
        answers = described(describer, images)

        assert [answer.image_id for answer in answers] == [image.image_id for image in images]

    def test_answers_the_same_together_and_alone(self, describer, images):
        together = described(describer, images)

        assert together == [answer for image in images for answer in described(describer, [image])]

    def test_never_raises_because_of_one_image_and_says_why_it_failed(self, describer, images):
        answer = described(describer, images)[-1]

        assert answer.outcome is not Outcome.OK
        assert answer.failure
        assert answer.text is None

    def test_good_answers_have_text_and_no_failure(self, describer, images):
        for answer in described(describer, images)[:-1]:
            assert answer.outcome is Outcome.OK
            assert answer.failure is None
            assert answer.text

    def test_costs_are_never_negative(self, describer, images):
        for answer in described(describer, images):
            assert min(answer.prompt_tokens, answer.output_tokens, answer.latency_s, answer.cost_usd) >= 0

    def test_has_a_fingerprint_that_stays(self, describer):
        assert describer.fingerprint == describer.fingerprint

    def test_describes_nothing_by_nothing(self, describer):
        assert described(describer, []) == []


def test_the_tagger_knows_what_the_photos_show(encoder, images):
    tagger = Tagger(encoder, TaggerSettings())

    answers = {answer.image_id: answer for answer in described(tagger, images)}

    assert {tag.tag for tag in answers["coffee"].tags} & {"espresso", "cup", "coffee mug"}
    assert any("cat" in tag.tag for tag in answers["chelsea"].tags)
    assert answers["coffee"].text.startswith("A photo of ")


def test_tags_below_the_threshold_are_dropped_but_the_likeliest_stays(encoder):
    probabilities = np.full(1000, 0.0004, np.float32)
    probabilities[[3, 5, 9]] = [0.3, 0.2, 0.04]
    tagger = Tagger(encoder, TaggerSettings())
    unsure = DescriberInput("b", tag_probabilities=np.full(1000, 0.001, np.float32))

    sure, flat = described(tagger, [DescriberInput("a", tag_probabilities=probabilities), unsure])

    assert [tag.tag for tag in sure.tags] == [encoder.classes[3], encoder.classes[5]]
    assert sure.text == f"A photo of {encoder.classes[3]} or {encoder.classes[5]}."
    assert len(flat.tags) == 1


def test_other_settings_have_another_fingerprint(encoder):
    prints = {Tagger(encoder, s).fingerprint for s in (TaggerSettings(), TaggerSettings(top=4))}

    assert len(prints) == 2


DESCRIPTIONS = [
    Description("a", "A photo of two school buses.", (Tag("school bus", 0.9), Tag("minibus", 0.1))),
    Description("b", "", ()),
    Description("c", "A photo of a school bus.", (Tag("school bus", 0.8),)),
]


@pytest.fixture(params=[RulesSettings(), RulesSettings(max_words=2), TagsSettings()], ids=str)
def keyworder(request) -> Keyworder:
    return KeyworderSettings.plugins.get(request.param.kind).make(None, request.param)


class TestEveryKeyworder:
    def test_gives_one_answer_a_description_in_order(self, keyworder):
        assert [answer.image_id for answer in keyworder.extract(DESCRIPTIONS)] == ["a", "b", "c"]

    def test_says_that_nothing_was_found_and_invents_nothing(self, keyworder):
        answer = list(keyworder.extract(DESCRIPTIONS))[1]

        assert answer.keywords == ()
        assert answer.outcome is Outcome.EMPTY
        assert answer.failure

    def test_repeats_nothing_within_an_image(self, keyworder):
        for answer in keyworder.extract(DESCRIPTIONS):
            assert len(set(answer.keywords)) == len(answer.keywords)

    def test_answers_the_same_together_and_alone(self, keyworder):
        alone = [answer for one in DESCRIPTIONS for answer in keyworder.extract([one])]

        assert list(keyworder.extract(DESCRIPTIONS)) == alone


def test_rules_see_words_and_tags_see_phrases():
    keyworders = (by_rules(RulesSettings()), by_tags(TagsSettings()))
    words, tags = (next(keyworder.extract(DESCRIPTIONS)).keywords for keyworder in keyworders)

    assert words == ("school", "bus")
    assert tags == ("school bus", "minibus")


def test_tags_of_a_describer_that_has_none_are_a_wrong_setting():
    with pytest.raises(ConfigError, match="the describer gives no tags. Choose `kind: rules`"):
        list(by_tags(TagsSettings()).extract([Description("a", "text", None)]))


class TestEncoder:
    def test_answers_do_not_depend_on_the_batch(self, encoder):
        data = [(str(k), jpeg("coffee", k)) for k in range(7)]

        together = encoder.encode(iter(data), max_pixels=PIXELS)
        alone = encoder.encode(data[4:5], max_pixels=PIXELS)

        assert together.image_ids == [str(k) for k in range(7)]
        np.testing.assert_allclose(together.embeddings[4], alone.embeddings[0], atol=2e-3)
        np.testing.assert_allclose(together.probabilities.astype(float).sum(axis=1), 1.0, atol=5e-3)

    def test_unreadable_images_are_named_and_cost_no_place(self, encoder):
        found = encoder.encode(
            [("a", jpeg("coffee", 1)), ("b", b"no image"), ("c", jpeg("coffee", 2))], max_pixels=PIXELS
        )

        assert found.image_ids == ["a", "c"]
        assert found.embeddings.shape == (2, 1280)
        assert list(found.failures) == ["b"]

    def test_nothing_but_unreadable_images_is_no_crash(self, encoder):
        assert encoder.encode([("b", b"")], max_pixels=PIXELS).embeddings.shape == (0, 1280)

    def test_progress_counts_every_image(self, encoder):
        counts = []

        encoder.encode([(str(k), jpeg("coffee", k)) for k in range(4)], max_pixels=PIXELS, on_progress=counts.append)

        assert sum(counts) == 4

    def test_it_is_exported_once(self, encoder):
        (path,) = encoder._folder.glob("*.onnx")
        before = path.stat().st_mtime_ns

        assert Encoder(encoder._folder).session is not None
        assert path.stat().st_mtime_ns == before

    def test_shards_share_a_session_until_it_is_forgotten(self, encoder):
        folder = encoder._folder
        session = Encoder(folder).session
        assert Encoder(folder).session is session

        forget_session()

        assert Encoder(folder).session is not session

    def test_a_damaged_graph_says_what_to_do(self, encoder, tmp_path):
        broken = Encoder(tmp_path)
        (tmp_path / f"efficientnet-lite0-{broken.fingerprint}.onnx").write_bytes(b"no graph")

        with pytest.raises(ModelError, match="cannot be loaded.*Delete it"):
            _ = broken.session


def test_a_photo_that_is_decoded_at_half_size_looks_as_if_it_were_not():
    data = photo(3, (500, 375))
    whole = decode_picture(data, max_pixels=10**9).resize((224, 224), Image.Resampling.BICUBIC)

    pixels = prepare_pixels(data, max_pixels=10**9)

    assert decode_picture(data, max_pixels=10**9, smallest_side=180).size == (250, 188)
    assert pixels.shape == (224, 224, 3)
    assert 0 < np.abs(pixels.astype(int) - np.asarray(whole).astype(int)).mean() < 3
