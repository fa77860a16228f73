"""The mining report: typed facts in, one self-contained HTML page out.

The page needs no network, no script and no other file: styles and charts are inline, pictures are data URLs, and its
content security policy forbids everything else. All text from data is escaped; characters that would be invisible or
reorder the text around them are spelled out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2
import markupsafe
import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import COUNTED, CountedUnit
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.discovery import Discovery
from vlmine_dagster.reporting import charts
from vlmine_dagster.reporting.charts import SignalCloud
from vlmine_dagster.reporting.figures import Chart, number_text, share_text
from vlmine_dagster.reporting.slices import SliceRow
from vlmine_dagster.resources.visible import clip, visible_text

SHOT_BINS = ("few", "medium", "many")
_DATA_URL = re.compile(r"data:image/(png|jpeg|webp|gif|avif);base64,[A-Za-z0-9+/]+={0,2}")
_SOUND_URL = re.compile(r"data:audio/(wav|mp3|ogg|flac);base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class SignalValue:
    """One signal of one image: its value, and its rank among the pool, where 1 is most worth mining."""

    name: str
    value: float
    rank: int


@dataclass(frozen=True)
class Card:
    """One picture on the contact sheet and why it is there.

    Attributes:
        image_id: The image's name in the pool.
        thumbnail: Data URL of a small picture (`pictures.thumbnail_data_url`), or "" when the image could not be read.
        frame: Data URL of the image that an object is part of, with its box drawn; "" for whole images.
        rank: Place in the selection, 1 is mined first.
        front: Non-dominated front, 1 is the best.
        reason: Why it has this rank, for people.
        keyword: Its rarest keyword.
        keyword_count: Images of the pool that share that keyword.
        signals: The signals that ranked it.
        label: True class, where it is known.
        shot_bin: many, medium or few, where the true class is known.
        description: What the describer said.
        sound: Data URL of what can be played of it (`sounds.sound_data_url`), or "".
    """

    image_id: str
    thumbnail: str
    rank: int
    front: int
    reason: str
    keyword: str | None = None
    keyword_count: int | None = None
    signals: tuple[SignalValue, ...] = ()
    label: str | None = None
    shot_bin: str | None = None
    description: str | None = None
    frame: str = ""
    sound: str = ""


@dataclass(frozen=True)
class RecallRow:
    """How well the tail was found at one budget. Shares are in [0, 1]; None or NaN where unknown.

    Attributes:
        budget: Mined share of the pool.
        recall: Share of the pool's tail images that are mined.
        precision: Share of the mined images that are of the tail.
        lift: Recall over that of a random draw of the same size.
        coverage: Share of the tail's classes with at least one mined image.
    """

    budget: float
    recall: float | None
    precision: float | None = None
    lift: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class MeanSd:
    """Mean and standard deviation over training seeds; None or NaN where unknown."""

    mean: float | None
    sd: float | None = None


@dataclass(frozen=True)
class AccuracyRow:
    """Test accuracy after retraining with the images mined at one budget; budget 0 is the labelled seed alone."""

    budget: float
    many: MeanSd
    medium: MeanSd
    few: MeanSd
    all: MeanSd


@dataclass(frozen=True)
class MixRow:
    """How many images of a shot bin were mined, and how many the pool holds where that is known."""

    shot_bin: str
    mined_count: int
    pool_count: int | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a report page says about one experiment.

    Attributes:
        project: Name of the project.
        experiment: Name of the experiment.
        fusion: How signals are joined: pareto, rank_sum, reciprocal_rank or fisher.
        signals: Names of the signals.
        pool_size: Ranked images.
        selected_count: Images within the budget.
        cards: The pictures to show, in any order; the page sorts them by rank.
        keyword_counts: Shape (K,), int, images or other units that yield each keyword of the pool.
        ends_early: Whether the list ends before the pool does.
        counted: What keywords are counted by.
        cloud: The pool's signal values, or None to leave the chart out.
        recall: One row per budget; empty without labels.
        rivals: Recall of other experiments on the same pool, (budget, recall) by name, for comparison.
        accuracy: One row per budget; empty if nothing was retrained.
        class_mix: Mined images by shot bin; empty where no labels are known.
        outcomes: Images of the pool by outcome.
        facts: How the run was made, in order; values that are http addresses become links.
        diversity: How differing images were picked from the top of the ranking: k_center, coverage or "" (not at all).
        weights: Weight of a signal by name, where it is not 1.
        item: What is mined: image or object.
        changed: What changed since the last list, in a sentence; "" where there was none.
        changes: Images that entered since the last list or left it, rows of `list_changes`; the first ones.
        junk: Images of the junk lane by kind, the commonest first; empty where there are none.
        junk_cards: Pictures of some of them; of a card its picture, reason and name are shown.
        findings: What the pool's own tables say about how to mine it, a sentence each.
        discoveries: What more images would bring, in classes and keywords; for MLflow, the page has it among the facts.
        slices: One row per slice; empty where the pool has none.
        sliced_by: What makes the slices.
        worst_slice: Which slice does worst before and after retraining, in words; "" where that is not known.
    """

    project: str
    experiment: str
    fusion: str
    signals: tuple[str, ...]
    pool_size: int
    selected_count: int
    cards: tuple[Card, ...] = ()
    keyword_counts: npt.ArrayLike = ()
    counted: CountedUnit = COUNTED["image"]
    ends_early: bool = False
    cloud: SignalCloud | None = None
    recall: tuple[RecallRow, ...] = ()
    rivals: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    accuracy: tuple[AccuracyRow, ...] = ()
    class_mix: tuple[MixRow, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    diversity: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    item: str = "image"
    findings: tuple[str, ...] = ()
    discoveries: tuple[Discovery, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    sliced_by: str = ""
    worst_slice: str = ""
    changed: str = ""
    changes: tuple[Mapping[str, Any], ...] = ()
    junk: Mapping[str, int] = field(default_factory=dict)
    junk_cards: tuple[Card, ...] = ()


def render_report(report: Report) -> str:
    """Render the report as one HTML document. The same report always gives the same text.

    Raises:
        ContractError: a thumbnail or a sound is not a data URL of one, or a shot bin is not many, medium or few.
    """
    _check(report)
    counts = np.asarray(report.keyword_counts, dtype=np.int64)
    return _template().render(
        report=report,
        cards=sorted(report.cards, key=lambda card: (card.rank, card.image_id)),
        bins=_bin_counts(report.cards),
        shows_fronts=report.fusion == "pareto" and len(report.signals) > 1,
        cloud=report.cloud and charts.cloud_chart(report.cloud, noun=report.item),
        keyword_chart=charts.keyword_histogram(counts, counted=report.counted) if counts.size else None,
        keyword_count=counts.size,
        lone_keyword_count=int((counts == 1).sum()),
        recall_chart=_recall_chart(report) if report.recall else None,
        nearest=_nearest_row(report),
        accuracy_chart=_accuracy_chart(report.accuracy) if report.accuracy else None,
        outcomes=sorted(report.outcomes.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])),
    )


def _check(report: Report) -> None:
    pictures = (
        (card, picture) for card in (*report.cards, *report.junk_cards) for picture in (card.thumbnail, card.frame)
    )
    for card, picture in pictures:
        if picture and not _DATA_URL.fullmatch(picture):
            raise ContractError(
                f"render_report: the thumbnail of {card.image_id!r} starts with {picture[:40]!r}. Expected "
                "an empty string or a base64 data URL of a png, jpeg, webp, gif or avif: make it with "
                "pictures.thumbnail_data_url."
            )
    for card in report.cards:
        if card.sound and not _SOUND_URL.fullmatch(card.sound):
            raise ContractError(
                f"render_report: the sound of {card.image_id!r} starts with {card.sound[:40]!r}. Expected an empty "
                "string or a base64 data URL of a wav, mp3, ogg or flac: make it with sounds.sound_data_url."
            )
    found = {card.shot_bin for card in report.cards if card.shot_bin} | {row.shot_bin for row in report.class_mix}
    if unknown := sorted(found - set(SHOT_BINS)):
        raise ContractError(f"render_report: unknown shot bin {unknown[0]!r}. Expected one of {', '.join(SHOT_BINS)}.")


def _bin_counts(cards: Sequence[Card]) -> dict[str, int]:
    counts = {name: sum(card.shot_bin == name for card in cards) for name in SHOT_BINS}
    return {name: count for name, count in counts.items() if count}


def _recall_chart(report: Report) -> Chart:
    own = [(row.budget, _number(row.recall)) for row in report.recall]
    return charts.recall_curve(
        {report.experiment: own} | {k: v for k, v in report.rivals.items() if k != report.experiment}
    )


def _accuracy_chart(rows: Sequence[AccuracyRow]) -> Chart:
    def curve(name: str) -> list[tuple[float, float, float]]:
        cells = [(row.budget, getattr(row, name)) for row in rows]
        return [(budget, _number(cell.mean), _number(cell.sd)) for budget, cell in cells]

    return charts.accuracy_curve({name: curve(name) for name in ("few", "medium", "many", "all")})


def _nearest_row(report: Report) -> RecallRow | None:
    budget = report.selected_count / max(report.pool_size, 1)
    return min(report.recall, key=lambda row: abs(row.budget - budget), default=None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _or_dash(value: float | None, text: Any) -> str:
    return text(value) if value is not None and np.isfinite(value) else "–"  # noqa: RUF001 - a dash for no number


def _rank_bar(rank: int, pool_size: int) -> str:
    """Return the width of a rank's bar in percent: 100 at rank 1, 0 at the last rank, logarithmic between."""
    share = 1 - np.log(max(rank, 1)) / np.log(pool_size) if pool_size > 1 else 1.0
    return f"{100 * min(max(float(share), 0.0), 1.0):.1f}"


def _finalize(value: Any) -> Any:
    return visible_text(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vlmine_dagster.reporting", "data"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clip": clip,
        "visible": visible_text,
        "count": lambda value: f"{value:,}",
        "number": lambda value: _or_dash(value, number_text),
        "percent": lambda value: _or_dash(value, share_text),
        "percent_1": lambda value: _or_dash(value, lambda share: f"{share:.1%}"),
        "times": lambda value: _or_dash(value, lambda x: f"{x:.1f}×"),  # noqa: RUF001 - the sign of a multiple
        "rank_bar": _rank_bar,
    }
    environment.globals["glosses"] = {name: signal.meaning for name, signal in SIGNALS.items()}
    return environment.get_template("report.html.j2")
