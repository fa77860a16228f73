"""What many answers tell of a model that did not get the pictures: every limit from both sides."""

import numpy as np
import pytest

from vlmine_dagster.mining.blindness import (
    got_no_tokens,
    has_same_answer,
    is_blind_to_change,
    is_no_more_alike,
    is_telling,
    likeness,
    repeated,
)

TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("prompt_tokens", "without_picture", "is_blind"),
    [(0, 50, False), (1, 0, True), (50, 50, True), (53, 50, True), (54, 50, False), (40, 50, True), (1, -3, False)],
)
def test_a_model_that_read_no_more_tokens_with_a_picture_got_none(prompt_tokens, without_picture, is_blind):
    assert got_no_tokens(prompt_tokens, without_picture) == is_blind


def test_answers_are_the_same_up_to_one_word_of_ten():
    assert has_same_answer(TEN, TEN.replace("ten", ""))  # nine of ten words
    assert not has_same_answer(TEN, TEN.replace("nine ten", ""))
    assert not has_same_answer(TEN, TEN.replace("ten", "eleven"))  # nine of eleven
    assert not has_same_answer("a red dog", "a red dog")  # three words say too little
    assert has_same_answer("a big red dog", "A big red dog!")


@pytest.mark.parametrize(("text", "tells"), [("a b c", False), ("a b c d", True), ("犬", True), ("", False)])
def test_an_answer_tells_from_four_words_on_or_in_a_script_without_spaces(text, tells):
    assert is_telling(text) == tells


def test_names_that_share_an_answer_come_by_the_size_of_their_group():
    texts = {"a": "x x x x", "b": "y y y y", "c": "y y y y!", "d": "X x x x", "e": "y y y y", "f": "z z z z"}

    assert repeated(texts, least=2) == [["b", "c", "e"], ["a", "d"]]
    assert repeated(texts, least=3) == [["b", "c", "e"]]


def test_pictures_of_a_group_are_more_alike_than_chance_from_sixty_five_percent_on():
    group = np.array([[1.0, 0.0], [1.0, 0.0]])
    near, same, far = [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]

    assert likeness(group, np.array([same])) == 0.5  # as near as each other
    assert likeness(group, np.array([near, far, far, far])) == pytest.approx(0.875)
    assert likeness(group, 5 * np.array([far])) == 1.0  # lengths say nothing
    assert is_no_more_alike(group, np.array([near, near, near, far]))  # 0.625
    assert not is_no_more_alike(group, np.array([near, near, far]))  # 0.667
    pair, between = np.array([[1.0, 0.0], [0.8, 0.6]]), [0.95, 0.31]  # more like either than they are like each other
    assert likeness(pair, np.array(13 * [far] + 7 * [between])) == 0.65
    assert not is_no_more_alike(pair, np.array(13 * [far] + 7 * [between]))
    assert is_no_more_alike(pair, np.array(12 * [far] + 7 * [between]))  # 0.632


def test_a_model_is_blind_whose_answers_to_one_grey_picture_differ_half_as_much_as_those_to_the_pool():
    answers = ["a b", "c d"]  # nothing in common

    assert is_blind_to_change(["a b c", "a b d"], answers)  # half of the words in common
    assert not is_blind_to_change(["a b c d", "a b c e"], answers)  # three of five


def test_every_two_answers_are_compared_once_and_none_with_itself():
    answers = ["a b", "c d", "e f", "g h"]  # nothing in common, so one in the mean of all six pairs

    assert is_blind_to_change(["a b c", "a b d"], answers)
    assert not is_blind_to_change(["a b c", "a b d", "a b c"], answers)  # a half, a half and nothing
