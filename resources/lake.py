"""The lake: one Parquet file a (table, partition), written whole or not at all, queried by DuckDB.

Every file carries a stamp in its footer: one hash per column, and one hash of what it was made from.
From the two follows what is missing, fresh or stale, without a database and without running anything.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from vlmine_dagster.domain.errors import ContractError, LakeError, MissingInputError, ReplacedError, SourceError
from vlmine_dagster.domain.files import literal_pattern, replacing
from vlmine_dagster.domain.items import IMAGE, ITEMS, ItemKind
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL, Table
from vlmine_dagster.resources import query_engine
from vlmine_dagster.resources.stamps import SUMMED, Stamp, column_hash, conform, totals_of
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.plain_paths import plain_temporary_folder

_STAMP_KEY = b"vlmine"
_Read = TypeVar("_Read")
_MOST_READS = 5  # of an object that other machines put anew meanwhile


class Lake:
    """Parquet files under one root.

    Args:
        root: Folder or fsspec URL; tables lie at `<root>/<table>/<partition>.parquet`, those of a variant other than
            the default at `<root>/<variant>/<table>/<partition>.parquet`.
        scratch: Local folder where DuckDB may spill.
        memory_gb: Memory that DuckDB takes before it spills; its own rule, 80% of the machine's, if None.
        threads: Threads of a query; one a core if None.
        kind: What the rows are about: it decides what `items` means, and how its ids are called on disk.
    """

    def __init__(
        self,
        root: str,
        *,
        scratch: Path | None = None,
        memory_gb: float | None = None,
        threads: int | None = None,
        kind: ItemKind = IMAGE,
    ):
        self.root = UPath(root)
        self.kind = kind
        self._is_local = self.root.protocol in ("", "file", "local")
        if not self._is_local:  # a list kept would hide what other machines publish
            self.root = UPath(root, use_listings_cache=False)
        self._folders: dict[tuple[str, str], UPath] = {}
        settings: dict[str, Any] = {
            "temp_directory": None if scratch is None else str(scratch),
            "memory_limit": None if memory_gb is None else f"{round(memory_gb * 1e9)}B",
            "threads": threads,
        }
        self._settings = {name: value for name, value in settings.items() if value is not None}

    def path(self, table: str, partition: str = WHOLE_POOL, *, variant: str = DEFAULT_VARIANT) -> UPath:
        """Return where a partition of a table is, whether it exists or not."""
        return self._folder(table, variant) / f"{partition}.parquet"

    def _folder(self, table: str, variant: str) -> UPath:
        table = self.kind.stored(table)
        if table not in TABLES:
            raise ContractError(f"no table {table!r}. Known: {', '.join(TABLES)}")
        if (table, variant) not in self._folders:
            root = self.root if variant == DEFAULT_VARIANT else self.root / variant
            self._folders[table, variant] = root / table
        return self._folders[table, variant]

    def publish(
        self,
        table: str,
        partition: str,
        rows: pa.Table,
        *,
        inputs: str,
        source: str = "",
        variant: str = DEFAULT_VARIANT,
    ) -> Stamp:
        """Write a partition: beside its place first, then moved into it, so that a reader never sees a half.

        Args:
            table: Table name.
            partition: Shard, experiment, or `WHOLE_POOL`.
            rows: All rows, with the columns of the table's contract.
            inputs: Hash of everything that went in.
            source: Hash of what the rows were read from, where more was joined to them.
            variant: Extraction variant.

        Raises:
            ContractError: columns are missing, or a type does not fit the contract.
            LakeError: the disk is full, or may not be written.
        """
        rows = conform(table, rows)
        hashes = {name: column_hash(rows.column(name)) for name in rows.column_names}
        stamp = Stamp(hashes, inputs, rows.num_rows, totals_of(rows), source)
        content = json.dumps({"columns": hashes, "inputs": inputs, "totals": stamp.totals, "source": source})
        rows = rows.rename_columns([self.kind.renamed(table).get(name, name) for name in rows.column_names])
        rows = rows.replace_schema_metadata({_STAMP_KEY: content.encode()})
        with self._writing():
            _write_whole(self.path(table, partition, variant=variant), rows, _parquet_options(table, rows))
        return stamp

    def check_writable(self) -> None:
        """Write and delete a small file: a lake that takes nothing is known before any work.

        Raises:
            LakeError: the disk is full, or may not be written.
        """
        probe = self.root / f".writable.{uuid.uuid4().hex}"
        with self._writing():
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"vlmine")
            probe.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"the lake {self.root} cannot be written: {error.strerror or error}. Published tables stay intact. "
                f"Make room, or let this user write there, and run again."
            ) from error

    def stamp(self, table: str, partition: str = WHOLE_POOL, *, variant: str = DEFAULT_VARIANT) -> Stamp | None:
        """Return the stamp of a published partition; None where there is none or the file is not one of ours."""
        try:
            metadata = self._footer(table, partition, variant)
        except (FileNotFoundError, pa.ArrowInvalid, IsADirectoryError):
            return None
        content = (metadata.metadata or {}).get(_STAMP_KEY)
        if content is None:
            return None
        found = json.loads(content)
        totals, source = found.get("totals", {}), found.get("source", "")
        return Stamp(found["columns"], found["inputs"], metadata.num_rows, totals, source)

    def _footer(self, table: str, partition: str, variant: str) -> pq.FileMetaData:
        if self._is_local:  # by name: with a thousand shards, joining paths would cost more than reading footers
            return pq.read_metadata(f"{self._folder(table, variant)}/{partition}.parquet")
        return _settled(self.path(table, partition, variant=variant), pq.read_metadata)

    def totals(
        self, table: str, partition: str, *, variant: str = DEFAULT_VARIANT, stamp: Stamp | None = None
    ) -> Mapping[str, Any]:
        """Return rows by outcome, and the sums of tokens and money where a table has them.

        Args:
            table: Table name.
            partition: The partition.
            variant: The extraction variant.
            stamp: Its stamp, if it was read already: it tells the totals, but in older files only the rows do.

        Raises:
            MissingInputError: the partition was not published.
        """
        stamp = stamp or self.stamp(table, partition, variant=variant)
        if stamp is not None and stamp.totals:
            return stamp.totals
        asked = [column.name for column in self._contract(table).columns if column.name in ("outcome", *SUMMED)]
        return totals_of(self.read(table, partition, columns=asked, variant=variant))

    def read(
        self,
        table: str,
        partition: str = WHOLE_POOL,
        *,
        columns: Sequence[str] | None = None,
        variant: str = DEFAULT_VARIANT,
    ) -> pa.Table:
        """Read one partition.

        Raises:
            MissingInputError: it was not published; the message names the asset to materialize.
            SourceError: the file is not readable Parquet.
        """
        path = self.require(table, [partition], variant=variant)[0]
        try:
            return self._read(path, columns, self.kind.renamed(table))
        except pa.ArrowInvalid as error:
            raise SourceError(f"{path} is damaged ({error}). Delete it and materialize {table} again.") from error

    def _read(self, path: UPath, columns: Sequence[str] | None, renamed: Mapping[str, str]) -> pa.Table:
        stored = None if columns is None else [renamed.get(name, name) for name in columns]
        if self._is_local:
            with pq.ParquetFile(str(path)) as local:  # a column of a shard takes a fifth less time than by `read_table`
                names = stored or local.schema_arrow.names
                unknown = [name for name in names if name not in local.schema_arrow.names]
                if unknown:
                    raise pa.ArrowInvalid(f"no column {', '.join(unknown)}")
                rows = local.read(columns=names).select(names)
        else:
            rows = _settled(path, lambda file: pq.read_table(file, columns=stored))
        if not renamed:
            return rows
        in_code = {on_disk: name for name, on_disk in renamed.items()}
        return rows.rename_columns([in_code.get(name, name) for name in rows.column_names])

    def _contract(self, table: str) -> Table:
        return TABLES[self.kind.stored(table)]

    def read_all(
        self,
        table: str,
        partitions: Sequence[str],
        *,
        columns: Sequence[str] | None = None,
        variant: str = DEFAULT_VARIANT,
    ) -> pa.Table:
        """Read several partitions one after the other, in the order given.

        Raises:
            MissingInputError: any of them was not published.
        """
        self.require(table, partitions, variant=variant)
        parts = [self.read(table, partition, columns=columns, variant=variant) for partition in partitions]
        return pa.concat_tables(parts) if parts else self._empty(table)

    def _empty(self, table: str) -> pa.Table:
        in_code = {on_disk: name for name, on_disk in self.kind.renamed(table).items()} if table == ITEMS else {}
        empty = self._contract(table).schema.empty_table()
        return empty.rename_columns([in_code.get(name, name) for name in empty.column_names])

    def partitions(self, table: str, *, variant: str = DEFAULT_VARIANT) -> list[str]:
        """Return the names of all published partitions of a table, sorted."""
        folder = self.path(table, variant=variant).parent
        if not folder.exists():
            return []
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
        return sorted(name.removesuffix(".parquet") for name in found)

    def last_change_s(self) -> float:
        """Return when a local file last came, was replaced or went, in seconds since the epoch; 0 behind a URL."""
        folders = [folder for folder, _, _ in os.walk(str(self.root))] if self._is_local else []
        return max((Path(folder).stat().st_mtime for folder in folders[1:]), default=0.0)  # the first holds probes

    def remove(self, table: str, partition: str, *, variant: str = DEFAULT_VARIANT) -> None:
        """Delete a partition; nothing happens where there is none."""
        with suppress(FileNotFoundError):
            self.path(table, partition, variant=variant).unlink()

    def require(self, table: str, partitions: Sequence[str], *, variant: str = DEFAULT_VARIANT) -> list[UPath]:
        """Return the paths of published partitions.

        Raises:
            MissingInputError: some are missing; the message names up to five and what to materialize.
        """
        paths = {partition: self.path(table, partition, variant=variant) for partition in partitions}
        missing = [partition for partition, path in paths.items() if not path.exists()]
        if missing:
            names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise MissingInputError(
                f"{table}: {len(missing)} of {len(paths)} partitions are not there yet: {names}. "
                f"Materialize {table} for them first, or run `vlmine run`."
            )
        return list(paths.values())

    def files(self, table: str, partitions: Sequence[str], *, variant: str = DEFAULT_VARIANT) -> dict[str, str]:
        """Return partition by file name, as DuckDB has it in the column `filename` of a scan.

        Raises:
            MissingInputError: some are missing.
        """
        paths = self.require(table, partitions, variant=variant)
        return {_duckdb_name(path): partition for path, partition in zip(paths, partitions, strict=True)}

    @staticmethod
    def scan(files: Sequence[str]) -> str:
        """Return the SQL that reads files, at least one; `filename` is a hidden column of it."""
        return (
            f"read_parquet([{', '.join(_literal(literal_pattern(file)) for file in files)}], hive_partitioning = false)"
        )

    @contextmanager
    def connect(
        self, columns: Mapping[str, Sequence[str]] | None = None, /, **tables: Sequence[UPath]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open an in-memory DuckDB in which each keyword argument is a view over the given Parquet files.

        Args:
            columns: Columns by table; of a table that is not named all are there.
            tables: Files by table.
        """
        with self._connection() as connection:
            for name, paths in tables.items():
                chosen = _selected((columns or {}).get(name, ()), self.kind.renamed(name) if paths else {})
                connection.execute(f"CREATE TEMP VIEW {name} AS SELECT {chosen} FROM {self._scan(name, paths)}")  # noqa: S608
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open DuckDB; one that reads from a store is no one else's, since it keeps the store's file system."""
        settings = {"preserve_insertion_order": False, **self._settings}
        if self._is_local:
            with query_engine.connect(**settings) as connection:
                yield connection
            return
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.register_filesystem(self.root.fs)
            try:
                yield connection
            except (OSError, duckdb.Error) as error:
                if not _is_replaced(error):
                    raise
                raise ReplacedError(f"another machine published a table of {self.root} while it was read") from error

    def write_views(self, file: Path, *, kept: Mapping[str, Collection[str]] | None = None) -> None:
        """Write a DuckDB file with a view over every table that is there, for people to open and ask.

        The first column of a view says where a row is from: `shard` or `experiment`. The views read the Parquet
        files as they are then. Lakes behind a URL get none.

        Args:
            file: The DuckDB file.
            kept: Names by kind of partition, "shard" or "experiment"; files of others, which went, are left out. Of a
                kind that is not named all files are taken.
        """
        if not self._is_local:
            return
        # Made elsewhere, since DuckDB misplaces what it writes beside a file below a folder with `?` in its name.
        with replacing(file) as beside, plain_temporary_folder() as folder:
            made = folder / "views.duckdb"
            with duckdb.connect(str(made)) as connection:
                for name, contract in TABLES.items():
                    there = self.partitions(name)
                    known = (kept or {}).get(contract.partition, there)
                    if chosen := [partition for partition in there if partition in known]:
                        connection.execute(f"CREATE VIEW {name} AS {self._view(name, chosen)}")
            shutil.copyfile(made, beside)

    def _view(self, name: str, partitions: Sequence[str]) -> str:
        kind, start = TABLES[name].partition, len(str(self._folder(name, DEFAULT_VARIANT))) + 2
        files = ", ".join(_literal(literal_pattern(str(self.path(name, partition)))) for partition in partitions)
        scan = f"read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
        of_name = f"substr(filename, {start}, length(filename) - {start + len('parquet')})"
        return f"SELECT {'' if kind == 'pool' else f'{of_name} AS {kind}, '}* FROM {scan}"  # noqa: S608 - our own names

    def _scan(self, name: str, paths: Sequence[UPath]) -> str:
        if not paths:
            columns = ", ".join(f'NULL AS "{column}"' for column in self._empty(name).column_names)
            return f"(SELECT {columns} WHERE false)"
        return self.scan([_duckdb_name(path) for path in paths])


def _write_whole(path: UPath, rows: pa.Table, options: Mapping[str, Any]) -> None:
    if path.protocol not in ("", "file", "local"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:  # object stores publish on close
            pq.write_table(rows, file, **options)
        return
    with replacing(Path(str(path))) as beside:
        pq.write_table(rows, beside, **options)


def _settled(path: UPath, read: Callable[[Any], _Read]) -> _Read:
    """Read an object of a store, from its start again where another machine put it anew meanwhile.

    Raises:
        ReplacedError: that happened every time.
    """
    for _ in range(_MOST_READS):
        try:
            with path.open("rb") as file:
                return read(file)
        except OSError as error:
            if not _is_replaced(error):
                raise
            last = error
    raise ReplacedError(f"{path} was replaced {_MOST_READS} times while it was read") from last


def _is_replaced(error: BaseException) -> bool:
    """Tell whether a store says that an object is another one than when it was opened."""
    return (isinstance(error, OSError) and error.errno == errno.EBUSY) or "no longer exists" in str(error)


def _parquet_options(table: str, rows: pa.Table) -> dict[str, Any]:
    """Return options of the writer: dictionaries are for text that repeats, which a key of one column never does."""
    key = TABLES[table].key
    texts = [column.name for column in rows.schema if pa.types.is_string(column.type) and key != (column.name,)]
    return {"compression": "zstd", "use_dictionary": texts}


def _duckdb_name(path: UPath) -> str:
    return str(path) if path.protocol in ("", "file", "local") else path.as_uri()


def _selected(columns: Sequence[str], renamed: Mapping[str, str]) -> str:
    """Return what a view selects: some columns or all, under their names in code."""
    if columns:
        return ", ".join(f'"{renamed.get(column, column)}" AS "{column}"' for column in columns)
    return f"* RENAME ({', '.join(f'{on_disk} AS {name}' for name, on_disk in renamed.items())})" if renamed else "*"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
