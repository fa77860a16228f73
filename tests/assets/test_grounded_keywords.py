"""The rare keywords that decide the first places of a list are looked for by a second model."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Made, Maker, members
from scripted_endpoint import Answer, Call, ScriptedEndpoint

from vlmine_dagster.cli.cache import cached
from vlmine_dagster.cli.forecast import forecast_run
from vlmine_dagster.cli.run import print_findings
from vlmine_dagster.cli.status import failed_images, table_states
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings.project import parse_settings

POOL = {"a": members({"coffee": 4, "chelsea": 2}, start=0), "b": members({"coffee": 4, "rocket": 2}, start=10)}
NUMBER = {data: k for k, data in enumerate(data for shard in POOL.values() for data in shard.values())}
NAMES = [f"{shard}/{name.removesuffix('.jpg')}" for shard, content in POOL.items() for name in content]
WORDS = (
    "anvil",
    "bagpipe",
    "cactus",
    "dynamo",
    "easel",
    "falcon",
    "gondola",
    "harp",
    "igloo",
    "javelin",
    "kayak",
    "lyre",
)
FIRST = 4


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Models:
    """One model names a word for each image that no other has, another says whether it is there."""

    def __init__(self) -> None:
        self.made_up: set[str] = set()
        self.unclear: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, call: Call) -> Answer | str:
        assert call.image is not None
        word = WORDS[NUMBER[call.image]]
        if call.body["model"] == "vlm":
            return f'["thing", "{word}"]'
        assert f'"{word}"' in call.text
        self.asked.append(word)
        if word in self.unclear:
            return "It is hard to tell."
        return "No." if word in self.made_up else "Yes."


def settings(endpoint: ScriptedEndpoint, **changes: Any) -> dict[str, Any]:
    quick = {"kind": "openai", "base_url": endpoint.url, "timeout_s": 5.0, "max_attempts": 1, "concurrency": 2}
    return {
        "describer": {**quick, "model": "vlm", "answer": "keywords", "prompt": "tag-general-v1"},
        "keyworder": {"kind": "tags"},
        "grounding": {"describer": {**quick, "model": "checker"}, "first": FIRST},
        "prices": {"vlm": {"input": 1.0, "output": 3.0}, "checker": {"input": 100.0, "output": 300.0}},
        "experiments": {"mine": {"signals": ["novelty_min"]}, "chance": {"signals": ["random"]}},
        "budget": 6,
        **changes,
    }


def listed(made: Made) -> list[str]:
    return [WORDS[NAMES.index(name)] for name in made.frame("pareto_set", "mine").sort_values("rank")["image_id"]]


def test_what_is_not_seen_sinks_and_what_comes_up_is_asked_about_too(make_project: Maker, capsys: Any):
    models = Models()
    with ScriptedEndpoint(models) as endpoint:
        made = make_project(POOL, **settings(endpoint, grounding=None))
        assert made.run().is_whole
        before = listed(made)
        models.made_up, models.unclear = {before[0], before[2], before[4]}, {before[1]}
        told = {one.stage: one for one in forecast_run(made.bench, made.inspect(), sample_count=2).stages}
        assert "grounded_keywords" not in told

        made.settings(**settings(endpoint))
        bound = forecast_run(made.bench, made.inspect(), sample_count=2).stages[-1]
        outcome = made.run()
        calls, spent = len(models.asked), made.bench.cache.spent_usd()
        assert outcome.is_whole, outcome.failures
        assert made.run().materialized == []
        assert len(models.asked) == calls

    kept = [word for word in before if word not in models.made_up]
    assert sorted(models.asked) == sorted([*models.made_up, *kept[:FIRST]])
    assert listed(made) == [*kept, before[0], before[2], before[4]]
    changes = made.frame("list_changes", "mine").set_index("image_id")
    assert changes["change"].to_dict() == {
        NAMES[WORDS.index(word)]: "left" if word in models.made_up else "entered"
        for word in {*before[:6]} ^ {*kept[:6]}  # of the budget
    }
    assert set(changes["cause"]) == {"grounding"}
    rows = made.frame("grounded_keywords", "mine").set_index("keyword")
    assert rows["outcome"][before[1]] == "unparseable"
    assert rows["list_rank"].to_dict() == {word: before.index(word) + 1 for word in models.asked}
    assert made.frame("grounded_keywords", "chance").empty
    assert (bound.stage, bound.left, bound.is_bound) == ("grounded_keywords", FIRST, True)
    assert bound.cost_usd >= rows["cost_usd"].sum() * FIRST / len(rows)
    assert spent == pytest.approx(rows["cost_usd"].sum() + made.frame("descriptions")["cost_usd"].sum())
    assert all(row["is_used"] for row in cached(made.bench))

    reasons = made.frame("pareto_set", "mine").sort_values("rank")["reason"].tolist()
    assert [reason.endswith(" · seen by a second model") for reason in reasons[:FIRST]] == [False, True, True, True]
    words = "2 of the first 3 keywords were not seen by the second model: hallucination rate 66.7% [20.8%, 93.9%]"
    assert words in Path(made.frame("mining_report", "mine")["path"].item()).read_text()
    row = next(row for row in table_states(made.bench, ["a", "b"]) if row["table"] == "grounded_keywords")
    assert words in row["findings"][0]
    assert (row["outcomes"], row["cost_usd"] > 0) == ({"ok": 6, "unparseable": 1}, True)
    tracking = made.bench.tracking
    run = tracking.client.get_run(tracking.latest(experiment="mine", asset="pareto_set"))
    assert run.data.metrics["hallucination_rate"] == pytest.approx(2 / 3)
    assert run.data.metrics["hallucination_rate_high"] == pytest.approx(0.939, abs=1e-3)
    (failed,) = failed_images(made.bench, ["a", "b"])
    assert (failed["table"], failed["failure"]) == ("grounded_keywords", "the answer is neither yes nor no")


def test_a_failure_is_asked_again_on_request_alone_and_the_limit_holds(
    make_project: Maker, monkeypatch: Any, capsys: Any
):
    models = Models()
    with ScriptedEndpoint(models) as endpoint:
        made = make_project(POOL, **settings(endpoint, max_cost_usd=1.0))
        models.unclear = set(WORDS[::2])
        assert made.run().is_whole
        unclear = [word for word in models.asked if word in models.unclear]
        models.unclear, models.asked = set(), []
        assert made.run_again(is_failure_retried=True).is_whole
        again, models.asked = list(models.asked), []

        rest = made.bench.cache.spent_usd()
        made.settings(grounding={**settings(endpoint)["grounding"], "first": 12}, max_cost_usd=rest + 1e-9)
        stopped = made.run()

    assert sorted(again) == sorted(unclear)
    assert made.frame("grounded_keywords", "mine")["is_confirmed"].all()
    assert models.asked == []
    assert stopped.stopped
    monkeypatch.setenv("VLMINE_PROJECT", str(made.file))
    made.settings(**settings(endpoint))
    print_findings()
    assert "keywords of mine: 0 of the first 4 keywords were not seen" in capsys.readouterr().out


def test_a_model_that_answers_nothing_confirms_no_list(make_project: Maker):
    models = Models()
    models.unclear = set(WORDS)
    with ScriptedEndpoint(models) as endpoint:
        made = make_project(POOL, **settings(endpoint))
        outcome = made.run()

    text = outcome.failures["grounded_keywords", "mine"]
    assert "none of 4 questions whether a keyword is in a picture has an answer. 4 x the answer is neither" in text
    assert made.frame("pareto_set", "chance")["rank"].max() == 12


@pytest.mark.parametrize("kind", ["tagger", "captions"])
def test_who_sees_no_picture_is_not_asked(kind: str):
    describer = {"kind": kind, **({"path": "x.jsonl"} if kind == "captions" else {})}
    with pytest.raises(ConfigError, match=f"describer {kind} answers no questions about pictures"):
        parse_settings({"name": "x", "dataset": {"kind": "folder", "root": "."}, "grounding": {"describer": describer}})


def test_a_prompt_without_a_place_for_the_keyword_is_refused(make_project: Maker):
    with ScriptedEndpoint(Models()) as endpoint:
        made = make_project(POOL, **settings(endpoint))
        grounding = {**settings(endpoint)["grounding"], "prompt": "describe-general-v1"}
        made.settings(grounding=grounding)
        with pytest.raises(ConfigError, match="prompt describe-general-v1 does not say where the keyword goes"):
            made.run()
