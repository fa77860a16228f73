"""Charts of a mining run, for the report page and for MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import COUNTED, CountedUnit, counted
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.reporting.figures import (
    PALETTE,
    Chart,
    Floats,
    chart_axes,
    count_text,
    draw_dots,
    label_ends,
    number_text,
    share_text,
)

Curve = Sequence[tuple[float, float]]
MOST_BACKGROUND_DOTS = 4000  # of a larger pool, an even share of the images that were not selected is drawn
_MOST_BAR_TEXTS = 9
_END_LABELS = 120
_RANK_POINTS = 400
_MINED, _FOUND = "mined share of the pool", "tail images found"


@dataclass(frozen=True, eq=False)
class SignalCloud:
    """The pool as an experiment's signals see it.

    Attributes:
        names: The S signals, S >= 1. The first two are drawn against each other; one alone is drawn by rank.
        values: Shape (N, S), float; higher is more worth mining. Images with a NaN in a drawn signal are left out.
        front: Shape (N,), int; non-dominated front, 1 is the best.
        selected: Shape (N,), bool; whether the image is within the budget.

    Raises:
        ContractError: shapes do not fit together.
    """

    names: tuple[str, ...]
    values: npt.NDArray[Any]
    front: npt.NDArray[Any]
    selected: npt.NDArray[Any]

    def __post_init__(self) -> None:
        count = len(self.selected)
        if not self.names or self.values.shape != (count, len(self.names)) or self.front.shape != (count,):
            raise ContractError(
                f"SignalCloud: {len(self.names)} names, values {self.values.shape}, front {self.front.shape}, "
                f"selected {self.selected.shape}. Expected one row per image and one column per name, at least one."
            )


def cloud_chart(cloud: SignalCloud, *, noun: str = "image") -> Chart:
    """Draw the first two signals against each other, or a single one by rank; the noun says of what."""
    return signal_ranks(cloud, noun=noun) if len(cloud.names) == 1 else signal_scatter(cloud, noun=noun)


def signal_scatter(cloud: SignalCloud, *, noun: str = "image") -> Chart:
    """Draw the first two signals against each other: every selected image, and the others thinned out evenly.

    With exactly two signals, a line marks the edge of the first front.
    """
    points, front, selected = _finite(cloud)
    x_name, y_name = cloud.names[:2]
    figure, axes = chart_axes(x_name, y_name)
    _set_scale(axes.xaxis, points[:, 0])
    _set_scale(axes.yaxis, points[:, 1])
    draw_dots(axes, _thinned(points[~selected]), role="rest", size=3.2, opacity=0.75)
    if len(cloud.names) == 2 and (front == 1).any():
        axes.plot(*front_edge(points[front == 1]).T, color=PALETTE["accent"], linewidth=1.2, alpha=0.55)
    draw_dots(axes, points[selected & (front > 1)], role="picked", size=4.5)
    draw_dots(axes, points[selected & (front <= 1)], role="accent", size=6)
    return Chart(figure, f"{y_name} against {x_name}: {counted(len(points), noun)}, {int(selected.sum()):,} selected")


def front_edge(points: Floats) -> Floats:
    """Return the corners of the edge of what a front dominates, from left to right; higher is better on both axes.

    Args:
        points: Shape (F, 2), a front: no point is above another on both axes.

    Examples:
        >>> front_edge(np.array([[1.0, 9.0], [5.0, 2.0]])).tolist()
        [[1.0, 9.0], [1.0, 2.0], [5.0, 2.0]]
    """
    ordered = points[np.lexsort((-points[:, 1], points[:, 0]))]
    corners = np.column_stack([ordered[:-1, 0], ordered[1:, 1]])
    edge = np.empty((2 * len(ordered) - 1, 2))
    edge[::2], edge[1::2] = ordered, corners
    return edge


def signal_ranks(cloud: SignalCloud, *, noun: str = "image") -> Chart:
    """Draw the first signal by rank, highest first, with the selected share filled. Ranks are on a log axis."""
    points, _, selected = _finite(cloud)
    values = np.sort(points[:, 0])[::-1]
    name, cut = cloud.names[0], int(selected.sum())
    figure, axes = chart_axes("rank in the pool", name)
    axes.set(xscale="log", xlim=(1, max(len(values), 2)))
    _show_decades(axes.xaxis, count_text)
    _set_scale(axes.yaxis, values)
    if len(values):
        ranks = np.unique(np.geomspace(1, len(values), _RANK_POINTS).round().astype(int))
        ranks = np.union1d(ranks, [cut]) if cut else ranks
        chosen = ranks[ranks <= cut]
        axes.plot(ranks, values[ranks - 1], color=PALETTE["rest"], linewidth=2)
        axes.plot(chosen, values[chosen - 1], color=PALETTE["accent"], linewidth=2.6)
        if cut:
            floor = axes.get_ylim()[0]
            outline = [chosen[0], *chosen, chosen[-1]], [floor, *values[chosen - 1], floor]
            axes.fill(*outline, color=PALETTE["accent"], alpha=0.13, linewidth=0)
            _note_cut(axes, cut, is_late=cut**2 > len(values))
    return Chart(figure, f"{name} of {counted(len(values), noun)}, highest first, {cut:,} selected")


def keyword_bins(image_counts: npt.ArrayLike) -> list[tuple[int, int, int]]:
    """Count keywords by how many images share them, in bins that double: 1, 2-3, 4-7, 8-15, ...

    Args:
        image_counts: Shape (K,), int, number of images with each keyword, each >= 1.

    Returns:
        (lowest count, highest count, keywords) per bin, from the bin of 1 to the last that is not empty.

    Raises:
        ContractError: a count is below 1.

    Examples:
        >>> keyword_bins([1, 1, 1, 2, 3, 9])
        [(1, 1, 3), (2, 3, 2), (4, 7, 0), (8, 15, 1)]
    """
    counts = np.asarray(image_counts, dtype=np.int64)
    if not counts.size:
        return []
    if counts.min() < 1:
        raise ContractError(
            f"keyword_bins: image count {counts.min()} is below 1; a keyword that no image has is not a keyword"
        )
    exponents = np.frexp(counts.astype(np.float64))[1] - 1
    return [(2**e, 2 ** (e + 1) - 1, int(n)) for e, n in enumerate(np.bincount(exponents))]


def keyword_histogram(counts: npt.ArrayLike, *, counted: CountedUnit = COUNTED["image"]) -> Chart:
    """Draw how many keywords are shared by how many images, or other units, both axes logarithmic."""
    bins = keyword_bins(counts)
    heights = np.array([n for _, _, n in bins])
    figure, axes = chart_axes(f"{counted.plural} that share a keyword", "keywords")
    floor = 0.5
    axes.set(yscale="log", ylim=(floor, max(heights.max(initial=1) * 1.6, 2)), xlim=(-0.5, max(len(bins), 1) - 0.5))
    _show_decades(axes.yaxis, lambda count: count_text(count) if count >= 1 else "")
    colours = [PALETTE["rest" if place else "accent"] for place in range(len(bins))]
    bars = axes.bar(range(len(bins)), np.maximum(heights - floor, 0), width=0.92, bottom=floor, color=colours)
    every = -(-len(bins) // _MOST_BAR_TEXTS) or 1  # texts at each of many bars would run into each other
    texts = [count_text(n) if n and place % every == 0 else "" for place, n in enumerate(heights.tolist())]
    axes.bar_label(bars, texts, padding=3, fontsize=12.5, color=PALETTE["quiet"])
    axes.set_xticks(
        range(0, len(bins), every), [_bin_text(low, high if every == 1 else low) for low, high, _ in bins[::every]]
    )
    units = [counted.noun if high == 1 else counted.plural for _, high, _ in bins]
    parts = [f"{n:,} in {_bin_text(low, high)} {unit}" for (low, high, n), unit in zip(bins, units, strict=True)]
    caption = f"Number of keywords by {counted.plural} that share them: {'; '.join(parts)}"
    return Chart(figure, caption if parts else "no keywords")


def recall_curve(curves: Mapping[str, Curve]) -> Chart:
    """Draw the share of the tail images that is found, by mined share of the pool.

    Args:
        curves: (budget, recall) pairs by experiment, both in [0, 1]. The first curve is the one that the page is about;
            pairs with a NaN are left out.
    """
    lines = {name: _known([(0.0, 0.0), *curve]) for name, curve in curves.items()}
    end = max((line[-1, 0] for line in lines.values()), default=0.0) or 1.0
    top = max((line[:, 1].max() for line in lines.values()), default=0.0)
    figure, axes = budget_axes(_FOUND, end=end, top=max(top, end))
    chance = np.array([(0.0, 0.0), (end, end)])
    axes.plot(*chance.T, color=PALETTE["quiet"], linewidth=1.6, linestyle=(0, (0.6, 3)))
    drawn = {name: (line, "rest" if place else "accent") for place, (name, line) in enumerate(lines.items())}
    for line, role in reversed(drawn.values()):
        is_own = role == "accent"
        axes.plot(*line.T, color=PALETTE[role], linewidth=2.6 if is_own else 1.6)
        draw_dots(axes, line, role=role, size=8 if is_own else 5)
    labels = {name: (line, "accent" if role == "accent" else "quiet") for name, (line, role) in drawn.items()}
    return _labelled(figure, axes, _FOUND, {**labels, "by chance": (chance, "quiet")})


def accuracy_curve(curves: Mapping[str, Sequence[tuple[float, float, float]]]) -> Chart:
    """Draw accuracy by mined share, with error bars of one standard deviation.

    Args:
        curves: (budget, mean, standard deviation) triples by name of the images judged (many, medium, few, all).
            Triples without a mean are left out; a NaN deviation has no error bar.
    """
    lines = {name: line for name, curve in curves.items() if len(line := _known(curve))}
    end = max((line[-1, 0] for line in lines.values()), default=0.0) or 1.0
    top = max((np.nan_to_num(line)[:, 1:].sum(axis=1).max() for line in lines.values()), default=0.0)
    figure, axes = budget_axes("accuracy", end=end, top=top)
    drawn = {name: (line, name if name in PALETTE else "ink") for name, line in lines.items()}
    for line, role in reversed(drawn.values()):
        barred = line[np.isfinite(line[:, 2])]
        axes.vlines(*_error_bars(barred), color=PALETTE[role], linewidth=1.6, alpha=0.6)
        axes.plot(*line[:, :2].T, color=PALETTE[role], linewidth=1.6)
        draw_dots(axes, line[:, :2], role=role, size=6)
    return _labelled(figure, axes, "accuracy", {name: (line[:, :2], role) for name, (line, role) in drawn.items()})


def budget_axes(y_name: str, *, end: float, top: float, right: float = _END_LABELS) -> tuple[Any, Any]:
    """Return a figure and its axes for shares over the mined share of the pool, with room for labels at the right."""
    figure, axes = chart_axes(_MINED, y_name, right=right)
    axes.set(xlim=(0, end), ylim=(0, min(top * 1.08, 1.0) or 1.0))
    axes.locator_params(nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: share_text(value))
    axes.yaxis.set_major_formatter(lambda value, _: share_text(value))
    return figure, axes


def _labelled(figure: Any, axes: Any, y_name: str, lines: Mapping[str, tuple[Floats, str]]) -> Chart:
    """Return a chart over budgets with its lines, given as (points, role) by name, labelled at their ends."""
    label_ends(axes, [(name, *line[-1], PALETTE[role]) for name, (line, role) in lines.items()])
    reached = ", ".join(f"{name} {share_text(line[-1, 1])}" for name, (line, _) in lines.items())
    return Chart(figure, f"{y_name} by {_MINED}; at the largest: {reached}")


def _error_bars(line: Floats) -> tuple[Floats, Floats, Floats]:
    return line[:, 0], line[:, 1] - line[:, 2], line[:, 1] + line[:, 2]


def is_crowded(values: Floats) -> bool:
    """Whether a linear axis would hide the values: all are positive and over half lie in its lowest tenth."""
    if not values.size:
        return False
    low, high = float(values.min()), float(values.max())
    return low > 0 and float(np.median(values)) < low + (high - low) / 10


def _set_scale(axis: Any, values: Floats) -> None:
    """Show all values with a little room at the ends, on a logarithmic axis where a linear one would hide them."""
    name = axis.axis_name
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    if is_crowded(values):
        limits = low * (low / high) ** 0.03, high * (high / low) ** 0.03
        axis.axes.set(**{f"{name}scale": "log", f"{name}lim": limits})
        _show_decades(axis, number_text)
    else:
        pad = (high - low) * 0.03
        axis.axes.set(**{f"{name}lim": (low - pad, high + pad)})
        axis.axes.locator_params(axis=name, nbins=5)
        axis.set_major_formatter(lambda value, _: number_text(value))


def _show_decades(axis: Any, text: Any) -> None:
    """Label round values of a log axis: powers of ten, and 1, 2 and 5 times them where there are few."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    is_short = np.floor(np.log10(high)) - np.ceil(np.log10(low)) < 1
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_short else (1,), numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: text(value))


def _note_cut(axes: Any, cut: int, *, is_late: bool) -> None:
    """Write the number of selected images above the foot of the axes, beside the rank where they end."""
    axes.annotate(
        f"{cut:,} selected",
        (cut, axes.get_ylim()[0]),
        (-8 if is_late else 8, 10),
        textcoords="offset points",
        ha="right" if is_late else "left",
        fontsize=12.5,
        color=PALETTE["accent"],
    )


def _finite(cloud: SignalCloud) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    points = np.asarray(cloud.values, dtype=np.float64)[:, :2]
    is_finite = np.isfinite(points).all(axis=1)
    return (
        points[is_finite],
        np.asarray(cloud.front, dtype=np.int64)[is_finite],
        np.asarray(cloud.selected, dtype=bool)[is_finite],
    )


def _thinned(points: Floats) -> Floats:
    if len(points) <= MOST_BACKGROUND_DOTS:
        return points
    return points[np.linspace(0, len(points) - 1, MOST_BACKGROUND_DOTS).astype(np.int64)]


def _bin_text(low: int, high: int) -> str:
    if low >= 10_000:
        return count_text(low)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _known(curve: Sequence[tuple[float, ...]]) -> Floats:
    """Return a curve's rows by rising budget, without those whose first two numbers are not both finite."""
    rows = [row for row in sorted(curve) if np.isfinite(row[:2]).all()]
    return np.array(rows, dtype=np.float64)
