"""The rows of `pareto_set`: the pool in the order in which it should be labelled, and why."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import CountedUnit
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.items import ITEMS, ItemKind
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.advice import Advice, agreement_advice
from vlmine_dagster.mining.delivery import count_within
from vlmine_dagster.mining.moments import codes_of, image_note, moment_note, thin_list
from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.mining.selection import Ranking, budget_count, id_hashes, rank_images
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.copies import copies_note, similar_note
from vlmine_dagster.scoring.diversity import diversified
from vlmine_dagster.scoring.grounding import by_grounding, joint
from vlmine_dagster.scoring.junk import junk_lane
from vlmine_dagster.scoring.large_pools import first_of_pool, why_whole
from vlmine_dagster.scoring.moments import SkippedFrames, joined, part_of, rules_of
from vlmine_dagster.scoring.pool import image_ids, load_pool, signal_values
from vlmine_dagster.scoring.ranked_pool import Floats, RankedPool
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.slices import SlicedList, counted_within, split_budget
from vlmine_dagster.scoring.verdicts import by_verdicts
from vlmine_dagster.scoring.vocabulary import published_health
from vlmine_dagster.settings import CountedBudget, ExperimentSettings

_BEYOND = "beyond the budget"
_SKIPPED = "skipped, the list contains another {} of its sequence: "
_JUNK = "in the junk lane: "
_SKIPPED_OBJECT = "listed with its image, by another object: "


@dataclass(frozen=True)
class MinedList:
    """The ranked pool of an experiment.

    Attributes:
        rows: Rows of `pareto_set`, best first.
        selected_count: Images that the budget reaches.
        excluded_count: Images of the pool that lack a signal, and are not ranked.
        front_count: Fronts.
        digest: Hash of which images are ranked.
        advice: Whether two signals say the same.
        skipped_count: Frames that the list skips, since it shows others of their sequences; they come after the others.
        junk_count: Images in the junk lane; they come last.
        pool_size: Images of the pool.
        ends_early: Whether the list ends before the pool does, as those of large pools do.
    """

    rows: pa.Table
    selected_count: int
    excluded_count: int
    front_count: int
    digest: str
    advice: Advice
    skipped_count: int = 0
    junk_count: int = 0
    pool_size: int = 0
    ends_early: bool = False

    @property
    def selected(self) -> pa.Table:
        """The rows that the budget reaches."""
        return self.rows.slice(0, self.selected_count)


def mined_list(
    reader: Reader, experiment: ExperimentSettings, *, budget: float | CountedBudget, labels: Labels | None
) -> MinedList:
    """Rank the images of the pool; failed ones, and those that lack a signal, never enter.

    Args:
        reader: Reads `images`, the tables of the signals, and what the second step looks at.
        experiment: Signals and how they are joined.
        budget: Share of the pool, number of images, or what labelling objects may take.
        labels: What an oracle's arm reads.

    Raises:
        MissingInputError: no image can be ranked; the message says why.
        ConfigError: frames lack what a gap needs.
    """
    found = ranked_pool(reader, experiment, labels, budget=budget)
    pool, signals = found.rows, found.signals
    ranking, seen = by_grounding(reader, pool, found.ranking)
    kind = reader.project.settings.items
    listed, last, skipped = _without_repeats(pool, ranking, experiment, kind, name=reader.partition)
    selected_count = _selected_count(found, listed, budget, kind)
    if experiment.diversity is not None:
        listed = diversified(reader, experiment.diversity, listed, list(image_ids(pool)), selected_count)
    listed, sliced = split_budget(reader, experiment, listed, pool, selected_count)
    ranking = joined(joined(listed, last), found.lane)
    counted, notes = reader.project.settings.counted, joint(found.notes, seen)
    is_telling = _tells_images_apart(reader)
    frame = _frame_noun(kind)
    words = _Words(counted, are_tags_meaningful=is_telling, verdicts=notes, sliced=sliced, junk=found.junk, frame=frame)
    return MinedList(
        _rows(pool, ranking, signals, selected_count, experiment=experiment, skipped=skipped, words=words),
        selected_count,
        ranking.excluded_count,
        int(ranking.front.max()),
        hashlib.sha256(np.sort(found.hashes[ranking.order]).tobytes()).hexdigest()[:16],
        _agreement(found, selected_count),
        len(last.order),
        found.junk_count,
        found.pool_size,
        found.rows.num_rows < found.pool_size,
    )


def ranked_pool(
    reader: Reader,
    experiment: ExperimentSettings,
    labels: Labels | None,
    *,
    budget: float | CountedBudget | None = None,
) -> RankedPool:
    """Rank the images of the pool by signals and by verdicts; of a large pool, the first ones alone.

    Args:
        reader: Reads `images`, the tables of the signals, `junk` and verdicts.
        experiment: Signals and how they are joined.
        labels: What an oracle's arm reads.
        budget: Share of the pool, number of images, or what labelling objects may take; the usual one if left out.

    Raises:
        MissingInputError: no image can be ranked; the message says why.
    """
    settings = reader.project.settings
    reached = budget or experiment.budget or settings.budget
    if reader.row_count(ITEMS) > settings.whole_list_up_to:
        why = why_whole(reader, experiment)
        if not why and not isinstance(reached, CountedBudget):
            return first_of_pool(reader, experiment, labels, budget=reached)
        reader.log.warning("%s is sorted as a whole, which takes much memory: %s", reader.partition, why)
    pool = load_pool(reader, experiment)
    pool = counted_within(reader, experiment, pool)
    signals = signal_values(reader, experiment, pool, labels)
    hashes = id_hashes(image_ids(pool))
    junk = junk_lane(reader, pool.column("image_id")) if reader.needs("junk") else {}
    ranking, lane = _ranked(signals, hashes, experiment, list(junk))
    if not len(ranking.order):
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: nothing can be mined, {_why_nothing(signals, pool.num_rows)}"
        )
    ranking, notes = by_verdicts(reader, experiment, ranking, pool)
    return RankedPool(pool, signals, hashes, ranking, lane, junk, notes, pool.num_rows, len(lane.order), signals)


def listed_order(
    reader: Reader, experiment: ExperimentSettings, pool: pa.Table, ranking: Ranking
) -> npt.NDArray[np.int64]:
    """Return the places of a ranking that its experiment lists, best first, without frames that its rules skip."""
    listed, _, _ = _without_repeats(pool, ranking, experiment, reader.project.settings.items, name=reader.partition)
    return listed.order


def _ranked(
    signals: Mapping[str, Floats], hashes: npt.NDArray[np.uint64], experiment: ExperimentSettings, junk: Sequence[int]
) -> tuple[Ranking, Ranking]:
    """Return the ranking of the images that are not junk, and that of those that are.

    Each is ranked among its own: a black picture that no keyword fits moves no other one to a later front.
    """
    if not junk:
        ranking = rank_images(signals, hashes, fusion=experiment.fusion, weights=experiment.weights)
        return ranking, part_of(ranking, np.empty(0, dtype=np.int64))
    apart = np.zeros(len(hashes), dtype=bool)
    apart[np.asarray(junk, dtype=np.int64)] = True

    def without(left_out: npt.NDArray[np.bool_]) -> Ranking:
        kept = {name: np.where(left_out, np.nan, values) for name, values in signals.items()}
        return rank_images(kept, hashes, fusion=experiment.fusion, weights=experiment.weights)

    ranking, lane = without(apart), without(~apart)
    lacking = len(hashes) - len(ranking.order) - len(lane.order)
    lane = replace(lane, front=lane.front + int(ranking.front.max(initial=0)))
    return replace(ranking, excluded_count=lacking), lane


def _agreement(found: RankedPool, selected_count: int) -> Advice:
    """Return whether two signals say the same, of all images or of a sample."""
    drawn = max((len(values) for values in found.sample.values()), default=0)
    return agreement_advice(found.sample, mined_count=round(selected_count * drawn / max(found.pool_size, 1)))


def _selected_count(found: RankedPool, listed: Ranking, budget: float | CountedBudget, kind: ItemKind) -> int:
    """Return how many items of a list a budget reaches."""
    if not isinstance(budget, CountedBudget):
        return min(budget_count(budget, found.pool_size), len(listed.order))
    counted, amount = budget.counted
    codes = _image_codes(found.rows, kind)
    boxes = np.bincount(codes, minlength=1)
    places = codes[listed.order]
    return count_within(places, boxes[places], budget=amount, counted=counted)


def _image_codes(pool: pa.Table, kind: ItemKind) -> npt.NDArray[np.int64]:
    """Return a number per image, for each item of the pool."""
    return codes_of([kind.part_of(name) for name in image_ids(pool)])


def _without_repeats(
    pool: pa.Table, ranking: Ranking, experiment: ExperimentSettings, kind: ItemKind, *, name: str
) -> tuple[Ranking, Ranking, SkippedFrames]:
    """Return the ranking without what the experiment's rules skip, this, and what there is to say of it."""
    last, skipped = part_of(ranking, np.empty(0, dtype=np.int64)), SkippedFrames.none(pool.num_rows)
    if experiment.deliver == "image":
        once = thin_list(_image_codes(pool, kind)[ranking.order], None, gap=None, per_sequence=1)
        skipped = SkippedFrames.of(once, ranking.order, pool.num_rows, note=image_note)
        ranking, last = part_of(ranking, once.kept), part_of(ranking, once.skipped)
    note = partial(moment_note, noun=_frame_noun(kind))
    for rule in rules_of(experiment):
        found = rule.thinned(pool, ranking.order, name=name)
        skipped = skipped.and_also(SkippedFrames.of(found, ranking.order, pool.num_rows, note=note))
        ranking, last = part_of(ranking, found.kept), joined(part_of(ranking, found.skipped), last)
    return ranking, last, skipped


@dataclass(frozen=True)
class _Words:
    """How reasons speak of a pool: what they count, whether keywords may be used, what verdicts, slices, junk add."""

    counted: CountedUnit
    are_tags_meaningful: bool
    verdicts: Mapping[int, str]
    sliced: SlicedList
    junk: Mapping[int, str]
    frame: str


def _frame_noun(kind: ItemKind) -> str:
    """Return what a reason calls an item that a rule about frames skips."""
    return "frame" if kind.parent is None else kind.name


def _tells_images_apart(reader: Reader) -> bool:
    """Return whether the pool's keywords tell its images apart; where no signal needs any, reasons use none."""
    if not reader.needs("vocab_counts"):
        return True
    counts = reader.read("vocab_counts", ["keyword", "image_count", "image_share"])
    return not counts.num_rows or published_health(counts).tells_images_apart


def _why_nothing(signals: Mapping[str, Floats], pool_size: int) -> str:
    """Return why nothing can be ranked, and what to look at."""
    if not pool_size:
        return (
            "no image is left to mine. Are there readable images outside the seed, the validation and the test split?"
        )
    tables = {name: SIGNALS[name].table for name, values in signals.items() if np.isnan(values).all()}
    if tables:
        empty = " and ".join(f"{name} ({table})" if table else name for name, table in tables.items())
        if None in tables.values():  # made while the list is
            return f"{empty} is not known for any of the {pool_size} images of the pool."
        return f"{empty} is empty for all {pool_size} images of the pool. The log of that asset says why."
    return (
        f"none of {pool_size} pool images has all of {', '.join(signals)}. Leave one out, or mine by each separately."
    )


def _rows(
    pool: pa.Table,
    ranking: Ranking,
    signals: Mapping[str, Floats],
    selected_count: int,
    *,
    experiment: ExperimentSettings,
    skipped: SkippedFrames,
    words: "_Words",
) -> pa.Table:
    count = len(ranking.order)
    ids = pool.column("image_id")
    selected = pool.take(pa.array(ranking.order[:selected_count]))
    picked = "" if experiment.diversity is None else f" · {experiment.diversity.because}"
    has_fronts = experiment.fusion == "pareto"
    reasons = _reasons(selected.to_pylist(), ranking, signals, has_fronts=has_fronts, words=words)
    same, near = (selected.column(name).to_pylist() for name in ("copy_count", "similar_count"))
    copies = [f"{copies_note(n)}{similar_note(m)}" for n, m in zip(same, near, strict=True)]
    more = skipped.notes_of(ranking.order[:selected_count].tolist())
    places = ranking.order[:selected_count].tolist()
    ends = [f"{words.verdicts.get(place, '')}{words.sliced.lifted.get(place, '')}" for place in places]
    told = zip(reasons, copies, more, ends, strict=True)
    said = [f"{why}{words.sliced.within}{picked}{copy}{note}{end}" for why, copy, note, end in told]
    instead = skipped.listed_instead(ids, ranking.order)
    skip = _SKIPPED_OBJECT if experiment.deliver == "image" else _SKIPPED.format(words.frame)
    kinds = _junk_kinds(ranking, words.junk)
    columns = {
        "image_id": ids.take(pa.array(ranking.order)),
        "rank": np.arange(1, count + 1),
        "front": ranking.front,
        "selected": np.arange(count) < selected_count,
        "reason": pa.chunked_array(
            [pa.array(said, pa.string()), *_unselected(instead, kinds, skip).slice(selected_count).chunks]
        ),
        "more_frames": skipped.more[ranking.order],
        "listed_instead": instead,
        "slice": words.sliced.names_of(ranking.order),
        "junk": kinds,
    }
    return pa.table({**columns, **{name: values[ranking.order] for name, values in signals.items()}})


def _junk_kinds(ranking: Ranking, junk: Mapping[int, str]) -> pa.ChunkedArray:
    """Return what is wrong with each ranked item, null where nothing is: the junk lane comes last."""
    first = len(ranking.order) - int(np.isin(ranking.order, list(junk)).sum()) if junk else len(ranking.order)
    kinds = pa.array([junk[place] for place in ranking.order[first:].tolist()], pa.string())
    return pa.chunked_array([pa.nulls(first, pa.string()), kinds])


def _unselected(instead: pa.ChunkedArray, junk: pa.ChunkedArray, skip: str) -> pa.ChunkedArray:
    """Return the reasons of items that are not selected: beyond the budget, skipped in favour of another one, junk."""
    why = pc.coalesce(pc.binary_join_element_wise(_JUNK, junk, ""), pc.binary_join_element_wise(skip, instead, ""))
    return pc.fill_null(why, _BEYOND)


def _reasons(
    selected: Sequence[Mapping[str, Any]],
    ranking: Ranking,
    signals: Mapping[str, Floats],
    *,
    has_fronts: bool,
    words: "_Words",
) -> list[str]:
    """Return why each selected image, best first, stands where it does."""
    places = ranking.order[: len(selected)]
    values_and_ranks = [
        zip((-values if SIGNALS[name].is_negated else values)[places].tolist(), ranks[places].tolist(), strict=True)
        for (name, values), ranks in zip(signals.items(), ranking.signal_ranks.values(), strict=True)
    ]
    return [
        selection_reason(
            dict(zip(signals, found, strict=True)),
            front=front if has_fronts else None,
            keyword=row.get("rarest_keyword"),
            keyword_count=row.get("min_count"),
            predicted_label=row.get("predicted_label"),
            rare_class=row.get("rare_class"),
            counted=words.counted,
            are_tags_meaningful=words.are_tags_meaningful,
        )
        for row, front, *found in zip(selected, ranking.front[: len(selected)].tolist(), *values_and_ranks, strict=True)
    ]
