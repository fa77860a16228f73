"""The junk lane on an experiment's page: how much there is of each kind, and some of the pictures."""

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.reporting.report_page import Card
from vlmine_dagster.resources.intake import load_pictures
from vlmine_dagster.resources.pictures import thumbnail_data_url
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.scoring.junk import junk_counts

PICTURES = 24
_SIDE = 160


def kinds_of(ranked: pa.Table) -> dict[str, int]:
    """Return how many images of a list are in its junk lane, by kind, the commonest first."""
    return junk_counts(ranked.select(["junk"]).rename_columns(["kind"]).drop_null())


def junk_cards(pictures: ImageSource, ranked: pa.Table, *, max_pixels: int) -> tuple[Card, ...]:
    """Return cards of the first images of the junk lane, as many of each kind as there is room for.

    Args:
        pictures: The pictures of what is mined.
        ranked: Rows of `pareto_set`, best first.
        max_pixels: Larger pictures are not decoded.
    """
    lane = ranked.filter(pc.is_valid(ranked.column("junk"))).select(["image_id", "rank", "front", "junk"])
    share = -(-PICTURES // max(1, len(kinds_of(ranked))))
    by_kind: dict[str, list[dict[str, object]]] = {}
    for row in lane.to_pylist():
        by_kind.setdefault(row["junk"], []).append(row)
    rows = [row for kind in by_kind.values() for row in kind[:share]][:PICTURES]
    found = load_pictures(pictures, [str(row["image_id"]) for row in rows], max_pixels=max_pixels, smallest_side=_SIDE)
    thumbnails = {name: thumbnail_data_url(picture, _SIDE) for name, picture in found}
    return tuple(
        Card(
            image_id=str(row["image_id"]),
            thumbnail=thumbnails.get(str(row["image_id"]), ""),
            rank=int(str(row["rank"])),
            front=int(str(row["front"])),
            reason=str(row["junk"]),
        )
        for row in rows
    )
