"""Charts of a mining run: as drawings that the report page inlines as SVG, and as PNG for MLflow."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.reporting.drawing import (
    BOTTOM,
    HEIGHT,
    TOP,
    WIDTH,
    Drawing,
    Floats,
    Label,
    Mark,
    Scale,
    Tick,
    count_text,
    crowd,
    dots,
    number_text,
    polyline,
    scale_for,
    share_text,
    spread,
    staircase,
    whiskers,
)

Curve = Sequence[tuple[float, float]]
_PNG = {"self": "#0b6b63", "rival": "#a39d92", "quiet": "#6b665e"}


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
                f"selected {self.selected.shape}. Expected one row an image and one column a name, at least one."
            )


def signal_scatter(cloud: SignalCloud) -> Drawing:
    """Draw the first two signals against each other: selected images as dots, the rest as dots or as density.

    With exactly two signals a staircase marks the edge of the first front. Axes: `drawing.scale_for`.
    """
    points, front, selected = _finite(cloud)
    left, right = 52.0, WIDTH - 14.0
    x = scale_for(points[:, 0], left, right)
    y = scale_for(points[:, 1], HEIGHT - BOTTOM, TOP)
    places = np.column_stack([x(points[:, 0]), y(points[:, 1])])
    marks = [*crowd(places[~selected])]
    if len(cloud.names) == 2 and (front == 1).any():
        marks.append(Mark("edge", staircase(places[front == 1])))
    later, first = selected & (front > 1), selected & (front <= 1)
    marks += [Mark(role, dots(places[where])) for role, where in (("picked", later), ("best", first)) if where.any()]
    return Drawing(
        summary=f"{cloud.names[1]} against {cloud.names[0]}: {len(points):,} images, {int(selected.sum()):,} selected",
        x_name=cloud.names[0],
        y_name=cloud.names[1],
        x_ticks=x.ticks(number_text),
        y_ticks=y.ticks(number_text),
        left=left,
        right=right,
        marks=tuple(marks),
    )


def signal_ranks(cloud: SignalCloud) -> Drawing:
    """Draw the first signal by rank, highest first, with the selected share filled. Ranks are on a log axis."""
    points, _, selected = _finite(cloud)
    values = np.sort(points[:, 0])[::-1]
    left, right = 52.0, WIDTH - 14.0
    x = Scale(1, max(len(values), 2), left, right, is_log=True)
    y = scale_for(values, HEIGHT - BOTTOM, TOP)
    cut = int(selected.sum())
    ranks = np.unique(np.geomspace(1, max(len(values), 1), 400).round().astype(int))
    ranks = np.union1d(ranks, [cut]) if cut else ranks
    line = np.column_stack([x(ranks), y(values[ranks - 1])]) if len(values) else np.empty((0, 2))
    chosen = line[ranks <= cut] if len(values) else line
    floor = HEIGHT - BOTTOM
    marks = [Mark("self area", f"{polyline(chosen)}V{floor}H{left:g}Z")] if cut else []
    marks += [Mark("crowd line", polyline(line)), Mark("self line", polyline(chosen))]
    edge = float(x(max(cut, 1)))
    anchor, shift = ("end", -8) if edge > WIDTH / 2 else ("start", 8)
    note = (Label(round(edge + shift, 1), floor - 10, f"{cut:,} selected", "self", anchor),) if cut else ()
    return Drawing(
        summary=f"{cloud.names[0]} of {len(values):,} images, highest first, {cut:,} selected",
        x_name="rank in the pool",
        y_name=cloud.names[0],
        x_ticks=x.ticks(count_text),
        y_ticks=y.ticks(number_text),
        left=left,
        right=right,
        marks=tuple(mark for mark in marks if mark.path),
        labels=note,
    )


def keyword_bins(image_counts: npt.ArrayLike) -> list[tuple[int, int, int]]:
    """Count keywords by how many images share them, in bins that double: 1, 2-3, 4-7, 8-15, ...

    Args:
        image_counts: Shape (K,), int, images that yield each keyword, each >= 1.

    Returns:
        (lowest count, highest count, keywords) a bin, from the bin of 1 to the last that is not empty.

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
            f"keyword_bins: image count {counts.min()} is below 1; a keyword that no image has is no keyword"
        )
    exponents = np.frexp(counts.astype(np.float64))[1] - 1
    return [(2**e, 2 ** (e + 1) - 1, int(n)) for e, n in enumerate(np.bincount(exponents))]


def keyword_histogram(image_counts: npt.ArrayLike) -> Drawing:
    """Draw how many keywords are shared by how many images, both axes logarithmic."""
    bins = keyword_bins(image_counts)
    left, right = 52.0, WIDTH - 14.0
    highest = max((n for _, _, n in bins), default=1)
    y = Scale(0.5, max(highest * 1.6, 2), HEIGHT - BOTTOM, TOP, is_log=True)
    step = (right - left) / max(len(bins), 1)
    every = -(-len(bins) // 9)
    bars, ticks, labels = [], [], []
    for i, (low, high, n) in enumerate(bins):
        x0, top = left + i * step, float(y(max(n, 0.5)))
        middle = round(x0 + step / 2, 1)
        if i % every == 0:
            ticks.append(Tick(middle, _bin_text(low, high) if every == 1 else _bin_text(low, low)))
        if n:
            role = "self bar" if i == 0 else "crowd bar"
            bars.append(Mark(role, f"M{x0 + 2:.1f} {HEIGHT - BOTTOM}V{top:.1f}H{x0 + step - 2:.1f}V{HEIGHT - BOTTOM}Z"))
            if i % every == 0:  # above each bin they would run into each other
                labels.append(Label(middle, round(top - 6, 1), count_text(n), "quiet", "middle"))
    return Drawing(
        summary="; ".join(f"{n:,} keywords in {low:,} to {high:,} images" for low, high, n in bins) or "no keywords",
        x_name="images that share a keyword",
        y_name="keywords",
        x_ticks=tuple(ticks),
        y_ticks=y.ticks(count_text),
        left=left,
        right=right,
        marks=tuple(bars),
        labels=tuple(labels),
    )


def recall_curve(curves: Mapping[str, Curve]) -> Drawing:
    """Draw the recall of the tail by mined share of the pool.

    Args:
        curves: (budget, recall) pairs by experiment, both in [0, 1]. The first curve is the one that the page is about;
            pairs with a NaN are left out.
    """
    lines = {name: _known([(0.0, 0.0), *curve]) for name, curve in curves.items()}
    end = max((line[-1, 0] for line in lines.values()), default=0.0) or 1.0
    top = max((line[:, 1].max() for line in lines.values()), default=0.0)
    x, y = _line_scales(end, max(top, end))
    series = {name: ("rival" if i else "self", line) for i, (name, line) in enumerate(lines.items())}
    series["by chance"] = ("chance", np.array([(0.0, 0.0), (end, end)]))
    return _line_drawing(series, x, y, y_name="tail images found")


def accuracy_curve(curves: Mapping[str, Sequence[tuple[float, float, float]]]) -> Drawing:
    """Draw accuracy by mined share, with whiskers of one standard deviation.

    Args:
        curves: (budget, mean, standard deviation) triples by name of the images judged (many, medium, few, all), which
            is also the role that colours the line. Triples without a mean are left out; a NaN deviation has no whisker.
    """
    lines = {name: line for name, curve in curves.items() if len(line := _known(curve))}
    end = max((line[-1, 0] for line in lines.values()), default=0.0) or 1.0
    top = max((np.nan_to_num(line)[:, 1:].sum(axis=1).max() for line in lines.values()), default=0.0)
    x, y = _line_scales(end, top)
    strokes = [Mark(f"{name} whisker", whiskers(line, x, y)) for name, line in lines.items()]
    series = {name: (name, line[:, :2]) for name, line in lines.items()}
    return _line_drawing(series, x, y, y_name="accuracy", below=strokes)


def recall_curve_png(curves: Mapping[str, Curve]) -> bytes:
    """Return the recall of the tail by mined share as a PNG, for an MLflow artifact.

    Args:
        curves: (budget, recall) pairs by experiment, both in [0, 1]; the first is drawn strongest.
    """
    figure, (axes,) = png_figure()
    lines = {name: _known([(0.0, 0.0), *curve]) for name, curve in curves.items()}
    end = max((line[-1, 0] for line in lines.values()), default=0.0) or 1.0
    top = 1.08 * max(end, *(line[:, 1].max() for line in lines.values()), 0.0)
    for i, line in enumerate(lines.values()):
        axes.plot(
            *line.T,
            color=_PNG["rival" if i else "self"],
            linewidth=1.4 if i else 2.6,
            marker="o",
            ms=4,
            zorder=3 - i / 100,
        )
    lines["by chance"] = np.array([(0.0, 0.0), (end, end)])
    axes.plot([0, end], [0, end], color=_PNG["quiet"], linestyle=(0, (1, 3)), linewidth=1.4)
    ends = [(-line[-1, 1] / top * HEIGHT, line[-1, 0], name, "") for name, line in lines.items()]
    for label, (_, x, name, _) in zip(spread(ends, floor=0.0), sorted(ends), strict=True):
        axes.text(x + end / 60, -(label.y - 4) / HEIGHT * top, _plain(name), va="center", fontsize=9, parse_math=False)
    axes.set(xlabel="mined share of the pool", ylabel="tail images found", xlim=(0, end * 1.01), ylim=(0, top))
    axes.xaxis.set_major_formatter(lambda value, _: share_text(value))
    axes.yaxis.set_major_formatter(lambda value, _: share_text(value))
    return png_bytes(figure)


def scatter_png(cloud: SignalCloud) -> bytes:
    """Return the first two signals against each other, or one signal by rank, as a PNG for an MLflow artifact."""
    figure, (axes,) = png_figure()
    points, _, selected = _finite(cloud)
    names = cloud.names[:2]
    if len(names) == 1:
        order = np.argsort(-points[:, 0], kind="stable")
        points = np.column_stack([np.arange(1, len(points) + 1), points[order, 0]])
        selected, names = selected[order], ("rank in the pool", names[0])
    rest, picked = points[~selected], points[selected]
    for axis, values in (("x", points[:, 0]), ("y", points[:, 1])):
        if scale_for(values, 0, 1).is_log:
            axes.set(**{f"{axis}scale": "log"})
    axes.scatter(rest[:, 0], rest[:, 1], s=4, color=_PNG["rival"], alpha=0.35, linewidths=0, rasterized=True)
    axes.scatter(picked[:, 0], picked[:, 1], s=9, color=_PNG["self"], linewidths=0, rasterized=True)
    axes.set_xlabel(_plain(names[0]), parse_math=False)
    axes.set_ylabel(_plain(names[1]), parse_math=False)
    return png_bytes(figure)


def _finite(cloud: SignalCloud) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    points = np.asarray(cloud.values, dtype=np.float64)[:, :2]
    known = np.isfinite(points).all(axis=1)
    return points[known], np.asarray(cloud.front, dtype=np.int64)[known], np.asarray(cloud.selected, dtype=bool)[known]


def _bin_text(low: int, high: int) -> str:
    if low >= 10_000:
        return count_text(low)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _known(curve: Sequence[tuple[float, ...]]) -> Floats:
    """Return a curve's rows by rising budget, without those whose first two numbers are not both finite."""
    rows = [row for row in sorted(curve) if np.isfinite(row[:2]).all()]
    return np.array(rows, dtype=np.float64)


def _line_scales(end: float, top: float) -> tuple[Scale, Scale]:
    return Scale(0, end, 46.0, WIDTH - 120.0), Scale(0, min(top * 1.08, 1.0) or 1.0, HEIGHT - BOTTOM, TOP)


def _line_drawing(
    series: Mapping[str, tuple[str, Floats]], x: Scale, y: Scale, *, y_name: str, below: Sequence[Mark] = ()
) -> Drawing:
    """Draw lines over the mined share, each given as (role, rows of budget and value); the first lies on top."""
    strokes: list[Mark] = []
    ends = []
    for name, (role, line) in series.items():
        places = np.column_stack([x(line[:, 0]), y(line[:, 1])])
        strokes.append(Mark(f"{role} line", polyline(places)))
        if role != "chance":
            strokes.append(Mark(f"{role} points", dots(places)))
        ends.append((float(places[-1, 1]), float(places[-1, 0]), name, role))
    reached = ", ".join(f"{name} {share_text(line[-1, 1])}" for name, (_, line) in series.items())
    return Drawing(
        summary=f"{y_name} by mined share of the pool; at the largest: {reached}",
        x_name="mined share of the pool",
        y_name=y_name,
        x_ticks=x.ticks(share_text),
        y_ticks=y.ticks(share_text),
        left=x.start,
        right=x.end,
        marks=(*below, *reversed(strokes)),
        labels=tuple(spread(ends)),
    )


def _plain(text: str) -> str:
    return text.encode("unicode_escape").decode()[:60]  # the built-in font draws little more than ASCII


def png_figure(*, panels: int = 1, size: tuple[float, float] = (7.2, 4.5)) -> tuple[Any, list[Any]]:
    """Return a figure of a size in inches, and its panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, panels, squeeze=False)[0]
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#ece9e3", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, list(grid)


def png_bytes(figure: Any) -> bytes:
    """Return a figure as PNG, the same bytes each time."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
