import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.keywords import LONGEST_KEYWORD, MOST_WORDS, extract_keywords, tag_keywords


def test_plurals_and_verb_forms_become_one_keyword():
    assert extract_keywords("Dogs and a dog; the dog's bone") == ["dog", "bone"]


def test_talk_about_the_picture_is_no_keyword():
    assert extract_keywords("This photo shows a close-up view of the image background") == []


def test_numbers_and_single_letters_are_no_keywords():
    assert extract_keywords("42 x 7 zebra 3000") == ["zebra"]


def test_phrases_end_at_stop_words_and_punctuation():
    found = extract_keywords("school bus, traffic light on red brick wall", max_words=2)

    assert "school bus" in found
    assert "bus traffic" not in found
    assert "light red" not in found
    assert "brick wall" in found
    assert "red brick wall" not in found


def test_hyphens_and_apostrophes_inside_a_word_stay():
    assert extract_keywords("a go-kart and a rock’n’roll band") == ["go-kart", "rock'n'roll", "band"]


def test_contractions_are_no_keywords():
    assert extract_keywords("It isn't clear, there's a zebra that can’t move; they're wet") == [
        "clear",
        "zebra",
        "move",
        "wet",
    ]


def test_words_with_combining_marks_stay_whole():
    assert extract_keywords("काला हाथी", language="hi") == ["काला", "हाथी"]


def test_full_width_letters_are_the_same_as_plain_ones():
    assert extract_keywords("ＺＥＢＲＡ") == ["zebra"]


def test_a_runaway_answer_is_read_up_to_a_limit():
    words = [f"w{chr(97 + k // 676 % 26)}{chr(97 + k // 26 % 26)}{chr(97 + k % 26)}q" for k in range(10_000)]

    assert len(extract_keywords(" ".join(words))) <= MOST_WORDS


def test_overlong_tokens_are_left_out():
    assert extract_keywords("a" * (LONGEST_KEYWORD + 1) + " zebra") == ["zebra"]
    assert extract_keywords("a" * LONGEST_KEYWORD) == ["a" * LONGEST_KEYWORD]


def test_german_is_lemmatized_as_german():
    assert extract_keywords("Häuser", language="de") == ["haus"]


def test_an_unknown_language_is_named():
    with pytest.raises(ConfigError, match="does not know language 'klingon'"):
        extract_keywords("qapla", language="klingon")


def test_phrases_need_at_least_one_word():
    with pytest.raises(ConfigError, match="max_words is 0"):
        extract_keywords("zebra", max_words=0)


def test_hostile_text_yields_only_words():
    found = extract_keywords("<script>alert('x')</script>'; DROP TABLE keywords; --")

    assert all(letter.isalnum() or letter in "'-" for word in found for letter in word)


def test_tags_stay_whole():
    assert tag_keywords(["Great  White\tShark", "great white shark", "", "\x00"]) == ["great white shark"]


def test_overlong_tags_are_left_out():
    assert tag_keywords(["a" * (LONGEST_KEYWORD + 1), "b"]) == ["b"]
