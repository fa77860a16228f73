"""The pictures of a mined list, copied out of whatever holds them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


def copy_pictures(bench: "Workbench", image_ids: Sequence[str], folder: Path) -> dict[str, str]:
    """Copy the encoded bytes of images to folder/shard/key, with an ending that fits them where the key has none.

    Returns:
        Absolute path of the copy by image id.

    Raises:
        ConfigError: the folder is in the dataset, or cannot be written.
        MissingInputError: an image is gone from the dataset.
    """
    from vlmine_dagster.resources.intake import by_shard, read_bytes, refuse_gone
    from vlmine_dagster.resources.pictures import picture_suffix, png_of
    from vlmine_dagster.resources.sources.contract import without_ending

    medium = bench.project.settings.dataset.medium
    root, base = bench.project.resolve(bench.project.settings.dataset.root), folder.resolve()
    if "://" not in root and base.is_relative_to(Path(root).resolve()):
        raise ConfigError(f"{folder} is inside the dataset, which would grow by the copies. Choose another folder.")
    is_compressed = not bench.project.settings.dataset.capabilities.makes_pictures
    ending = picture_suffix if bench.medium.shows_itself else lambda _data: medium.endings[0]
    copies: dict[str, str] = {}
    for shard, names in by_shard(image_ids, bench.source.shards()).items():
        for name, found in read_bytes(bench.source, shard, names):
            data = found if is_compressed else png_of(found)
            file = base / (name if without_ending(name) != name else name + ending(data))
            with refusing_unwritable(folder):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            copies[name] = str(file)
    refuse_gone([name for name in image_ids if name not in copies])
    return copies


@contextmanager
def refusing_unwritable(place: Path) -> Iterator[None]:
    """Turn a failure to write into advice.

    Raises:
        ConfigError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{place} cannot be written: {error.strerror or error}. Name another place, or make room there."
        ) from error
