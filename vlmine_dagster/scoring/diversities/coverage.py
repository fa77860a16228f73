"""Diversity `coverage`: what adds most to the rare keywords of earlier picks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from vlmine_dagster.settings.mining import DiversityPlugin, DiversitySettings

if TYPE_CHECKING:
    from vlmine_dagster.scoring.diversity import Pick, Places
    from vlmine_dagster.scoring.reading import Reader


class CoverageSettings(DiversitySettings):
    """Pick what adds most to the rare keywords of earlier picks."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "keywords": ("image_id", "keyword"),
        "vocab_counts": ("keyword", "unit_count"),
    }
    because = "adds rare keywords that earlier picks lack"

    kind: Literal["coverage"]
    """What adds most to the rare keywords of earlier picks. Greedy: the first N picks are a prefix of the first N + 1.
    Another budget changes the candidates, and so may change every pick."""


def _picks(reader: "Reader", names: Sequence[str], budget: int) -> "Places":
    import pyarrow as pa

    from vlmine_dagster.mining.diversity import coverage_picks

    keywords: dict[str, list[str]] = {name: [] for name in names}
    with reader.connect("keywords", "vocab_counts") as connection:
        connection.register("candidates", pa.table({"image_id": names}))
        rows = connection.sql(
            """SELECT image_id, keyword, unit_count
               FROM keywords JOIN candidates USING (image_id) JOIN vocab_counts USING (keyword)
               ORDER BY image_id, keyword"""
        ).fetchall()
    for name, word, _ in rows:
        keywords[name].append(word)
    return coverage_picks(list(keywords.values()), {word: count for _, word, count in rows}, count=budget)


def _make(_bench: object, _settings: CoverageSettings) -> "Pick":
    return _picks


PLUGIN = DiversityPlugin(CoverageSettings, _make)
