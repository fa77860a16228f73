"""The pictures of a mined list, copied out of whatever holds them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.reporting.exporters import Encoded

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


def encoded_pictures(bench: "Workbench", names: Sequence[str], *, are_crops: bool = False) -> Iterator[Encoded]:
    """Yield the encoded pictures of images, or crops of objects, with an ending that fits them where the id has none.

    Of street.jpg#12 the crop is street.jpg#12.png. Photos are passed on as they are.

    Args:
        bench: The project's resources.
        names: Ids of images, or of objects.
        are_crops: Whether they are objects, of which the crops are wanted.

    Raises:
        MissingInputError: an image is gone from the dataset.
    """
    from vlmine_dagster.resources.intake import by_shard, read_bytes, refuse_gone
    from vlmine_dagster.resources.pictures import compressed, picture_suffix
    from vlmine_dagster.resources.sources.contract import without_ending

    medium = bench.project.settings.dataset.medium
    source = bench.pictures if are_crops else bench.source
    is_picture = are_crops or bench.medium.shows_itself
    gone = set(names)
    for shard, wanted in by_shard(names, source.shards()).items():
        for name, found in read_bytes(source, shard, wanted):
            gone.discard(name)
            if without_ending(name) != name and not are_crops:
                yield Encoded(name, name, found)
                continue
            data = compressed(found) if is_picture else found
            yield Encoded(name, name + (picture_suffix(data) if is_picture else medium.endings[0]), data)
    refuse_gone([name for name in names if name in gone])


def copy_pictures(bench: "Workbench", names: Sequence[str], folder: Path, *, are_crops: bool = False) -> dict[str, str]:
    """Copy the encoded pictures of images, or crops of objects, to folder/shard/key.

    Returns:
        Absolute path of the copy by id.

    Raises:
        ConfigError: the folder is in the dataset, or cannot be written.
        MissingInputError: an image is gone from the dataset.
    """
    root, base = bench.project.resolve(bench.project.settings.dataset.root), folder.resolve()
    if "://" not in root and base.is_relative_to(Path(root).resolve()):
        raise ConfigError(f"{folder} is inside the dataset, which would grow by the copies. Choose another folder.")
    copies: dict[str, str] = {}
    for picture in encoded_pictures(bench, names, are_crops=are_crops):
        file = base / picture.name
        with refusing_unwritable(folder):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture.data)
        copies[picture.item_id] = str(file)
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
