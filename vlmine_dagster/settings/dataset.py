"""Settings of the images and of their labels."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vlmine_dagster.settings.base import PublicLocation, Settings


class LabelSettings(Settings):
    """Where labels come from and who may see them."""

    file: PublicLocation | None = None
    """File or URL with the columns key, split, class_id: CSV, a spreadsheet, Parquet, or an export of Label Studio,
    CVAT or COCO (docs/operations.md). `key` is a key within the shard, or an image_id. Left out, all labels come back
    by `vlmine labels import`."""
    classes: PublicLocation | None = None
    """CSV file with the columns class_id and name; without it the class_id is the name."""
    columns: dict[Literal["key", "split", "class_id"], Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Names of the file's columns where they are others, such as {key: id, class_id: breed}; case does not matter."""
    default_split: Literal["seed", "val", "test", "pool"] | None = None
    """Split of rows that name none: `seed` makes every row with a class part of the labelled set. Rows without a class
    are of the pool."""
    splits: dict[str, Literal["seed", "val", "test", "pool"]] = Field(default_factory=dict)
    """Other words for splits, such as {train: seed, dev: val}."""
    key_format: Annotated[str, Field(pattern=r"\{\}")] = "{}"
    """How a key is made of what the file has, such as 'train/{}.jpg' where it has names without folder and ending."""
    encoding: str | None = None
    """Encoding of text files that are neither UTF-8 nor UTF-16, such as cp1252."""
    oracle: bool = False
    """True for a benchmark: pool rows carry labels, a drawn seed shows them, the rest stays hidden until mined."""
    seed_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """With `oracle`: share of the pool that is drawn as the labelled seed."""
    draw: Annotated[int, Field(ge=0)] = 0
    """With `oracle`: number of the draw; another number, another seed."""
    many_over: Annotated[int, Field(ge=1)] = 100
    """A class is many-shot with more pool images than this."""
    few_under: Annotated[int, Field(ge=1)] = 20
    """A class is few-shot with fewer pool images than this; between the two it is medium-shot."""
    shots_by: Literal["pool", "seed"] = "pool"
    """Which images of a class are counted for that: those of pool and seed, or those of the file's seed alone
    (what `oracle` draws is not counted)."""

    @model_validator(mode="after")
    def _oracle_has_a_file(self) -> "LabelSettings":
        if self.oracle and self.file is None:
            raise ValueError("oracle: the pool's true classes come from a label file; set file too")
        return self

    @model_validator(mode="after")
    def _bins_are_ordered(self) -> "LabelSettings":
        if self.few_under > self.many_over:
            raise ValueError(f"few_under ({self.few_under}) must not exceed many_over ({self.many_over})")
        return self


class DatasetSettings(Settings):
    """The images: where they lie and how they are cut into shards."""

    kind: Literal["folder", "webdataset", "parquet"]
    """A folder tree of image files, a folder of WebDataset tars, or a folder of Parquet files with an image column."""
    root: PublicLocation
    """Folder, by path (relative to vlmine.yaml) or by fsspec URL (s3://bucket/pool)."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Folder trees only: number of shards, fixed at `vlmine init`. The files of other kinds are their shards."""
    files: str | None = None
    """Folder trees only: text file with the relative paths that belong to the dataset, one a line; left out, all do."""
    include: tuple[str, ...] = ()
    """Patterns of the relative paths of files that belong to the dataset (`train/*`, `*.png`, `2024/`); empty means
    all. `*` matches `/` too; a pattern that ends in `/` stands for everything below. Of tars and Parquet, the files."""
    exclude: tuple[str, ...] = ()
    """Patterns of what is left out, in the same form."""
    image_endings: tuple[str, ...] | None = None
    """Endings of images' names: `jpg`, `""` for names without one. In tars it is all that follows the first dot of a
    member, so that `jpg` leaves out `seg.png`. Left out, those of all known formats."""
    follow_links: bool = False
    """Whether symbolic links may lead out of the root. The caches of the Hugging Face hub, git-annex and DVC work
    without."""
    image_column: str = "image"
    """Parquet only: column with the encoded bytes, or with a struct of `bytes` and `path`."""
    key_column: str | None = None
    """Parquet only: column with the key; without it the row number."""
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000
    """Images with more pixels are refused as corrupt (decompression bombs)."""
    max_bytes: Annotated[int, Field(ge=1)] = 200_000_000
    """Encoded images larger than this are refused as corrupt without being opened."""
    max_failure_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A shard fails when a larger share of its images cannot be read."""
    labels: LabelSettings | None = None
    """Labels, where there are some. Without them novelty alone can be mined."""
