"""Each cause for which an image enters or leaves a list, by cases that can be checked by hand."""

from dataclasses import replace

import pytest

from vlmine_dagster.domain.changes import ENTERED, LEFT, Cause
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.list_changes import Comparison, Standing, why_entered, why_left

LISTS = Comparison(selected_before=50, selected_now=50)


def entered(before: Standing | None, now: Standing, lists: Comparison = LISTS) -> tuple[Cause, str]:
    return why_entered(before, now, lists, shard="week-2", is_shard_new=False)


def left(before: Standing, now: Standing | None, lists: Comparison = LISTS, **state: object) -> tuple[Cause, str]:
    return why_left(before, now, lists, **{"split": "pool", "outcome": "ok", **state})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "cause", "why"),
    [
        ({"split": "seed"}, Cause.LABELLED, "labelled now"),
        ({"split": "test"}, Cause.LABELLED, "in the test split now"),
        ({"split": None, "outcome": None}, Cause.GONE, "it is no longer in the data set"),
        ({"outcome": "corrupt"}, Cause.UNREADABLE, "it cannot be read any more (corrupt)"),
        ({}, Cause.UNRANKED, "no longer ranked: it lacks a signal, or another one stands for it"),
    ],
)
def test_an_image_that_the_list_no_longer_holds(state, cause, why):
    assert left(Standing(3, 3), None, **state) == (cause, why)


def test_the_junk_lane_and_frames_that_stand_for_others_go_both_ways():
    listed, junk, frame = Standing(9, 9), Standing(90, 90, junk="blurred"), Standing(90, 90, instead="a/7")

    assert left(listed, junk) == (Cause.JUNK, "in the junk lane now (blurred)")
    assert entered(junk, listed) == (Cause.JUNK, "was in the junk lane before (blurred)")
    assert left(listed, frame) == (Cause.REPRESENTED, "a/7 is listed in its place now")
    assert entered(frame, listed) == (Cause.REPRESENTED, "a/7 was listed in its place before")


def test_what_reviewers_called_an_image_comes_before_what_its_rank_did():
    assert left(Standing(9, 9), Standing(300, 300), verdict=Verdict.COMMON) == (
        Cause.VERDICT,
        "reviewers called it common",
    )
    assert left(Standing(9, 9), Standing(300, 30), verdict=Verdict.RARE)[0] is Cause.OTHERS


def test_what_a_second_model_does_not_see_sinks_and_others_come_up():
    looked = replace(LISTS, has_denied=True)
    place = {"novelty_min": 5}

    assert left(Standing(5, 5, {}, place), Standing(90, 90, {}, place), looked, is_denied=True) == (
        Cause.GROUNDING,
        "rank 90 now; a second model does not see its rarest keyword",
    )
    assert left(Standing(5, 5), Standing(90, 90), looked, verdict=Verdict.JUNK, is_denied=True)[0] is Cause.VERDICT
    assert entered(Standing(60, 60, {}, place), Standing(48, 48, {}, place), looked) == (
        Cause.GROUNDING,
        "rank 60 before; images ahead of it sank: a second model does not see their keywords",
    )
    risen = Standing(48, 48, {"novelty_min": 1.0}, {"novelty_min": 1})
    assert entered(Standing(60, 60, {"novelty_min": 0.5}, place), risen, looked)[0] is Cause.SIGNAL


def test_a_budget_moves_nobody():
    larger, smaller = replace(LISTS, selected_now=80), replace(LISTS, selected_now=20)

    assert entered(Standing(70, 70), Standing(70, 70), larger) == (
        Cause.BUDGET,
        "rank 70 before; the budget reaches 80 images now, 50 before",
    )
    assert left(Standing(40, 40), Standing(40, 40), smaller)[0] is Cause.BUDGET


def test_a_budget_reaches_the_image_whose_rank_it_is_and_not_the_next():
    larger, smaller = replace(LISTS, selected_now=80), replace(LISTS, selected_now=20)

    assert entered(Standing(80, 80), Standing(70, 70), larger)[0] is Cause.BUDGET
    assert entered(Standing(81, 80), Standing(80, 80), larger)[0] is Cause.OTHERS
    assert left(Standing(21, 20), Standing(22, 20), smaller)[0] is Cause.BUDGET
    assert left(Standing(20, 20), Standing(21, 20), smaller)[0] is Cause.OTHERS


def test_newcomers_push_down_and_those_who_leave_make_room():
    assert left(Standing(45, 45), Standing(60, 44)) == (
        Cause.OTHERS,
        "rank 60 now; pushed down 16 by images that the last list did not contain",
    )
    assert entered(Standing(60, 44), Standing(45, 45)) == (Cause.OTHERS, "rank 60 before; images ahead of it left")
    assert left(Standing(45, 45), Standing(60, 47))[0] is Cause.OTHERS  # two by itself, thirteen by newcomers


def test_what_rose_or_fell_by_less_than_half_on_its_own_did_so_through_others():
    # of 14 ranks -3 to 8 are past images of both lists; from 7 on that is half
    causes = [
        (entered(Standing(60, 50 + own), Standing(46, 50))[0], left(Standing(46, 50), Standing(60, 50 + own))[0])
        for own in (-3, 0, 6, 7, 8)
    ]

    assert causes == [(Cause.OTHERS,) * 2] * 3 + [(Cause.ORDER,) * 2] * 2


def test_the_signal_that_moved_an_image_most_is_named():
    before = Standing(60, 60, {"entropy": 1.0, "margin": -0.5}, {"entropy": 80, "margin": 10})
    now = Standing(5, 5, {"entropy": 2.0, "margin": -0.4}, {"entropy": 4, "margin": 9})

    assert entered(before, now) == (Cause.SIGNAL, "rank 60 before; entropy ranks it 4 now, 80 before")
    assert left(now, before) == (Cause.SIGNAL, "rank 60 now; entropy ranks it 80 now, 4 before")


def test_a_keyword_that_became_common_is_told_by_its_count():
    before = Standing(5, 5, {"novelty_min": 1 / 2}, {"novelty_min": 5})
    now = Standing(60, 58, {"novelty_min": 1 / 12}, {"novelty_min": 60})

    assert left(before, now) == (
        Cause.SIGNAL,
        "rank 60 now; its rarest keyword is in 12 images now, in 2 images before",
    )


def test_a_signal_that_fewer_images_share_lifts_those_that_keep_its_value_and_verdicts_do_not():
    # as after a merge of keywords: its own keyword is as rare as before, those of 40 others that were level are not
    learned = replace(LISTS, has_verdicts=True)
    value, place = {"novelty_min": 1.0}, {"novelty_min": 1}
    before, now = (
        Standing(80, 80, value, place, {"novelty_min": 101}),
        Standing(45, 45, value, place, {"novelty_min": 61}),
    )

    assert entered(before, now, learned) == (
        Cause.SIGNAL,
        "rank 80 before; its rarest keyword is still in 1 image, and novelty_min ranks 60 other images level with it "
        "now, 100 before",
    )
    assert left(now, before, learned) == (
        Cause.SIGNAL,
        "rank 80 now; its rarest keyword is still in 1 image, and novelty_min ranks 100 other images level with it "
        "now, 60 before",
    )


def test_a_signal_that_few_images_less_share_does_not_explain_a_long_way_up():
    # passed 400 images, of which at most 40 can be those that were level with it
    value, place = {"entropy": 1.0}, {"entropy": 1}
    before = Standing(445, 445, value, place, {"entropy": 101})
    now = Standing(45, 45, value, place, {"entropy": 61})

    assert entered(before, now, replace(LISTS, has_verdicts=True))[0] is Cause.VERDICT


def test_what_no_signal_explains_is_put_down_to_verdicts_or_the_experiment():
    before = Standing(60, 60, {"entropy": 1.0}, {"entropy": 9})
    now = Standing(5, 5, {"entropy": 1.0}, {"entropy": 9})

    assert entered(before, now, replace(LISTS, has_verdicts=True))[0] is Cause.VERDICT
    assert entered(before, now)[0] is Cause.ORDER
    assert entered(before, now, replace(LISTS, has_same_signals=False)) == (
        Cause.ORDER,
        "rank 60 before; the experiment mines by other signals now",
    )


def test_every_cause_has_words():
    assert ENTERED.keys() | LEFT.keys() == set(Cause)
