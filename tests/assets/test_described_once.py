"""Models are asked once about each picture: near-duplicates take over the answer, and cost nothing."""

from io import BytesIO
from typing import Any

import pytest
from conftest import Made, Maker, members, photo
from PIL import Image
from scripted_endpoint import Answer, Call, ScriptedEndpoint

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.cli.explain import selection_card
from vlmine_dagster.cli.forecast import forecast_run
from vlmine_dagster.cli.status import failed_images
from vlmine_dagster.settings.project import Project, parse_settings

MINE = {"mine": {"signals": ["novelty_min"]}}
COSTS = {"vlm": {"input": 100.0, "output": 300.0}, "llm": {"input": 10.0, "output": 30.0}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def coded(picture: Image.Image, quality: int = 92) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def rocket(kind: str) -> bytes:
    whole = photo("rocket").convert("RGB").resize((480, 320))  # small enough to be sent as it is
    made = {
        "plain": lambda: coded(whole),
        "mirrored": lambda: coded(whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 80),
        "small": lambda: coded(whole.resize((200, 133)), 80),
        "coded": lambda: coded(whole, 60),
    }
    return made[kind]()


def shards() -> dict[str, dict[str, bytes]]:
    return {
        "a": {**members({"coffee": 2, "chelsea": 2}, start=0), "r0.jpg": rocket("plain")},
        "b": {**members({"coffee": 2}, start=10), "r1.jpg": rocket("mirrored"), "r2.jpg": rocket("small")},
    }


def said(call: Call) -> str:
    number = int(call.digest[:6], 16)
    return f"A white rocket stands on the pad, number {number}." if call.image else '["rocket", "pad"]'


def settings(endpoint: ScriptedEndpoint, **changes: Any) -> dict[str, Any]:
    quick = {"base_url": endpoint.url, "timeout_s": 5.0, "max_attempts": 1, "concurrency": 4}
    return {
        "describer": {"kind": "openai", "model": "vlm", **quick},
        "keyworder": {"kind": "openai", "model": "llm", **quick},
        "dedupe": "near",
        "experiments": MINE,
        "prices": COSTS,
        "dataset": {"kind": "webdataset", "root": "data", "max_failure_share": 0.5},
        "budget": 20,
        **changes,
    }


def answers(made: Made, table: str = "descriptions") -> dict[str, str]:
    return made.frame(table).set_index("image_id")["outcome"].to_dict()  # type: ignore[no-any-return]


def test_a_picture_is_asked_about_once_whatever_comes_later(make_project: Maker):
    is_broken = True

    def script(call: Call) -> Answer | str:
        return Answer("I'm sorry, I can't do that.") if is_broken and call.image == rocket("plain") else said(call)

    with ScriptedEndpoint(script) as endpoint:
        made = make_project(shards(), **settings(endpoint))
        told = forecast_run(made.bench, made.inspect(), sample_count=2)
        assert made.run().is_whole
        refused, calls = answers(made), len(endpoint.calls)
        is_broken = False
        assert made.run_again(is_failure_retried=True).is_whole
        mended = endpoint.calls[calls:]
        bill, rows = made.bench.cache.spent_usd(), made.frame("descriptions")
        before = made.bench.lake.path("descriptions", "a").stat().st_mtime_ns

        made.replace_shard("c", {"r3.jpg": rocket("coded"), **members({"coffee": 1}, start=20)})
        calls = len(endpoint.calls)
        outcome = made.run()
        later = [call.image for call in endpoint.calls[calls:] if call.image]
        assert made.run().materialized == []

    assert (told.stages[0].spared, told.stages[0].left + told.stages[0].sampled) == (2, 7)
    assert told.stages[0].spared_usd == pytest.approx(2 * told.stages[0].cost_usd / told.stages[0].left, rel=0.3)
    assert (refused["a/r0"], refused["b/r1"], refused["b/r2"]) == ("refused", "taken_over", "taken_over")
    assert [call.image for call in mended if call.image] == [rocket("plain")]
    assert rows[rows["outcome"] == "taken_over"][["cost_usd", "prompt_tokens", "output_tokens"]].to_numpy().sum() == 0
    costs = [made.frame(name)["cost_usd"].sum() for name in ("descriptions", "keyword_answers")]
    assert sum(costs) <= made.bench.cache.spent_usd()
    assert bill < made.bench.cache.spent_usd()
    assert outcome.is_whole
    assert later == [members({"coffee": 1}, start=20)["coffee-20.jpg"]]
    assert answers(made)["c/r3"] == "taken_over"
    assert made.bench.lake.path("descriptions", "a").stat().st_mtime_ns == before
    assert set(answers(made, "keyword_answers").values()) == {"ok"}
    assert failed_images(made.bench, made.bench.source.shards()) == []

    listed = made.frame("pareto_set", "mine").set_index("image_id")["reason"]
    assert [name for name in listed.index if "/r" in name] == ["a/r0"]
    assert listed["a/r0"].endswith(" · +3 similar")
    assert made.frame("vocab_counts").set_index("keyword")["image_count"]["rocket"] == 7 + 1  # one answer per picture
    card = selection_card(made.bench, "c/r3", made.bench.source.shards())
    assert card["verdict"] == "not mined: a/r0 shows the same picture and represents it"


def test_what_judges_is_not_described_so_its_duplicates_are(make_project: Maker):
    rows = ["key,split,class_id", "a/r0,test,rocket", "b/r1,pool,rocket", "b/r2,pool,rocket"]
    rows += [f"a/coffee-{k},seed,coffee" for k in range(2)]
    with ScriptedEndpoint(said) as endpoint:
        labels = {"file": "labels.csv"}
        made = make_project(shards(), labels="\n".join(rows), **settings(endpoint))
        made.settings(dataset={"kind": "webdataset", "root": "data", "labels": labels})
        made.inspect()
        assert made.run(shards=["b"]).is_whole

    assert made.frame("duplicates").set_index("image_id")["kept_split"].to_dict() == {"b/r1": "test", "b/r2": "test"}
    assert set(answers(made).values()) == {"ok"}
    assert not made.bench.lake.path("descriptions", "a").exists()


def test_labelled_images_of_one_picture_are_described_once_too(make_project: Maker):
    rows = [
        "key,split,class_id",
        "a/r0,seed,rocket",
        "b/r1,seed,rocket",
        *(f"a/coffee-{k},seed,coffee" for k in (0, 1)),
    ]
    with ScriptedEndpoint(said) as endpoint:
        made = make_project(shards(), labels="\n".join(rows), **settings(endpoint))
        made.settings(dataset={"kind": "webdataset", "root": "data", "labels": {"file": "labels.csv"}})
        assert made.run().is_whole
        asked = [
            call.image
            for call in endpoint.calls
            if call.image in {rocket(kind) for kind in ("plain", "mirrored", "small")}
        ]

    assert made.frame("duplicates").set_index("image_id")["kept_id"].to_dict() == {"b/r1": "a/r0", "b/r2": "a/r0"}
    assert asked == [rocket("plain")]
    assert {name: found for name, found in answers(made).items() if found != "ok"} == {
        "b/r1": "taken_over",
        "b/r2": "taken_over",
    }
    assert made.frame("vocab_counts").set_index("keyword")["image_count"]["rocket"] == 7  # one answer per picture
    assert not made.frame("pareto_set", "mine")["image_id"].str.contains("/r").any()
    card = selection_card(made.bench, "b/r1", made.bench.source.shards())
    assert (card["verdict"], card["near_duplicate_of"]) == ("never mined: it is in the seed split", "a/r0")


def test_a_keyworder_that_asks_is_spared_where_images_are_described_for_nothing(make_project: Maker):
    with ScriptedEndpoint(said) as endpoint:
        chosen = settings(endpoint, describer={"kind": "tagger"}, experiments=MINE)
        made = make_project(shards(), **chosen)
        told = forecast_run(made.bench, made.inspect(), sample_count=2)
        assert made.run().is_whole

    assert told.stages[0].stage == "keywords"
    assert set(answers(made).values()) == {"ok"}
    named = answers(made, "keyword_answers")
    assert {name for name, outcome in named.items() if outcome == "taken_over"} == {"b/r1", "b/r2"}
    assert len(endpoint.calls) <= sum(outcome == "ok" for outcome in named.values())


@pytest.mark.parametrize("changes", [{}, {"dedupe": "off"}, {"dedupe": "near"}, {"describer": {"kind": "openai"}}])
def test_the_order_of_stages_is_another_one_only_where_pictures_are_described_once(changes: Any, tmp_path: Any):
    describer = {"kind": "openai", "model": "vlm"}
    base = {"name": "x", "dataset": {"kind": "folder", "root": "."}, "keyworder": {"kind": "rules"}}
    plain = Project(parse_settings(base), tmp_path)
    other = Project(
        parse_settings({**base, **changes, **({"describer": describer} if "describer" in changes else {})}), tmp_path
    )
    once = Project(parse_settings({**base, "dedupe": "near", "describer": describer}), tmp_path)

    assert GRAPH.waves(other) == GRAPH.waves(plain)
    assert [wave.job for wave in GRAPH.waves(once)][:4] == [
        "shard_job", "duplicates_job", "shard_duplicates_job", "description_job"
    ]  # fmt: skip
    done: set[str] = set()
    for wave in GRAPH.waves(once):
        for stage in wave.stages:
            assert {parent.table for parent in GRAPH.parents(stage, once)} <= done, stage.table
            done.add(stage.table)
