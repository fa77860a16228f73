"""Digests of files and folders that settings name."""

import hashlib
from pathlib import Path

from vlmine_dagster.domain.errors import ConfigError


def path_digest(location: str) -> str:
    """Return the SHA-256 of a file, or of all files of a folder by name and content."""
    path = Path(location)
    if not path.exists():
        raise ConfigError(f"task_model.path: there is no {location}. Correct it in vlmine.yaml.")
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path.parent).as_posix().encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
