"""Where an image is now, if its data set was moved since its row was written."""

from pathlib import Path


def current_uri(uri: str, root: str) -> str:
    """Return the path of an image below the root of now; a URL, and what is found nowhere, stays as it is.

    Args:
        uri: Path or URL as `images` has it, with `#member` or `#row` for what is inside a file.
        root: Absolute path or URL of the data set.
    """
    if "://" in uri or "://" in root:
        return uri
    file, mark, inside = (uri, "", "") if Path(uri).exists() or "#" not in uri else uri.rpartition("#")
    if Path(file).exists():
        return uri
    parts = Path(file).parts[1:]
    places = (Path(root, *parts[start:]) for start in range(len(parts)))
    found = next((place for place in places if place.is_file()), None)
    return uri if found is None else f"{found}{mark}{inside}"
