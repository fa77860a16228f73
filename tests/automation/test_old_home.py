"""A home of the first version: what was paid for, labelled and recorded is taken over, tables are made again."""

import hashlib
import sqlite3

import pytest
from conftest import Made, Maker, members
from first_version import REPLIES

from vlmine_dagster.cli.compare import rounds
from vlmine_dagster.resources.rounds import load_rounds

# As a run of that version wrote them, with this describer, prompt and experiment.
VARIANT = "92d36690b6db8956"
LABEL = "openai vlm, describe-general-v1"
DESCRIBER = {"kind": "openai", "model": "vlm", "base_url": "http://127.0.0.1:1/v1"}  # where nobody answers
POOL = {
    "pool/a": members({"coffee": 3, "rocket": 1}, start=0),
    "pool/b": members({"chelsea": 3}, start=10),
    "test/t": members({"coffee": 1, "chelsea": 1, "rocket": 1}, start=50),
}
TAGS = {"vlmine.experiment": "rare", "vlmine.variant": "default"}
MINED = {"vlmine.asset": "pareto_set", "vlmine.inputs": "75354beed0cd3db0", "vlmine.signals": "novelty_min, entropy"}
JUDGED = {"vlmine.asset": "retrain_metrics", "vlmine.inputs": "7c99f12d0e29db70"}
METRICS = {"few_images": 3.0, "few_recall": 1 / 3, "few_accuracy": 2 / 3, "all_accuracy": 2 / 3, "labelled_images": 4.0}


def said(name: str, digest: str) -> str:
    """An answer; those that repeat would be asked about again, to find out whether the model sees the pictures."""
    return f"A photo of a {name.partition('-')[0]} with number {digest[:6]} on a table."


def keep_answers(made: Made) -> None:
    folder = made.folder / ".vlmine/cache"
    folder.mkdir()
    with sqlite3.connect(folder / "replies.sqlite") as database:
        database.executescript(REPLIES)
        for shard in ("pool/a", "pool/b"):
            for name, data in POOL[shard].items():
                digest = hashlib.sha256(data).hexdigest()
                row = (VARIANT, digest, said(name, digest), "ok", None, 174, 12, 0.05, 0.021)
                database.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO variants VALUES (?, ?)", (VARIANT, LABEL))
        database.execute("INSERT INTO ledger VALUES (?, '2026-11-28', 7, 1218, 84, 0.147)", (VARIANT,))
    database.close()


def keep_labels(made: Made) -> None:
    folder = made.folder / ".vlmine/labels"
    folder.mkdir()
    (folder / "round-0001.csv").write_text("image_id,class_name\npool/a/coffee-0,coffee\npool/a/rocket-0,rocket\n")


def keep_history(made: Made) -> str:
    """Record the run of an experiment and its retraining as that version did; return the id of the first."""
    client = made.bench.tracking.client
    experiment = client.create_experiment("small", tags={"vlmine.project": "small"})
    mined = client.create_run(experiment, run_name="rare", tags={**TAGS, **MINED}).info.run_id
    for name, value in {"experiment": "rare", "fusion": "pareto", "round": "0", "task_model": "probe"}.items():
        client.log_param(mined, name, value)
    child = {**TAGS, **JUDGED, "mlflow.parentRunId": mined}
    judged = client.create_run(experiment, run_name="rare: retraining", tags=child).info.run_id
    for run_id in (mined, judged):
        for name, value in METRICS.items():
            client.log_metric(run_id, name, value, step=1)
        client.set_terminated(run_id)
    return str(mined)


@pytest.fixture
def taken_over(make_project: Maker, monkeypatch) -> tuple[Made, str]:
    """A project over a home of that version, run by today's code."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    rows = [
        f"{name.removesuffix('.jpg')},{'test' if shard == 'test/t' else 'pool'},{name.partition('-')[0]}"
        for shard, content in POOL.items()
        for name in content
    ]
    made = make_project(
        POOL,
        labels="\n".join(["key,split,class_id", *rows]),
        describer=DESCRIBER,
        keyworder={"kind": "rules"},
        experiments={"rare": {"signals": ["novelty_min", "entropy"]}},
    )
    keep_answers(made)
    keep_labels(made)
    run_id = keep_history(made)
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return made, run_id


def test_answers_labels_and_history_of_the_first_version_are_taken_over(taken_over):
    made, old_run = taken_over

    described = made.frame("descriptions").set_index("image_id")
    assert set(described.outcome) == {"ok"}
    assert len(described) == 7
    digest = hashlib.sha256(POOL["pool/a"]["rocket-0.jpg"]).hexdigest()
    assert described.description["pool/a/rocket-0"] == said("rocket-0.jpg", digest)
    (variant,) = made.bench.cache.variants()
    assert (variant.variant, variant.label, variant.reply_count, variant.calls) == (VARIANT, LABEL, 7, 7)
    assert made.bench.cache.spent_usd() == pytest.approx(0.147)

    (kept,) = load_rounds(made.project)
    assert kept.labels == {"pool/a/coffee-0": "coffee", "pool/a/rocket-0": "rocket"}
    found = made.frame("images").set_index("image_id")
    assert set(found.split[list(kept.labels)]) == {"seed"}

    history = {row["round"]: row for row in rounds(made.bench)}
    assert set(history) == {0, 1}
    assert history[0]["mlflow_run_ids"] == {"rare": old_run}
    assert (history[0]["labelled_images"], history[0]["few_accuracy"]) == (4.0, pytest.approx(2 / 3))
    assert history[1]["labelled_images"] >= 2
    assert made.run().materialized == []
