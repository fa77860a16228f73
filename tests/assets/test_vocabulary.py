"""The vocabulary in a project: nothing changes without its file, everything counts through it with one."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Made, Maker, members
from tiny_models import make_sentence_encoder

from vlmine_dagster.cli.main import main
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.scoring.findings import readable_findings

SAID = ("a red lorry on a road", "one truck in the fog", "two trucks and a lorry", "grey road", "a gray cat")


@pytest.fixture(scope="module")
def made(make_project: Maker) -> Made:
    shards = {"a": members({"coffee": 6}, start=0), "b": members({"chelsea": 5}, start=10)}
    project = make_project(
        shards,
        describer={"kind": "captions", "path": "captions.jsonl"},
        keyworder={"kind": "rules"},
        experiments={"mine": {"signals": ["novelty_min"]}, "random": {"signals": ["random"]}},
        budget=3,
    )
    names = [f"{shard}/{name.removesuffix('.jpg')}" for shard, content in shards.items() for name in content]
    rows = [{"image_id": name, "caption": SAID[place % len(SAID)]} for place, name in enumerate(names)]
    (project.folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = project.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return project


def ask(made: Made, *words: str) -> Any:
    result = CliRunner().invoke(main, ["--project", str(made.file), "vocabulary", *words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def counts(made: Made) -> dict[str, int]:
    return made.frame("vocab_counts").set_index("keyword")["image_count"].to_dict()


def selected(made: Made) -> set[str]:
    rows = made.frame("pareto_set", "mine")
    return set(rows[rows["selected"]]["image_id"])


def test_merges_are_proposed_shown_written_counted_and_taken_back(made: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VLMINE_PROJECT", str(made.file))
    before, said, was = counts(made), made.frame("keywords"), selected(made)
    told = ask(made)

    pairs = {(one["keyword"], one["merged_into"], one["rule"]) for one in told["proposals"]}
    assert pairs == {
        ("lorry", "truck", "synonym") if before["truck"] > before["lorry"] else ("truck", "lorry", "synonym"),
        ("gray", "grey", "spelling") if before["grey"] > before["gray"] else ("grey", "gray", "spelling"),
    }
    assert told["version"] is None
    assert not (made.folder / "vocabulary.csv").exists()
    trial = ask(made, "--show")["list"]
    assert not (made.folder / "vocabulary.csv").exists()
    assert made.run().materialized == []

    applied = ask(made, "--apply")
    assert applied["applied"]
    lines = (made.folder / "vocabulary.csv").read_text().splitlines()
    assert lines[0] == "keyword,merged_into"
    assert len(lines) == 3
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert ("keywords", "a") not in outcome.materialized
    assert ("pareto_set", "random") not in outcome.materialized

    after, merges = counts(made), dict(line.split(",") for line in lines[1:])
    expected: dict[str, set[str]] = {}
    for row in said.itertuples():
        expected.setdefault(merges.get(row.keyword, row.keyword), set()).add(row.image_id)
    assert after == {word: len(names) for word, names in expected.items()}
    assert set(made.frame("keywords")["keyword"]) == set(after)
    assert set(made.bench.lake.as_said().read_all("keywords", ["a", "b"]).column("keyword").to_pylist()) == set(before)
    is_now = selected(made)
    assert {one["image_id"] for one in trial["enters"]} == is_now - was
    assert {one["image_id"] for one in trial["leaves"]} == was - is_now
    assert trial["keyword_count"] == [len(before), len(after)]
    version = made.frame("vocabulary")["version"].unique().item()
    tracking = Tracking(made.project)
    run_id = tracking.latest(experiment="mine", asset="pareto_set")
    assert tracking.client.get_run(run_id).data.params["vocabulary"] == version == applied["version"]
    assert ask(made)["proposals"] == []

    (made.folder / "vocabulary.csv").unlink()
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert counts(made) == before
    assert selected(made) == was


def test_a_word_that_no_image_says_is_a_warning_and_a_broken_line_an_error(made: Made):
    file = made.folder / "vocabulary.csv"
    try:
        file.write_text("keyword,merged_into\nlorrie,truck\n")
        result = made.job("global_job", asset_selection=None)
        checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
        assert not checks["merged_keywords_occur"].passed
        assert "Such as: lorrie" in str(checks["merged_keywords_occur"].description)
        told = readable_findings(made.bench, "vocabulary")["vocabulary"]
        assert told == ["vocabulary.csv: no image has the keyword 'lorrie' (did you mean 'lorry'?)."]

        file.write_text("keyword,merged_into\nlorry,truck\ntruck,lorry\n")
        shown = CliRunner().invoke(main, ["--project", str(made.file), "vocabulary"])
        assert shown.exit_code == 1
        assert "a circle, lorry -> truck -> lorry" in shown.output.replace("\n", " ")
        file.write_text("word,into\n")
        shown = CliRunner().invoke(main, ["--project", str(made.file), "vocabulary"])
        assert "line 1: expected keyword,merged_into, got word,into" in shown.output.replace("\n", " ")
    finally:
        file.unlink()


def test_a_keyword_that_is_left_out_counts_for_nothing_and_an_image_of_such_alone_is_not_listed(made: Made):
    before, said, was = counts(made), made.frame("keywords"), selected(made)
    command = ["--project", str(made.file), "vocabulary", "--leave-out"]
    try:
        shown = CliRunner().invoke(main, [*command, "grey", "--leave-out", "road"]).output
        assert "(left out)" in shown and "lorry" not in shown
        trial = ask(made, "--leave-out", "grey", "--leave-out", "road", "--show")["list"]
        assert ask(made, "--leave-out", "grey", "--leave-out", "road", "--apply")["applied"]
        assert (made.folder / "vocabulary.csv").read_text() == "keyword,merged_into\ngrey,-\nroad,-\n"
        outcome = made.run()
        assert outcome.is_whole, (outcome.failures, outcome.waiting)

        assert counts(made) == {word: count for word, count in before.items() if word not in ("grey", "road")}
        emptied = set(said["image_id"]) - set(said[~said["keyword"].isin(["grey", "road"])]["image_id"])
        assert len(emptied) == 2
        assert not emptied & set(made.frame("pareto_set", "mine")["image_id"])
        assert {one["image_id"] for one in trial["enters"]} == selected(made) - was
        assert "vocabulary" not in readable_findings(made.bench, "vocabulary")
        again = CliRunner().invoke(main, [*command, "grey"])
        assert "'grey' is in vocabulary.csv already" in again.output.replace("\n", " ")
        unknown = CliRunner().invoke(main, [*command, "raod"])
        assert "no image has the keyword 'raod' (did you mean 'road'?)." in unknown.output.replace("\n", " ")
    finally:
        (made.folder / "vocabulary.csv").unlink(missing_ok=True)
        made.run()


def test_proposals_are_chosen_by_rule_and_by_name(made: Made, tmp_path: Any):
    words = tmp_path / "words.csv"
    words.write_text("road, cat\n")

    assert {one["rule"] for one in ask(made, "--rule", "spelling")["proposals"]} == {"spelling"}
    mine = ask(made, "--words", str(words))["proposals"]
    assert ("road", "cat") in {tuple(sorted((one["keyword"], one["merged_into"]), reverse=True)) for one in mine}
    assert {one["keyword"] for one in ask(made, "--without", "gray" if is_gray(made) else "grey")["proposals"]} == {
        one["keyword"] for one in ask(made, "--rule", "synonym")["proposals"]
    }
    words.write_text("00001740 03 n 01 dog 0 001 @ 02083346 n 0000 | a pet\n")  # WordNet's data in place of its index
    wrong = CliRunner().invoke(main, ["--project", str(made.file), "vocabulary", "--words", str(words)])
    assert "has no line with two words" in wrong.output.replace("\n", " ")
    wrong = CliRunner().invoke(main, ["--project", str(made.file), "vocabulary", "--only", "trucc"])
    assert "no merge of the keyword 'trucc' is proposed. Did you mean 'truck'?" in wrong.output.replace("\n", " ")


def test_merges_by_meaning_are_proposed_beside_their_similarity_where_there_is_an_encoder(
    made: Made, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    asked = ["--project", str(made.file), "vocabulary", "--rule", "meaning"]
    monkeypatch.setattr("vlmine_dagster.resources.text_encoder.packaged", lambda name: None)
    refused = CliRunner().invoke(main, asked)
    assert "no text encoder, which the rule `meaning` needs" in refused.output.replace("\n", " ")

    make_sentence_encoder(tmp_path / "words")
    settings = made.file.read_text()
    try:
        made.file.write_text(f"{settings}\ntext_encoder: {json.dumps({'model': str(tmp_path / 'words')})}\n")
        shown = CliRunner().invoke(main, [*asked, "--similar", "0"])
        by_meaning, all_rules = ask(made, "--rule", "meaning", "--similar", "0"), ask(made, "--show", "--similar", "0")
        assert ask(made, "--rule", "meaning", "--similar", "1")["proposals"] == []
    finally:
        made.file.write_text(settings)

    (*_, last) = by_meaning["proposals"]
    assert f"meaning {last['similarity']:.2f}" in shown.output
    others = [one for one in all_rules["proposals"] if one["rule"] != "meaning"]
    named = {word for one in others for word in (one["keyword"], one["merged_into"])}
    assert all(one["similarity"] is None for one in others)
    assert not named & {one["keyword"] for one in by_meaning["proposals"]}
    assert all_rules["proposals"] == others + by_meaning["proposals"]
    assert all_rules["list"]["keyword_count"][1] == all_rules["list"]["keyword_count"][0] - len(all_rules["proposals"])


def is_gray(made: Made) -> bool:
    """Whether the rarer spelling, or the later one in alphabetical order, is gray."""
    return counts(made)["grey"] > counts(made)["gray"]
