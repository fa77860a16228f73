"""Recall of few-shot images by the default experiments, over draws of the labelled seed.

    python benchmarks/recall.py --project vlmine.yaml --draws 10

Run `vlmine run` on the project first: features and keywords do not depend on the draw and are read from its lake. For
each draw the seed is drawn anew, the probe fitted, every experiment ranked; prints mean and sd over draws at each
budget, and the paired difference to `entropy` with its bootstrap interval.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from assets.descriptions import matrix
from assets.rarity import Evidence, told_by_seed
from resources.labels import load_labels
from resources.sources import shard_of
from resources.workbench import Workbench
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.training import fit_probe
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.longtail import mining_metrics, shot_bins
from vlmine_dagster.mining.rarity import soft_novelty
from vlmine_dagster.mining.selection import budget_count, random_signal, rank_images
from vlmine_dagster.mining.significance import mean_interval, paired_bootstrap
from vlmine_dagster.mining.uncertainty import margin, predictive_entropy, variation_ratio
from vlmine_dagster.project import Project, default_experiments

BUDGETS = (0.02, 0.05, 0.1, 0.2)


class Pool:
    """A project's pool, read once: ids, true classes, features, novelty."""

    def __init__(self, bench: Workbench):
        shards = bench.lake.partitions("embeddings")
        rows = bench.lake.read_all("embeddings", shards, columns=["image_id", "embedding", "tag_probabilities"])
        novelty = bench.lake.read_all("novelty_scores", shards).to_pandas().set_index("image_id")
        labels = load_labels(bench.project)
        assert labels is not None
        ids = rows.column("image_id").to_pylist()
        keys = [name[len(shard_of(name, shards)) + 1 :] for name in ids]
        splits = [labels.visible(name, key)[1] for name, key in zip(ids, keys, strict=True)]
        kept = np.array([split != "test" for split in splits])
        self.ids = [name for name, is_kept in zip(ids, kept, strict=True) if is_kept]
        self.keys = [key for key, is_kept in zip(keys, kept, strict=True) if is_kept]
        self.features = matrix(rows, "embedding")[kept]
        self.truth = np.array([labels.truth(name, key) for name, key in zip(self.ids, self.keys, strict=True)])
        tags = matrix(rows, "tag_probabilities")[kept]
        self.evidence = Evidence(self.features, tags, self._keywords(bench, shards))
        self.image_counts = {row["keyword"]: row["image_count"] for row in bench.lake.read("vocab_counts").to_pylist()}
        self.by_tags = {"sparsity": -semantic_density(tags), "soft_novelty": soft_novelty(tags)}
        aligned = novelty.reindex(self.ids)
        self.novelty = {name: aligned[name].to_numpy(float) for name in ("novelty_min", "novelty_mean")}
        settings = bench.project.settings.dataset.labels
        assert settings is not None
        self.bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)

    def _keywords(self, bench: Workbench, shards: list[str]) -> list[list[str]]:
        words: dict[str, list[str]] = {name: [] for name in self.ids}
        for row in bench.lake.read_all("keywords", shards, columns=["image_id", "keyword"]).to_pylist():
            if row["image_id"] in words:
                words[row["image_id"]].append(row["keyword"])
        return list(words.values())


def recalls(bench: Workbench, pool: Pool, draw: int) -> dict[str, list[float]]:
    """Return few-shot recall at each budget by experiment, for one draw of the seed."""
    settings = bench.project.settings
    drawn = settings.model_copy(
        update={"dataset": settings.dataset.model_copy(update={"labels": _with_draw(settings, draw)})}
    )
    labels = load_labels(Project(drawn, bench.project.folder, bench.project.home))
    assert labels is not None
    pairs = zip(pool.ids, pool.keys, strict=True)
    is_seed = np.array([labels.visible(name, key)[1] == "seed" for name, key in pairs])
    classes, numbers = np.unique(pool.truth[is_seed], return_inverse=True)
    probe = fit_probe(pool.features[is_seed], numbers, class_count=len(classes))
    rest = np.flatnonzero(~is_seed)
    probabilities = predict_probabilities(probe, pool.features[rest])
    ids = [pool.ids[place] for place in rest]
    signals = {
        "random": random_signal(ids, seed=draw),
        "entropy": predictive_entropy(probabilities),
        "variation_ratio": variation_ratio(probabilities),
        "margin": -margin(probabilities),
        **{name: values[rest] for name, values in {**pool.novelty, **pool.by_tags}.items()},
        **told_by_seed(
            pool.evidence.take(rest),
            pool.evidence.take(np.flatnonzero(is_seed)),
            pool.truth[is_seed].tolist(),
            pool.image_counts,
            few_under=settings.dataset.labels.few_under,
        ),
    }
    truth = pool.truth[rest]
    found = {}
    for name, experiment in default_experiments().items():
        order = rank_images({s: signals[s] for s in experiment.signals}, ids, fusion=experiment.fusion).order
        counts = [budget_count(share, len(ids)) for share in BUDGETS]
        found[name] = [
            mining_metrics(truth[order[:n]].tolist(), truth.tolist(), bins=pool.bins)["few_recall"] for n in counts
        ]
    return found


def _with_draw(settings: Any, draw: int) -> Any:
    return settings.dataset.labels.model_copy(update={"draw": draw})


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", default=10, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file with every number.")
def main(file: str, draws: int, out: Path | None) -> None:
    """Print a Markdown table of recall by experiment and budget."""
    bench = Workbench(settings_file=file)
    pool = Pool(bench)
    results: dict[str, list[list[float]]] = {}
    for draw in range(draws):
        for name, values in recalls(bench, pool, draw).items():
            results.setdefault(name, []).append(values)
        print(f"draw {draw} done", file=sys.stderr)
    print(f"{len(pool.ids)} images, {draws} draws, few-shot: fewer than 20 images\n")
    print("| experiment | " + " | ".join(f"{share:.0%}" for share in BUDGETS) + " | minus entropy at 10% |")
    print("| --- |" + " ---: |" * (len(BUDGETS) + 1))
    reference = np.array(results["entropy"])
    for name, values in results.items():
        found = np.array(values)
        cells = [f"{mean_interval(found[:, k]).mean:.3f} ± {found[:, k].std(ddof=1):.3f}" for k in range(len(BUDGETS))]
        gap = paired_bootstrap(found[:, 2], reference[:, 2])
        print(f"| {name} | {' | '.join(cells)} | {gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) |")
    if out is not None:
        out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
