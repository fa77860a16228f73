"""Lists that learn from verdicts: the table of what was said, and the order that follows from it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.tables import VERDICTS
from vlmine_dagster.domain.verdicts import CONFIRMED, REJECTED, Verdict
from vlmine_dagster.mining.class_sizes import few_shot_probability
from vlmine_dagster.mining.judging import standing_verdicts
from vlmine_dagster.mining.main_axes import main_axes
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.mining.verdict_rule import FEWEST, Judged, Labelled, next_order, rare_class_probability, unit_rows
from vlmine_dagster.resources.verdicts import Judgement
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.names import few_shot_under
from vlmine_dagster.scoring.pool import image_ids
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.settings import ExperimentSettings

AXES = 128
_SAMPLE = 20_000
_MOST_VOTES = 4_000
_OTHERS = 1_000
_MOST_LABELLED = 2_000
_LEAST_VARIANCE = 1e-3  # of a pool of few images, whose last axes hold next to nothing
_DOUBLED = np.log(2.0)
_ABOUT_CLASSES = frozenset({Verdict.RARE, Verdict.COMMON})  # junk says nothing of what it shows
CONFIRMED_NOTE = " · confirmed rare"
_ALIKE = " · resembles what was confirmed rare"
_UNLIKE = " · resembles what was rejected"

Vectors = npt.NDArray[Any]
View = Callable[[pa.Table], Vectors]
"""Makes vectors of length 1 of rows of `embeddings`."""


def verdict_rows(judgements: Sequence[Judgement], known: pa.ChunkedArray) -> pa.Table:
    """Return the rows of `verdicts` about items that are there."""
    there = set(known.to_pylist())
    rows = [
        {
            "image_id": one.image_id,
            "reviewer": one.reviewer,
            "verdict": one.verdict.value,
            "class_name": one.class_name,
            "seconds": one.seconds,
            "experiment": one.experiment,
            "list_rank": one.rank,
            "judged_at": one.judged_at,
            "round": one.round,
        }
        for one in sorted(judgements, key=lambda one: (one.image_id, one.reviewer))
        if one.image_id in there
    ]
    return pa.Table.from_pylist(rows, VERDICTS.schema)


def by_verdicts(
    reader: Reader, experiment: ExperimentSettings, ranking: Ranking, pool: pa.Table
) -> tuple[Ranking, Mapping[int, str]]:
    """Put a ranking into the order that finished verdicts ask for (`mining.verdict_rule`).

    Args:
        reader: Reads `verdicts`, `embeddings` and `items` (image_id, label, split, outcome), if the list learns from
            verdicts.
        experiment: The experiment.
        ranking: Its ranking.
        pool: `image_id` of the images that the ranking's places mean.

    Returns:
        The ranking, and what reasons say of it, by place; the same ranking and nothing where there are no verdicts.
    """
    if not experiment.can_learn_from_verdicts or not reader.needs("verdicts"):
        return ranking, {}
    rows = reader.read("verdicts", ["image_id", "reviewer", "verdict", "list_rank"]).to_pylist()
    standing = standing_verdicts((row["image_id"], row["reviewer"], Verdict(row["verdict"])) for row in rows)
    places = {name: place for place, name in enumerate(image_ids(pool))}
    first = _places_of(standing, places, lambda verdict: verdict in CONFIRMED)
    last = _places_of(standing, places, lambda verdict: verdict not in CONFIRMED)
    ranks = {row["image_id"]: row["list_rank"] for row in rows}
    labels = labelled_images(reader)
    judged, evidence = evidence_of(reader, standing, ranks, places, pool.num_rows, labels=labels)
    order, lift = next_order(
        ranking.order, judged, [found[ranking.order] for found in evidence], first=first, last=last
    )
    at = {place: number for number, place in enumerate(ranking.order.tolist())}
    moved = np.array([at[place] for place in order.tolist()], dtype=np.int64)
    found = replace(ranking, order=order, front=ranking.front[moved], rank_sum=ranking.rank_sum[moved])
    return found, _notes(order, lift, first)


def _places_of(
    standing: Mapping[str, Verdict], places: Mapping[str, int], is_meant: Callable[[Verdict], bool]
) -> npt.NDArray[np.int64]:
    found = [places[name] for name, verdict in standing.items() if is_meant(verdict) and name in places]
    return np.array(found, dtype=np.int64)


def _notes(order: npt.NDArray[np.int64], lift: npt.NDArray[np.float64], first: npt.NDArray[np.int64]) -> dict[int, str]:
    """Return what reasons add, by place: of confirmed items, and where resemblance doubled or halved the odds."""
    alike = dict.fromkeys(order[lift >= _DOUBLED].tolist(), _ALIKE)
    unlike = dict.fromkeys(order[lift <= -_DOUBLED].tolist(), _UNLIKE)
    return {**alike, **unlike, **dict.fromkeys(first.tolist(), CONFIRMED_NOTE)}


def evidence_of(
    reader: Reader,
    standing: Mapping[str, Verdict],
    ranks: Mapping[str, int],
    places: Mapping[str, int],
    count: int,
    *,
    labels: Mapping[str, str],
) -> tuple[Judged, list[npt.NDArray[np.float64]]]:
    """Return the items that vote, and by view how much every item resembles the confirmed ones more than the rejected.

    Args:
        reader: Reads `embeddings`.
        standing: The verdicts that stand, by item.
        ranks: Rank by item, of the list on which it was judged.
        places: Place by item.
        count: Places.
        labels: Class of each labelled item; judged ones among them say which classes are rare.
    """
    voting = _evenly([name for name, said in standing.items() if said in CONFIRMED | REJECTED], most=_MOST_VOTES)
    views = views_of(reader)
    voting, vectors = vectors_of(reader, voting, views)
    judged = Judged(
        np.array([ranks[name] for name in voting], dtype=np.int64),
        np.array([standing[name] in CONFIRMED for name in voting], dtype=np.bool_),
        tuple(vectors),
        tuple(vectors_of(reader, _sample_of(places, standing), views)[1]),
        _labelled(reader, standing, labels, len(places), views),
    )
    evidence = [np.zeros(count) for _ in views]
    if not judged.says_something:
        return judged, evidence
    for rows in vectors_by_shard(reader):
        names = rows.column("image_id").to_pylist()
        mine = np.array([number for number, name in enumerate(names) if name in places], dtype=np.int64)
        at = np.array([places[names[number]] for number in mine], dtype=np.int64)
        for number, (found, view) in enumerate(zip(evidence, views, strict=True)):
            found[at] = judged.resemblance_of(view(rows.take(mine)), number)
    return judged, evidence


def _labelled(
    reader: Reader, standing: Mapping[str, Verdict], labels: Mapping[str, str], pool_size: int, views: Sequence[View]
) -> Labelled | None:
    """Return the labelled items that vote, None where too few judged items have a class to tell which are rare."""
    judged = {name: standing[name] for name in standing if name in labels and standing[name] in _ABOUT_CLASSES}
    if len(judged) < FEWEST:
        return None
    classes = sorted(set(labels.values()))
    number = {name: place for place, name in enumerate(classes)}
    drawn = {name: label for name, label in labels.items() if name not in standing}
    known, by_chance = _counts(labels.values(), number), _counts(drawn.values(), number)
    rare, common = (
        _counts((labels[name] for name, verdict in judged.items() if verdict is wanted), number)
        for wanted in (Verdict.RARE, Verdict.COMMON)
    )
    fraction = len(drawn) / max(len(drawn) + pool_size, 1)
    prior = (
        few_shot_probability(
            by_chance, seed_fraction=fraction, few_under=few_shot_under(reader.project), known_counts=known
        )
        if 0 < fraction < 1
        else np.full(len(classes), 0.5)
    )
    is_rare = rare_class_probability(prior, rare, common)
    names, vectors = vectors_of(reader, _some_of_each(drawn, most=_MOST_LABELLED), views)
    votes = np.array([is_rare[number[drawn[name]]] for name in names], dtype=np.float64)
    return Labelled(votes, tuple(vectors))


def _counts(labels: Iterable[str], number: Mapping[str, int]) -> npt.NDArray[np.int64]:
    return np.bincount([number[label] for label in labels], minlength=len(number)).astype(np.int64)


def _some_of_each(labels: Mapping[str, str], *, most: int) -> list[str]:
    """Return at most so many items: the first of each class, then the second, so that small classes are there whole.

    Examples:
        >>> _some_of_each({"1": "car", "2": "car", "3": "car", "4": "cat"}, most=3)
        ['1', '4', '2']
    """
    seen: Counter[str] = Counter()
    turns = []
    for name, label in labels.items():
        turns.append((seen[label], name))
        seen[label] += 1
    return [name for _, name in sorted(turns, key=lambda turn: turn[0])][:most]


def _sample_of(places: Mapping[str, int], standing: Mapping[str, Verdict]) -> list[str]:
    """Return some items without a verdict, evenly over the pool."""
    return _evenly([name for name in places if name not in standing], most=_OTHERS)


def _evenly(names: Sequence[str], *, most: int) -> list[str]:
    """Return all names, or so many of them, evenly over all.

    Examples:
        >>> _evenly(["1", "2", "3", "4", "5"], most=3), _evenly(["1", "2", "3"], most=3)
        (['1', '2', '4'], ['1', '2', '3'])
    """
    count = min(len(names), most)
    return [names[place * len(names) // count] for place in range(count)]


def views_of(reader: Reader, *, axis_count: int = AXES, is_whitened: bool = False) -> tuple[View, View]:
    """Return the two ways to look at an item: its tags, and its features on the main axes of the pool.

    Square roots of tag probabilities have the Bhattacharyya coefficient as their inner product.

    Args:
        reader: Reads `embeddings`.
        axis_count: Axes of the features that count.
        is_whitened: Whether the pool varies as much along each of these axes.
    """
    sample: list[Any] = []
    for rows in vectors_by_shard(reader):
        step = max(1, rows.num_rows * len(reader.shards) // _SAMPLE)
        sample.append(matrix(rows.take(np.arange(0, rows.num_rows, step)), "embedding"))
    given = np.concatenate(sample)
    centre, scale = given.mean(axis=0), given.std(axis=0) + 1e-6
    variances, columns = main_axes((given - centre) / scale)
    axes: Vectors = columns[:, :axis_count].astype(np.float32)
    if is_whitened:
        axes = axes / np.sqrt(variances[:axis_count] + _LEAST_VARIANCE).astype(np.float32)

    def by_features(rows: pa.Table) -> Vectors:
        return unit_rows(((matrix(rows, "embedding") - centre) / scale) @ axes)

    def by_tags(rows: pa.Table) -> Vectors:
        return unit_rows(np.sqrt(np.maximum(matrix(rows, "tag_probabilities"), 0)))

    return by_tags, by_features


def vectors_by_shard(reader: Reader) -> Iterator[pa.Table]:
    """Yield `embeddings` shard by shard."""
    for shard in reader.shards:
        yield reader.read("embeddings", ["image_id", "embedding", "tag_probabilities"], partitions=[shard])


def vectors_of(reader: Reader, names: Sequence[str], views: Sequence[View]) -> tuple[list[str], list[Vectors]]:
    """Return those of some items that have vectors, and by view these."""
    import pyarrow.compute as pc

    wanted = pa.array(names, pa.string())
    rows = pa.concat_tables(rows.filter(pc.is_in(rows.column("image_id"), wanted)) for rows in vectors_by_shard(reader))
    return rows.column("image_id").to_pylist(), [view(rows) for view in views]
