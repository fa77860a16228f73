"""Answers that describe nothing, and honest odd ones: written by people who had not seen the detector.

The detector was made on the half `develop`. Of the half `held_out` only rates are shown, so that it stays unseen. The
file `fresh` was written when the detector was finished, and judged once: its bounds are what came out, not a goal.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.mining.answers import judge_description, judge_keywords
from vlmine_dagster.mining.failures import NAMES, failure_of, features

HARMONY = "<|channel|>analysis<|message|>Quokka?<|end|><|start|>assistant<|channel|>final<|message|>"
DATA = Path(__file__).parent.parent / "data/answers"


def rows(file: str, half: str) -> list[dict[str, str]]:
    lines = (DATA / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["half"] == half]


def share_wrong(file: str, half: str) -> float:
    found = [(judge_description(row["text"]).outcome == "ok") == (file == "failures") for row in rows(file, half)]
    return sum(found) / len(found)


@pytest.mark.parametrize("file", ["failures", "honest"])
def test_at_most_two_of_a_hundred_unseen_answers_are_judged_wrongly(file):
    wrong, count = share_wrong(file, "held_out"), len(rows(file, "held_out"))

    assert count >= 100
    assert wrong <= 0.02, f"{wrong:.2%} of {count} {file} are judged wrongly"


@pytest.mark.parametrize(("is_failure", "most_wrong"), [(True, 3), (False, 2)])
def test_answers_written_after_the_detector_was_finished_are_judged_as_they_were_the_first_time(is_failure, most_wrong):
    found = [row for row in rows("fresh", "fresh") if (row["kind"] != "honest") == is_failure]
    wrong = sum((judge_description(row["text"]).outcome == "ok") == is_failure for row in found)

    assert len(found) == 100
    assert wrong <= most_wrong


@pytest.mark.parametrize("file", ["failures", "honest"])
def test_the_answers_that_the_detector_was_made_on_are_judged_rightly(file):
    assert share_wrong(file, "develop") <= 0.01


def test_our_own_collection_is_judged_rightly_but_for_a_few():
    found = [(row, judge_description(row["text"]).outcome) for row in rows("own", "own")]
    wrong = [(row["text"], outcome) for row, outcome in found if (outcome == "ok") == (row["kind"] == "failure")]

    assert len(found) > 600
    assert len(wrong) <= 15, wrong


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Nothing was attached.", "not_seen"),
        ("I'm sorry, but I can't assist with that.", "refused"),
        ("HTTP/1.1 502 Bad Gateway", "unparseable"),
        ("Internal Server Error", "unparseable"),
        ("[description here]", "empty"),
        ("{}", "empty"),
        ('{"error": {"message": "overloaded"}}', "unparseable"),
        ("The user wants a caption. I should look at the image first.", "unparseable"),
        ("Describe this image in one or two sentences.", "empty"),
        ("Es liegt kein Bild vor.", "not_seen"),
    ],
)
def test_a_failure_is_told_by_its_kind(text, outcome):
    assert failure_of(text).outcome == outcome


def test_what_is_quoted_says_nothing_about_the_answer():
    sign = "I'm sorry, I can't see any image. Please upload it again."

    assert failure_of(sign) is not None
    assert failure_of(f'A robot on a poster says "{sign}"') is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>A quokka?</think>A dog on a beach.", "A dog on a beach."),
        ("<THINKING>\nA quokka?\n</THINKING>\n\nA dog on a beach.", "A dog on a beach."),
        ("A quokka? No.\n</think>\nA dog on a beach.", "A dog on a beach."),
        ("<think>a<think>b</think>c</think>A dog on a beach.", "A dog on a beach."),
        (f"{HARMONY}A dog on a beach.", "A dog on a beach."),
        ("[THINK]A quokka?[/THINK]A dog on a beach.", "A dog on a beach."),
        ("\u25c1think\u25b7A quokka?\u25c1/think\u25b7A dog on a beach.", "A dog on a beach."),
        ("<think></think><answer>A dog on a beach.</answer>", "A dog on a beach."),
        ("<|begin_of_thought|>Q<|end_of_thought|><|begin_of_box|>A dog on a beach.<|end_of_box|>", "A dog on a beach."),
    ],
)
def test_only_the_answer_behind_a_thought_is_the_description(text, answer):
    found = judge_description(text, language="en")

    assert (found.outcome, found.text) == ("ok", answer)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("<think>A quokka, perhaps a", "truncated"),
        ("<think>A quokka.</think>", "empty"),
        ("</think>", "empty"),
        ("<think>Quokka.</think>I cannot see any image.", "not_seen"),
        ("<think>Quokka.</think><think>Or a", "truncated"),
    ],
)
def test_a_thought_alone_is_no_description(text, outcome):
    found = judge_description(text)

    assert found.outcome in (outcome, "refused") if outcome == "not_seen" else found.outcome == outcome
    assert judge_keywords(text).outcome in (outcome, "unparseable", "refused")


def test_keywords_behind_a_thought_are_read_and_excuses_are_no_keywords():
    assert judge_keywords('<think>["quokka"]</think>["dog", "beach"]').keywords == ("dog", "beach")
    assert judge_keywords("Sorry, no image was attached").outcome == "refused"
    assert judge_keywords('["text", "sign", "person"]').keywords == ("text", "sign", "person")


@given(st.text(max_size=300))
def test_no_text_breaks_the_detector(text):
    found = judge_description(text)

    assert found.outcome in ("ok", "refused", "not_seen", "truncated", "unparseable", "empty")
    assert (found.failure is None) == (found.outcome == "ok")
    assert len(features(text)) == len(NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Short caption: A dog runs on the beach.", "A dog runs on the beach."),  # pictaria-ai/pictaria-server PR 16
        ("**Full caption:** Two men play chess.", "Two men play chess."),
        ("Alt text: A red bus at a stop.", "A red bus at a stop."),
        ("A full caption: nobody reads it, on a wall.", None),
    ],
)
def test_a_label_before_a_description_is_taken_off(text, said):
    found = judge_description(text, language="en")

    assert found.outcome == "ok"
    assert (found.text or text) == (said or text)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Full caption here", "refused"),  # pictaria-ai/pictaria-server PR 16
        ("Short caption:", "empty"),
        ("Model does not support images", "not_seen"),  # atomantic/PortOS PR 1228
        ("Failed to load image or audio file", "unparseable"),  # perfectgf/lora-dataset-studio#6
        ("<think>So, let's see. The image has a plate with food.", "truncated"),  # atomantic/PortOS PR 1238
        ("tamsin_reed", "empty"),  # atomantic/PortOS PR 1233: a trigger word alone
    ],
)
def test_failures_that_people_reported_are_none(text, outcome):
    assert judge_description(text, language="en").outcome == outcome
