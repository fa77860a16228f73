"""Studies that label in rounds, and the one of classes without a label, on the small project."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import Made

from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.selectors.state import PoolState
from vlmine_dagster.mining.selectors.table import SELECTORS
from vlmine_dagster.studies import cold_start, efficiency, selectors, unseen
from vlmine_dagster.studies.draws import ArmCurves
from vlmine_dagster.studies.rounds import LabelledPool, by_names, label_in_rounds, labelled_pool
from vlmine_dagster.studies.study import Findings, Row, Study, StudyRun


def answered(study: Study, made: Made, *, draws: int = 1) -> tuple[list[Row], Findings]:
    run = StudyRun(study, made.bench, draws=draws)
    rows = run.rows()
    return rows, study.conclude(run, rows)


@pytest.fixture(scope="module")
def line() -> LabelledPool:
    """Two classes on a line, 40 images of one and 8 of the other, and four test images."""
    values = np.concatenate([np.linspace(0, 1, 40), np.linspace(2, 3, 8)]).astype(np.float32)[:, None]
    truth = np.repeat([0, 1], [40, 8])
    test = np.array([[0.2], [0.8], [2.2], [2.8]], dtype=np.float32)
    return LabelledPool(
        values, truth, ["common", "rare"], {"common": "many", "rare": "few"}, test, ["common"] * 2 + ["rare"] * 2
    )


def test_each_round_labels_what_was_picked_and_judges_it(line: LabelledPool):
    seen: list[list[int]] = []

    def pick(state: PoolState, count: int, _ask: object) -> np.ndarray:
        seen.append(state.labelled.tolist())
        return state.unlabelled[::-1][:count]

    rows = label_in_rounds(line, pick, start=np.array([0, 1, 40]), totals=[5, 10], random_seed=0)

    assert seen == [[0, 1, 40], [0, 1, 40, 46, 47]]
    assert [row["labelled"] for row in rows] == [3, 5, 10]
    assert [row["few_recall"] for row in rows] == [0, 2 / 7, 1]  # 40 was there before
    assert rows[0]["classes"] == rows[0]["few_classes"] == 1
    assert rows[-1]["balanced_accuracy"] == 1


def test_a_cold_start_has_no_row_before_its_first_round_and_an_unknown_class_is_not_discovered(line: LabelledPool):
    rows = label_in_rounds(line, SELECTORS["core_set"].pick, start=np.empty(0, np.int64), totals=[1, 2], random_seed=0)

    assert [(row["labelled"], row["classes"]) for row in rows] == [(1, 0.5), (2, 1.0)]
    assert rows[0]["balanced_accuracy"] == 0.5  # one class is all that the probe knows


def test_an_arm_looks_for_classes_by_their_names_where_the_tagger_knows_any(finished: Made):
    run = StudyRun(efficiency.STUDY, finished.bench, draws=1)
    assert by_names(run) == {}

    pool, tags = labelled_pool(run), finished.bench.encoder.classes
    run.memory[LabelledPool] = replace(pool, classes=[*pool.classes[1:], tags[3]])

    [(name, pick)] = by_names(run).items()
    unknown = np.full((len(pool.truth), len(pool.classes)), 1 / len(pool.classes))
    state = PoolState(pool.features, np.full(len(pool.truth), -1), unknown)
    likeliest = int(run.pool().evidence.tag_probabilities[:, 3].argmax())
    assert name == "class_balance_by_name"
    assert pick(state, 1, lambda _place: len(pool.classes) - 1).tolist() == [likeliest]


def test_the_study_of_selectors_compares_all_with_chance_entropy_and_fused_from_one_seed(finished: Made):
    rows, found = answered(selectors.STUDY, finished)

    begins = [row for row in rows if row["budget"] == 0]
    assert {row["arm"] for row in rows} == {*SELECTORS, "fused"}
    assert len({row["balanced_accuracy"] for row in begins}) == 1
    left = {row["draw"]: 37 - row["labelled"] for row in begins}
    assert all(row["mined"] == budget_count(0.1, left[row["draw"]]) for row in rows if row["budget"] == 0.1)
    table = next(rows for title, rows in found.tables.items() if title.startswith("Recall of few-shot images at"))
    assert list(table[0]) == ["arm", "random", "entropy", "fused"]
    assert table[0]["random"] == ""
    assert any(sentence.startswith("most recall of few-shot images at 10%: ") for sentence in found.words)


def test_selectors_that_find_equally_much_are_all_named_as_the_best():
    found = {"random": [0.5, 0.25], "entropy": [0.25, 0.25], "fused": [0.5, 0.25]}
    rows = [
        {"arm": arm, "budget": budget, "draw": 0, "mined": 1, "recall": value}
        for arm, values in found.items()
        for budget, value in zip((0.1, 0.2), values, strict=True)
    ]
    curves = ArmCurves(rows, "recall")

    assert selectors.best_words(curves, "recall", 0.1) == ["most recall at 10%: random, fused, 0.500"]
    assert selectors.best_words(curves, "recall", 0.2) == ["most recall at 20%: random, entropy, fused, 0.250"]
    rows[0]["recall"] = 0.0
    words = selectors.best_words(ArmCurves(rows, "recall"), "recall", 0.1)
    assert words[0] == "most recall at 10%: fused, 0.500"
    assert len(words) == 1 + 2  # chance and entropy are compared with it


def test_the_study_of_efficiency_counts_labels_and_says_whether_the_target_is_met(finished: Made, monkeypatch):
    monkeypatch.setattr(efficiency, "SHARES", (0.3, 0.8))

    _, found = answered(efficiency.STUDY, finished)

    table = next(iter(found.tables.values()))
    assert {row["arm"] for row in table} == set(SELECTORS) - {"random"}
    assert all(0 < float(row["share"].split()[0]) <= 1 for row in table)
    assert any("the target of 0.33 is" in sentence for sentence in found.words)


def test_efficiency_needs_test_images(finished: Made):
    run = StudyRun(efficiency.STUDY, finished.bench, draws=1)
    pool = labelled_pool(run)
    run.memory[LabelledPool] = replace(pool, test_features=pool.test_features[:0], test_truth=[])

    with pytest.raises(MissingInputError, match="no image is labelled as `test`"):
        run.rows()


def test_shares_needed_are_paired_with_random_labels_of_the_same_draw_and_never_reached_counts_as_all():
    def curve(arm: str, draw: int, *accuracy: float) -> list[dict[str, object]]:
        counts = (100, 200, 400)
        return [
            {"arm": arm, "draw": draw, "labelled": count, "balanced_accuracy": value}
            for count, value in zip(counts, accuracy, strict=True)
        ]

    rows = [
        *curve("random", 0, 0.1, 0.2, 0.5),
        *curve("random", 1, 0.1, 0.3, 0.4),
        *curve("good", 0, 0.1, 0.5, 0.6),
        *curve("good", 1, 0.1, 0.2, 0.3),
    ]

    assert efficiency.shares_needed(rows)["good"] == [200 / 400, 1.0]
    assert efficiency.labels_needed([100, 200], [0.5, 0.6], 0.4) == 100


def test_the_cold_start_asks_from_nothing_in_one_command(finished: Made, monkeypatch):
    monkeypatch.setattr(cold_start, "ROUND", 4)

    rows, found = answered(cold_start.STUDY, finished)

    assert {row["arm"] for row in rows} >= {
        "random",
        "cluster_wise",
        "cluster_wise, fused",
        "cluster_wise, class_balance",
    }
    assert [row["labelled"] for row in rows if row["arm"] == "random"] == [4, 8, 12, 16]
    first = {row["arm"]: row["classes"] for row in rows if row["labelled"] == 4}
    assert first["cluster_wise"] == first["cluster_wise, fused"]
    assert any(sentence.startswith("nothing is labelled at first; each round asks for 4") for sentence in found.words)


def test_unseen_classes_have_no_label_and_their_names_are_known_or_not(finished: Made):
    finished.settings(
        dataset={**finished.project.settings.dataset.model_dump(mode="json", exclude_unset=True)}
        | {"labels": {"file": "labels.csv", "oracle": True, "seed_fraction": 0.4, "few_under": 20, "many_over": 20}}
    )
    run = StudyRun(unseen.STUDY, finished.bench, draws=1)
    few = [name for name, shot in run.pool().bins.items() if shot == "few"]

    rows = run.rows()

    hidden = np.random.default_rng(0).permutation(sorted(few))[: len(few) // 2]
    drawn = run.pool().drawn(0) & ~np.isin(run.pool().truth, hidden)
    draw = run.pool().labelled(0, drawn)
    assert len(hidden) == 1
    assert not set(hidden) & set(run.pool().truth[draw.seed])
    sought = [name in hidden for name in draw.truth[draw.rank(finished.project.settings.experiments["fused"])]]
    row = next(row for row in rows if row["arm"] == "fused" and row["budget"] == 0.1)
    assert row["few_recall"] == pytest.approx(sum(sought[: row["mined"]]) / sum(sought))
    assert unseen.STUDY.conclude(run, rows).words


def test_unseen_needs_two_few_shot_classes(finished: Made):
    with pytest.raises(ConfigError, match="1 few-shot class, expected at least 2"):
        StudyRun(unseen.STUDY, finished.bench, draws=1).rows()
