"""A folder tree of image files, cut into a fixed number of shards."""

import hashlib
import math
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from upath import UPath

from vlmine_dagster.domain.errors import SourceError, StoreError
from vlmine_dagster.resources.sources.attributes import BESIDE, Scalar, values_of_json
from vlmine_dagster.resources.sources.choice import ending_of
from vlmine_dagster.resources.sources.contract import Glance, RawImage, UniqueKeys, require_shard, too_large
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.local_files import FileEntry
from vlmine_dagster.resources.sources.tree import FileTree

ITEMS_A_SHARD = 2000
MOST_SHARDS = 1000


class FolderSource:
    """Image files below a root; a stable hash of the relative path says to which shard a file belongs.

    A key is the relative path with its extension. Hidden files and folders are skipped. A link that leaves the root
    is not followed: it becomes an unreadable image, so that nothing is lost in silence.

    Args:
        tree: The files.
        shard_count: Number of shards; another number moves images and changes every id.
        max_bytes: Larger files are not opened.
        cache: Fingerprints of an earlier time.
        listed: Relative paths that belong to the dataset; None means all. The tree is then not listed, and a path that
            is not there is an unreadable image.
    """

    def __init__(
        self,
        tree: FileTree,
        *,
        shard_count: int,
        max_bytes: int,
        cache: FingerprintCache,
        listed: Sequence[str] | None = None,
    ):
        self._tree = tree
        self._listed = listed
        self._shard_count = shard_count
        self._max_bytes = max_bytes
        self._cache = cache

    def shards(self) -> list[str]:
        """Return `shard-000` and so on; a small tree may leave some of them empty.

        Raises:
            SourceError: the root is missing or holds no image.
        """
        if not any(self._paths_by_shard.values()):
            endings = ", ".join(self._tree.choice.of_medium)
            raise SourceError(
                f"no image below {self._tree.root}: looked for files that end in {endings} and are "
                f"not hidden. Correct dataset.root or dataset.kind in vlmine.yaml."
            )
        return list(self._paths_by_shard)

    def fingerprint(self, shard: str) -> str:
        """Return a hash over the relative path and the content of each file in the shard.

        Raises:
            SourceError: there is no such shard, or a remote store fails.
        """
        return self._fingerprint(self.paths(shard))

    def glance(self, shard: str) -> Glance:
        """Return what is known of a shard's files without reading them; see `ImageSource.glance`."""
        return self._cache.glance(self._tree.entry(path) for path in self.paths(shard))

    def paths(self, shard: str) -> list[str]:
        """Return the relative paths of a shard's files.

        Raises:
            SourceError: there is no such shard.
        """
        require_shard(shard, self._paths_by_shard, self._tree.root)
        return self._paths_by_shard[shard]

    def refusal(self, path: str) -> str | None:
        """Return why a file is not opened, None where it may be."""
        entry = self._tree.entry(path)
        return _link_problem(entry) or entry.problem or too_large(entry.n_bytes, self._max_bytes)

    def endings(self) -> Counter[str]:
        """Return how many images have each ending."""
        return Counter(ending_of(path) for paths in self._paths_by_shard.values() for path in paths)

    def ignored(self) -> dict[str, int]:
        """Return how many files are not images, by kind; see `FileTree.unused`."""
        if self._listed is not None:
            return {}
        beside = [path for shard in self.shards() for path in self._sidecars(shard)] if self._json_files else []
        counts = self._tree.unused([*(path for paths in self._paths_by_shard.values() for path in paths), *beside])
        return {**({BESIDE: len(beside)} if beside else {}), **counts}

    def attributes(self, shard: str) -> Iterator[tuple[str, Mapping[str, Scalar] | None]]:
        """Yield key and values of the JSON files beside images: `a.json` or `a.jpg.json` of `a.jpg`."""
        beside = self._sidecars(shard)
        for path, found in self._tree.read_each(list(beside)):
            yield beside[path], values_of_json(found) if isinstance(found, bytes) else None

    def attributes_fingerprint(self, shard: str) -> str:
        """Return a hash of the JSON files beside the images of a shard; each is read once."""
        return self._fingerprint(list(self._sidecars(shard)))

    def _sidecars(self, shard: str) -> dict[str, str]:
        """Return the key of the image that each JSON file is about, by its path."""
        names = UniqueKeys()
        found: dict[str, str] = {}
        for path in self.paths(shard):
            key = names.take(path)
            beside = (f"{path}.json", f"{posixpath.splitext(path)[0]}.json")
            found |= {one: key for one in beside if one in self._json_files}
        return found

    @cached_property
    def _json_files(self) -> frozenset[str]:
        return frozenset(self._tree.paths(lambda path: path.lower().endswith(".json")))

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the images of a shard by path; see `ImageSource.read`."""
        names = UniqueKeys()
        key_of = {path: names.take(path) for path in self.paths(shard)}
        wanted = {path for path in key_of if keys is None or key_of[path] in keys}
        refused: dict[str, str] = {}
        for path in sorted(wanted):
            problem = self.refusal(path)
            if problem:
                refused[path] = problem
        for path, problem in refused.items():
            yield RawImage(key_of[path], self._tree.uri(path), b"", problem)
        for path, found in self._tree.read_each(sorted(wanted - refused.keys())):
            yield _raw_image(key_of[path], self._tree.uri(path), found)

    @cached_property
    def _paths_by_shard(self) -> dict[str, list[str]]:
        width = max(3, len(str(self._shard_count - 1)))
        groups: list[list[str]] = [[] for _ in range(self._shard_count)]
        for path in self._listed or [*self._tree.paths(self._tree.choice.is_image), *self._tree.linked_folders()]:
            groups[shard_index(path, self._shard_count)].append(path)
        return {f"shard-{index:0{width}d}": paths for index, paths in enumerate(groups)}

    def _fingerprint(self, paths: list[str]) -> str:
        closed: list[str] = []
        entries = (self._tree.entry(path) for path in paths)
        return self._cache.get(entries, lambda: self._hash(paths, closed), is_ours=lambda: bool(closed))

    def _hash(self, paths: list[str], closed: list[str]) -> str:
        """Return the hash of files; the paths of those that may not be read are added to `closed`."""
        digest = hashlib.sha256()
        for path in paths:
            try:
                content = self._content(path)
            except StoreError:
                raise
            except SourceError as error:  # `read` yields it as a failure
                closed.append(path)
                content = str(error)
            digest.update(f"{path}\0{content}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _content(self, path: str) -> str:
        entry = self._tree.entry(path)
        problem = _link_problem(entry) or entry.problem
        return problem if problem else self._tree.content_hash(path)


def read_listed(where: str, *, setting: str = "dataset.files") -> list[str]:
    """Return the paths that a text file lists, one a line, sorted and each once.

    Raises:
        SourceError: it cannot be read, lists nothing, or a path leaves the root.
    """
    try:
        lines = UPath(where).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{where} cannot be read: {error}. Correct {setting} in vlmine.yaml.") from error
    paths = sorted({line.strip() for line in lines} - {""})
    for path in paths:
        if path.startswith("/") or ".." in path.split("/"):
            raise SourceError(f"{where}: {path!r} leaves the root. Paths are relative to dataset.root.")
    if not paths:
        raise SourceError(f"{where} lists no path. It must list paths relative to dataset.root, one per line.")
    return paths


def shard_index(path: str, shard_count: int) -> int:
    """Return the shard of a relative path: BLAKE2b of it modulo the number of shards.

    Examples:
        >>> shard_index("cats/1.jpg", 1)
        0
    """
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shard_count


def _link_problem(entry: FileEntry) -> str | None:
    if not entry.leaves_root:
        return None
    return "is a link that leaves the root; not followed. Set dataset.follow_links: true, or copy the file"


def _raw_image(key: str, uri: str, found: bytes | SourceError) -> RawImage:
    if isinstance(found, bytes):
        return RawImage(key, uri, found)
    return RawImage(key, uri, b"", str(found))


def shards_for(file_count: int, item_count: float) -> int:
    """Return into how many shards files are cut that hold about so many items together."""
    return min(MOST_SHARDS, file_count, max(1, math.ceil(item_count / ITEMS_A_SHARD)))
