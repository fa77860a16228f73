"""Answers that many images share: SilentView/LVD-2M#4 tells of one caption that came 4,000 times from a service."""

import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.errors import UnseenPicturesError
from vlmine_dagster.domain.tables import DESCRIPTIONS, IMAGES
from vlmine_dagster.scoring.shared_answers import refuse_unseen_shards, shared_answers

WAVE = "A man rides a big wave on a long white surfboard near the beach today."
COLUMNS = {
    "descriptions": ["image_id", "description", "outcome"],
    "images": ["image_id", "sha256", "split", "outcome"],
}


def pool(texts, *, outcomes=None, contents=None):
    """Images of four shards in turn, by their answers."""
    tables = {"descriptions": {}, "images": {}}
    for number, shard in enumerate("abcd"):
        rows = [(f"{shard}/{place:04}", text, place) for place, text in enumerate(texts) if place % 4 == number]
        names = [row[0] for row in rows]
        tables["descriptions"][shard] = plain_rows(
            DESCRIPTIONS,
            image_id=names,
            description=[row[1] for row in rows],
            outcome=[(outcomes or {}).get(row[2], "ok") for row in rows],
        )
        digests = [(contents or {}).get(row[2], row[0]) for row in rows]
        tables["images"][shard] = plain_rows(IMAGES, image_id=names, sha256=digests)
    return MemoryReader(tables, COLUMNS)


def own(count):
    return [
        f"A thing called {number:x} and {number * 7 + 1:o} beside {number * 13:b} others." for number in range(count)
    ]


def test_eight_images_that_share_an_answer_are_found_whatever_case_and_marks_and_seven_are_not():
    (found,) = shared_answers(pool([WAVE] * 7 + [WAVE.upper() + "!!"] + own(20)))

    assert found.text == WAVE
    assert sorted(image.image_id for image in found.images) == sorted(f"{'abcd'[n % 4]}/{n:04}" for n in range(8))
    assert len(found.others) == 20
    assert shared_answers(pool([WAVE] * 7 + own(20))) == []


def test_nearly_the_same_answer_counts():
    long = f"{WAVE} Behind him two children build castles of sand, while their mother reads under an umbrella."
    near = [long.replace("today", word) for word in ("now", "again", "here", "alone", "slowly", "outside")]
    (found,) = shared_answers(pool([long] * 4 + near + [f"{long} {own(1)[0]}"] + own(20)))

    assert len(found.images) >= 8
    assert {image.text for image in found.images} - {long} <= set(near)


def test_copies_count_once_short_answers_never_and_a_thousandth_of_the_pool_is_the_least():
    assert shared_answers(pool([WAVE] * 12 + own(20), contents=dict.fromkeys(range(12), "same bytes"))) == []
    assert shared_answers(pool(["A dog."] * 12 + own(20))) == []
    assert shared_answers(pool([WAVE] * 9 + own(10_000))) == []
    assert len(shared_answers(pool([WAVE] * 12 + own(10_000)))) == 1


def test_new_images_are_found_beside_those_that_were_marked_before_and_marked_ones_alone_are_not():
    marked = dict.fromkeys(range(8), "not_seen")
    (found,) = shared_answers(pool([WAVE] * 9 + own(20), outcomes=marked))

    assert len(found.images) == 9
    assert shared_answers(pool([WAVE] * 8 + own(20), outcomes=marked)) == []


def test_a_shard_of_which_more_was_not_seen_than_may_fail_is_named():
    half_of_a = dict.fromkeys((0, 4, 8), "not_seen")
    refuse_unseen_shards(pool(own(24), outcomes=half_of_a), max_share=0.5)

    with pytest.raises(UnseenPicturesError, match=r"1 shard: a \(3 of 6\)\. .* max_failure_share 0\.4"):
        refuse_unseen_shards(pool(own(24), outcomes=half_of_a), max_share=0.4)
