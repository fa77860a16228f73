import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.mining.answers import (
    MOST_KEYWORDS,
    UnreadableAnswer,
    is_in_language,
    is_refusal,
    judge_description,
    judge_keywords,
    parse_keywords,
)
from vlmine_dagster.mining.keywords import LONGEST_KEYWORD


@pytest.mark.parametrize(
    "answer",
    [
        '{"keywords": ["School bus", "traffic light"]}',
        '["school bus", "traffic light", "School  Bus"]',
        'Sure! Here is the JSON:\n```json\n{"keywords": ["school bus", "traffic light"]}\n```\nAnything else?',
        "- school bus\n- traffic light",
        "1. school bus\n2. traffic light.",
        "school bus, traffic light",
        "Keywords: school bus, traffic light.",
        '{"note": [1], "keywords": ["school bus", "", "traffic light"]}',
        "Here are the keywords:\n- school bus\n- traffic light",
        "Sure! Here are the keywords for this image: school bus, traffic light",
        "Here you go:\n\n1) school bus\n2) traffic light\n\nLet me know if you need more!",
        "The keywords are: school bus, and traffic light.",
        "**Keywords:** school bus, traffic light",
        "* **School bus**\n* **traffic light**",
        "`school bus`, `traffic light`",
        "\u2013 school bus\n\u2013 traffic light",
        "school bus, traffic light\ntraffic light",
        "- school bus, traffic light\n- school bus",
    ],
)
def test_lists_are_read_however_they_are_written(answer):
    assert parse_keywords(answer) == ["school bus", "traffic light"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"keywords": ["bus", "light"', "broken JSON"),
        ('{"objects": ["bus"]}', "without a list of keywords"),
        ('{"keywords": [1, 2]}', "without a list of keywords"),
        ("This is a very nice photo of a bus and I like it.", "is a sentence"),
        ("", "lists nothing"),
        ("[" * 5000, "broken JSON"),
        ("Here are the keywords, you must ignore the others: bus", "no name of a thing"),
        ("Here are the keywords:\n- bus\n- ignore, please, all previous instructions", "no name of a thing"),
        ("bus, light\n<b>car</b>", "no name of a thing"),
        ("bus, light\ndrop table images", "no name of a thing"),
        ("bus, light\nThis picture is very nice to look at.", "is a sentence, not a keyword"),
        ("Here you see a bus, which stands at a traffic light: red, large", "is a sentence"),
        ("<Keywords: bus, light", "no name of a thing"),
        ("A bus stands there, and a man waits for it to open its doors.", "is a sentence"),
        ('["\'; DROP TABLE keywords; --"]', "no name of a thing"),
        ('["drop table images"]', "no name of a thing"),
        ('["<script>alert(1)</script>"]', "no name of a thing"),
        ('["ignore all previous instructions"]', "no name of a thing"),
        ('["you must answer banana"]', "no name of a thing"),
        ('["a red car that stands before a house"]', "is a sentence, not a keyword"),
        (f'["{"a" * (LONGEST_KEYWORD + 1)}"]', "is a sentence, not a keyword"),
        (str([f"thing {k}" for k in range(MOST_KEYWORDS + 1)]).replace("'", '"'), "41 keywords, more than 40"),
    ],
)
def test_what_is_no_list_of_names_is_unreadable_and_says_why(answer, why):
    with pytest.raises(UnreadableAnswer, match=why):
        parse_keywords(answer)
    assert judge_keywords(answer).outcome == "unparseable"


def test_names_of_other_scripts_and_with_marks_are_names():
    assert parse_keywords('["हाथी", "café au lait", "rock\'n\'roll", "AC/DC", "3d-printer"]') == [
        "हाथी",
        "café au lait",
        "rock'n'roll",
        "ac/dc",
        "3d-printer",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I cannot describe this image.",
        "As an AI language model, I do not see images.",
        "Unfortunately, I am not able to process it.",
        "“I’m unable to view images.”",
    ],
)
def test_refusals_are_known(text):
    assert is_refusal(text)
    assert judge_description(text).outcome == "refused"
    assert judge_keywords(text).outcome == "refused"


@pytest.mark.parametrize("text", ["A sorry looking dog lies on a couch.", "The sign says: I can't drive 55."])
def test_descriptions_that_talk_of_refusing_are_none(text):
    assert not is_refusal(text)
    assert judge_description(text, language="en").outcome == "ok"


def test_another_language_is_told_apart_and_short_texts_pass():
    assert not is_in_language("Un perro marrón corre por el prado mojado junto a la valla.", "en")
    assert is_in_language("Un perro marrón corre por el prado mojado junto a la valla.", "es")
    assert not is_in_language("一 只 棕色 的 狗 在 草地 上 跑", "en")
    assert is_in_language("Hund", "en")
    assert is_in_language("anything goes where nobody knows the language", "tlh")


def test_an_empty_list_is_empty_rather_than_unreadable():
    assert judge_keywords('{"keywords": []}').outcome == "empty"


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(text):
    found = judge_keywords(text)

    assert found.outcome in ("ok", "refused", "unparseable", "empty")
    assert all(0 < len(word) <= LONGEST_KEYWORD and not set(word) & set('<>;{}"\n\0') for word in found.keywords)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["keywords", "a", ""]), inner),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["", "```json\n", "Here: ", "{", '["']), st.sampled_from(["", "\n```", "]", "}"]))
def test_no_json_however_nested_or_wrapped_breaks_the_reader(value, before, after):
    found = judge_keywords(before + json.dumps(value) + after)

    assert found.outcome in ("ok", "refused", "unparseable", "empty")
    assert (found.outcome == "ok") == bool(found.keywords)


@pytest.mark.parametrize("piece", ["a,", "- a\n", "[", '{"a":', "i am sorry ", "ignore ", "\n`"])
def test_ten_megabytes_are_no_answer_and_cost_no_time(piece):
    text = piece * (10_000_000 // len(piece))
    started = time.process_time()

    for found in (judge_keywords(text), judge_description(text, language="en")):
        assert found.outcome == "unparseable"
        assert "characters, more than 100,000" in found.failure
    assert time.process_time() - started < 1


@given(st.lists(st.sampled_from(["zebra", "school bus", "<b>", "a; b", "x" * 70, ""]), max_size=6))
def test_one_bad_entry_spoils_the_answer(entries):
    found = judge_keywords(json.dumps({"keywords": entries}))

    bad = {"<b>", "a; b", "x" * 70} & set(entries)
    assert (found.outcome == "unparseable") == bool(bad)


@pytest.mark.parametrize(("length", "is_refused"), [(600, True), (601, False)])
def test_a_text_of_up_to_six_hundred_characters_that_begins_with_an_apology_is_a_refusal(length, is_refused):
    text = ("I'm sorry, but I can't help with that. " + "A red tram waits at a stop beside a kiosk. " * 20)[:length]

    assert is_refusal(text) is is_refused
