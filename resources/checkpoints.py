"""Checkpoints of transformers: a local folder, or a hub id at one commit; and where they run."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree

LOADING_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError)
"""What transformers raises where a checkpoint is none, or not of the kind that is wanted."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that the settings name.

    Attributes:
        model: Hub id, or a local folder.
        pinned: Commit of a hub id; None takes the one written down, else the newest, and writes it down.
        folder: Where commits and the hashes of a local checkpoint's files are written down.
    """

    model: str
    pinned: str | None
    folder: Path

    @property
    def is_local(self) -> bool:
        """Whether it is a folder here."""
        return Path(self.model).expanduser().is_dir()

    @property
    def source(self) -> str:
        """What transformers loads it from."""
        return str(Path(self.model).expanduser()) if self.is_local else self.model

    @property
    def how(self) -> dict[str, Any]:
        """Arguments of `from_pretrained` beside the source: the commit. Code from the hub is never run."""
        return {"revision": None if self.is_local else self.revision, "trust_remote_code": False}

    @cached_property
    def revision(self) -> str:
        """Hash of a folder's content, or the commit of a hub id.

        Raises:
            ModelError: no commit is written down, and the hub cannot be reached.
        """
        if self.is_local:
            return folder_fingerprint(Path(self.source), FingerprintCache(self.folder / "fingerprints.tsv"))
        return self.pinned or pinned_revision(self.model, self.folder / "revisions.json")


def not_loaded(model: str, kind: str, reason: object) -> ModelError:
    """Return the error that a checkpoint cannot be loaded as what it should be."""
    why = " ".join(str(reason).split())[:300]  # transformers' reasons have several lines
    return ModelError(
        f"{model} cannot be loaded as {kind}: {why}. Give the folder of a whole checkpoint, or a hub id "
        f"that this machine can reach."
    )


def placed(model: str, folder: Path) -> str:
    """Return the folder of a checkpoint below a project's folder; what is none is a hub id, or stands elsewhere."""
    below = folder / model
    return str(below) if below.is_dir() else model


def folder_fingerprint(folder: Path, cache: FingerprintCache) -> str:
    """Return a hash of the names and the whole content of a checkpoint's files.

    Any changed byte changes it. A file is read once, and again only when its size, times or inode changed.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(f"{file.name}\0{file_fingerprint(file, cache)}\0".encode())
    return digest.hexdigest()[:16]


def file_fingerprint(file: Path, cache: FingerprintCache) -> str:
    """Return the SHA-256 of a file, which is read once, and again only when its size, times or inode changed."""
    return cache.get([FileTree(str(file.parent)).entry(file.name)], partial(_content_hash, file))


def _content_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pinned_revision(model: str, file: Path) -> str:
    """Return the commit of a hub model that this project uses: the one written down, else the newest, written down now.

    Raises:
        ModelError: none is written down and the hub cannot be reached.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        pins: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if model not in pins:
            pins[model] = _newest_revision(model)
            write_whole(file, json.dumps(pins, indent=1))
        return pins[model]


def _newest_revision(model: str) -> str:
    from huggingface_hub import HfApi, constants

    stored = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / "main"
    if stored.is_file():
        return stored.read_text(encoding="utf-8").strip()
    try:
        found = HfApi().model_info(model, timeout=20).sha
    except Exception as error:  # the hub's client raises errors of three libraries
        raise ModelError(
            f"{model} is neither a folder here nor a model of the hub that can be reached ({type(error).__name__}). "
            f"Give the folder of a downloaded checkpoint, or its hub id with `revision`, which is then read from the "
            f"local hub cache."
        ) from error
    return str(found)


def device_of(wanted: str) -> str:
    """Return a torch device by name; `auto` is an accelerator where there is one."""
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
