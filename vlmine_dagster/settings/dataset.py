"""Settings of the images and of their labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.settings.base import PublicLocation, Settings
from vlmine_dagster.settings.media import AnyMedium, usual_medium
from vlmine_dagster.settings.providers import Part, Provider, ProviderSettings, S
from vlmine_dagster.settings.sequences import SequenceSettings


class LabelSettings(Settings):
    """Where labels come from and who may see them."""

    file: PublicLocation | None = None
    """File or URL with the columns key, split, class_id: CSV, a spreadsheet, Parquet, or an export of Label Studio,
    CVAT or COCO (docs/operations.md). `key` is a key within the shard, or an image_id. If left out, all labels come
    from `vlmine labels import`."""
    classes: PublicLocation | None = None
    """CSV file with the columns class_id and name; without it the class_id is the name."""
    columns: dict[Literal["key", "split", "class_id"], Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Names of the file's columns if they differ, such as {key: id, class_id: breed}; case does not matter."""
    default_split: Literal["seed", "val", "test", "pool"] | None = None
    """Split of rows that name none: `seed` makes every row with a class part of the labelled set. Rows without a class
    belong to the pool."""
    splits: dict[str, Literal["seed", "val", "test", "pool"]] = Field(default_factory=dict)
    """Other words for splits, such as {train: seed, dev: val}."""
    key_format: Annotated[str, Field(pattern=r"\{\}")] = "{}"
    """How a key is made from the file's values, such as 'train/{}.jpg' if it has names without folder and ending."""
    encoding: str | None = None
    """Encoding of text files that are neither UTF-8 nor UTF-16, such as cp1252."""
    boxes: bool = False
    """With `unit: object`: whether the classes in the box files are labels, of objects in the images of their splits;
    those of a detector's boxes are predictions."""
    oracle: bool = False
    """True for a benchmark: pool rows carry labels, a drawn seed shows them, the rest stays hidden until mined."""
    seed_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """With `oracle`: share of the pool that is drawn as the labelled seed; sequences are drawn whole."""
    draw: Annotated[int, Field(ge=0)] = 0
    """With `oracle`: number of the draw; another number gives another seed."""
    many_over: Annotated[int, Field(ge=1)] = 100
    """A class is many-shot with more pool images than this."""
    few_under: Annotated[int, Field(ge=1)] = 20
    """A class is few-shot with fewer pool images than this; between the two it is medium-shot."""
    shots_by: Literal["pool", "seed"] = "pool"
    """Which images of a class are counted for that: those of pool and seed, or only those of the file's seed (what
    `oracle` draws is not counted)."""

    _READING: ClassVar = {"columns", "default_split", "splits", "key_format", "encoding"}

    @property
    def reading(self) -> list[dict[str, Any]]:
        """How the file is read, where that is not the usual way."""
        changed = self.model_dump(mode="json", include=self._READING, exclude_defaults=True)
        return [changed] if changed else []

    @property
    def splits_depend_on(self) -> list[Any]:
        """The settings that decide which image has which label and split."""
        return [self.oracle, *([self.seed_fraction, self.draw] if self.oracle else []), *self.reading]

    @model_validator(mode="after")
    def _oracle_has_a_file(self) -> "LabelSettings":
        if self.oracle and self.file is None and not self.boxes:
            raise ValueError("oracle: the pool's true classes come from a label file or from boxes; set file or boxes")
        return self

    @model_validator(mode="after")
    def _bins_are_ordered(self) -> "LabelSettings":
        if self.few_under > self.many_over:
            raise ValueError(f"few_under ({self.few_under}) must not exceed many_over ({self.many_over})")
        return self


@dataclass(frozen=True)
class SourceCapabilities:
    """What a source can do and needs.

    Attributes:
        serves_files: Every image is a file of its own below the root, which other programs can open.
        numbers_rows: A key is the number of a row in its shard.
        has_flat_shards: No shard has a slash in its name.
        has_columns: Its rows have columns beside the image, which may name sequences.
        knows_sequences: It says itself which images are frames of one recording.
        knows_objects: It knows the objects in its images (`objects.from_dataset`).
    """

    serves_files: bool = False
    numbers_rows: bool = False
    has_flat_shards: bool = False
    has_columns: bool = False
    knows_sequences: bool = False
    knows_objects: bool = False


class DatasetSettings(ProviderSettings):
    """The images: where they are and how they are cut into shards. Every kind of dataset adds its own settings."""

    fixed_at_init: ClassVar[tuple[str, ...]] = ()
    """Settings that `vlmine init` writes even if they are the default, because they must not change."""

    root: PublicLocation
    """Folder, by path (relative to vlmine.yaml) or by fsspec URL (s3://bucket/pool)."""
    medium: AnyMedium = Field(default_factory=usual_medium)
    """What an item is: the name of a medium, or its kind with settings of its own."""
    include: tuple[str, ...] = ()
    """Patterns of the relative paths of files that belong to the dataset (`train/*`, `*.png`, `2024/`); empty means
    all. `*` matches `/` too; a pattern that ends in `/` stands for everything below. Of tars and Parquet, the files."""
    exclude: tuple[str, ...] = ()
    """Patterns of files to leave out, in the same form."""
    image_endings: tuple[str, ...] | None = None
    """Endings of images' names: `jpg`, `""` for names without one. In tars it is all that follows the first dot of a
    member, so that `jpg` leaves out `seg.png`. Left out, those of the medium."""
    follow_links: bool = False
    """Whether symbolic links may lead out of the root. The caches of the Hugging Face hub, git-annex and DVC work
    without."""
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000
    """Images with more pixels are refused as corrupt (decompression bombs)."""
    max_bytes: Annotated[int, Field(ge=1)] = 200_000_000
    """Encoded images larger than this are refused as corrupt without being opened."""
    max_failure_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A shard fails when a larger share of its images cannot be read."""
    labels: LabelSettings | None = None
    """Labels, if there are any. Without them only novelty can be mined."""
    attributes: PublicLocation | None = None
    """CSV or Parquet file, or URL, with a column `key` (a key within the shard, or an image_id) and others, such as the
    weather, which can define slices (docs/slices.md)."""
    sequences: SequenceSettings | None = None
    """Which images are frames of one recording (docs/sequences.md); videos say so themselves."""

    @model_validator(mode="after")
    def _sequences_can_be_had(self) -> "DatasetSettings":
        if self.sequences is None:
            return self
        if self.capabilities.knows_sequences:
            raise ValueError(f"sequences: kind {self.kind} has its own sequences; leave the setting out")
        if self.sequences.columns and not self.capabilities.has_columns:
            raise ValueError(f"sequences: kind {self.kind} has no columns; set pattern instead")
        return self

    @property
    def has_sequences(self) -> bool:
        """Whether images may be frames of one recording."""
        return self.sequences is not None or self.capabilities.knows_sequences

    @property
    def capabilities(self) -> SourceCapabilities:
        """What the source can do under these settings."""
        return SourceCapabilities()

    @property
    def own_settings(self) -> dict[str, Any]:
        """The kind and the settings that it alone has, on which depends what a shard holds; medium and sequences."""
        own = self.model_dump(mode="json", exclude=set(DatasetSettings.model_fields) - {"kind"})
        if self.medium.fingerprint:
            own["medium"] = self.medium.fingerprint
        return own if self.sequences is None else {**own, "sequences": self.sequences.model_dump(mode="json")}

    @property
    def own_files(self) -> tuple[str, ...]:
        """Files that the settings name, which are not images though they may lie among them."""
        named = (self.attributes, *(() if self.labels is None else (self.labels.file, self.labels.classes)))
        return tuple(file for file in named if file is not None)


AnyDataset = Annotated[DatasetSettings, SerializeAsAny(), BeforeValidator(DatasetSettings.of_kind)]
"""The settings of any kind of dataset."""


@dataclass(frozen=True)
class SourcePlugin(Provider[S, Part]):
    """A kind of dataset, for the entry-point group `vlmine.sources`.

    `make` gets the place (`vlmine_dagster.resources.sources.Place`) and the settings, and returns an `ImageSource`.

    Attributes:
        detect: For `vlmine init`: returns the kind's own settings if what is at a path or URL is of this kind, else
            None. Asked before vlmine looks for images itself. None for kinds that are only written by hand.
    """

    base = DatasetSettings

    detect: Callable[[str], Mapping[str, Any] | None] | None = None


DatasetSettings.plugins = Registry("vlmine.sources", SourcePlugin, noun="source", named_by="kind")
