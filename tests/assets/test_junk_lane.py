"""The junk lane in a project: last in every list, counted, shown, and switched off."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Made, Maker, jpeg, members
from PIL import Image, ImageFilter

from vlmine_dagster.cli.explain import selection_card
from vlmine_dagster.cli.main import main
from vlmine_dagster.cli.mined import mined
from vlmine_dagster.cli.status import table_states
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.resources.verdicts import Judgement, verdict_log
from vlmine_dagster.review.desk import Desk
from vlmine_dagster.review.listing import Filter
from vlmine_dagster.scoring.findings import readable_findings


def coded(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def spoiled() -> dict[str, bytes]:
    coffee = Image.open(BytesIO(jpeg("coffee", 40))).convert("RGB")
    return {
        "black.jpg": coded(coffee.point(lambda value: value // 20)),
        "blurred.jpg": coded(coffee.filter(ImageFilter.GaussianBlur(9))),
        "flat.jpg": coded(Image.new("RGB", (180, 140), (90, 140, 60))),
        "strip.jpg": coded(coffee.crop((0, 20, 180, 32))),
    }


KINDS = {"b/black": "too dark", "b/blurred": "blurred", "b/flat": "flat colour", "b/strip": "odd shape"}


@pytest.fixture(scope="module")
def made(make_project: Maker) -> Made:
    shards = {
        "a": members({"coffee": 4, "chelsea": 4, "brick": 2}, start=0),
        "b": {**members({"coffee": 3, "chelsea": 3, "astronaut": 2}, start=10), **spoiled()},
    }
    arms = {"mine": {"signals": ["novelty_min"]}, "random": {"signals": ["random"]}}
    project = make_project(shards, experiments=arms, budget=1.0)
    outcome = project.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return project


def test_the_lane_comes_last_in_every_list_whatever_the_budget_and_says_why(made: Made):
    for arm in ("mine", "random"):
        rows = made.frame("pareto_set", arm)
        lane = rows[rows["junk"].notna()]
        assert lane.set_index("image_id")["junk"].to_dict() == KINDS
        assert sorted(lane["rank"]) == [19, 20, 21, 22]
        assert not lane["selected"].any()
        assert rows[rows["junk"].isna()]["selected"].all()
        assert set(lane["reason"]) == {f"in the junk lane: {kind}" for kind in KINDS.values()}


def test_explain_tells_the_measure_and_other_commands_the_count(made: Made, monkeypatch: pytest.MonkeyPatch):
    card: Any = selection_card(made.bench, "b/black", ["a", "b"])
    assert card["verdict"] == "not mined: it is in the junk lane (too dark)"
    assert card["junk"]["measure"] == "brightest"
    assert card["junk"]["value"] <= card["junk"]["limit"] == 0.125 < card["junk"]["typical"]
    assert selection_card(made.bench, "a/coffee-0", ["a", "b"])["junk"] is None
    assert [row["image_id"] for row in mined(made.bench, "mine", 2, is_junk=True)] == list(
        made.frame("pareto_set", "mine")["image_id"][18:20]
    )
    monkeypatch.chdir(made.folder)
    lane = CliRunner().invoke(main, ["top", "--experiment", "mine", "--junk"]).output
    assert "Junk lane of mine" in lane and all(name in lane for name in KINDS)
    (told,) = readable_findings(made.bench)["junk"]
    assert told.startswith("4 images are in the junk lane: 1 blurred, 1 flat colour, 1 odd shape, 1 too dark.")
    (row,) = (row for row in table_states(made.bench, ["a", "b"]) if row["table"] == "junk")
    assert (row["rows"], row["findings"]) == (4, [told])


def test_the_report_and_the_review_page_have_a_lane_of_their_own(made: Made):
    page = made.bench.project.state_folder("reports").joinpath("mine.html").read_text(encoding="utf-8")
    sheet, _, lane = page.partition('id="junk"')
    for name in KINDS:
        assert f"<bdi>{name}</bdi>" in lane
        assert f"<bdi>{name}</bdi>" not in sheet

    desk = Desk(made.bench)
    listing = desk.listing("mine")
    assert desk.facts("mine")["junk"] == 4

    def shown(**chosen: Any) -> set[str]:
        return {listing.image_id(position) for position in desk.view(listing, Filter(**chosen)).positions.tolist()}

    assert shown(lane="junk", is_selected=True) == set(KINDS)
    assert shown(lane="list").isdisjoint(KINDS)
    assert len(shown(lane="all")) == 22
    (item,) = desk.items(listing, desk.view(listing, Filter(lane="junk", text="black")), 0, 9)
    assert item["junk"] == "too dark"


def test_what_reviewers_call_anything_else_leaves_the_lane(made: Made):
    log = verdict_log(made.bench.project)
    for number, (name, verdict) in enumerate([("b/black", Verdict.RARE), ("b/flat", Verdict.JUNK)]):
        log.add(Judgement(name, "ana", verdict, experiment="mine", rank=19), token=str(number))
    log.finish_round()
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    rows = made.frame("pareto_set", "mine")
    assert rows["image_id"][0] == "b/black"
    assert rows[rows["junk"].notna()].shape[0] == 3


def test_keywords_that_are_listed_put_their_images_into_the_lane(made: Made):
    words = made.frame("keywords")
    word = words[words["image_id"] == "b/astronaut-10"]["keyword"].iloc[0]
    of_it = set(words[words["keyword"] == word]["image_id"])
    before = set(made.frame("junk")["image_id"])
    made.settings(out_of_domain=[f" {word.upper()} ", f"{word}z"])

    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert {asset for asset, _ in outcome.materialized} <= {"junk", "pareto_set", "retrain_metrics", "mining_report"}
    rows = made.frame("junk").set_index("image_id")
    assert set(rows.index) == before | of_it
    assert set(rows.loc[sorted(of_it - before), "kind"]) == {"out of domain"}
    lane = made.frame("pareto_set", "mine").set_index("image_id")["junk"].dropna()
    assert set(lane[lane == "out of domain"].index) == of_it - before
    card: Any = selection_card(made.bench, "b/astronaut-10", ["a", "b"])
    assert card["junk"]["measure"] == "number of its keywords that out_of_domain lists"
    assert (card["junk"]["value"], card["junk"]["limit"]) == (1, 1)
    told = readable_findings(made.bench, "junk")["junk"]
    assert told[1:] == [f"out_of_domain: no image has the keyword '{word}z' (did you mean '{word}'?)."]


def test_keep_leaves_junk_in_the_lists_and_opens_no_picture_again(made: Made, monkeypatch: pytest.MonkeyPatch):
    before = made.frame("images")["sharpness"]
    assert np.isfinite(before).all()
    made.settings(junk="keep", out_of_domain=[])
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert not [name for name in map(str, outcome.materialized) if "images" in name]
    rows = made.frame("pareto_set", "random")
    assert rows["junk"].isna().all()
    assert rows["selected"].all()
    assert readable_findings(made.bench) == {}
    (row,) = (row for row in table_states(made.bench, ["a", "b"]) if row["table"] == "junk")
    assert row["skipped"] == "junk: keep (vlmine.yaml) leaves junk in the lists"
    monkeypatch.chdir(made.folder)
    said = CliRunner().invoke(main, ["top", "--experiment", "random", "--junk"]).output
    assert "The junk lane of random is empty." in said
