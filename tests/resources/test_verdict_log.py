"""Verdicts survive what ends a process, and two windows do not lose each other's."""

import itertools
import os
import signal
import sqlite3
from multiprocessing import get_context
from pathlib import Path

import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.resources.verdicts import FILE, Judgement, VerdictLog, verdicts_fingerprint

R, C, J = Verdict.RARE, Verdict.COMMON, Verdict.JUNK


def log(folder: Path) -> VerdictLog:
    clock = itertools.count(100)
    return VerdictLog(folder / FILE, now=lambda: float(next(clock)))


def words(found: VerdictLog, **more: str) -> list[tuple[str, str, str]]:
    return [(one.reviewer, one.image_id, one.verdict.value) for one in found.standing(**more)]


def test_a_log_that_nobody_wrote_is_empty_and_makes_no_file(tmp_path):
    empty = log(tmp_path)

    assert (empty.standing(), empty.last_number(), empty.round_count()) == ([], 0, 0)
    assert empty.finish_round() is None
    assert list(tmp_path.glob("*.csv")) == []


def test_the_last_word_of_each_reviewer_stands(tmp_path):
    found = log(tmp_path)
    found.add(Judgement("a", "ana", R, class_name="lion", seconds=2.5, experiment="fused", rank=3))
    found.add(Judgement("a", "ben", J))
    found.add(Judgement("b", "ana", C))
    found.add(Judgement("a", "ana", C))

    assert words(found) == [("ben", "a", "junk"), ("ana", "b", "common"), ("ana", "a", "common")]
    assert found.last_number() == 4


def test_undo_brings_back_what_was_said_before(tmp_path):
    found = log(tmp_path)
    found.add(Judgement("a", "ana", R, class_name="lion"))
    second = found.add(Judgement("a", "ana", J))
    found.undo(second, reviewer="ana")

    (judgement,) = found.standing()
    assert (judgement.verdict, judgement.class_name, judgement.judged_at) == (R, "lion", 100.0)
    with pytest.raises(ContractError, match="verdict 2 cannot be undone: 'ben' gave none"):
        found.undo(second, reviewer="ben")


def test_a_verdict_that_is_sent_twice_is_one(tmp_path):
    found = log(tmp_path)

    assert found.add(Judgement("a", "ana", R), token="t") == found.add(Judgement("a", "ana", R), token="t") == 1


def test_a_break_is_no_time_of_work(tmp_path):
    found = log(tmp_path)
    for seconds in (-3.0, 7200.0):
        found.add(Judgement(f"{seconds}", "ana", R, seconds=seconds))

    assert [one.seconds for one in found.standing()] == [0.0, 120.0]


def test_a_round_holds_what_stands_when_it_is_finished(tmp_path):
    found = log(tmp_path)
    first = found.add(Judgement("a", "ana", R))
    assert words(found, rounds="finished") == []
    assert found.finish_round() == 1
    assert found.finish_round() is None
    found.add(Judgement("b", "ana", J))
    fingerprint = verdicts_fingerprint(found.standing(rounds="finished"))

    assert words(found, rounds="finished") == [("ana", "a", "rare")]
    assert words(found, rounds="open") == [("ana", "b", "junk")]
    with pytest.raises(ContractError, match="cannot be undone"):
        found.undo(first, reviewer="ana")
    assert found.finish_round() == 2
    assert [one.round for one in found.standing()] == [1, 2]
    assert verdicts_fingerprint(found.standing(rounds="finished")) != fingerprint


def test_lines_cannot_be_changed_even_by_hand(tmp_path):
    log(tmp_path).add(Judgement("a", "ana", R))

    with sqlite3.connect(tmp_path / FILE) as database:
        for statement in ("UPDATE judgements SET verdict = 'junk'", "DELETE FROM judgements"):
            with pytest.raises(sqlite3.DatabaseError, match="append only"):
                database.execute(statement)
    database.close()


def _judge(folder: Path, reviewer: str, count: int, dies: bool) -> None:
    found = VerdictLog(folder / FILE)
    for number in range(count):
        found.add(Judgement(str(number), reviewer, R))
        (folder / f"{reviewer}-said").write_text(str(number + 1))
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)


def test_two_processes_lose_nothing_and_kill_9_loses_nothing(tmp_path):
    spawn = get_context("fork")
    children = [spawn.Process(target=_judge, args=(tmp_path, name, 20, name == "ben")) for name in ("ana", "ben")]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0, -signal.SIGKILL]
    assert sorted(words(VerdictLog(tmp_path / FILE))) == sorted(
        (name, str(number), "rare") for name in ("ana", "ben") for number in range(20)
    )
