"""A round of review: verdicts change the next list, classes become labels, MLflow hears of it."""

import json

import pytest
from click.testing import CliRunner
from conftest import Made

from vlmine_dagster.cli.forecast import Forecast, forecast_run, print_forecast
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.resources.rounds import load_rounds
from vlmine_dagster.resources.verdicts import Judgement, verdict_log
from vlmine_dagster.review.outlook import missing_for_outlook, review_outlooks
from vlmine_dagster.review.rounds import finish_round, named_classes, open_class_lines
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.verdicts import evidence_of
from vlmine_dagster.studies.reading import PoolReader


def word(image_id: str) -> Verdict:
    """Rocket is rare, chelsea is common, coffee is junk."""
    verdicts = {"rocket": Verdict.RARE, "chelsea": Verdict.COMMON, "coffee": Verdict.JUNK}
    return verdicts[image_id.rpartition("/")[2].partition("-")[0]]


def test_a_finished_round_changes_the_next_list_and_is_recorded(finished: Made, monkeypatch: pytest.MonkeyPatch):
    finished.keep_experiments("pareto", "random")
    finished.settings(review={"hourly_usd": 36.0})
    before = finished.frame("pareto_set", "pareto").sort_values("rank")
    control = finished.frame("pareto_set", "random")
    names = before["image_id"].tolist()
    log = verdict_log(finished.project)
    rare = [name for name in names if word(name) is Verdict.RARE]
    assert len(rare) >= 2  # of the four rockets; the others are labelled or test
    sunk = [name for name in names if word(name) is not Verdict.RARE][:6]
    for name in [*rare[:1], *sunk]:
        log.add(Judgement(name, "ana", word(name), seconds=5.0, experiment="pareto", rank=names.index(name) + 1))
    log.add(Judgement(sunk[0], "ben", Verdict.RARE, seconds=5.0, experiment="pareto", rank=1))

    monkeypatch.chdir(finished.folder)
    said = CliRunner().invoke(main, ["verdicts", "--finish", "--json"], catch_exceptions=False)
    done = json.loads(said.output)
    assert (done["number"], done["label_round"]) == (1, None)
    assert done["summary"]["disputed"] == {sunk[0]: {"ana": word(sunk[0]).value, "ben": "rare"}}
    tracking = finished.bench.tracking
    (run,) = [one for one in tracking.finished("verdicts") if one.experiment == "pareto"]
    metrics = tracking.client.get_run(run.run_id).data.metrics
    assert (metrics["judged"], metrics["confirmed_rare"], metrics["minutes"]) == (6, 1, pytest.approx(40 / 60))
    assert metrics["usd_per_rare"] == pytest.approx(8 * 5 * 36 / 3600)
    assert metrics["precision"] == pytest.approx(1 / 6)

    outcome = finished.run(experiments=["pareto", "random"])
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    kept = finished.frame("verdicts")
    assert len(kept) == 8
    assert set(kept["round"]) == {1}
    after = finished.frame("pareto_set", "pareto").sort_values("rank")
    order = after["image_id"].tolist()
    assert order[0] == rare[0]
    assert after["reason"].iloc[0].endswith(" · confirmed rare")
    assert set(order[-5:]) == set(sunk[1:])  # what is disputed counts for neither
    assert sorted(order) == sorted(names)
    assert finished.frame("pareto_set", "random").equals(control)


def test_dollars_per_rare_item_are_compared_with_those_of_a_random_list(
    finished: Made, monkeypatch: pytest.MonkeyPatch
):
    finished.settings(review={"hourly_usd": 36.0, "seconds_per_verdict": 10.0})
    log = verdict_log(finished.project)
    seen: set[str] = set()
    for arm, rare_count in (("pareto", 6), ("random", 2)):
        listed = finished.frame("pareto_set", arm).sort_values("rank")["image_id"].tolist()
        for rank, name in enumerate([name for name in listed if name not in seen][:12], start=1):
            verdict = Verdict.RARE if rank <= rare_count else Verdict.COMMON
            log.add(Judgement(name, "ana", verdict, experiment=arm, rank=rank))
            seen.add(name)

    monkeypatch.chdir(finished.folder)
    said = CliRunner().invoke(main, ["verdicts", "--finish"], catch_exceptions=False).output
    assert "random costs" in said
    (run,) = [one for one in finished.bench.tracking.finished("verdicts") if one.experiment == "pareto"]
    metrics = finished.bench.tracking.client.get_run(run.run_id).data.metrics
    assert metrics["random_costs_times"] == pytest.approx(3.0)  # 12 verdicts for 2 in place of 6
    assert 0 < metrics["random_costs_times_low"] < 3.0
    (control,) = [one for one in finished.bench.tracking.finished("verdicts") if one.experiment == "random"]
    assert "random_costs_times" not in finished.bench.tracking.client.get_run(control.run_id).data.metrics


def test_a_class_that_all_name_becomes_a_label(finished: Made):
    log = verdict_log(finished.project)
    with pytest.raises(SourceError, match="nothing was judged yet"):
        finish_round(finished.bench)
    names = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].tolist()
    log.add(Judgement(names[0], "ana", Verdict.RARE, class_name="rocket", experiment="pareto", rank=1))
    done = finish_round(finished.bench)

    assert done.labels == {names[0]: "rocket"}
    assert load_rounds(finished.project)[-1].labels == {names[0]: "rocket"}
    with pytest.raises(SourceError, match="nothing was judged since the last round"):
        finish_round(finished.bench)


def test_classes_that_reviewers_named_say_which_labelled_images_are_rare(finished: Made):
    reader = PoolReader(finished.bench)
    names = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].tolist()
    kind = {name: name.rpartition("/")[2].partition("-")[0] for name in names}
    rare, common = ([name for name in names if kind[name] == one][:3] for one in ("rocket", "coffee"))
    standing = {**dict.fromkeys(rare[:2], Verdict.RARE), **dict.fromkeys(common, Verdict.COMMON)}
    ranks, places = ({name: place + start for place, name in enumerate(names)} for start in (1, 0))
    known = labelled_images(reader)
    named = known | {name: kind[name] for name in standing}

    assert (
        evidence_of(reader, standing, ranks, places, len(names), labels=known)[0].labelled is None
    )  # nobody named any
    found = evidence_of(reader, standing, ranks, places, len(names), labels=named)[0].labelled
    shards = [sorted(name for name in known if name.startswith(shard)) for shard in reader.shards]
    votes = dict(zip([name for names in shards for name in names], found.is_rare, strict=True))
    assert min(vote for name, vote in votes.items() if known[name] == "rocket") > 0.85
    assert max(vote for name, vote in votes.items() if known[name] == "coffee") < 0.1


def test_reviewers_who_name_two_classes_or_call_it_junk_make_no_label():
    said = [
        Judgement("a", "ana", Verdict.RARE, class_name="lion"),
        Judgement("a", "ben", Verdict.RARE, class_name="tiger"),
        Judgement("b", "ana", Verdict.RARE, class_name="lion"),
        Judgement("b", "ben", Verdict.JUNK),
        Judgement("c", "ana", Verdict.COMMON, class_name="cat"),
        Judgement("c", "ben", Verdict.UNSURE),
    ]

    said += [
        Judgement("d", "ana", Verdict.RARE, class_name="lion"),
        Judgement("d", "ben", Verdict.RARE, class_name="lion"),
        Judgement("d", "cy", Verdict.DUPLICATE),
        Judgement("e", "ana", Verdict.UNSURE, class_name="lion"),
    ]

    named = named_classes(said)
    assert named.labels == {"c": "cat"}
    assert named.left_out == {
        "reviewers name different classes": 1,
        "a reviewer calls the item junk, a duplicate or wrong keyword": 2,
        "who named it is unsure": 1,
    }


def test_classes_that_become_no_labels_are_counted_with_the_reason(finished: Made, monkeypatch: pytest.MonkeyPatch):
    log = verdict_log(finished.project)
    names = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].tolist()
    for who in ("ana", "ben"):
        for rank, name in enumerate(names[:2], start=1):
            log.add(Judgement(name, who, Verdict.RARE, class_name="rocket", experiment="pareto", rank=rank))
    log.add(Judgement(names[0], "cy", Verdict.JUNK, experiment="pareto", rank=1))
    assert open_class_lines(finished.bench, log.standing(rounds="open")) == [
        "1 named class to become labels",
        "1 named class left out: a reviewer calls the item junk, a duplicate or wrong keyword",
    ]

    monkeypatch.chdir(finished.folder)
    said = " ".join(CliRunner().invoke(main, ["verdicts", "--finish"], catch_exceptions=False).output.split())
    assert "1 class that was named is round 1 of the labels." in said
    assert "1 named class left out: a reviewer calls the item junk, a duplicate or wrong keyword." in said


def test_a_class_that_the_file_of_classes_lost_keeps_the_round_open(finished: Made):
    log = verdict_log(finished.project)
    name = finished.frame("pareto_set", "pareto")["image_id"].iloc[0]
    log.add(Judgement(name, "ana", Verdict.RARE, class_name="zebra", experiment="pareto", rank=1))
    finished.name_classes("rocket", "coffee", "chelsea")

    (_, line) = open_class_lines(finished.bench, log.standing(rounds="open"))
    assert line.startswith("class 'zebra' is not among the project's 3 classes. Correct it, or add it to the file")
    with pytest.raises(SourceError, match=r"add it to the file of classes \(dataset.labels.classes\)"):
        finish_round(finished.bench)
    assert log.standing(rounds="open")


def test_what_has_no_price_is_not_told_as_free(finished: Made, monkeypatch: pytest.MonkeyPatch):
    name = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].iloc[0]
    log = verdict_log(finished.project)
    log.add(Judgement(name, "ana", Verdict.RARE, seconds=60.0, experiment="pareto", rank=1))
    monkeypatch.chdir(finished.folder)
    said = CliRunner().invoke(main, ["verdicts"], catch_exceptions=False).output

    assert "1 item judged in 1.0 minutes, by ana 1." in said
    assert "$" not in said
    assert "no price set (review.hourly_usd, review.usd_per_label)" in said.replace("\n", " ")
    as_json = json.loads(CliRunner().invoke(main, ["verdicts", "--json"], catch_exceptions=False).output)
    assert (as_json["usd"], as_json["lists"][0]["cost"]) == (None, None)
    finished.settings(review={"hourly_usd": 30.0})
    priced = CliRunner().invoke(main, ["verdicts"], catch_exceptions=False).output
    assert "1.0 minutes ($0.50), by ana 1." in priced
    assert "$ per rare" in priced


def test_a_forecast_names_the_setting_that_an_estimate_of_a_review_lacks(
    finished: Made, capsys: pytest.CaptureFixture[str]
):
    assert missing_for_outlook(finished.bench) == ""
    finished.settings(review={"seconds_per_verdict": 4.0})
    assert missing_for_outlook(finished.bench).endswith("set review.hourly_usd or review.usd_per_label.")
    finished.settings(review={"hourly_usd": 30.0})
    print_forecast(forecast_run(finished.bench, [], sample_count=2))
    assert "No estimate for a review: set review.seconds_per_verdict" in capsys.readouterr().out
    finished.settings(review={"hourly_usd": 30.0, "seconds_per_verdict": 4.0})
    assert missing_for_outlook(finished.bench) == ""


def test_a_forecast_tells_what_a_review_will_cost(finished: Made, capsys: pytest.CaptureFixture[str]):
    assert review_outlooks(finished.bench) == []  # nobody said what an hour costs
    finished.settings(review={"hourly_usd": 36.0, "seconds_per_verdict": 5.0, "usd_per_label": 0.1})
    (before,) = [one for one in review_outlooks(finished.bench) if one.experiment == "pareto"]
    names = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].tolist()
    selected = int(finished.frame("pareto_set", "pareto")["selected"].sum())

    assert (before.count, before.usd, before.source) == (selected, pytest.approx(selected * 0.05), "labels")
    log = verdict_log(finished.project)
    for rank, name in enumerate(names[:4], start=1):
        verdict = Verdict.RARE if rank == 1 else Verdict.COMMON
        log.add(Judgement(name, "ana", verdict, seconds=60.0, experiment="pareto", rank=rank))
    (after,) = [one for one in review_outlooks(finished.bench) if one.experiment == "pareto"]
    assert (after.source, after.precision.mean) == ("verdicts", 0.25)
    assert after.usd_per_rare.mean == pytest.approx(0.05 / 0.25 + 0.1)
    assert after.usd_per_rare.low < after.usd_per_rare.mean < after.usd_per_rare.high

    print_forecast(Forecast((), 0.0, None, None, (after,)))
    assert "0.30 (" in capsys.readouterr().out
