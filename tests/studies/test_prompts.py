"""The study of prompts over real prompts: one pool, described by a scripted vision-language model in several ways."""

import hashlib
from collections.abc import Mapping

from conftest import Made, Maker, members
from scripted_endpoint import Call, ScriptedEndpoint

from vlmine_dagster.studies.jobs import study_of
from vlmine_dagster.studies.study import Report, conduct

POOL = {
    "pool/a": members({"coffee": 4, "chelsea": 3, "rocket": 1}, start=0),
    "pool/b": members({"coffee": 5, "chelsea": 2, "rocket": 1}, start=10),
}
SHOWN = {
    hashlib.sha256(data).hexdigest(): name.partition("-")[0]
    for content in POOL.values()
    for name, data in content.items()
}
PROMPTS = {
    "things": "Name the main thing.",
    "politely": "Please name the main thing.",
    "places": "Say where the photo was taken.",
}
SAID = {
    "thing": {"coffee": "A cup of coffee.", "chelsea": "A brown cat.", "rocket": "A tall rocket."},
    "where": {"coffee": "In a kitchen.", "chelsea": "In a garden.", "rocket": "In a kitchen."},
}


def script(call: Call) -> str:
    if "hello" in call.text:
        return "A photo of something."
    if call.digest not in SHOWN:  # the grey picture by which answers that saw nothing are found
        return "A plain grey surface."
    return SAID["where" if "where" in call.text else "thing"][SHOWN[call.digest]]


def asked_in_three_ways(
    make_project: Maker, endpoint: ScriptedEndpoint, prompts: Mapping[str, str] = PROMPTS, *, is_whole: bool = True
) -> Made:
    made = make_project(POOL)
    (made.folder / "prompts").mkdir()
    for name, text in prompts.items():
        (made.folder / "prompts" / f"{name}.md").write_text(text)

    def by(name: str) -> dict[str, object]:
        asked = {"kind": "openai", "model": "vlm", "base_url": endpoint.url, "prompt": f"prompts/{name}.md"}
        return {"describer": asked, "keyworder": {"kind": "rules"}}

    default, *others = prompts
    made.settings(
        **by(default),
        variants={name: by(name) for name in others},
        experiments={"rare": {"signals": ["novelty_min"]}},
    )
    outcome = made.run()
    assert outcome.is_whole == is_whole, (outcome.failures, outcome.waiting)
    return made


def alike(report: Report) -> dict[tuple[str, str], tuple[str, str]]:
    [table] = report.tables.values()
    return {
        (row["variants"], row["pooling"]): (row["Spearman"], row["overlap of the first 30% (Jaccard)"]) for row in table
    }


def test_three_prompts_over_a_pool_without_labels_are_compared_by_what_they_put_first(make_project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with ScriptedEndpoint(script) as endpoint:
        made = asked_in_three_ways(make_project, endpoint)
        report = conduct(study_of("prompts"), made.bench)

    assert {call.text for call in endpoint.calls} == set(PROMPTS.values())
    assert len([call for call in endpoint.calls if call.digest in SHOWN]) == 3 * len(SHOWN)
    found = alike(report)
    assert len(found) == 3 * 2
    sure = "1.000 [1.000, 1.000]"
    assert found["default, politely", "min"] == found["default, politely", "mean"] == (sure, sure)
    for pooling in ("min", "mean"):
        assert found["default, places", pooling] == found["politely, places", pooling]
        assert float(found["default, places", pooling][0].split()[0]) < 0.95
    assert report.words[0].startswith("novelty by min depends on the prompt: the least alike are")


def test_a_prompt_whose_answer_is_the_same_for_every_image_is_taken_for_one_that_saw_none(make_project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    prompts = {name: PROMPTS[name] for name in ("things", "places")} | {"greet": "Say hello."}
    with ScriptedEndpoint(script) as endpoint:
        made = asked_in_three_ways(make_project, endpoint, prompts, is_whole=False)
        lake = made.bench.lake

    outcomes = {
        variant: set(lake.read("descriptions", "pool/a", variant=variant).column("outcome").to_pylist())
        for variant in ("default", "places", "greet")
    }
    assert outcomes == {"default": {"ok"}, "places": {"ok"}, "greet": {"not_seen"}}
    assert not lake.path("vocab_counts", variant="greet").exists()
