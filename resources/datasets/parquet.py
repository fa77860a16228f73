"""Dataset `parquet`: a folder of Parquet files with an image column, each of which is a shard."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources import ParquetSource, Place


class ParquetSettings(DatasetSettings):
    """A folder of Parquet files with an image column."""

    kind: Literal["parquet"]
    """A folder of Parquet files with an image column; each is a shard."""
    image_column: str = "image"
    """Column with the encoded bytes, or with a struct of `bytes` and `path`."""
    key_column: str | None = None
    """Column with the key; without it the row number."""

    @property
    def capabilities(self) -> SourceCapabilities:
        """Rows have columns; without a key column each file counts its own rows."""
        return SourceCapabilities(numbers_rows=self.key_column is None, has_columns=True)


def _open(place: "Place", settings: ParquetSettings) -> "ParquetSource":
    from vlmine_dagster.resources.sources import ParquetSource

    return ParquetSource(
        place.tree,
        image_column=settings.image_column,
        key_column=settings.key_column,
        max_bytes=settings.max_bytes,
        cache=place.fingerprints,
        sequences=settings.sequences,
    )


PLUGIN = SourcePlugin(ParquetSettings, _open)
