"""Diversity `k_center`: the images farthest from the labelled ones and from earlier picks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.settings.mining import DiversityPlugin, DiversitySettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmine_dagster.scoring.diversity import Pick, Places
    from vlmine_dagster.scoring.reading import Reader

_LABELLED_BATCH = 4096


class KCenterSettings(DiversitySettings):
    """Pick the images farthest from the labelled ones and from earlier picks."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {ITEMS: ("label",), "embeddings": ("image_id", "embedding")}
    because = "unlike the labelled images and earlier picks"

    kind: Literal["k_center"]
    """The farthest from the labelled set and earlier picks over the encoder's features (Sener and Savarese 2018).
    Greedy: the first N picks are a prefix of the first N + 1. Another budget changes the candidates, and so may change
    every pick."""


def _picks(reader: "Reader", names: Sequence[str], budget: int) -> "Places":
    import numpy as np
    import pyarrow as pa

    from vlmine_dagster.mining.diversity import k_center_picks
    from vlmine_dagster.scoring.vectors import matrix

    candidates = pa.table({"image_id": names, "place": np.arange(len(names))})
    with reader.connect("embeddings") as connection:
        connection.register("candidates", candidates)
        rows = connection.sql(
            "SELECT embedding FROM candidates JOIN embeddings USING (image_id) ORDER BY place"
        ).to_arrow_table()
    features = matrix(rows, "embedding", np.float16)
    return k_center_picks(features, count=budget, covered=_labelled_features(reader))


def _labelled_features(reader: "Reader") -> "Iterator[npt.NDArray[np.float16]]":
    import numpy as np
    import pyarrow as pa

    from vlmine_dagster.scoring.vectors import matrix

    with reader.connect(ITEMS, "embeddings") as connection:
        rows = connection.sql(
            """SELECT embedding FROM items JOIN embeddings USING (image_id)
               WHERE split = 'seed' AND outcome = 'ok' AND label IS NOT NULL"""
        )
        for batch in rows.to_arrow_reader(_LABELLED_BATCH):
            yield matrix(pa.Table.from_batches([batch]), "embedding", np.float16)


def _make(_bench: object, _settings: KCenterSettings) -> "Pick":
    return _picks


PLUGIN = DiversityPlugin(KCenterSettings, _make)
