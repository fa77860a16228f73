"""Settings of the objects in images: where their boxes come from, and how a box becomes a picture of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.settings.base import PublicLocation, Settings
from vlmine_dagster.settings.providers import Part, Provider, ProviderSettings, S

if TYPE_CHECKING:
    from vlmine_dagster.resources.boxes.contract import BoxFile, BoxRow, ClassEntry, ImageEntry


@dataclass(frozen=True)
class BoxFormat:
    """A format of box files, for the entry-point group `vlmine.boxes`.

    Attributes:
        name: Its name, as `objects.format` has it.
        suffixes: Endings of its files, in lower case.
        is_format: Whether a file is of this format, from its relative path and its first bytes.
        read: Yields the images that a file declares and the boxes in it, one by one, in the order of the file.
    """

    name: str
    suffixes: tuple[str, ...]
    is_format: Callable[[str, bytes], bool]
    read: "Callable[[BoxFile], Iterator[BoxRow | ImageEntry | ClassEntry]]"


BOX_FORMATS: Registry[BoxFormat] = Registry("vlmine.boxes", BoxFormat, noun="box format")
"""All formats of box files."""


class DetectorSettings(ProviderSettings):
    """Who finds objects in an image."""


@dataclass(frozen=True)
class DetectorPlugin(Provider[S, Part]):
    """A kind of detector, for the entry-point group `vlmine.detectors`.

    `make` gets the workbench and the settings, and returns a `vlmine_dagster.resources.detectors.contract.Detector`.
    """

    base = DetectorSettings


DetectorSettings.plugins = Registry("vlmine.detectors", DetectorPlugin, noun="detector", named_by="kind")

AnyDetector = Annotated[DetectorSettings, SerializeAsAny(), BeforeValidator(DetectorSettings.of_kind)]
"""The settings of any kind of detector."""

BoxRole = Literal[
    "image_id",
    "x",
    "y",
    "width",
    "height",
    "right",
    "bottom",
    "center_x",
    "center_y",
    "bbox",
    "label",
    "score",
    "track_id",
    "object_id",
]


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


class ObjectSettings(Settings):
    """The objects in the images."""

    boxes: Annotated[tuple[PublicLocation, ...], BeforeValidator(_listed)] = ()
    """File or folder with the boxes, or a list of them: COCO JSON, YOLO, Pascal VOC, LabelMe, exports of Label Studio
    and CVAT, Parquet or CSV (docs/objects.md)."""
    format: str = "auto"
    """Format of these files: auto (by what is in them), or the name of one."""
    columns: dict[BoxRole, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Names of a table's columns if they differ, such as {image_id: frame, label: category}."""
    detector: AnyDetector | None = None
    """What finds boxes if no file has them."""
    from_dataset: bool = False
    """Whether to use the dataset's own objects; driving datasets have them (docs/driving.md)."""
    context: Annotated[float, Field(ge=0, le=4)] = 0.2
    """Margin around a box that belongs to its crop, as a share of the box's sides."""
    min_size: Annotated[float, Field(ge=0)] = 16
    """Objects whose shorter side has fewer pixels are too_small: they are counted and not mined."""

    @field_validator("format")
    @classmethod
    def _format_exists(cls, name: str) -> str:
        if name != "auto":
            try:
                BOX_FORMATS.get(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return name

    @model_validator(mode="after")
    def _boxes_come_from_somewhere(self) -> "ObjectSettings":
        if bool(self.boxes) + (self.detector is not None) + self.from_dataset != 1:
            raise ValueError(
                "the objects need boxes from one place: set boxes to a file or folder, or set detector, or from_dataset"
            )
        return self

    def reading(self) -> dict[str, Any]:
        """Return the settings on which depends what is read from the files."""
        return self.model_dump(mode="json", include={"format", "columns"})
