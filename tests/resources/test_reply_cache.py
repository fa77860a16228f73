"""The answer cache in a file: what is kept, what is counted as spent, and files of other versions."""

import sqlite3

import pytest
from first_version import REPLIES

from vlmine_dagster.domain.errors import CacheError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.cache import SCHEMA_VERSION, CachedVariant, ReplyCache
from vlmine_dagster.resources.replies import Reply

PAID = Reply("a cup", prompt_tokens=10, output_tokens=2, latency_s=0.5, cost_usd=0.25)
GUESSED = Reply(
    "a cat", Outcome.TRUNCATED, "too long", prompt_tokens=3, output_tokens=5, cost_usd=0.5, is_estimated=True
)
UNPRICED = Reply("a dog", prompt_tokens=7, cost_usd=None, lost_usd=0.125)
NEVER_CAME = Reply(None, Outcome.TIMED_OUT, "late", lost_usd=2.0)


@pytest.fixture
def cache(tmp_path) -> ReplyCache:
    return ReplyCache(tmp_path / "cache")


def rows(folder, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(folder / "cache" / "replies.sqlite")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def test_answers_are_kept_as_they_came_and_what_never_came_is_only_counted(cache, tmp_path):
    cache.put("v", [("a", PAID), ("b", GUESSED)], label="model, prompt")
    cache.put("v", [("c", UNPRICED), ("d", NEVER_CAME)], label="another label")

    kept = {"a": PAID, "b": GUESSED, "c": Reply("a dog", prompt_tokens=7, cost_usd=None)}
    assert cache.find("v", ["a", "b", "c", "d", "e"]) == kept
    assert cache.find("v", ["a"])["a"].is_estimated is False
    assert cache.find("v", ["b"])["b"].is_estimated is True
    assert cache.find("other", ["a"]) == cache.find("v", []) == {}
    assert cache.spent_usd() == 0.25 + 0.5 + 0.125 + 2.0
    assert cache.estimated_usd() == 0.5 + 0.125 + 2.0  # a guess, and what a server may bill for nothing
    assert cache.variants() == [CachedVariant("v", "model, prompt", 3, 15, 4, 2.875, 2.625)]
    assert rows(tmp_path, "SELECT sum(calls), sum(prompt_tokens), sum(output_tokens) FROM ledger") == [(4, 20, 7)]


def test_nothing_is_spent_at_first_and_an_answer_without_a_price_costs_nothing(tmp_path):
    cache = ReplyCache(tmp_path / "project" / "cache")  # its folders are made

    assert (cache.spent_usd(), cache.estimated_usd(), cache.variants()) == (0.0, 0.0, [])
    cache.put("v", [("a", Reply("x", cost_usd=None, is_estimated=True))], label="m")
    assert (cache.spent_usd(), cache.estimated_usd()) == (0.0, 0.0)


def test_a_later_answer_takes_the_place_of_an_earlier_one_and_a_restored_one_does_not(cache):
    cache.put("v", [("a", PAID)], label="m")
    cache.put("v", [("a", GUESSED)], label="m")
    cache.restore("v", [("a", PAID), ("b", PAID)], label="m")

    assert cache.find("v", ["a", "b"]) == {"a": GUESSED, "b": PAID}
    assert cache.spent_usd() == 0.75  # restoring is not a call


def test_an_answer_that_is_marked_stays_with_the_reason(cache):
    cache.put("v", [("a", PAID), ("b", PAID)], label="m")

    cache.mark("v", {"a": "no picture was seen"}, outcome=Outcome.NOT_SEEN)

    marked = cache.find("v", ["a", "b"])
    assert (marked["a"].text, marked["a"].outcome, marked["a"].failure) == (
        "a cup",
        Outcome.NOT_SEEN,
        "no picture was seen",
    )
    assert marked["b"] == PAID


def test_pruning_takes_the_answers_of_some_ways_to_ask_and_forgets_no_cost(cache, tmp_path):
    for variant, count in (("one", 1), ("two", 2), ("three", 3)):
        cache.put(variant, [(str(number), PAID) for number in range(count)], label=variant)

    assert cache.prune(["one", "three"]) == 4
    assert [(one.variant, one.reply_count, one.calls) for one in cache.variants()] == [
        ("two", 2, 2),
        ("one", 0, 1),
        ("three", 0, 3),
    ]
    assert cache.spent_usd() == 6 * 0.25
    assert cache.prune([]) == 0
    assert cache.byte_count == sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) > 4096


def test_a_batch_job_is_noted_replaced_and_forgotten(cache):
    assert cache.batch("v", "ab") is None
    for job in ("first", "second"):
        cache.note_batch("v", "ab", job)
        assert cache.batch("v", "ab") == job
    assert cache.batch("v", "abc") is cache.batch("w", "ab") is None
    cache.note_batch("v", "ab", None)
    assert cache.batch("v", "ab") is None


def test_a_file_of_the_first_version_is_upgraded_and_keeps_its_answers(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    database = sqlite3.connect(folder / "replies.sqlite")
    database.executescript(REPLIES)
    database.executescript(
        """
        INSERT INTO replies VALUES ('v', 'a', 'a cup', 'ok', NULL, 10, 2, 0.5, 0.25);
        INSERT INTO ledger VALUES ('v', '2024-01-01', 1, 10, 2, 0.25);
        """
    )
    database.close()

    cache = ReplyCache(folder)

    assert cache.find("v", ["a"]) == {"a": PAID}
    assert (cache.spent_usd(), cache.estimated_usd()) == (0.25, 0.0)
    assert rows(tmp_path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert ReplyCache(folder).find("v", ["a"]) == {"a": PAID}  # it is upgraded once


@pytest.mark.parametrize("version", [3, 99])
def test_a_file_of_a_later_version_is_refused(tmp_path, version):
    database = sqlite3.connect(tmp_path / "replies.sqlite")
    database.execute(f"PRAGMA user_version = {version}")
    database.close()

    with pytest.raises(CacheError, match=rf"another version of vlmine \(schema {version}\). Update vlmine"):
        ReplyCache(tmp_path).spent_usd()


def test_a_file_that_is_no_database_is_told_with_what_to_do(tmp_path):
    (tmp_path / "replies.sqlite").write_bytes(b"x" * 5000)

    with pytest.raises(CacheError, match="cannot be used: file is not a database. Make room on its disk"):
        ReplyCache(tmp_path).find("v", ["a"])


def test_threads_share_one_cache(cache):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cache.put("v", [(str(number % 5), PAID)], label="m"), range(40)))

    assert len(cache.find("v", list("01234"))) == 5
    assert cache.spent_usd() == 10.0
