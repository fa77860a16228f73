"""Every experiment mines by one rule, and is judged on the same pool, budgets and rare images."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import IMAGES, KEYWORD_ANSWERS, NOVELTY_SCORES, UNCERTAINTY_SCORES, UNRANKED
from vlmine_dagster.mining.selection import budget_count, id_hashes, rank_images
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.scoring.pool import load_pool, signal_values
from vlmine_dagster.scoring.ranking import mined_list
from vlmine_dagster.scoring.retraining import judged_rows, mined_rows, ranked_truth
from vlmine_dagster.settings import ExperimentSettings
from vlmine_dagster.settings.project import Project, parse_settings

IDS = [f"a/{number}" for number in range(8)]
RARE = {"a/0", "a/1", "a/2"}
EXPERIMENTS = {"random": {"signals": ["random"]}, "entropy": {"signals": ["entropy"]}}


@pytest.fixture
def project(tmp_path):
    """Eight images of the pool, three of a rare class."""
    rows = "".join(f"{name},pool,{'comet' if name in RARE else 'road'}\n" for name in IDS)
    (tmp_path / "labels.csv").write_text(f"key,split,class_id\n{rows}")
    labels = {"file": "labels.csv", "oracle": True, "seed_fraction": 1e-9, "few_under": 4, "many_over": 5}
    dataset = {"kind": "folder", "root": ".", "labels": labels}
    settings = parse_settings({"name": "p", "dataset": dataset, "experiments": EXPERIMENTS})
    return Project(settings, tmp_path, str(tmp_path / "home"))


def reader(project, *, outcomes=None, entropies=IDS, contents=IDS, splits=None):
    outcomes = ["ok"] * len(IDS) if outcomes is None else outcomes
    described = [place for place, outcome in enumerate(outcomes) if outcome is not None]
    tables = {
        "images": plain_rows(IMAGES, image_id=IDS, sha256=list(contents), split=splits or ["pool"] * len(IDS)),
        "keyword_answers": plain_rows(
            KEYWORD_ANSWERS,
            image_id=[IDS[place] for place in described],
            outcome=[outcomes[place] for place in described],
        ),
        "uncertainty_scores": plain_rows(
            UNCERTAINTY_SCORES, image_id=list(entropies), entropy=np.linspace(1, 2, len(entropies))
        ),
    }
    columns = {
        **declared(project),
        "pareto_set": ("image_id", "rank"),
    }
    return MemoryReader({name: {"a": rows} for name, rows in tables.items()}, columns, project=project)


def declared(project):
    return {t: c for one in project.settings.experiments.values() for t, c in one.reads.items()}


def ranked(pool, name):
    experiment = pool.project.settings.experiments[name]
    rows = load_pool(pool, experiment)
    values = signal_values(pool, experiment, rows, None)
    order = rank_images(values, rows.column("image_id").to_pylist()).order
    return [rows.column("image_id")[place].as_py() for place in order]


def judged(pool, name):
    names = ranked(pool, name)
    pool.tables["pareto_set"] = {"pool": pa.table({"image_id": names, "rank": range(1, len(names) + 1)})}
    truth = ranked_truth(pool, load_labels(pool.project))
    rows = mined_rows(truth, {0.4: budget_count(0.4, len(truth.labels))})
    return truth, {row["metric"]: row["value"] for row in rows} | {"mined": budget_count(0.4, len(truth.labels))}


def test_images_that_nobody_described_are_mined_by_no_experiment_and_those_without_keywords_by_all(project):
    outcomes = ["refused", None, "empty", *["ok"] * 5]
    pool = reader(project, outcomes=outcomes)

    for name in ("random", "entropy"):
        assert sorted(ranked(pool, name)) == IDS[2:]


def test_a_pool_that_nobody_described_is_refused_with_where_to_look(project):
    pool = reader(project, outcomes=["refused"] * len(IDS))

    with pytest.raises(MissingInputError, match="nothing can be mined, the description of each of 8 images .* failed"):
        ranked(pool, "random")


def test_experiments_are_judged_on_the_same_images_and_budgets_whatever_they_can_rank(project):
    pool = reader(project, entropies=IDS[2:])  # predictions lack two of the three rare images

    truth, entropy = judged(pool, "entropy")
    _, random = judged(pool, "random")

    assert [one["mined"] for one in (random, entropy)] == [3, 3]
    assert [one["few_images"] for one in (random, entropy)] == [3.0, 3.0]
    assert entropy["few_recall"] == 0.0
    assert UNRANKED not in random
    assert entropy[UNRANKED] == 2.0
    last = sorted(IDS[:2], key=lambda name: int(id_hashes([name])[0]))
    assert list(truth.image_ids) == [*reversed(IDS[2:]), *last]


def test_an_experiment_whose_models_were_trained_before_is_judged_without_another_look_at_its_slices(project, tmp_path):
    sliced = {"entropy": {"signals": ["entropy"], "slices": {"by": "weather"}}}
    settings = project.settings.model_dump(mode="json")
    project = Project(parse_settings({**settings, "experiments": sliced}), tmp_path, str(tmp_path / "home"))
    pool = reader(project)
    pool.partition, pool.columns[ITEMS] = "entropy", ("image_id", "split", "outcome", "label")  # and no weather
    pool.tables["pareto_set"] = {"entropy": pa.table({"image_id": IDS, "rank": range(1, len(IDS) + 1)})}
    kept = [{"metric": "accuracy", "value": 0.5}]

    found = judged_rows(pool, None, load_labels(project), kept=kept)

    assert found.rows == kept
    assert list(found.truth.image_ids) == IDS


def test_the_same_bytes_are_listed_once_and_the_list_says_for_how_many_they_stand(project):
    contents = [*IDS[:2], *[IDS[2]] * 3, *IDS[5:]]
    pool = reader(project, contents=contents)
    rows = load_pool(pool, project.settings.experiments["entropy"])
    assert rows.column("image_id").to_pylist() == [*IDS[:3], *IDS[5:]]
    assert rows.column("copy_count").to_pylist() == [0, 0, 2, *[0] * len(IDS[5:])]
    assert set(ranked(pool, "random")) == {*IDS[:3], *IDS[5:]}


def test_of_copies_one_that_was_described_is_listed(project):
    outcomes = ["empty" if place == 2 else "ok" for place in range(len(IDS))]
    pool = reader(project, outcomes=outcomes, contents=[*IDS[:2], *[IDS[2]] * 2, *IDS[4:]])
    assert IDS[3] in ranked(pool, "random")
    assert IDS[2] not in ranked(pool, "random")


@pytest.mark.parametrize("split", ["seed", "test", "val"])
def test_what_is_labelled_or_judges_is_not_mined_under_another_name(project, split):
    splits = [split, *["pool"] * (len(IDS) - 1)]
    pool = reader(project, contents=[*[IDS[0]] * 2, *IDS[2:]], splits=splits)
    assert set(ranked(pool, "random")) == set(IDS[2:])


@pytest.mark.parametrize(("share", "said"), [(0.02, 'keyword "broccoli" in 1 image'), (0.99, "rarest content")])
def test_a_reason_uses_keywords_only_where_they_tell_images_apart(project, share, said):
    names = [f"a/{number}" for number in range(300)]
    common = [f"kind {number}" for number in range(40)] if share < 0.5 else ["jellyfish"]
    counts = pa.table(
        {
            "keyword": [*common, "broccoli"],
            "image_count": [round(300 * share)] * len(common) + [1],
            "image_share": [round(300 * share) / 300] * len(common) + [1 / 300],
        }
    )
    tables = {
        "images": plain_rows(IMAGES, image_id=names, sha256=names, split=["pool"] * 300),
        "keyword_answers": plain_rows(KEYWORD_ANSWERS, image_id=names, outcome=["ok"] * 300),
        "novelty_scores": plain_rows(
            NOVELTY_SCORES,
            image_id=names,
            novelty_min=[1.0, *[0.1] * 299],
            min_count=[1, *[10] * 299],
            rarest_keyword=["broccoli", *["jellyfish"] * 299],
        ),
    }
    rare = ExperimentSettings(signals=("novelty_min",))
    columns = {**rare.reads, "vocab_counts": ("keyword", "image_count", "image_share")}
    by_partition = {name: {"a": rows} for name, rows in tables.items()} | {"vocab_counts": {"pool": counts}}

    found = mined_list(MemoryReader(by_partition, columns, project=project), rare, budget=1.0, labels=None)

    assert said in found.selected.column("reason")[0].as_py()
    assert ("broccoli" in found.selected.column("reason")[0].as_py()) == (share < 0.5)
