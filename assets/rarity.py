"""Stage `rarity_scores`: what the labelled seed, the names of classes and the tags say about rarity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.stages import Product, StageRun
from resources.sources import shard_of
from resources.workbench import Workbench
from vlmine_dagster.mining.class_sizes import (
    expected_counts,
    few_shot_probability,
    unseen_class_count,
    unseen_share,
)
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.novelty import novelty_scores
from vlmine_dagster.mining.rarity import (
    RARE_SEED_COUNT,
    Singles,
    class_rank_rarity,
    class_scores,
    expected_rarity,
    keyword_value,
    name_shares,
    named_posterior,
    soft_novelty,
    strangeness,
)
from vlmine_dagster.mining.uncertainty import predictive_entropy
from vlmine_dagster.tables import EMBEDDINGS, RARITY_SCORES

_DEFAULT_FEW_UNDER = 20
_UNSEEN_WEIGHT = 0.3  # labels that a class counts for, of those that may be there without any

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of N images.

    Attributes:
        features: Shape (N, 1280), the encoder's features.
        tag_probabilities: Shape (N, 1000).
        keywords: N lists.
    """

    features: npt.NDArray[Any]
    tag_probabilities: npt.NDArray[Any]
    keywords: Sequence[Sequence[str]]

    def take(self, places: npt.NDArray[np.int64]) -> "Evidence":
        """Return some of the images."""
        words = [self.keywords[place] for place in places.tolist()]
        return Evidence(self.features[places], self.tag_probabilities[places], words)


@dataclass(frozen=True)
class Naming:
    """By which names classes may be told.

    Attributes:
        announced: Classes that the project names, those without any label too.
        tags: Names of the tags, in the order of their probabilities.
        are_keywords_tags: Whether keywords are these tags again, and so tell nothing more.
    """

    announced: Sequence[str] = ()
    tags: Sequence[str] = ()
    are_keywords_tags: bool = True


def compute(run: StageRun) -> Product:
    """Join what the seed, the tags and the neighbourhood say about each image of the pool."""
    ids, labels, evidence = _known(run)
    is_seed = np.array([label is not None for label in labels], dtype=bool)
    seed, pool = np.flatnonzero(is_seed), np.flatnonzero(~is_seed)
    is_mined = _mined(run, [ids[place] for place in seed])
    counts = run.read("vocab_counts", ["keyword", "image_count"])
    settings = run.project.settings.dataset.labels
    sparsity = -semantic_density(evidence.tag_probabilities)[pool]
    told = told_by_seed(
        evidence.take(pool),
        evidence.take(seed),
        [label for label in labels if label is not None],
        dict(zip(counts.column("keyword").to_pylist(), counts.column("image_count").to_pylist(), strict=True)),
        sparsity=sparsity,
        naming=naming_of(run.bench, run.variant),
        is_mined=is_mined,
        few_under=settings.few_under if settings is not None else _DEFAULT_FEW_UNDER,
    )
    columns = {
        "image_id": [ids[place] for place in pool],
        **told,
        "sparsity": sparsity,
        "soft_novelty": soft_novelty(evidence.tag_probabilities)[pool],
    }
    arrays = {name: pa.array(columns[name], from_pandas=True) for name in RARITY_SCORES.schema.names}
    facts = {"labelled by chance": int((~is_mined).sum()), "labelled when mined": int(is_mined.sum())}
    return Product(pa.table(arrays).cast(RARITY_SCORES.schema), {**facts, "scored": len(pool)})


def naming_of(bench: Workbench, variant: str) -> Naming:
    """Return by which names the project's classes may be told."""
    announced = bench.labels.announced if bench.labels is not None else ()
    return Naming(announced, bench.encoder.classes, bench.project.settings.variant(variant).describer.kind == "tagger")


def told_by_seed(
    pool: Evidence,
    seed: Evidence,
    labels: Sequence[str],
    image_counts: Mapping[str, int],
    *,
    sparsity: Floats,
    naming: Naming,
    few_under: int,
    is_mined: npt.NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return the signals that the labelled seed gives, unknown where it has fewer than two classes.

    Two probes are fitted on the seed, on the features and on the cube roots of the tag probabilities; the number of a
    class's labels tells how likely it is few-shot. A class that has a name and no label is searched for by its name.
    Classes that have neither share one list, of what is strange. See `mining.rarity` and `mining.class_sizes` for the
    formulas.

    Args:
        pool: N images that could be mined.
        seed: M labelled images.
        labels: Their M classes.
        image_counts: Images per keyword over the whole pool.
        sparsity: Shape (N,), how few images look like each, by the tags.
        naming: By which names classes may be told.
        few_under: A class is few-shot with fewer images than this.
        is_mined: Shape (M,), whether a label came back for a mined image; those are learned from, but not counted as
            chance. None: no label did.

    Returns:
        expected_rarity, class_rank_rarity, keyword_value: shape (N,), higher is rarer; rare_class: N names or None.
    """
    from vlmine_dagster.learning.examples import class_numbers

    is_chance = np.ones(len(labels), dtype=bool) if is_mined is None else ~is_mined
    count = len(pool.keywords)
    if len(set(labels)) < 2 or not count or not is_chance.any():
        unknown = np.full(count, np.nan)
        return {
            **dict.fromkeys(("expected_rarity", "class_rank_rarity", "keyword_value"), unknown),
            "rare_class": [None] * count,
        }
    classes = sorted({*labels, *naming.announced})
    numbers = class_numbers(labels, classes)
    shares, is_named = name_shares(
        classes, naming.tags, pool.tag_probabilities, None if naming.are_keywords_tags else pool.keywords
    )
    census = _Census(
        known=np.bincount(numbers, minlength=len(classes)),
        by_chance=np.bincount(numbers[is_chance], minlength=len(classes)),
        fraction=float(is_chance.sum()) / (len(labels) + count),
        is_named=is_named,
        is_announced=bool(naming.announced),
        few_under=few_under,
    )
    learned = _learned(pool, seed, numbers, len(classes))
    by_name = named_posterior(shares, census.name_weights)
    scores = class_scores(learned, census.known, by_name, is_named)
    novelty = novelty_scores(pool.keywords, image_counts, pooling="mean")
    strange = strangeness([sparsity, predictive_entropy(learned[0]), novelty])
    listed, lists = census.lists(scores, strange)
    rank_rarity, likeliest = class_rank_rarity(*lists)
    few = census.few_shot
    return {
        "expected_rarity": expected_rarity([*learned, by_name], few),
        "class_rank_rarity": rank_rarity,
        "keyword_value": keyword_value(
            pool.keywords, seed.keywords, few[numbers], image_counts, common_count=few_under
        ),
        "rare_class": [classes[listed[k]] if 0 <= k < len(listed) else None for k in likeliest.tolist()],
    }


@dataclass(frozen=True, eq=False)
class _Census:
    """What labels and names say about the sizes of C classes, announced ones without a label among them.

    Attributes:
        known: Shape (C,), labels.
        by_chance: Shape (C,), labels that chance put into the seed.
        fraction: Share of all images that chance put there.
        is_named: Shape (C,), whether a class can be told by its name.
        is_announced: Whether the project names its classes, so that there are no others.
        few_under: A class is few-shot with fewer images than this.
    """

    known: npt.NDArray[np.int64]
    by_chance: npt.NDArray[np.int64]
    fraction: float
    is_named: npt.NDArray[np.bool_]
    is_announced: bool
    few_under: int

    @property
    def share_there(self) -> float:
        """Share of the announced classes without a label that the pool may hold."""
        return unseen_share(self.by_chance, int((self.known == 0).sum()), seed_fraction=self.fraction)

    @property
    def name_weights(self) -> Floats:
        """Sizes that classes are thought to have among named ones, shape (C,)."""
        return np.asarray(np.where(self.known > 0, self.known, _UNSEEN_WEIGHT * self.share_there) * self.is_named)

    @property
    def few_shot(self) -> Floats:
        """Probability that a class is there and few-shot, shape (C,); 0 where it has neither a label nor a name."""
        few = few_shot_probability(
            self.by_chance, seed_fraction=self.fraction, few_under=self.few_under, known_counts=self.known
        )
        return few * np.where(self.known > 0, 1.0, self.is_named * self.share_there)

    @property
    def nameless_count(self) -> float:
        """Classes of the pool that may be expected to have neither a label nor a name."""
        if self.is_announced:
            return self.share_there * int(((self.known == 0) & ~self.is_named).sum())
        found = int(((self.known > 0) & (self.by_chance == 0)).sum())
        return max(unseen_class_count(self.by_chance, seed_fraction=self.fraction) - found, 0.0)

    def lists(
        self, scores: Singles, strange: Floats
    ) -> tuple[npt.NDArray[np.int64], tuple[npt.NDArray[Any], Floats, Floats]]:
        """Return the classes that have a list, and what `class_rank_rarity` asks; last comes the list of the nameless.

        Args:
            scores: Shape (N, C), images against classes.
            strange: Shape (N,), how likely they are of a class with neither a label nor a name.
        """
        listed = np.flatnonzero((self.by_chance <= RARE_SEED_COUNT) & (self.few_shot > 0))
        few, columns = self.few_shot[listed], scores[:, listed]
        counts = expected_counts(self.by_chance, seed_fraction=self.fraction, known_counts=self.known)[listed]
        if not self.nameless_count:
            return listed, (columns, few, counts)
        unseen = {"seed_fraction": self.fraction}
        few = np.append(few, few_shot_probability([0], few_under=self.few_under, **unseen))
        counts = np.append(counts, self.nameless_count * expected_counts([0], **unseen))
        return listed, (np.column_stack([columns, strange.astype(np.float32)]), few, counts)


def _learned(pool: Evidence, seed: Evidence, numbers: npt.NDArray[np.int64], class_count: int) -> list[Floats]:
    """Return the class posteriors of the pool's images, shape (N, C), by two probes."""
    from vlmine_dagster.learning.prediction import predict_probabilities
    from vlmine_dagster.learning.training import fit_probe

    inputs = ((seed.features, pool.features), (np.cbrt(seed.tag_probabilities), np.cbrt(pool.tag_probabilities)))
    return [predict_probabilities(fit_probe(known, numbers, class_count=class_count), asked) for known, asked in inputs]


def _mined(run: StageRun, image_ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which of the labelled images were labelled because they were mined."""
    labels = run.bench.labels
    if labels is None or not labels.round_count:
        return np.zeros(len(image_ids), dtype=bool)
    keys = [name[len(shard_of(name, run.shards)) + 1 :] for name in image_ids]
    return np.array([labels.is_mined(name, key) for name, key in zip(image_ids, keys, strict=True)], dtype=bool)


def _known(run: StageRun) -> tuple[list[str], list[str | None], Evidence]:
    """Return ids, seed labels (None in the pool) and evidence of seed and pool, by image id.

    An image of the pool whose description or keywords failed is left out: nobody knows what it shows.
    """
    with run.connect("images", "embeddings", "keywords", "keyword_answers") as connection:
        rows = connection.sql(
            """SELECT image_id, CASE WHEN split = 'seed' THEN label END AS label, embedding, tag_probabilities
               FROM images JOIN embeddings USING (image_id)
               WHERE outcome = 'ok' AND (
                   (split = 'pool' AND image_id IN (
                       SELECT image_id FROM keyword_answers WHERE outcome IN ('ok', 'empty')))
                   OR (split = 'seed' AND label IS NOT NULL))
               ORDER BY image_id"""
        ).to_arrow_table()
        words = connection.sql("SELECT image_id, keyword FROM keywords ORDER BY image_id, keyword").to_arrow_table()
    ids = rows.column("image_id").to_pylist()
    keywords: dict[str, list[str]] = {name: [] for name in ids}
    for name, word in zip(words.column("image_id").to_pylist(), words.column("keyword").to_pylist(), strict=True):
        if name in keywords:
            keywords[name].append(word)
    evidence = Evidence(half(rows, "embedding"), half(rows, "tag_probabilities"), list(keywords.values()))
    return ids, rows.column("label").to_pylist(), evidence


def half(rows: pa.Table, column: str) -> npt.NDArray[np.float16]:
    """Return a vector column as an array of shape (N, size), float16: half the memory, and enough for a probe."""
    size = EMBEDDINGS.column(column).type.list_size
    flat = rows.column(column).combine_chunks().flatten() if rows.num_rows else pa.array([], pa.float16())
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float16).reshape(-1, size)
