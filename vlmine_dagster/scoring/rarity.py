"""The columns of `rarity_scores`: what the labelled set, the names of classes and the tags say about rarity."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.tables import RARITY_SCORES
from vlmine_dagster.mining.census import Census
from vlmine_dagster.mining.class_names import Singles, named_posterior
from vlmine_dagster.mining.novelty import novelty_scores
from vlmine_dagster.mining.rarity import (
    class_rank_rarity,
    class_scores,
    expected_precision,
    expected_rarity,
    keyword_value,
    keyword_worth,
    learned_weights,
    strangeness,
)
from vlmine_dagster.mining.uncertainty import predictive_entropy
from vlmine_dagster.resources.spill import ColumnSpill
from vlmine_dagster.scoring.class_sizes import ClassSizes, class_sizes
from vlmine_dagster.scoring.evidence import Evidence, EvidenceBlocks, SeedAndPool
from vlmine_dagster.scoring.names import ClassNames, Naming, few_shot_under
from vlmine_dagster.scoring.posteriors import Learned, predicted_sizes
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.surroundings import Placed, Propagation, surroundings
from vlmine_dagster.scoring.vocabulary import unit_counts as counts_by_keyword
from vlmine_dagster.settings.project import Project

_BY_LABELS = ("expected_rarity", "class_rank_rarity", "keyword_value", "chosen_sparsity", "chosen_isolation")
_NO_DRAW = (
    "rarity_scores: the labelled images are not a random draw of the pool: {distance:.0%} of them would have to be of "
    "other classes to match what is predicted for it. Class sizes are estimated from these predictions, not from the "
    "labels."
)

Floats = npt.NDArray[np.float64]


def rarity_scores(
    reader: Reader,
    seed_and_pool: SeedAndPool,
    *,
    naming: Naming,
    is_mined: npt.NDArray[np.bool_],
    asked: Collection[str] = ("unlabelled_rarity",),
    scratch: Path | None = None,
) -> pa.Table:
    """Return `rarity_scores` of the pool, by image id.

    Args:
        reader: Reads `vocab_counts`; see `SeedAndPool` for the rest.
        seed_and_pool: The images.
        naming: By which names classes may be told.
        is_mined: Shape (M,), whether a label came back for a mined image.
        asked: Signals that experiments name; `unlabelled_rarity` takes two more searches for neighbours, and is empty
            where none does.
        scratch: Folder for the file of lists.
    """
    vectors = (partial(seed_and_pool.everything.vectors, name) for name in ("embedding", "tag_probabilities"))
    names = None
    if "unlabelled_rarity" in asked:
        names = ClassNames(naming, seed_and_pool.everything.keywords, few_shot_under(reader.project))
    around = surroundings(reader, *vectors, names=names)
    columns: dict[str, Any] = {name: values[seed_and_pool.is_pool] for name, values in around.columns.items()}
    columns["tag_weight"] = np.full(len(seed_and_pool.ids), around.tag_weight)
    columns |= rarity_by_labels(
        seed_and_pool.pool,
        seed_and_pool.seed.together(),
        seed_and_pool.labels,
        counts_by_keyword(reader),
        around=Placed(around, np.flatnonzero(seed_and_pool.is_pool), np.flatnonzero(~seed_and_pool.is_pool)),
        naming=naming,
        is_mined=is_mined,
        are_drawn_alone=are_drawn_alone(reader.project),
        few_under=few_shot_under(reader.project),
        scratch=scratch,
        warn=reader.log.warning,
    )
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    rows = pa.table({"image_id": seed_and_pool.ids, **arrays}).select(RARITY_SCORES.schema.names)
    return rows.cast(RARITY_SCORES.schema).sort_by("image_id")


def are_drawn_alone(project: Project) -> bool:
    """Whether chance draws each item for itself, not the objects of an image or the frames of a sequence together."""
    return project.settings.unit == "image" and not project.settings.dataset.has_sequences


def rarity_by_labels(
    pool: EvidenceBlocks,
    seed: Evidence,
    labels: Sequence[str],
    image_counts: Mapping[str, int],
    *,
    around: Placed,
    naming: Naming,
    few_under: int,
    is_mined: npt.NDArray[np.bool_] | None = None,
    are_drawn_alone: bool = True,
    scratch: Path | None = None,
    warn: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Return the signals that the labelled seed gives, unknown where it has fewer than two classes.

    Four models learn from the seed: two probes, on the features and on the cube roots of the tag probabilities, a
    linear discriminant, and labels that spread over the graph of neighbours. The number of a class's labels and what
    the probes predict for the pool tell how likely it is few-shot. A class that has a name and no label is searched for
    by its name. Classes that have neither share one list, of what is strange; where more of the pool than of held-out
    labelled images is like no labelled class, it is of what these explain least, and as long as that is much
    (`mining.unexplained`). See `mining.rarity` and `mining.census` for the formulas. Where the labels are not a random
    draw of the pool, predictions tell how large classes are (see `scoring.class_sizes`). Of the pool a block at a time
    is in memory, and the list of one class; all lists lie in a file.

    Args:
        pool: N images that could be mined.
        seed: M labelled images.
        labels: Their M classes.
        image_counts: Images per keyword over the whole pool.
        around: What is known of all images without labels.
        naming: By which names classes may be told.
        few_under: A class is few-shot with fewer images than this.
        is_mined: Shape (M,), whether a label came back for a mined image; those are learned from, but not counted as
            chance. None: no label did.
        are_drawn_alone: Whether chance drew each labelled image for itself. Of images that were drawn together nobody
            can be held out, so how much is unexplained is not asked.
        scratch: Folder for the file of lists, 4 bytes an image and rare class; the system's own if None.
        warn: Called with a sentence where the labels are not a random draw.

    Returns:
        expected_rarity, class_rank_rarity, keyword_value, chosen_sparsity, chosen_isolation: shape (N,), higher is
        rarer; rare_class: N names or None.
    """
    from vlmine_dagster.learning.examples import class_numbers

    is_chance = np.ones(len(labels), dtype=bool) if is_mined is None else ~is_mined
    if len(set(labels)) < 2 or not len(pool) or not is_chance.any():
        return _unknown(len(pool))
    classes = sorted({*labels, *naming.announced})
    numbers = class_numbers(labels, classes)
    learned = Learned(seed, numbers, len(classes), pool)
    known, drawn = (np.bincount(some, minlength=len(classes)) for some in (numbers, numbers[is_chance]))
    fraction = float(is_chance.sum()) / (len(labels) + len(pool))
    sizes = class_sizes(pool, learned.by_features, known=known, by_chance=drawn, fraction=fraction)
    if sizes.shift is not None:
        warn(_NO_DRAW.format(distance=sizes.distance))
    census = Census(
        known=known,
        by_chance=sizes.by_chance,
        fraction=fraction,
        is_named=naming.named(pool, classes),
        is_announced=bool(naming.announced),
        few_under=few_under,
        is_drawn=sizes.shift is None,
        predicted_sizes=predicted_sizes(pool, learned.by_probes, known) if sizes.shift is None else None,
    )
    if census.nameless_count and census.is_drawn and are_drawn_alone:
        census = replace(census, unexplained_count=learned.unexplained_share(is_chance) * len(pool))
    worth = keyword_worth(seed.keywords, census.few_shot[numbers], image_counts, common_count=few_under)
    judge = _Judge(learned, sizes, census, classes=classes, naming=naming, image_counts=image_counts, worth=worth)
    with ColumnSpill(len(census.listed), len(pool), scratch) as lists:
        judged = _joined(judge(block, lists) for block in pool.blocks())
        signs = {name: judged.pop(name) for name in ("entropy", "novelty", "newness")}
        spreading = around.propagation(numbers, sizes.shift)
        columns = _columns(lists, judge, spreading, _of_the_nameless(census, around, signs))
        rank_rarity, likeliest = class_rank_rarity(columns, *census.list_terms, count=len(pool))
    precision = expected_precision(judged["expected_rarity"]) if naming.announced else 0.0  # else of unknown classes
    judged |= around.chosen(census.few_shot[numbers], precision=precision)
    names = [*(classes[k] for k in census.listed.tolist()), None, None]  # the nameless; -1: on no list
    return {**judged, "class_rank_rarity": rank_rarity, "rare_class": [names[k] for k in likeliest.tolist()]}


def _unknown(count: int) -> dict[str, Any]:
    return {**dict.fromkeys(_BY_LABELS, np.full(count, np.nan)), "rare_class": [None] * count}


class _Judge:
    """Judges images by what was learned from the labelled ones.

    Args:
        learned: What was learned.
        sizes: How large the C classes are.
        census: Of these classes.
        classes: Their names.
        naming: By which names they may be told.
        image_counts: Images per keyword over the whole pool.
        worth: What each keyword tells of rarity.
    """

    def __init__(
        self,
        learned: Learned,
        sizes: ClassSizes,
        census: Census,
        *,
        classes: Sequence[str],
        naming: Naming,
        image_counts: Mapping[str, int],
        worth: Mapping[str, float],
    ):
        self._learned, self._sizes, self._census = learned, sizes, census
        self._classes, self._naming = classes, naming
        self._image_counts, self._worth = image_counts, worth

    @property
    def _model_count(self) -> int:
        return self._learned.count + 1  # labels that spread are the last

    def spread_weights(self) -> Iterator[tuple[int, float]]:
        """Yield each class that has a list, and how much its logarithm of the posterior by spread labels adds."""
        weights = learned_weights(self._census.known, self._census.is_named) / self._model_count
        weights[self._census.known == 0] = 0
        for number in self._census.listed.tolist():
            yield number, float(weights[number])

    def __call__(self, images: Evidence, lists: ColumnSpill) -> dict[str, Floats]:
        """Return what is known of B images by themselves, shape (B,) each; write their scores by class to the lists."""
        by_name = named_posterior(self._naming.shares(images, self._classes)[0], self._census.name_weights)
        probed, clouded = (
            [self._sizes.corrected(one) for one in by(images)]
            for by in (self._learned.by_probes, self._learned.by_clouds)
        )
        scores = class_scores(
            [*probed, *clouded], self._census.known, by_name, self._census.is_named, model_count=self._model_count
        )
        lists.write(scores[:, self._census.listed])
        return {
            "expected_rarity": expected_rarity([*probed, by_name], self._census.few_shot),
            "keyword_value": keyword_value(images.keywords, self._worth),
            "entropy": predictive_entropy(probed[0]),
            "novelty": novelty_scores(images.keywords, self._image_counts, pooling="mean"),
            "newness": self._learned.newness(images),
        }


def _joined(blocks: Iterator[dict[str, Floats]]) -> dict[str, Floats]:
    parts = list(blocks)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _columns(lists: ColumnSpill, judge: _Judge, spreading: Propagation, strange: Floats | None) -> Iterator[Singles]:
    """Yield the list of each class, and that of the nameless; labels that spread are added one class at a time."""
    for (number, weight), column in zip(judge.spread_weights(), lists.columns(), strict=True):
        yield column + np.float32(weight) * spreading.log_posterior(number) if weight else column
    if strange is not None:
        yield strange.astype(np.float32)


def _of_the_nameless(census: Census, around: Placed, signs: Mapping[str, Floats]) -> Floats | None:
    """Return how like an image of a class without label or name images are; None where every class has either."""
    if not census.nameless_count:
        return None
    return _least_explained(signs) if census.unexplained_count else _strange(around, signs)


def _strange(around: Placed, signs: Mapping[str, Floats]) -> Floats:
    """Return how strange images are to all that knows no class; tags count as far as they tell images apart."""
    weight = around.around.tag_weight
    signals = [around.of_pool("sparsity"), signs["novelty"], signs["entropy"], around.of_pool("local_isolation")]
    return strangeness(signals, [weight, weight, 1.0, 1 - weight])


def _least_explained(signs: Mapping[str, Floats]) -> Floats:
    """Return how little labelled classes explain images: to the probe on features, and to the discriminant."""
    return strangeness([signs["entropy"], signs["newness"]])
