"""Scans below a root, cut into tiles as they are read; of a file no more is in memory than the blocks of one tile."""

import io
import logging
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

from vlmine_dagster.domain.errors import ConfigError, PictureError
from vlmine_dagster.resources.deep_pixels import GDAL_NODATA, declared_unset, is_set
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.resources.sources.contract import RawImage
from vlmine_dagster.resources.sources.cut_files import CutFiles
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import MOST_SHARDS
from vlmine_dagster.resources.sources.samples import spread
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.settings.dataset import DatasetSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmine_dagster.resources.datasets.tiles import TilesSettings

_logger = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".btf")
_PLAIN = (".tif", ".tiff")
_BLANK_RANGE = 0.03
_COLOURS, _LOOKED_AT = 4, 5
_MOST_PAGES = 1000  # that are counted
_PIXEL_SCALE, _TIE_POINT, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735  # GeoTIFF 1.0, sections 2.4 and 2.6
_RASTER_TYPE, _IS_POINT = 1025, 2


class TileSource(CutFiles):
    """Scans, cut into tiles; a key is the path and the tile's upper left pixel in its level: `slide.svs@x1024-y512`.

    A tile of a GeoTIFF has its centre in the units of the map as attributes: `map_x` and `map_y`.

    Args:
        tree: The files.
        settings: How large a tile is, which level is cut, and the number of shards.
        cache: Fingerprints of an earlier time.

    References:
        Pyramids: TIFF 6 with SubIFDs, and the layouts of vendors that tifffile knows.
    """

    def __init__(self, tree: FileTree, settings: "TilesSettings", *, cache: FingerprintCache):
        super().__init__(tree, settings, cache=cache, noun="scan", suffixes=SUFFIXES)
        self._settings = settings

    def _parts(self, path: str, name: str, uri: str, keys: Collection[str] | None) -> Iterator[RawImage]:
        import tifffile

        if find_spec("zarr") is None:
            raise ConfigError(
                "tiles are read through zarr, which is not installed: pip install 'vlmine-dagster[tiles]'"
            )
        with self._tree.open(path) as raw:
            if not raw.read(1):
                yield RawImage(name, uri, b"")
                return
            raw.seek(0)
            try:
                file = tifffile.TiffFile(cast("IO[bytes]", raw))
            except Exception as error:  # tifffile raises many kinds
                raise PictureError(f"no readable TIFF: {error}") from error
            with file:
                yield from self._tiles(file, name, uri, keys)

    def _tiles(self, file: Any, name: str, uri: str, keys: Collection[str] | None) -> Iterator[RawImage]:
        scan = _Scan(file, self._settings.level)
        side, left_out = self._settings.side, 0
        for y in _starts(scan.height, side):
            for x in _starts(scan.width, side):
                key = f"{name}@x{x}-y{y}"
                if keys is not None and key not in keys:
                    continue
                where = f"{uri}#x={x}&y={y}"
                try:
                    pixels = scan.tile(x, y, side)
                except Exception as error:  # its decoders raise many kinds
                    yield RawImage(key, where, b"", f"the tile is damaged: {error}")
                    continue
                if self._settings.skip_blank and _is_blank(pixels, scan.unset):
                    left_out += 1
                    continue
                yield RawImage(key, where, _tiff(pixels, scan.unset), attributes=scan.place(x, y, side))
        if left_out and keys is None:
            _logger.info("%s: %s tiles of one colour are left out (dataset.skip_blank)", name, f"{left_out:,}")


def found_in(tree: FileTree) -> dict[str, Any] | None:
    """Return settings for a folder of slides, or of rasters too large for a picture; None for any other folder."""
    scans = tree.paths(lambda path: path.lower().endswith(SUFFIXES))
    others = tree.paths(lambda path: path.lower().endswith(IMAGE_SUFFIXES) and not path.lower().endswith(SUFFIXES))
    slides = [path for path in scans if not path.lower().endswith(_PLAIN)]
    if len(others) >= len(scans):
        return None
    known = [found for path in spread(scans) if (found := _size(tree, path))]
    large = sum(pixels > DatasetSettings.model_fields["max_pixels"].default for pixels, _ in known)
    if not known or (not slides and 2 * large <= len(known)):
        return None
    is_banded = max(bands for _, bands in known) > _COLOURS
    return {
        "shard_count": min(MOST_SHARDS, len(scans)),
        "skip_blank": True,
        **({"medium": "bands"} if is_banded else {}),
    }


def banded(tree: FileTree, paths: Sequence[str]) -> int:
    """Return how many bands most of the TIFFs among some paths have; 0 where they are no more than colours."""
    tiffs = [path for path in paths if path.lower().endswith(_PLAIN)]
    bands = [found[1] for path in spread(tiffs, _LOOKED_AT) if (found := _size(tree, path))]
    middle = sorted(bands)[len(bands) // 2] if bands else 0
    return middle if middle > _COLOURS else 0


def page_count(tree: FileTree, paths: Sequence[str]) -> int:
    """Return the most pages that some of the TIFFs among some paths hold, reduced copies of pages left out."""
    tiffs = [path for path in paths if path.lower().endswith(_PLAIN)]
    return max((_pages(tree, path) for path in spread(tiffs, _LOOKED_AT)), default=0)


def _pages(tree: FileTree, path: str) -> int:
    import tifffile

    try:
        with tree.open(path) as raw, tifffile.TiffFile(cast("IO[bytes]", raw)) as file:
            return sum(not page.is_reduced for page in islice(cast(Any, file.pages), _MOST_PAGES))
    except Exception:  # tifffile raises many kinds
        return 0


def _size(tree: FileTree, path: str) -> tuple[int, int] | None:
    """Return pixels and bands of a TIFF, by its header alone; None where it is none."""
    import tifffile

    try:
        with tree.open(path) as raw, tifffile.TiffFile(cast("IO[bytes]", raw)) as file:
            page = file.pages.first
            return page.imagewidth * page.imagelength, page.samplesperpixel
    except Exception:  # tifffile raises many kinds
        return None


class _Scan:
    """One level of a file, of axes bands, rows, columns or rows, columns, bands."""

    def __init__(self, file: Any, level: int):
        import zarr

        series = file.series[0]
        number = min(level, len(series.levels) - 1)
        try:
            self._pixels = zarr.open_array(series.aszarr(level=number), mode="r")
        except Exception as error:
            raise PictureError(f"the pixels cannot be read: {error}") from error
        axes = series.levels[number].axes
        if "Y" not in axes or "X" not in axes or len(axes) > 3:
            raise PictureError(f"a TIFF of the axes {axes}, expected rows and columns, and bands at most")
        self._rows, self._columns = axes.index("Y"), axes.index("X")
        self.height, self.width = self._pixels.shape[self._rows], self._pixels.shape[self._columns]
        page = file.pages.first
        self.unset = declared_unset(page)
        self._map = _map_of(page.tags)
        self._factor = series.levels[0].shape[self._columns] / self.width

    def tile(self, x: int, y: int, side: int) -> "npt.NDArray[np.generic]":
        """Return a tile of shape (rows, columns) or (rows, columns, bands)."""
        import numpy as np

        place: list[slice] = [slice(None)] * self._pixels.ndim
        place[self._rows], place[self._columns] = slice(y, y + side), slice(x, x + side)
        found = np.asarray(self._pixels[tuple(place)])
        return found if self._rows == 0 else np.moveaxis(found, 0, -1)

    def place(self, x: int, y: int, side: int) -> dict[str, float]:
        """Return the centre of a tile on the map, where the file says where it lies."""
        if self._map is None:
            return {}
        column, row = (
            (start + min(side, whole - start) / 2) * self._factor
            for start, whole in ((x, self.width), (y, self.height))
        )
        found = self._map @ (column, row, 1)
        return {"map_x": round(float(found[0]), 6), "map_y": round(float(found[1]), 6)}


def _map_of(tags: Any) -> "npt.NDArray[np.float64] | None":
    """Return the matrix from (column, row, 1) to the map, shape (2, 3); None where a file does not say where it lies.

    Columns and rows count from the outer corner of the upper left pixel, whatever the file counts from.
    """
    import numpy as np

    if _TRANSFORMATION in tags:
        found = np.array(tags[_TRANSFORMATION].value, np.float64).reshape(4, 4)[:2, [0, 1, 3]]
    elif _PIXEL_SCALE in tags and _TIE_POINT in tags:
        wide, high = tags[_PIXEL_SCALE].value[:2]
        column, row, _, x, y = tags[_TIE_POINT].value[:5]
        found = np.array([[wide, 0, x - column * wide], [0, -high, y + row * high]], np.float64)
    else:
        return None
    keys = np.array(tags[_GEO_KEYS].value if _GEO_KEYS in tags else ()).reshape(-1, 4)[1:]
    if any(key == _RASTER_TYPE and value == _IS_POINT for key, _, _, value in keys.tolist()):
        found[:, 2] -= found[:, :2].sum(axis=1) / 2
    return found


def _starts(length: int, side: int) -> list[int]:
    """Return where tiles begin; the first is always one.

    Examples:
        >>> _starts(1100, 512), _starts(1400, 512), _starts(100, 512)
        ([0, 512], [0, 512, 1024], [0])
    """
    return [start for start in range(0, length, side) if start == 0 or length - start >= side / 2]


def _is_blank(pixels: "npt.NDArray[np.generic]", unset: float | None) -> bool:
    import numpy as np

    values = pixels[..., None] if pixels.ndim == 2 else pixels
    known = values[is_set(values, unset=unset).all(axis=-1)].astype(np.float64)
    if not len(known):
        return True
    whole = 255.0 if pixels.dtype == np.uint8 else max(float(np.abs(known).max()), 1e-12)
    low, high = np.percentile(known, [0.5, 99.5], axis=0)
    return bool(((high - low) <= _BLANK_RANGE * whole).all())


def _tiff(pixels: "npt.NDArray[np.generic]", unset: float | None) -> bytes:
    """Return a tile as an uncompressed TIFF, as every medium reads it, with its mark of pixels without a value."""
    import tifffile

    kept = io.BytesIO()
    has_bands = pixels.ndim > 2
    is_colour = has_bands and pixels.shape[2] in (3, 4) and pixels.dtype.name in ("uint8", "uint16")
    meaning, order = "rgb" if is_colour else "minisblack", "contig" if has_bands else None
    mark = [] if unset is None else [(GDAL_NODATA, "s", 0, f"{unset:.17g}", True)]
    tifffile.imwrite(kept, pixels, photometric=meaning, planarconfig=order, extratags=mark)
    return kept.getvalue()
