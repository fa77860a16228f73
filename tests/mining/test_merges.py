"""Merges of keywords: what may be written down, and what is proposed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining import merges as module
from vlmine_dagster.mining.keywords import lemma_of
from vlmine_dagster.mining.merges import (
    Merge,
    checked_merges,
    looks_alike,
    propose_by_meaning,
    propose_merges,
    version_of,
)
from vlmine_dagster.mining.spellings import SYNONYMS, american, read_groups
from vlmine_dagster.mining.wordnet import is_wordnet_index, wordnet_groups


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([("a", "a")], "line 2: 'a' is merged into itself"),
        ([("a", "b"), ("a", "c")], "line 3: 'a' is merged in line 2 already, into 'b'"),
        ([("a", "b"), ("b", "c"), ("c", "d")], "line 2: 'b' is merged too, into 'c'. Merge 'a' into 'd'"),
        ([("a", "b"), ("b", "c"), ("c", "a")], "line 2: a circle, a -> b -> c -> a"),
        ([("x", "a"), ("a", "b"), ("b", "a")], "line 2: a circle, x -> a -> b -> a"),
        (
            [("Lorry", "truck")],
            "line 2: 'Lorry' is not a keyword: they are in lower case with single spaces. Write 'lorry'",
        ),
        ([("lorry", "big  truck")], "Write 'big truck'"),
        ([("lorry", "")], "line 2: a cell is empty.* or - where it is not counted"),
        ([("lorry", "\N{EN DASH}")], "line 2: '\N{EN DASH}' is a different dash; write - where"),
        ([("lorry", "\N{MINUS SIGN}")], "is a different dash"),
        ([("lorry", "truck"), ("truck", "-")], "line 2: 'truck' is left out. Leave 'lorry' out too: write - in place"),
        ([("a", "b"), ("b", "c"), ("c", "-")], "line 2: 'c' is left out. Leave 'a' out too: write - in place of 'b'"),
    ],
)
def test_what_cannot_be_counted_through_is_refused_with_its_line(pairs, problem):
    with pytest.raises(ConfigError, match=f"vocabulary.csv, {problem}" if problem.startswith("line") else problem):
        checked_merges([(n, *pair) for n, pair in enumerate(pairs, start=2)], where="vocabulary.csv")


def test_a_version_depends_on_the_merges_alone():
    one, other = Merge("a", "b"), Merge("c", "d")

    assert version_of([one, other]) == version_of([other, one])
    assert len({version_of([]), version_of([one]), version_of([Merge("a", "c")]), version_of([one, other])}) == 4


@given(
    st.dictionaries(st.sampled_from(["cat", "cats", "kitty", "Cat", "c-at", "grey", "gray", "x"]), st.integers(1, 9))
)
def test_every_proposal_can_be_written_down_and_leaves_the_commonest_of_its_meaning(counts):
    found = propose_merges(counts, lemma=lambda word: word.removesuffix("s"))

    assert all(counts[one.keyword] <= counts[one.merged_into] for one in found)
    pairs = [(n, one.keyword, one.merged_into) for n, one in enumerate(found) if one.keyword == one.keyword.lower()]
    checked_merges([pair for pair in pairs if pair[2] == pair[2].lower()], where="x")
    rest = {word: count for word, count in counts.items() if word not in {one.keyword for one in found}}
    assert propose_merges(rest, lemma=lambda word: word.removesuffix("s")) == []


def test_what_is_merged_already_is_not_proposed_again_and_what_others_are_merged_into_stays():
    counts = {"truck": 9, "lorry": 2, "trucks": 1}

    found = propose_merges(counts, lemma=lambda w: lemma_of(w, "en"), merged=[Merge("truck", "lorry")])

    assert [(one.keyword, one.merged_into, one.rule) for one in found] == [("trucks", "lorry", "synonym")]


def test_spellings_of_britain_and_america_agree_and_other_words_stay():
    pairs = {
        "colour": "color",
        "fibre": "fiber",
        "theatre": "theater",
        "organiser": "organizer",
        "catalogue": "catalog",
    }

    assert {american(one): american(other) for one, other in pairs.items()} == {w: w for w in pairs.values()}
    for word in ("hour", "four", "acre", "tree", "store", "rise", "wise", "dog", "paris"):
        assert american(word) == word


def test_each_word_has_one_group_of_synonyms():
    assert SYNONYMS["lorry"] == "truck"
    with pytest.raises(ConfigError, match="mine, line 2: 'van' is in the line of 'truck' too. Join them"):
        read_groups("truck, van\nbus, van", where="mine")


@given(st.integers(0, 1000), st.integers(1, 40))
def test_merges_by_meaning_are_pairs_that_a_plain_search_finds(random_seed: int, count: int):
    draw = np.random.default_rng(random_seed)
    vectors = draw.normal(size=(count, 3))
    words = ["".join(draw.choice(list("aeiou"), 3)) + f"{number:04}" for number in range(count)]
    counts = {word: int(draw.integers(1, 4)) for word in words}
    settled = set(words[:2])

    found = propose_by_meaning(counts, vectors, least=0.5, settled=settled)

    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    near = centred @ centred.T - 9 * np.eye(count)
    near[[[one[:3] == other[:3] for other in words] for one in words]] = -9
    pairs = {
        tuple(sorted((words[a], words[b]), key=lambda word: (counts[word], [-ord(one) for one in word])))
        for a in range(count)
        for b in range(a)
        if near[a].argmax() == b and near[b].argmax() == a and near[a, b] >= 0.5
    }
    assert {(one.keyword, one.merged_into) for one in found} == {pair for pair in pairs if not settled & set(pair)}
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    checked_merges([(n, one.keyword, one.merged_into) for n, one in enumerate(found)], where="x")


def test_merges_by_meaning_are_the_same_however_many_keywords_are_compared_at_once(monkeypatch):
    draw = np.random.default_rng(3)
    counts = {f"{letters}{number:03}": 1 + number % 3 for number, letters in enumerate("aeiou" * 8)}
    vectors = draw.normal(size=(40, 3))
    whole = propose_by_meaning(counts, vectors, least=0.3)

    monkeypatch.setattr(module, "_BLOCK", 7)

    assert len(whole) > 5
    assert all(one.similarity == round(one.similarity, 4) for one in whole)
    assert propose_by_meaning(counts, vectors, least=0.3) == whole


def test_keywords_that_are_exactly_as_similar_as_asked_for_are_proposed():
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    counts = {"couch": 2, "sofa": 9, "yak": 5, "bulb": 5}

    found = propose_by_meaning(counts, vectors, least=1.0)

    assert [(one.keyword, one.merged_into, one.similarity) for one in found] == [
        ("couch", "sofa", 1.0),
        ("yak", "bulb", 1.0),
    ]
    assert propose_by_meaning({"couch": 2}, vectors[:1], least=-1.0) == []
    (only,) = propose_by_meaning({"couch": 2, "sofa": 9}, vectors[1:3], least=-1.0)
    assert (only.keyword, only.similarity, only.keyword_count, only.target_count) == ("couch", -1.0, 2, 9)


@pytest.mark.parametrize(("kinds", "is_found"), [(19, True), (20, False)])
def test_a_keyword_is_compared_with_the_twenty_nearest_and_all_of_those_may_look_like_it(kinds, is_found):
    words = ["sky", "sofa", "couch", *[f"couch {letter}" for letter in "abcdefghijklmnopqrst"[:kinds]]]
    angles = np.radians([90, 0, 10, *np.linspace(11, 15, kinds)])
    there = np.column_stack([np.cos(angles), np.sin(angles)])
    others = [f"dog {number}" for number in range(len(words))]  # as many on the other side, so that the mean is 0
    counts = dict.fromkeys([*words, *others], 1)

    found = propose_by_meaning(counts, np.concatenate([there, -there]), least=0.9)

    assert (
        [(one.keyword, one.merged_into) for one in found if "sofa" in one.keyword] == [("sofa", "couch")]
    ) is is_found


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ("abcx", "abcy", True),  # the same first three
        ("abx", "aby", False),
        ("xbell", "ybell", True),  # the same last four
        ("xell", "yell", False),
        ("cat", "bobcats", True),  # one of three characters in the other
        ("bobcats", "cat", True),
        ("ca", "bobcats", False),
        ("red ball-pen", "pencil", True),  # any word of the one with any of the other
    ],
)
def test_words_look_alike_by_their_ends_or_where_one_holds_the_other(one, other, is_alike):
    assert looks_alike(one, other) is is_alike


def test_nouns_of_wordnet_are_synonyms_in_the_commonest_sense_of_both():
    index = """  1 This software and database is being provided to you, the LICENSEE, by
auto n 1 5 @ ~ %p + ; 1 1 02961779
automobile n 1 5 @ ~ %p + ; 1 1 02961779
car n 5 4 @ ~ #m %p 5 3 02961779 02963378 02963937 02963788 02937835
railcar n 1 4 @ ~ #m %p 1 0 02963378
sea_cow n 1 3 @ ~ %p 1 0 02077948
sirenian n 1 3 @ ~ %p 1 0 02077948"""

    assert is_wordnet_index(index)
    assert wordnet_groups(index, groups={"automobile": "car", "car": "car"}) == {
        "auto": "car",
        "sea cow": "sea cow",
        "sirenian": "sea cow",
    }
