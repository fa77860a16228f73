"""Charts of studies, as PNG for reports and MLflow."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.reporting.charts import budget_axes
from vlmine_dagster.reporting.figures import label_ends, panels, png_bytes

_COLOURS = ("#0b6b63", "#c2571a", "#4c5fa8", "#8a6d00", "#a3386c", "#5b8c2a", "#6b665e", "#2f8fb8")
_LONGEST_ARM = 24


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
    end = max((band.budgets[-1] for band in bands.values()), default=1.0)
    figure, axes = budget_axes(
        y_name, end=end, top=max((max(band.high) for band in bands.values()), default=1.0), right=160
    )
    ends = []
    for (name, band), colour in zip(bands.items(), itertools.cycle(_COLOURS)):
        shares = [*start, *band.budgets]
        axes.plot(shares, [*start, *band.mean], color=colour, linewidth=1.8, marker="o", ms=3.5)
        axes.fill_between(shares, [*start, *band.low], [*start, *band.high], color=colour, alpha=0.15, linewidth=0)
        ends.append((name, band.budgets[-1], band.mean[-1], colour))
    label_ends(axes, ends, longest=_LONGEST_ARM)
    return png_bytes(figure)


def matrices_png(names: Sequence[str], matrices: Mapping[str, npt.NDArray[np.float64]], *, low: float = -1.0) -> bytes:
    """Draw square matrices of values up to 1 side by side, each cell with its number.

    Args:
        names: S names of rows and columns.
        matrices: Shape (S, S) by title; NaN stays empty.
        low: Value of the other end of the scale.
    """
    side = max(3.2, 0.45 * len(names) + 1.2)
    figure, axes = panels(len(matrices), size=(side * len(matrices), side + 0.3))
    for place, (title, values) in enumerate(matrices.items()):
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
                cell.set_in_layout(False)  # measuring hundreds takes seconds, and it is inside its panel
    return png_bytes(figure)


def bars_png(bars: Mapping[str, Mapping[str, float]], *, x_name: str) -> bytes:
    """Draw horizontal stacked bars, one per name, its parts in one colour each."""
    figure, (axes,) = panels(size=(7.2, 0.32 * len(bars) + 1.4))
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
    figure.legend(fontsize=8, frameon=False, loc="outside upper left", ncols=3)
    return png_bytes(figure)


def scatter_pairs_png(x: Sequence[float], y: Sequence[float], *, x_name: str, y_name: str) -> bytes:
    """Draw paired values in [0, 1] against each other, with the line on which both are equal."""
    figure, (axes,) = panels(size=(4.6, 4.5))
    axes.plot([0, 1], [0, 1], color=_COLOURS[6], linewidth=1, linestyle=(0, (1, 3)))
    axes.scatter(x, y, s=14, color=_COLOURS[0], linewidths=0)
    axes.set(xlabel=x_name, ylabel=y_name, xlim=(0, 1.02), ylim=(0, 1.02))
    return png_bytes(figure)
