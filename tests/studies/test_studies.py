"""Studies on the small project: every one runs, is kept, and says what it may say."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Made

from benchmarks.recall import main, recall_by_rounds
from benchmarks.tails import CutPool, Tail
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.learning import retraining as learning
from vlmine_dagster.mining.sign_flips import sign_flip_p_values
from vlmine_dagster.mining.significance import compare_arms
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.scoring.names import Naming
from vlmine_dagster.studies import QUESTIONS, correlation, draws, retraining
from vlmine_dagster.studies.jobs import run_study, study_of
from vlmine_dagster.studies.study import StudyRun, conduct

DISAGREEMENT = [name for name, signal in SIGNALS.items() if signal.needs in ("passes", "members")]


def rows_of(**values: list[float]) -> list[draws.Row]:
    """Recall at 10% by arm, a draw each."""
    return [
        {"draw": draw, "arm": arm, "budget": 0.1, "mined": 40, "few_recall": value, "few_recall_lt20": value}
        for arm, found in values.items()
        for draw, value in enumerate(found)
    ]


def test_every_arm_sees_the_same_draws_of_the_seed(finished: Made):
    run = StudyRun(draws.STUDY, finished.bench, draws=2)

    rows = run.rows()

    pool = run.pool()
    first, again, other = pool.draw(0), StudyRun(draws.STUDY, finished.bench).pool().draw(0), pool.draw(1)
    assert first.seed.tolist() == again.seed.tolist() != other.seed.tolist()
    assert set(first.seed) | set(first.rest) == set(range(len(pool.ids)))
    assert all(np.array_equal(values, again.signals[name], equal_nan=True) for name, values in first.signals.items())
    arms = list(finished.project.settings.experiments)
    assert [(row["draw"], row["arm"]) for row in rows if row["budget"] == 0.1] == [(d, a) for d in (0, 1) for a in arms]
    assert not any(name.startswith("test/") for name in pool.ids)


def test_signals_that_experiments_name_are_drawn_too_and_what_is_left_out_is_told_with_its_reason(finished: Made):
    plain = {"signals": ["random"]}
    named = ["oracle", "tail_first", "seed_distance", "embedding_sparsity", "keyword_sparsity"]
    StudyRun(draws.STUDY, finished.bench, draws=1).rows()  # kept without them
    finished.settings(
        experiments={
            "random": plain,
            **{name: {"signals": [name]} for name in named},
            "diverse": {**plain, "diversity": {"kind": "coverage"}},
            "by_rules": {**plain, "variant": "rules"},
        },
        variants={"rules": {"keyworder": {"kind": "rules"}}},
        task_model={"kind": "probe", "members": 3},
    )

    run = StudyRun(draws.STUDY, finished.bench, draws=1)
    rows = run.rows()

    assert not {*DISAGREEMENT} & run.draw("draw-0").signals.keys()
    recall = {row["arm"]: row["few_recall"] for row in rows if row["budget"] == 0.3}
    assert set(recall) == {"random", *named}
    assert recall["oracle"] == max(recall.values())
    told = draws.conclude(run, rows).words
    assert [sentence.partition(", because ")[0] for sentence in told if sentence.startswith("not drawn")] == [
        "not drawn: diverse",
        "not drawn: by_rules",
    ]
    assert told[-1].endswith("not of the project's task model (probe of 3 members)")


def test_an_arm_of_disagreement_changes_no_other_and_is_kept_by_its_members_and_passes(finished: Made):
    plain = {"random": {"signals": ["random"]}, "entropy": {"signals": ["entropy"]}}
    finished.settings(experiments=plain)
    alone = StudyRun(draws.STUDY, finished.bench, draws=1)
    before = alone.rows()
    model = {"kind": "probe", "members": 3, "dropout_passes": 4}
    named = {"votes": {"signals": ["vote_entropy"]}, "passes": {"signals": ["dropout_bald"], "fusion": "rank_sum"}}
    finished.settings(experiments={**plain, **named}, task_model=model)

    run = StudyRun(draws.STUDY, finished.bench, draws=1)
    rows = run.rows()

    assert [row for row in rows if row["arm"] in plain] == before
    assert {row["arm"] for row in rows} == {*plain, *named}
    first, again = run.pool().draw(0), StudyRun(draws.STUDY, finished.bench).pool().draw(0)
    assert all(np.array_equal(first.signals[name], again.signals[name]) for name in DISAGREEMENT)
    finished.settings(task_model={**model, "members": 2})
    fewer = StudyRun(draws.STUDY, finished.bench, draws=1)
    assert fewer.inputs != run.inputs
    assert set(fewer.draw("draw-0").signals["ensemble_variation_ratio"]) <= {0.0, 0.5}
    assert np.array_equal(fewer.draw("draw-0").signals["dropout_bald"], first.signals["dropout_bald"])


def test_what_is_kept_is_asked_anew_after_a_label_was_corrected(finished: Made):
    before = StudyRun(draws.STUDY, finished.bench, draws=1).inputs
    file = finished.folder / "labels.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("pool,coffee", "pool,rocket", 1), encoding="utf-8")

    corrected = StudyRun(draws.STUDY, finished.bench, draws=1).inputs

    assert corrected != before
    finished.settings(neighbour_search="index")
    assert StudyRun(draws.STUDY, finished.bench, draws=1).inputs != corrected


@pytest.mark.parametrize("disagrees", [{"members": 3}, {"dropout_passes": 4}], ids=["members", "passes"])
def test_members_and_passes_of_a_draw_say_what_those_of_vlmine_run_said(finished: Made, disagrees: dict[str, int]):
    named = [
        name for name in DISAGREEMENT if SIGNALS[name].needs in ("members" if "members" in disagrees else "passes")
    ]
    finished.settings(experiments={"all": {"signals": named}}, task_model={"kind": "probe", **disagrees})
    outcome = finished.run()
    assert outcome.is_whole, outcome.failures

    draw = StudyRun(draws.STUDY, finished.bench).pool().draw(0)

    said = finished.frame("uncertainty_scores").set_index("image_id").loc[draw.ids]
    for name in named:
        # a run asks shard by shard, a draw asks all at once: the last bits of single precision differ
        np.testing.assert_allclose(draw.signals[name], said[name], atol=2e-6)
        assert draw.signals[name].min() >= 0
        assert draw.signals[name].max() > 0 or not name.endswith("bald")  # so easy a pool that votes may be unanimous
    assert set(DISAGREEMENT) & draw.signals.keys() == set(named)


def test_the_study_finds_what_vlmine_run_found_for_the_same_draw(finished: Made):
    rows = StudyRun(draws.STUDY, finished.bench, draws=1).rows()
    judged = finished.frame("retrain_metrics", "fused")

    found = {row["budget"]: row["few_recall"] for row in rows if row["arm"] == "fused"}

    judged = judged[(judged["metric"] == "few_recall") & (judged["seed"] == -1)]
    assert found == dict(zip(judged["budget"], judged["value"], strict=True))


def test_a_second_round_learns_from_the_first_and_mines_none_of_it_again(finished: Made):
    pool = StudyRun(draws.STUDY, finished.bench).pool()
    first = pool.draw(0)

    second = pool.draw(0, mined=first.ids[:5])

    assert set(second.ids) == set(first.ids[5:])
    assert len(second.seed) == len(first.seed) + 5
    assert pool.draw(0).ids == first.ids
    fused = finished.project.settings.experiments["fused"]
    once, twice = (recall_by_rounds(pool, fused, number=0, budget=0.3, rounds=rounds) for rounds in (1, 2))
    rows = StudyRun(draws.STUDY, finished.bench, draws=1).rows()
    assert once == next(row["few_recall"] for row in rows if row["arm"] == "fused" and row["budget"] == 0.3)
    assert 0 < twice <= 1


def test_the_seed_alone_is_trained_once_a_draw_and_test_images_are_read_once(finished: Made, monkeypatch):
    trained: list[int] = []
    read: list[int] = []
    fit, lesson = learning.ProbeLearner.fit, retraining.lesson
    monkeypatch.setattr(
        learning.ProbeLearner,
        "fit",
        lambda learner, taught, *a, **k: trained.append(len(taught.labels)) or fit(learner, taught, *a, **k),
    )
    monkeypatch.setattr(retraining, "lesson", lambda *args: read.append(len(args[-1])) or lesson(*args))
    run = StudyRun(retraining.STUDY, finished.bench, draws=2)

    rows = run.rows()

    settings = finished.project.settings
    assert len(trained) == 2 * (1 + len(settings.experiments) * len(settings.retraining.budgets))
    assert len(read) == 3  # the test images, and what is learned from in each draw
    unmined = [row for row in rows if row["budget"] == 0 and row["draw"] == 0]
    assert len({row["all_accuracy"] for row in unmined}) == 1
    assert [row["arm"] for row in unmined] == list(settings.experiments)


def test_retraining_in_a_study_finds_what_vlmine_run_found_for_the_same_draw(finished: Made):
    rows = StudyRun(retraining.STUDY, finished.bench, draws=1).rows()
    judged = finished.frame("retrain_metrics", "fused")

    judged = judged[judged["metric"] == "all_accuracy"]
    found = {row["budget"]: row["all_accuracy"] for row in rows if row["arm"] == "fused"}
    assert found == dict(zip(judged["budget"], judged["value"], strict=True))


def test_another_tail_is_cut_with_counts_and_novelty_of_its_own(finished: Made):
    whole = StudyRun(draws.STUDY, finished.bench).pool()
    tail = Tail(1, class_count=2, imbalance=4, largest=8, smallest_supply=8)

    pool = CutPool(whole, tail.places(whole.truth))

    assert sorted(pool.class_counts.values()) == [2, 8]
    assert pool.bins.keys() == set(pool.truth.tolist())
    assert max(pool.unit_counts.values()) <= len(pool.ids) == 10
    found = dict(zip(whole.ids, whole.novelty["novelty_min"], strict=True))
    assert all(new >= found[name] for name, new in zip(pool.ids, pool.novelty["novelty_min"], strict=True))
    assert set(pool.draw(0).ids) < set(pool.ids)
    with pytest.raises(ConfigError, match=r"classes have 500 images or more, expected 2. Ask for fewer --classes or"):
        Tail(1, class_count=2, smallest_supply=500).places(whole.truth)


def test_a_tail_without_names_differs_in_what_names_tell_alone(finished: Made):
    whole = StudyRun(draws.STUDY, finished.bench).pool()
    pool = CutPool(whole, np.arange(len(whole.ids)))
    classes = sorted(pool.class_counts)
    vars(pool)["naming"] = Naming((), [*classes, *pool.naming.tags[len(classes) :]])  # as if the tagger knew them

    named, nameless = pool.draw(0), pool.nameless().draw(0)

    differs = {name for name in named.signals if not np.array_equal(named.signals[name], nameless.signals[name], True)}
    assert differs == {"class_rank_rarity", "expected_rarity"}
    assert not pool.nameless().naming.tags


def test_a_drawn_seed_of_one_class_is_refused_with_what_to_do(finished: Made):
    whole = StudyRun(draws.STUDY, finished.bench).pool()
    pool = CutPool(whole, np.flatnonzero(whole.truth == "coffee"))

    with pytest.raises(ConfigError, match=r"draw 3 of the seed: \d+ images of one class, expected at least 2"):
        pool.draw(3)


def test_recall_of_another_tail_is_printed_with_and_without_names_and_labels(finished: Made):
    cut = ["--tail-seed", "2", "--classes", "2", "--imbalance", "3", "--largest", "12", "--supply", "12"]
    asked = ["--project", str(finished.file), *cut, "--seed-fraction", "0.6", "--draws", "2"]

    result = CliRunner().invoke(main, asked, catch_exceptions=False)

    assert "Tail(number=2, class_count=2, imbalance=3.0, largest=12, smallest_supply=12): 16 images" in result.output
    for arm in ("fused", "fused, classes without names", "fused, nothing labelled", "random"):
        assert f"| {arm} | 0." in result.output or f"| {arm} | 1." in result.output


def test_a_study_that_was_stopped_goes_on_where_it_was(finished: Made, monkeypatch: pytest.MonkeyPatch):
    StudyRun(draws.STUDY, finished.bench, draws=1).rows()
    run = StudyRun(draws.STUDY, finished.bench, draws=2)
    worked: list[str] = []
    judge = draws.STUDY.work
    monkeypatch.setattr(run, "study", replace(draws.STUDY, work=lambda r, step: worked.append(step) or judge(r, step)))

    rows = run.rows()

    assert worked == ["draw-1"]
    assert {row["step"] for row in rows} == {"draw-0", "draw-1"}
    assert {row["draw"] for row in draws.kept_rows(finished.bench)} == {0, 1}


def test_kept_draws_are_forgotten_when_an_experiment_changes(finished: Made):
    StudyRun(draws.STUDY, finished.bench, draws=1).rows()
    finished.settings(experiments={"random": {"signals": ["random"]}})

    assert draws.kept_rows(finished.bench) == []


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in QUESTIONS
        if name not in ("prompts", "describers", "detection", "detector", "driving", "efficiency", "unseen")
    ],
)
def test_every_study_answers_in_words_with_rows_plots_and_nested_runs(name: str, finished: Made):
    report = run_study(name, finished.instance, settings_file=str(finished.file), draws=2)

    folder = Path(report.folder)
    assert any(words.startswith("many/medium/few classes: ") for words in report.words) == (name != "verify")
    assert all(cells.keys() == table[0].keys() for table in report.tables.values() for cells in table)
    assert (folder / "rows.csv").read_text().count("\n") > 1
    assert all(sentence in (folder / "report.md").read_text() for sentence in report.words)
    assert all(plot.read_bytes()[:4] == b"\x89PNG" for plot in folder.glob("*.png"))
    tracking = Tracking(finished.project, part="studies")
    nested = tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`mlflow.parentRunId` = '{report.mlflow_run_id}' and status = 'FINISHED'"
    )
    top = tracking.client.get_run(report.mlflow_run_id)
    assert top.data.tags["vlmine.study"] == name
    assert report.words[0] in top.data.tags["mlflow.note.content"]
    assert len(nested) >= len({run.info.run_name for run in nested}) > (0 if name == "verify" else 1)


def test_every_study_is_a_dagster_job(finished: Made):
    jobs = {job.name for job in build_definitions(finished.project, settings_file=str(finished.file)).jobs}

    assert {f"study_{name}" for name in QUESTIONS} <= jobs


def test_what_a_study_lacks_is_said(finished: Made):
    with pytest.raises(ConfigError, match="no study 'draw'. Did you mean 'draws'"):
        run_study("draw", finished.instance, settings_file=str(finished.file))
    finished.bench.lake.remove("vocab_counts", "pool")
    with pytest.raises(MissingInputError, match="vocab_counts of pool is not there. Run `vlmine run` first"):
        conduct(draws.STUDY, finished.bench, draws=1)
    with pytest.raises(ConfigError, match="vocab_counts of pool is not there"):
        run_study("draws", finished.instance, settings_file=str(finished.file), draws=1)


def test_a_study_of_a_project_that_is_not_fresh_says_so_first(finished: Made):
    whole = run_study("draws", finished.instance, settings_file=str(finished.file), draws=1)
    assert not any("not fresh" in words for words in whole.words)
    finished.settings(keyworder={"kind": "rules"})

    stale = run_study("draws", finished.instance, settings_file=str(finished.file), draws=1)

    assert stale.words[0].endswith(
        "not fresh, so these results may mix settings: run `vlmine run`, then the study again"
    )
    assert stale.words[0] in (Path(stale.folder) / "report.md").read_text()


def test_a_study_without_an_oracle_says_what_it_needs(finished: Made):
    content = finished.project.settings.model_dump(mode="json")["dataset"]
    finished.settings(dataset={**content, "labels": {**content["labels"], "oracle": False}})

    with pytest.raises(ConfigError, match="needs labels of the whole pool"):
        conduct(draws.STUDY, finished.bench, draws=1)


def test_curves_hold_mean_spread_and_area_of_each_arm():
    curves = draws.ArmCurves(rows_of(entropy=[0.2, 0.4], fused=[0.5, 0.5]))

    assert curves.spread_table()[1] == {"arm": "fused", "10%": "0.500 ± 0.000", "area": "0.250 ± 0.000"}
    assert curves.areas("entropy") == [0.1, 0.2]
    assert draws.reference_of(curves.arms) == "entropy"


def test_a_difference_is_starred_where_it_is_shown():
    rng = np.random.default_rng(0)
    base = rng.normal(0.3, 0.02, 30)
    curves = draws.ArmCurves(rows_of(entropy=list(base), fused=list(base + 0.1), other=list(base)))

    table = draws.difference_table(curves.compared("entropy", fewest=30))

    assert table[0] == {"arm": "fused", "10%": "+0.100 [+0.100, +0.100] *", "area": "+0.050 [+0.050, +0.050] *"}
    assert "*" not in table[1]["10%"]


def test_five_budgets_are_not_five_chances():
    shares = (0.02, 0.05, 0.1, 0.2, 0.4)
    values = np.random.default_rng(7).normal(0.3, 0.02, (10, 4, len(shares)))
    rows = [
        {"draw": d, "arm": f"a{arm}", "budget": share, "mined": 9, "few_recall": values[d, arm, k]}
        for d in range(10)
        for arm in range(4)
        for k, share in enumerate(shares)
    ]
    curves = draws.ArmCurves(rows)
    columns = {name: compare_arms(points, reference="a0", fewest=10) for name, points in curves.points.items()}
    gaps = [
        np.subtract(curves.points[name][one.arm], curves.points[name]["a0"])
        for name in columns
        for one in columns[name]
    ]
    together = iter(sign_flip_p_values(np.column_stack(gaps)))

    found = curves.compared("a0", fewest=10)

    wanted = {name: [max(one.p_value, next(together)) for one in column] for name, column in columns.items()}
    assert {name: [one.p_value for one in column] for name, column in found.items()} == wanted
    assert sum(one.p_value > old.p_value for name in found for one, old in zip(found[name], columns[name], strict=True))


def test_a_signal_correlates_with_its_likes_in_every_region(finished: Made):
    run = StudyRun(correlation.STUDY, finished.bench, draws=1)

    rows = run.rows()

    pairs = {(row["first"], row["second"]) for row in rows}
    assert pairs == set(
        combinations([name for name, one in SIGNALS.items() if name != "random" and one.needs != "examples"], 2)
    )
    assert {row["region"] for row in rows} == set(correlation.REGIONS)
    alike = [r for r in rows if (r["first"], r["second"], r["region"]) == ("entropy", "variation_ratio", "all")]
    assert alike[0]["spearman"] > 0.5


def test_signals_that_say_the_same_stand_together_and_no_advice_is_given_about_the_oracle(finished: Made):
    names = ["entropy", "novelty_min", "margin", "oracle"]
    found = {("entropy", "margin"): 0.95, ("margin", "oracle"): 0.9, ("entropy", "oracle"): 0.92}
    rows = [
        {"draw": 0, "region": region, "first": a, "second": b, "spearman": found.get((a, b), 0.1), "jaccard": 0.25}
        for region in correlation.REGIONS
        for a, b in combinations(names, 2)
    ]

    told = correlation.conclude(StudyRun(correlation.STUDY, finished.bench), rows)

    ((_, table),) = told.tables.items()
    assert [row["signals"] for row in table][:2] == ["entropy, margin", "entropy, oracle"]
    assert told.words[0].endswith(": entropy and margin (+0.95)") or told.words[0].endswith(
        ": margin and entropy (+0.95)"
    )
    assert "oracle" not in " ".join(told.words[:3])
    assert told.words[3].endswith("(Jaccard): entropy (0.25), margin (0.25), novelty_min (0.25)")
    assert told.words[4].startswith("ensembles are of 5 bagged probes, dropout passes 20 through one probe")
    assert set(told.files) == {"jaccard.png", *(f"spearman{end}.png" for end in ("", "-many", "-medium", "-few"))}


def test_the_report_can_be_read_again(finished: Made):
    report = conduct(study_of("pooling"), finished.bench)

    kept = json.loads((Path(report.folder) / "report.json").read_text())

    assert kept["words"] == report.words
    assert kept["mlflow_url"] == report.mlflow_url
