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
    whole = (uri, "", "")
    readings = [whole, uri.rpartition("#")] if "#" in uri else [whole]  # a name may hold the mark too
    if any(Path(file).exists() for file, _, _ in readings):
        return uri
    for file, mark, inside in readings:
        parts = Path(file).parts[1:]
        places = (Path(root, *parts[start:]) for start in range(len(parts)))
        found = next((place for place in places if place.is_file()), None)
        if found is not None:
            return f"{found}{mark}{inside}"
    return uri
