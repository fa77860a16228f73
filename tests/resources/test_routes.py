"""Several endpoints of one model: slow ones get less work, dead ones none, and no row is lost."""

import logging

import dagster as dg
import pytest
from conftest import members
from scripted_endpoint import Answer, ScriptedEndpoint
from test_chat import PRICE, replies

from vlmine_dagster.describing.keyworders.openai import OpenAIKeyworderSettings
from vlmine_dagster.describing.providers import look_at_endpoint
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.access import address_of
from vlmine_dagster.resources.chat import ChatModel
from vlmine_dagster.resources.questions import ChatQuestion
from vlmine_dagster.resources.routes import Routes

DEAD = "http://127.0.0.1:9/v1"  # nobody listens there
TEXTS = [f"q{number}" for number in range(60)]


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def settings(*urls, **changes):
    quick = {"timeout_s": 1.0, "max_attempts": 2, "concurrency": 4, **changes}
    return OpenAIKeyworderSettings(kind="openai", model="m", base_url=urls, **quick)


def chat(*urls, **changes):
    return ChatModel(ChatQuestion(settings(*urls, **changes), "p", False, PRICE, 10**8), first_pause_s=0.01)


def test_a_slow_endpoint_gets_less_work_and_each_has_its_rate():
    with (
        ScriptedEndpoint(lambda _call: Answer("fast", delay_s=0.01)) as fast,
        ScriptedEndpoint(lambda _call: Answer("slow", delay_s=0.3)) as slow,
    ):
        model = chat(fast.url, slow.url)
        found = replies(model, *TEXTS)

    assert {reply.outcome for reply in found.values()} == {Outcome.OK} and len(found) == len(TEXTS)
    assert 0 < len(slow.calls) < len(fast.calls) / 2
    assert len(fast.calls) + len(slow.calls) == len(TEXTS)
    first, second = model.health
    assert (first.endpoint, first.answered, first.state) == (fast.url, len(fast.calls), "up")
    assert first.per_second > second.per_second > 0
    assert second.latency_s >= 0.3 > first.latency_s
    assert f"{slow.url}: {len(slow.calls)} answers, " in str(second)


def test_an_endpoint_that_dies_in_the_middle_loses_no_row_and_is_rested(caplog):
    def dies(call):
        return Answer("A dog.", delay_s=0.01) if call.number < 8 else Answer(fault="reset")

    with ScriptedEndpoint(dies) as dying, ScriptedEndpoint(lambda _call: Answer("A cat.", delay_s=0.05)) as other:
        model = chat(dying.url, other.url, max_attempts=1)
        with caplog.at_level(logging.WARNING):
            found = replies(model, *TEXTS)

    assert {reply.outcome for reply in found.values()} == {Outcome.OK} and len(found) == len(TEXTS)
    assert sum(reply.text == "A dog." for reply in found.values()) == 8
    assert len(dying.calls) < 8 + 12  # those in flight, and one now and then to see whether it is back
    dead, _ = model.health
    assert dead.answered == 8 and dead.failed == len(dying.calls) - 8
    assert dead.state.startswith("down: nobody answers at")
    assert f"{dying.url} gets no work for now: nobody answers" in caplog.text


def test_a_late_answer_to_an_older_call_does_not_end_the_rest_of_an_endpoint():
    route, _ = Routes(settings("http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1")).all
    for _ in range(3):
        route.note_failure("nobody answers")

    route.note_answer(latency_s=10.0)
    assert route.health.state == "down: nobody answers"
    route.note_answer(latency_s=0.0)
    assert route.health.state == "up"


def test_an_endpoint_that_comes_back_gets_work_again(monkeypatch):
    monkeypatch.setattr("vlmine_dagster.resources.routes._FIRST_REST_S", 0.05)

    def flickers(call):
        return Answer("no", status=503) if call.number < 4 else Answer("A dog.", delay_s=0.01)

    with ScriptedEndpoint(flickers) as back, ScriptedEndpoint(lambda _call: Answer("A cat.", delay_s=0.05)) as other:
        model = chat(back.url, other.url)
        found = replies(model, *TEXTS)

    assert {reply.outcome for reply in found.values()} == {Outcome.OK}
    assert model.health[0].state == "up"
    assert model.health[0].answered > 10


def test_an_endpoint_that_refuses_the_key_is_left_out_and_the_others_go_on():
    with (
        ScriptedEndpoint(lambda _call: Answer("wrong key", status=401)) as closed,
        ScriptedEndpoint(lambda _call: "A cat.") as other,
    ):
        model = chat(closed.url, other.url)
        found = replies(model, *TEXTS)

    assert {reply.text for reply in found.values()} == {"A cat."} and len(found) == len(TEXTS)
    assert len(closed.calls) <= 8  # those in flight when the first was refused
    assert model.health[0].state.startswith("refused: ")


def test_where_no_endpoint_answers_the_work_ends_as_with_one():
    other = "http://127.0.0.1:10/v1"
    with pytest.raises(ModelError, match=r"calls in a row without an answer"):
        replies(chat(DEAD, other, concurrency=1), *TEXTS)


def test_doctor_looks_at_each_endpoint():
    with ScriptedEndpoint(lambda _call: "x") as one, ScriptedEndpoint(lambda _call: "x") as two:
        one.models = two.models = ["m"]
        fine, half = look_at_endpoint(settings(one.url, two.url)), look_at_endpoint(settings(one.url, DEAD))
    assert (fine.state, fine.found) == ("ok", f"m at {one.url}; m at {two.url}")
    assert half.state == "warn" and f"m at {one.url}; nobody answers at {DEAD}" in half.found
    with pytest.raises(ModelError, match="nobody answers at"):
        look_at_endpoint(settings(DEAD, "http://127.0.0.1:10/v1"))


def test_an_address_that_is_given_twice_counts_once_and_wrong_lists_are_refused():
    several = settings("http://a.example/v1", "http://b.example/v1", "http://b.example/v1")

    assert address_of(several) == "http://a.example/v1, http://b.example/v1"
    assert [one.base_url for one in several.each_endpoint] == ["http://a.example/v1", "http://b.example/v1"]
    for wrong in ((), ("localhost:8000/v1",)):
        with pytest.raises(ValueError, match="expected an address"):
            settings(*wrong)
    with pytest.raises(ValueError, match="put them into environment variables"):
        settings("http://a.example/v1", "https://user:hunter22@b.example/v1")
    with pytest.raises(ValueError, match="give base_url one address"):
        settings("http://a.example/v1", "http://b.example/v1", batch=True)


def test_health_and_rate_of_each_endpoint_are_facts_of_the_stage_and_in_its_log(make_project):
    shards = {"pool/a": members({"coffee": 4, "rocket": 2}, start=0)}
    with (
        ScriptedEndpoint(lambda call: f"A thing, seen from {call.digest[:6]} sides.") as one,
        ScriptedEndpoint(lambda call: f"A thing, seen from {call.digest[:6]} sides.") as two,
    ):
        describer = {"kind": "openai", "model": "m", "base_url": [one.url, two.url]}
        made = make_project(
            shards,
            describer=describer,
            keyworder={"kind": "rules"},
            experiments={"novelty_min": {"signals": ["novelty_min"]}},
        )
        outcome = made.run(shards=["pool/a"])

    assert outcome.is_whole
    key = dg.AssetKey("descriptions")
    (record,) = made.instance.fetch_materializations(key, limit=1).records
    rows = [row.data for row in record.asset_materialization.metadata["endpoints"].records]
    assert [row["endpoint"] for row in rows] == [one.url, two.url]
    assert sum(row["answered"] for row in rows) == 6
    assert {row["state"] for row in rows} == {"up"}
    lines = [entry.user_message for entry in made.instance.all_logs(record.run_id)]
    assert sum(line.startswith((f"{one.url}: ", f"{two.url}: ")) for line in lines) == 2
