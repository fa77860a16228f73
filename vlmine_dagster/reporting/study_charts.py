"""Charts of studies, as PNG for reports and MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.reporting.charts import png_bytes, png_figure
from vlmine_dagster.reporting.drawing import HEIGHT, share_text, spread

_COLOURS = ("#0b6b63", "#c2571a", "#4c5fa8", "#8a6d00", "#a3386c", "#5b8c2a", "#6b665e", "#2f8fb8")


@dataclass(frozen=True)
class Band:
    """A curve over budgets with the interval of its mean; all of one length."""

    budgets: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def budget_curves_png(
    bands: Mapping[str, Band], *, y_name: str = "few-shot images found", is_from_zero: bool = True
) -> bytes:
    """Draw curves over the mined share with their intervals, each labelled at its end.

    Args:
        bands: Curve by arm.
        y_name: What is on the vertical axis.
        is_from_zero: Whether each curve starts with 0 where nothing is mined.
    """
    start = [0.0] if is_from_zero else []
    figure, (axes,) = png_figure()
    end = max((band.budgets[-1] for band in bands.values()), default=1.0)
    top = 1.08 * max((max(band.high) for band in bands.values()), default=1.0)
    for place, band in enumerate(bands.values()):
        colour = _COLOURS[place % len(_COLOURS)]
        shares = [*start, *band.budgets]
        axes.plot(shares, [*start, *band.mean], color=colour, linewidth=1.8, marker="o", ms=3.5)
        axes.fill_between(shares, [*start, *band.low], [*start, *band.high], color=colour, alpha=0.15, linewidth=0)
    ends = [
        (-band.mean[-1] / top * HEIGHT, band.budgets[-1], name, str(k)) for k, (name, band) in enumerate(bands.items())
    ]
    for label, (_, x, name, number) in zip(spread(ends, floor=0.0), sorted(ends), strict=True):
        y, colour = -(label.y - 4) / HEIGHT * top, _COLOURS[int(number) % len(_COLOURS)]
        axes.text(x + end / 60, y, name, va="center", fontsize=9, parse_math=False, color=colour)
    axes.set(xlabel="mined share of the pool", ylabel=y_name, xlim=(0, end * 1.01), ylim=(0, top))
    axes.xaxis.set_major_formatter(lambda value, _: share_text(value))
    axes.yaxis.set_major_formatter(lambda value, _: share_text(value))
    return png_bytes(figure)


def matrices_png(names: Sequence[str], panels: Mapping[str, npt.NDArray[np.float64]], *, low: float = -1.0) -> bytes:
    """Draw square matrices of values up to 1 side by side, each cell with its number.

    Args:
        names: S names of rows and columns.
        panels: Shape (S, S) by title; NaN stays empty.
        low: Value of the other end of the scale.
    """
    side = max(3.2, 0.45 * len(names) + 1.2)
    figure, axes = png_figure(panels=len(panels), size=(side * len(panels), side + 0.3))
    for place, (title, values) in enumerate(panels.items()):
        panel = axes[place]
        panel.imshow(values, vmin=low, vmax=1.0, cmap="BrBG" if low < 0 else "Greens")
        panel.set_title(title, fontsize=10)
        panel.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
        panel.set_yticks(range(len(names)), names if place == 0 else [""] * len(names), fontsize=8)
        panel.grid(visible=False)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "white" if abs(value) > 0.7 else "black"
                text = f"{value:.2f}".replace("0.", ".")
                cell = panel.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
                cell.set_in_layout(False)  # it lies inside of its panel: to measure hundreds takes seconds
    return png_bytes(figure)


def bars_png(bars: Mapping[str, Mapping[str, float]], *, x_name: str) -> bytes:
    """Draw horizontal stacked bars, one a name, its parts in one colour each."""
    figure, (axes,) = png_figure(size=(7.2, 0.32 * len(bars) + 1.4))
    parts = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    left = np.zeros(len(bars))
    for place, part in enumerate(parts):
        widths = np.array([bar.get(part, 0.0) for bar in bars.values()])
        colour = _COLOURS[place % len(_COLOURS)]
        axes.barh(range(len(bars)), widths, left=left, color=colour, label=part.replace("_", " "), height=0.7)
        left += widths
    axes.set_yticks(range(len(bars)), list(bars), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(x_name)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return png_bytes(figure)


def scatter_pairs_png(x: Sequence[float], y: Sequence[float], *, x_name: str, y_name: str) -> bytes:
    """Draw paired values in [0, 1] against each other, with the line on which both are equal."""
    figure, (axes,) = png_figure(size=(4.6, 4.5))
    axes.plot([0, 1], [0, 1], color=_COLOURS[6], linewidth=1, linestyle=(0, (1, 3)))
    axes.scatter(x, y, s=14, color=_COLOURS[0], linewidths=0)
    axes.set(xlabel=x_name, ylabel=y_name, xlim=(0, 1.02), ylim=(0, 1.02))
    return png_bytes(figure)
