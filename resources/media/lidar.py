"""Medium `lidar`: a sweep of points, seen from above and from the front."""

import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ABOUT = (
    "This picture shows points of a LiDAR on a vehicle: above, seen from the sky, the vehicle in the middle, its "
    "front up; below, seen all around from it. Red is height, green is light that came back, blue is how many points."
)
_FRONT_ROWS = 64
_LIGHT = ("intensity", "i", "reflectivity", "reflectance", "remission")
"""Names of the light that came back, in the order in which they are taken."""
_MOST_RINGS = 256
_MOST_FIELDS = 16
_PCD_HEADER = 8192


class LidarSettings(MediumSettings):
    """A sweep of a LiDAR."""

    version = 2
    endings = (".bin", ".pcd", ".npy", ".las", ".laz")
    prompts: ClassVar = {
        "describe-driving-v1": f"{_ABOUT} Name every road user and object that its shape tells, and what is unusual.",
        "describe-general-v1": f"{_ABOUT} Describe in two or three plain sentences what its shapes show.",
    }

    kind: Literal["lidar"]
    """Points of a LiDAR in a file: .bin (float32), .pcd, .npy, .las, .laz."""
    view: Literal["both", "above", "front"] = "both"
    """What is drawn: the view from above, the one all around, or one over the other."""
    reach_m: Annotated[float, Field(gt=0)] = 40.0
    """How far to see, in metres. The scale is fixed: the same length looks the same in all pictures."""
    pixel_m: Annotated[float, Field(gt=0)] = 0.2
    """Side of a pixel of the view from above, in metres."""
    heights_m: tuple[float, float] = (-3.0, 3.0)
    """Heights, in the frame of the points, that are darkest and brightest."""
    columns: Annotated[int, Field(ge=3, le=32)] | None = None
    """Numbers per point in .bin files, starting with x, y, z and intensity. If left out, 5 if every fifth number is a
    ring number, as in nuScenes, else 4, as in KITTI."""


class Lidar(Medium):
    """A sweep of a LiDAR."""

    noun = "sweep"

    def picture(self, item: bytes) -> bytes:
        """Return the views of a sweep.

        Raises:
            PictureError: it cannot be read, or has no points.
        """
        import numpy as np
        from PIL import Image

        from vlmine_dagster.resources.pictures import ppm

        points = self._points(item)
        points = np.nan_to_num(points[np.isfinite(points[:, :3]).all(axis=1)])
        if not len(points):
            raise PictureError("the sweep has no points")
        views = {"above": self._above, "front": self._front}
        wanted = list(views) if self.settings.view == "both" else [self.settings.view]
        drawn = [views[name](points) for name in wanted]
        width = max(view.shape[1] for view in drawn)
        drawn = [np.pad(view, ((0, 0), (0, width - view.shape[1]), (0, 0))) for view in drawn]
        return ppm(Image.fromarray(np.concatenate(drawn)))

    def _points(self, item: bytes) -> "npt.NDArray[np.float32]":
        """Return x, y, z and intensity, shape (N, 4); what a file is, its first bytes say."""
        import numpy as np

        try:
            if item.startswith(b"\x93NUMPY"):
                found = _rows_of(np.load(io.BytesIO(item), allow_pickle=False))
            elif item.startswith(b"LASF"):
                found = _las(item)
            elif _is_pcd(item):
                found = _pcd(item)
            else:
                found = np.frombuffer(item, "<f4").reshape(-1, self.settings.columns or _columns_of(item))
            if found.ndim != 2 or found.shape[1] < 3:
                raise ValueError(f"an array of shape {found.shape}, expected one row per point")
        except PictureError:
            raise
        except Exception as error:  # each library has its own
            raise PictureError(f"no readable points: {error}") from error
        padded = np.zeros((len(found), 4), np.float32)
        padded[:, : min(4, found.shape[1])] = found[:, :4]
        return padded

    def _above(self, points: Any) -> Any:
        import numpy as np

        reach, pixel = self.settings.reach_m, self.settings.pixel_m
        side = max(1, round(2 * reach / pixel))
        # x is ahead and goes up, y is left and goes to the left.
        rows, columns = (np.floor((reach - points[:, axis]) / pixel).astype(int) for axis in (0, 1))
        return self._drawn(points, rows, columns, (side, side))

    def _front(self, points: Any) -> Any:
        import numpy as np

        width = max(1, round(2 * self.settings.reach_m / self.settings.pixel_m))
        flat = np.hypot(points[:, 0], points[:, 1])
        columns = np.floor((0.5 - np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)) * width).astype(int)
        up = np.arctan2(points[:, 2], np.maximum(flat, 1e-6))
        rows = np.floor((np.radians(10) - up) / np.radians(40) * _FRONT_ROWS).astype(int)
        near = flat <= self.settings.reach_m
        return self._drawn(points[near], rows[near], np.clip(columns[near], 0, width - 1), (_FRONT_ROWS, width))

    def _drawn(self, points: Any, rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
        """Return red, green and blue: the highest point, the most light and how many points of each pixel."""
        import numpy as np

        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        place, kept = rows[inside] * shape[1] + columns[inside], points[inside]
        low, high = self.settings.heights_m
        height = np.clip((kept[:, 2] - low) / (high - low), 0.05, 1)
        light = np.clip(kept[:, 3] / _full_light(points[:, 3]), 0, 1)
        image = np.zeros((shape[0] * shape[1], 3))
        np.maximum.at(image[:, 0], place, height)
        np.maximum.at(image[:, 1], place, light)
        image[:, 2] = np.minimum(np.log1p(np.bincount(place, minlength=len(image))) / np.log(32), 1)
        return (image.reshape(*shape, 3) * 255).astype(np.uint8)


def _full_light(light: Any) -> float:
    """Return the intensity that is full: 1, 255 or 65,535, the least that no point exceeds."""
    most = float(light.max(initial=0))
    return next((full for full in (1.0, 255.0) if most <= full), 65535.0)


def _columns_of(item: bytes) -> int:
    """Return how many numbers a point of raw float32 numbers has: 5 where every fifth is that of a ring, else 4."""
    import numpy as np

    if len(item) % 20 == 0:
        rings = np.frombuffer(item, "<f4")[4::5]
        if len(rings) and (rings == np.floor(rings)).all() and rings.min() >= 0 and 0 < rings.max() < _MOST_RINGS:
            return 5
    return 4


def _rows_of(found: Any) -> Any:
    """Return an array with one row per point: fields by their names, and columns that were saved as rows."""
    import numpy as np

    if found.dtype.names:
        return _named(found.dtype.names, lambda name: np.asarray(found[name], np.float64).ravel())
    is_lying = found.ndim == 2 and 3 <= found.shape[0] <= _MOST_FIELDS < found.shape[1]
    return found.T if is_lying else found


def _named(names: Sequence[str], column: Callable[[str], Any]) -> Any:
    """Return x, y, z and, under whichever name it goes, the light that came back."""
    import numpy as np

    by_name = {name.lower(): name for name in reversed(names)}
    missing = [axis for axis in "xyz" if axis not in by_name]
    if missing:
        raise ValueError(f"no field {', '.join(missing)} among {', '.join(names)}")
    light = next((by_name[name] for name in _LIGHT if name in by_name), None)
    columns = [column(by_name[axis]) for axis in "xyz"]
    return np.stack([*columns, *([] if light is None else [column(light)])], axis=1)


def _las(item: bytes) -> Any:
    import numpy as np

    try:
        import laspy
    except ImportError as error:
        raise PictureError("LAS files are read by laspy: pip install 'vlmine-dagster[lidar]'") from error
    cloud = laspy.read(io.BytesIO(item))
    points = np.stack([cloud.x, cloud.y, cloud.z, cloud.intensity], axis=1).astype(np.float64)
    if len(points):
        # Surveys lie far from their origin: the middle of the cloud and its middle height are taken for it.
        points[:, :2] -= (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        points[:, 2] -= np.median(points[:, 2])
    return points


def _is_pcd(item: bytes) -> bool:
    head = item[:_PCD_HEADER]
    return head.startswith((b"#", b"VERSION", b"FIELDS")) and b"FIELDS" in head and b"\nDATA " in head


def _pcd(item: bytes) -> Any:
    import numpy as np

    try:
        from pypcd4.pypcd4 import PointCloud
    except ImportError as error:
        raise PictureError("PCD files are read by pypcd4: pip install 'vlmine-dagster[lidar]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cloud = PointCloud.from_fileobj(io.BufferedReader(io.BytesIO(item)))
    return _named(cloud.fields, lambda name: np.asarray(cloud.numpy((name,)), np.float64)[:, 0])


PLUGIN = MediumPlugin(LidarSettings, lambda _bench, settings: Lidar(settings))
