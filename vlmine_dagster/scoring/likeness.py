"""The signal `likeness`: how much each image of the pool is like the examples of a search."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.mining.keywords import extract_keywords
from vlmine_dagster.mining.likeness import Target, likeness, meant_keywords, target_of, text_matches
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.merges import merged_words
from vlmine_dagster.scoring.pool import MinedPool
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.verdicts import View, vectors_by_shard, vectors_of, views_of
from vlmine_dagster.scoring.vocabulary import keyword_weights
from vlmine_dagster.settings import LikeSettings

AXES = 256
TEXT_EXAMPLES = 10
"""Images that stand for a text where no example is given: those whose keywords match it best."""

_MOST_WORDS = 3

Floats = npt.NDArray[np.float64]


def likeness_of(reader: Reader, pool: MinedPool, like: LikeSettings) -> Floats:
    """Return how much each image of the pool is like the examples, NaN for the examples themselves.

    Three parts weigh the same, each with variance 1 over the pool: by tags and by whitened features how much nearer
    the examples are than the nearest labelled class (the class that the examples resemble most left out), and by
    features how near they are. A text adds a fourth, the weight of the keywords that it names; without example images
    the best matches stand for it.

    Args:
        reader: Reads what the signal declares.
        pool: N images that can be mined.
        like: The examples.

    Returns:
        Shape (N,), float64, higher is more alike.

    Raises:
        MissingInputError: no example has vectors, or no keyword of the pool matches the text.
    """
    names = list(pool.image_ids())
    matches = _text_scores(reader, names, like.text) if like.text.strip() else None
    examples = list(like.images) or _best(names, matches)
    if not examples:
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: no image of the pool has a keyword that matches the text {like.text!r}; "
            f"labelled ones do. Search with other words, or with one of their ids."
        )
    views = views_of(reader, axis_count=AXES, is_whitened=True)
    targets = _targets(reader, examples, views)
    parts = _parts(reader, names, views, targets)
    found = likeness(parts if matches is None else [*parts, matches])
    found[np.isin(np.array(names, dtype=object), like.images)] = np.nan
    return found


def _targets(reader: Reader, examples: Sequence[str], views: tuple[View, View]) -> list[Target]:
    there, vectors = vectors_of(reader, examples, views)
    lost = sorted(set(examples) - set(there))
    if lost:
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: {len(lost)} of {len(examples)} examples, such as {lost[0]}, are not in "
            f"`embeddings`: they are no longer in the dataset, or cannot be read. Search with other images."
        )
    known = _class_sums(reader, views)
    return [target_of(mine, sums) for mine, sums in zip(vectors, known, strict=True)]


def _class_sums(reader: Reader, views: tuple[View, View]) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Return the sum of the labelled vectors of each class, by view."""
    labels = labelled_images(reader)
    sums: list[dict[str, npt.NDArray[np.float32]]] = [{} for _ in views]
    if not labels:
        return sums
    for rows in vectors_by_shard(reader):
        by_class: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(rows.column("image_id").to_pylist()):
            if name in labels:
                by_class[labels[name]].append(place)
        for label, places in by_class.items():
            for held, view in zip(sums, views, strict=True):
                found = view(rows.take(pa.array(places))).sum(axis=0)
                held[label] = held[label] + found if label in held else found
    return sums


def _parts(reader: Reader, names: Sequence[str], views: tuple[View, View], targets: Sequence[Target]) -> list[Floats]:
    """Return the lead by tags, the lead by features and the nearness by features, NaN where vectors are missing."""
    places = {name: place for place, name in enumerate(names)}
    by_tags, by_features = views
    lead_by_tags, lead_by_features, nearness = (np.full(len(names), np.nan) for _ in range(3))
    for rows in vectors_by_shard(reader):
        own = [(row, places[name]) for row, name in enumerate(rows.column("image_id").to_pylist()) if name in places]
        if not own:
            continue
        here, at = (np.array(column, dtype=np.int64) for column in zip(*own, strict=True))
        mine = rows.take(pa.array(here))
        features = by_features(mine)
        lead_by_tags[at] = targets[0].lead(by_tags(mine))
        lead_by_features[at], nearness[at] = targets[1].lead(features), targets[1].nearness(features)
    return [lead_by_tags, lead_by_features, nearness]


def _text_scores(reader: Reader, names: Sequence[str], text: str) -> Floats:
    """Return the weight of the keywords of each image that a text names: the sum over them, shape (N,)."""
    counts = reader.read("vocab_counts", ["keyword", "image_count"])
    known = dict(zip(counts.column(0).to_pylist(), counts.column(1).to_pylist(), strict=True))
    words = merged_words(reader, extract_keywords(text, max_words=_MOST_WORDS))
    size = max(len(names), *known.values(), 1)
    weights = text_matches(words, known, image_count=size)
    cosines = _cosines(reader, text, known)
    counted = known if cosines else {}
    for word, weight in meant_keywords(np.array(list(cosines.values())), counted, image_count=size).items():
        weights[word] = max(weight, weights.get(word, 0.0))
    if not weights:
        near = sorted(cosines, key=lambda word: -cosines[word])
        near = near or [one for word in words for one in difflib.get_close_matches(word, known, n=2)]
        hint = f" Did you mean {' or '.join(map(repr, near[:3]))}?" if near else " `vlmine explain` shows keywords."
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: no keyword of the pool matches the text {text!r}.{hint}"
        )
    return keyword_weights(reader, pa.array(names, pa.string()), weights)


def _cosines(reader: Reader, text: str, known: Mapping[str, int]) -> dict[str, float]:
    """Return how near each keyword is to the text by the project's text encoder; nothing where it has none."""
    from vlmine_dagster.resources.text_encoder import text_encoder_of

    encoder = text_encoder_of(reader.project)
    if encoder is None or not known:
        return {}
    vectors = encoder.pictured([text, *known])
    return dict(zip(known, (vectors[1:] @ vectors[0]).tolist(), strict=True))


def _best(names: Sequence[str], matches: Floats | None) -> list[str]:
    """Return the images that match a text best, the first by id among equals."""
    if matches is None:
        return []
    order = np.argsort(-matches, kind="stable")[:TEXT_EXAMPLES]
    return [names[place] for place in order if matches[place] > 0]
