"""Figures: the one place that sets matplotlib up and writes what it draws, as SVG for a page and as PNG for MLflow.

A page's style sheet colours its charts: each colour of `PALETTE` is written as the style sheet's variable of that name,
so that one SVG serves light, dark and print. The same data always gives the same bytes.
"""

import io
import itertools
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import markupsafe
import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

PALETTE = {
    "accent": "#0b6b63",
    "picked": "#4f9d95",
    "rest": "#b9b3a8",
    "ink": "#1d1c1a",
    "quiet": "#68635b",
    "line": "#e6e2da",
    "few": "#b04a0a",
    "medium": "#3f66a8",
    "many": "#7a746a",
}
"""Colours by role; the style sheet's light scheme has the same ones."""

WIDTH, HEIGHT = 560, 350
TOP, BOTTOM, LEFT = 44, 48, 52
LABEL_GAP = 15.0
_LONGEST_LABEL, _LONGEST_NAME, _LONGEST_SUMMARY = 15, 48, 600
_POINTS_AN_INCH = 72
_PNG_DPI = 140
_SVG = "http://www.w3.org/2000/svg"
_ROLES = {colour: name for name, colour in PALETTE.items()}
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: texts measure the same everywhere
    "font.size": 10,
    "text.color": PALETTE["quiet"],
    "axes.edgecolor": PALETTE["rest"],
    "axes.labelcolor": PALETTE["quiet"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALETTE["line"],
    "grid.linewidth": 1,
    **{f"{axis}tick.labelcolor": PALETTE["quiet"] for axis in "xy"},
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
    "lines.solid_capstyle": "round",
    "text.parse_math": False,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, eq=False)
class Chart:
    """A drawn figure and its text alternative.

    Attributes:
        figure: The figure.
        summary: What it shows, for readers who cannot see it.
    """

    figure: "Figure"
    summary: str

    def svg(self, name: str) -> markupsafe.Markup:
        """Return the chart as an SVG element for a page; `name` makes its ids unique there."""
        for artist in self.figure.findobj():
            artist.set_clip_on(False)  # clip paths need ids and url(); all data lie within the axes
        content = io.BytesIO()
        with _configured(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser brings its own fonts
            self.figure.savefig(content, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator")))
        return markupsafe.Markup(_page_svg(content.getvalue(), name, self.summary))  # noqa: S704 - escaped by ElementTree

    def png(self) -> bytes:
        """Return the chart as a PNG on white, the same bytes each time."""
        return png_bytes(self.figure)


@contextmanager
def _configured() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def chart_axes(x_name: str, y_name: str, *, right: float = 14) -> tuple["Figure", Any]:
    """Return a figure for a page, and its axes with their names.

    Args:
        x_name: What is on the horizontal axis.
        y_name: What is on the vertical axis.
        right: Points that stay free at the right.
    """
    from matplotlib.figure import Figure

    with _configured():
        figure = Figure(figsize=(WIDTH / _POINTS_AN_INCH, HEIGHT / _POINTS_AN_INCH), dpi=_PNG_DPI)
        width, height = WIDTH - LEFT - right, HEIGHT - TOP - BOTTOM
        axes = figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, width / WIDTH, height / HEIGHT))
        axes.grid(visible=False, axis="x")
        axes.tick_params(labelsize=12.5, pad=8)
        style: dict[str, Any] = {"fontsize": 12.5}
        figure.text(0, 1 - 18 / HEIGHT, f"↑ {_shown(y_name, _LONGEST_NAME)}", **style)
        figure.text(1 - right / WIDTH, 8 / HEIGHT, f"{_shown(x_name, _LONGEST_NAME)} →", ha="right", **style)
    return figure, axes


def panels(count: int = 1, *, size: tuple[float, float] = (7.2, 4.5)) -> tuple["Figure", list[Any]]:
    """Return a figure of a size in inches, and `count` axes side by side that make room for their texts."""
    from matplotlib.figure import Figure

    with _configured():
        figure = Figure(figsize=size, dpi=_PNG_DPI, layout="constrained")
        grid = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(grid)


def png_bytes(figure: "Figure") -> bytes:
    """Return a figure as PNG, the same bytes each time. Characters without a glyph are written as escapes."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(_drawable(text.get_text()))
    content = io.BytesIO()
    with _configured():
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def draw_dots(axes: Any, points: Floats, *, role: str, size: float, opacity: float = 1.0) -> None:
    """Draw points, shape (N, 2) in data coordinates, as round dots of a size in points.

    Points that fall on the same half point of the page are drawn once, which bounds the file. A line of zero length
    with round ends is a dot: a tenth of the bytes of a marker. Call it when the axes have their limits and scales.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(points):
        return
    unit = axes.figure.dpi / _POINTS_AN_INCH / 2
    places = np.unique((axes.transData.transform(points) / unit).round(), axis=0) * unit
    ends = np.repeat(places, 2, axis=0)
    ends[1::2, 0] += 0.01  # a PNG shows no line of no length
    path = Path(axes.transData.inverted().transform(ends), np.tile([Path.MOVETO, Path.LINETO], len(places)))
    path.should_simplify = False
    style = {"fill": False, "edgecolor": PALETTE[role], "linewidth": size, "capstyle": "round", "alpha": opacity}
    axes.add_patch(PathPatch(path, **style, snap=False))


def label_ends(axes: Any, ends: Sequence[tuple[str, float, float, str]], *, longest: int = _LONGEST_LABEL) -> None:
    """Write names at the ends of lines, moved apart where they would touch.

    Args:
        axes: With their limits set.
        ends: (name, x, y, colour) of each line, in data coordinates.
        longest: Characters of a name that are shown.
    """
    if not ends:
        return
    points_a_pixel = _POINTS_AN_INCH / axes.figure.dpi
    places = axes.transData.transform([(x, y) for _, x, y, _ in ends]) * points_a_pixel
    heights = spread(places[:, 1].tolist(), floor=axes.bbox.y0 * points_a_pixel)
    for (name, x, y, colour), (_, place), height in zip(ends, places, heights, strict=True):
        axes.annotate(
            _shown(name, longest),
            (x, y),
            (9, height - place),
            textcoords="offset points",
            va="center_baseline",
            fontsize=12.5,
            color=colour,
            parse_math=False,
            annotation_clip=False,
        )


def spread(heights: Sequence[float], *, floor: float, gap: float = LABEL_GAP) -> list[float]:
    """Return heights moved apart to at least a gap: lower ones move down, and all move up where they pass the floor.

    Examples:
        >>> spread([100.0, 100.0, 20.0], floor=0.0)
        [100.0, 85.0, 20.0]
        >>> spread([5.0, 4.0], floor=0.0)
        [15.0, 0.0]
    """
    order = sorted(range(len(heights)), key=lambda place: -heights[place])
    moved = list(heights)
    for above, place in itertools.pairwise(order):
        moved[place] = min(moved[place], moved[above] - gap)
    for below, place in enumerate(reversed(order)):
        moved[place] = max(moved[place], floor + gap * below)
    return moved


def _page_svg(document: bytes, name: str, summary: str) -> str:
    """Return matplotlib's SVG as an element of a page, which colours it: without styles, ids or a size of its own."""
    ET.register_namespace("", _SVG)
    source = ET.fromstring(document)  # noqa: S314 - written by matplotlib just now
    if (reference := next(source.iter(f"{{{_SVG}}}use"), None)) is not None:
        raise ContractError(
            f"figures: chart {name!r} refers to {reference.attrib} instead of drawing it, as markers and collections "
            "do. Draw it with draw_dots, plot, fill, bar or vlines."
        )
    title = f"{name}-summary"
    chart = ET.Element(
        f"{{{_SVG}}}svg",
        {"class": "chart", "viewBox": source.attrib["viewBox"], "role": "img", "aria-labelledby": title},
    )
    ET.SubElement(chart, f"{{{_SVG}}}title", {"id": title}).text = _shown(summary, _LONGEST_SUMMARY)
    shapes = ET.SubElement(chart, f"{{{_SVG}}}g", {"aria-hidden": "true"})
    for element in source.iter():
        if element.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}text"):
            kept = {key: _page_value(key, value) for key, value in element.attrib.items() if key != "id"}
            ET.SubElement(shapes, element.tag, {key: value for key, value in kept.items() if value}).text = (
                element.text or ""
            ).strip("\n")
    return ET.tostring(chart, encoding="unicode").replace("><path", ">\n<path").replace("><text", ">\n<text")


def _page_value(key: str, value: str) -> str:
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        return re.sub(r"#[0-9a-f]{6}", lambda found: _page_colour(found[0]), value)
    if key == "transform" and value.startswith(("rotate(-0 ", "rotate(0 ")):
        return ""
    value = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", value).strip() if key == "d" else value


def _page_colour(colour: str) -> str:
    return f"var(--{_ROLES[colour]})" if colour in _ROLES else colour


def _shown(text: str, longest: int) -> str:
    words = " ".join(visible_text(text).split())
    return words if len(words) <= longest else f"{words[:longest]}…"


def _drawable(text: str) -> str:
    glyphs = _glyphs()
    return "".join(c if ord(c) in glyphs or c == "\n" else c.encode("unicode_escape").decode() for c in text)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(_STYLE["font.family"][0])).get_charmap())


def count_text(value: float) -> str:
    """Write a count briefly: 950, 1.2k, 30k, 4M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def number_text(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:.3g}"


def share_text(value: float) -> str:
    """Write a share as a percentage: with a decimal where it has one, and with two digits below one percent."""
    percent = value * 100
    return f"{percent:.2g}%" if 0 < abs(percent) < 1 else f"{percent:.1f}".removesuffix(".0") + "%"
