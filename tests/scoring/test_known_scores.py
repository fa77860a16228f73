"""Scores of a made-up world are those that were written down: nobody changes a formula or a constant unawares.

Who changes a score on purpose says so in the changelog, raises the version of the stage, and writes the numbers anew:

    python tests/scoring/test_known_scores.py
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vlmine_dagster.scoring.class_sizes import class_sizes
from vlmine_dagster.scoring.evidence import Evidence
from vlmine_dagster.scoring.names import ClassNames, Naming
from vlmine_dagster.scoring.posteriors import Learned
from vlmine_dagster.scoring.rarity import rarity_by_labels
from vlmine_dagster.scoring.surroundings import Placed, surroundings

FILE = Path(__file__).parent.parent / "data" / "known_scores.json"
SIZES = (150, 110, 80, 60, 45, 30, 22, 16, 12, 9, 6, 4)
WORDS = tuple(f"word {letter}" for letter in "abcdefghijklmnopqrst")
ROUGHLY = 2e-3  # machines differ in the last digits of a fit, and fits in the last digits of a score
BY_RANKS = {"class_rank_rarity": 0.1}  # of which one is much in a short list
READER = SimpleNamespace(project=SimpleNamespace(settings=SimpleNamespace(neighbour_search="exact")))


def world():
    """Images of 12 classes of very different sizes, with noisy features, tags that half know them, and keywords."""
    draw = np.random.default_rng(3)
    classes = draw.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    features = 1.6 * draw.normal(size=(len(SIZES), 16))[classes] + draw.normal(size=(len(classes), 16))
    logits = 1.5 * draw.normal(size=(len(classes), len(WORDS)))
    logits[np.arange(len(classes)), classes] += 2.5
    tags = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    words = [[WORDS[k] for k in np.argsort(-row)[:2]] for row in tags]
    return Evidence(features, tags, words), classes, draw


IMAGES, CLASSES, DRAW = world()
CHANCE = DRAW.random(len(CLASSES)) < 0.2
PICKED = np.zeros(len(CLASSES), dtype=bool)
PICKED[np.concatenate([np.flatnonzero(k == CLASSES)[:8] for k in range(len(SIZES))])] = True
HALF = CHANCE & (CLASSES % 2 == 0)  # every other class without any label
COUNTS = {word: sum(word in words for words in IMAGES.keywords) for word in WORDS}
NAMED = Naming(tuple(f"Word {letter}" for letter in "bdfhjl"), WORDS)
PROJECTS = {
    "a random fifth is labelled": (CHANCE, Naming()),
    "a random fifth is labelled, and half of the classes have names": (CHANCE, NAMED),
    "eight of each class are labelled": (PICKED, Naming()),
    "half of the classes have no label": (HALF, Naming()),
    "half of the classes have no label but a name": (HALF, NAMED),
    "half of the classes have no label but a name, and keywords are others than tags": (
        HALF,
        Naming(NAMED.announced, WORDS, are_keywords_tags=False),
    ),
}


def around(names=None):
    features, tags = ([getattr(IMAGES, name)] for name in ("features", "tag_probabilities"))
    return surroundings(READER, lambda: features, lambda: tags, names=names)


def labelled(is_labelled, naming):
    """The columns that labels give, and what is estimated of the sizes of classes."""
    pool, seed = np.flatnonzero(~is_labelled), np.flatnonzero(is_labelled)
    some, known = IMAGES.take(pool), IMAGES.take(seed)
    labels = [f"Word {'abcdefghijkl'[k]}" for k in CLASSES[seed]]
    placed = Placed(around(), pool, seed)
    found = rarity_by_labels(some, known, labels, COUNTS, around=placed, naming=naming, few_under=20)
    found.pop("rare_class")
    counts = np.bincount(CLASSES[seed], minlength=len(SIZES))
    learned = Learned(known, CLASSES[seed], len(SIZES), some)
    sizes = class_sizes(some, learned.by_features, known=counts, by_chance=counts, fraction=len(seed) / len(CLASSES))
    found["by_chance"] = sizes.by_chance
    found["distance"] = np.array([sizes.distance])
    return found


def unlabelled():
    """The columns that need no label."""
    found = around(ClassNames(NAMED, lambda: iter(IMAGES.keywords), 20))
    return {**found.columns, "nameless": found.nameless_rarity, "tag_weight": np.array([found.tag_weight])}


def told(columns):
    """What is written down of columns: some of their values, and the mean of all."""
    return {
        name: [round(float(value), 6) for value in (*values[:: max(1, len(values) // 12)], np.mean(values))]
        for name, values in columns.items()
    }


def scores():
    return {name: told(labelled(*project)) for name, project in PROJECTS.items()} | {
        "nothing is labelled": told(unlabelled())
    }


@pytest.mark.parametrize("name", [*PROJECTS, "nothing is labelled"])
def test_scores_are_what_they_were(name):
    known = json.loads(FILE.read_text())[name]
    found = told(labelled(*PROJECTS[name]) if name in PROJECTS else unlabelled())

    assert set(found) == set(known)
    for column, values in known.items():
        near = pytest.approx(values, rel=BY_RANKS.get(column, ROUGHLY), abs=1e-6, nan_ok=True)
        assert found[column] == near, column


def written(scores):
    """JSON with one line for each column."""
    of = {
        name: ",\n".join(f"  {json.dumps(column)}: {json.dumps(values)}" for column, values in columns.items())
        for name, columns in scores.items()
    }
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {{\n{lines}\n }}" for name, lines in of.items()) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(written(scores()))
