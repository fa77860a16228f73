"""Whether a keyword is in a picture: what counts as yes and no, and how often keywords were made up."""

import pytest

from vlmine_dagster.mining.grounding import confirmations
from vlmine_dagster.mining.yes_or_no import judge_confirmation


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("yes", "yes"),
        ("Yes, a unicycle leans against the wall.", "yes"),
        ("**No.**", "no"),
        ('{"answer": "no"}', "no"),
        ("Answer: Yes", "yes"),
        ("Final answer: no", "no"),
        ("<think>Could be a yes.</think>\nNo", "no"),
        ("No. Yes would be wrong.", "no"),
        ("Yes, without a doubt there is no other name for it. ", None),
    ],
)
def test_an_answer_is_its_first_word(text, word):
    found = judge_confirmation(text)

    assert found.keywords == ((word,) if word else ())
    assert (found.outcome == "ok") is (word is not None)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", "empty"),
        ("It is hard to tell.", "unparseable"),
        ("Yes and no", "unparseable"),
        ("no-parking sign", "unparseable"),
        ("I'm sorry, I can't help with that.", "refused"),
        ("There is no image in this message.", "not_seen"),
        ("<think>It looks like", "truncated"),
    ],
)
def test_what_is_neither_has_an_outcome_and_says_nothing(text, outcome):
    found = judge_confirmation(text)

    assert (found.outcome, found.keywords) == (outcome, ())
    assert found.failure


def test_only_the_first_places_make_the_rate_and_failures_are_left_out():
    rows = [(k, "ok", k % 4 != 0) for k in range(1, 101)] + [(101, "ok", False), (7, "timed_out", None)]

    found = confirmations(rows, first=100)

    assert (found.asked, found.answered, found.denied, found.failed, found.sunk) == (102, 100, 25, 1, 26)
    assert found.rate == 0.25
    assert found.interval == pytest.approx((0.1755, 0.3430), abs=1e-4)
    assert "hallucination rate 25.0% [17.5%, 34.3%], 26 images sank, 1 question has no answer" in str(found)
    assert found.metrics()["hallucination_rate_low"] == pytest.approx(0.1755, abs=1e-4)


def test_without_answers_there_is_no_rate():
    found = confirmations([(1, "refused", None)], first=10)

    assert found.rate is None
    assert "hallucination_rate" not in found.metrics()
    assert str(found) == "no keyword is confirmed or denied: 1 of 1 questions have no answer"
