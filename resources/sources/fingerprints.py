"""Content hashes that are computed once: a file whose size, times and inode are unchanged keeps its hash."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from vlmine_dagster.resources.sources.contract import Glance
from vlmine_dagster.resources.sources.local_files import FileEntry

# A file changed within this time may change again without a new time stamp: disks count time in steps of up to 2 s.
_SETTLED_AFTER_S = 2.0


class FingerprintCache:
    """Remembers fingerprints by the state of the files that they were computed from.

    Args:
        file: Where they outlive the process, a line each; None keeps them in memory.
    """

    def __init__(self, file: Path | None = None):
        self._file = file
        self._known: dict[str, str] | None = None

    def get(
        self, entries: Iterable[FileEntry], compute: Callable[[], str], *, is_ours: Callable[[], bool] = lambda: False
    ) -> str:
        """Return the fingerprint of some files, computed anew only where one of them was touched since.

        Args:
            entries: The files.
            compute: Reads them.
            is_ours: Asked afterwards: whether what was computed holds for this user alone, as others may read more.
        """
        state = _state(entries)
        if state is None:
            return compute()
        known, ours = self._load(), _for_user(state)
        for kept in (state, ours):
            if kept in known:
                return known[kept]
        found = compute()
        self._keep(ours if is_ours() else state, found)
        return found

    def glance(self, entries: Iterable[FileEntry]) -> Glance:
        """Return what is known of some files, none of which is read."""
        files = list(entries)
        state = _state(files)
        is_known = state is not None and not {state, _for_user(state)}.isdisjoint(self._load())
        unread = 0 if is_known else sum(file.n_bytes for file in files if file.checksum is None)
        return Glance(_digest(files), unread)

    def _load(self) -> dict[str, str]:
        if self._known is None:
            self._known = {}
            if self._file is not None and self._file.is_file():
                lines = self._file.read_text(encoding="ascii", errors="replace").splitlines()
                pairs = (line.split("\t") for line in lines)
                self._known = {pair[0]: pair[1] for pair in pairs if [len(part) for part in pair] == [64, 64]}
        return self._known

    def _keep(self, state: str, fingerprint: str) -> None:
        self._load()[state] = fingerprint
        if self._file is None:
            return
        with suppress(OSError), self._file.open("a", encoding="ascii") as file:  # a cache: hashing again is only slow
            file.write(f"{state}\t{fingerprint}\n")


def _state(entries: Iterable[FileEntry]) -> str | None:
    files = list(entries)
    settled_before_ns = time.time_ns() - int(_SETTLED_AFTER_S * 1e9)
    if any(file.changed_ns is None or file.changed_ns > settled_before_ns for file in files):
        return None
    return _digest(files)


def _for_user(state: str) -> str:
    """Return the state of files as this user sees them."""
    user = f"{state} {os.geteuid()} {sorted(os.getgroups())}"
    return hashlib.sha256(user.encode("ascii")).hexdigest()


def _digest(files: Iterable[FileEntry]) -> str:
    digest = hashlib.sha256()
    for file in files:
        text = f"{file.uri}\0{file.n_bytes}\0{file.checksum or file.state}\n"
        digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
