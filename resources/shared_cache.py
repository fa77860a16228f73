"""The response cache of many machines: the same tables in PostgreSQL, with one ledger and one limit of money."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

from vlmine_dagster.domain.errors import CacheError
from vlmine_dagster.domain.secrets import masked
from vlmine_dagster.resources.cache import SCHEMA, SCHEMA_VERSION, ReplyCache

CACHE_VARIABLE = "VLMINE_CACHE_URL"
"""Names the database; it may hold a password, so it is a variable and no setting."""
_LOCK = 0x766C6D  # of the moment in which the tables are made


class SharedCache(ReplyCache):
    """Answers in a schema of a PostgreSQL database, which any number of machines read and write.

    Args:
        url: `postgresql://user:password@host:5432/database`.
        project: Name of the project; each has a schema of its own, so answers and money of two never mix.
    """

    def __init__(self, url: str, project: str):
        self._lock = threading.Lock()
        self.where = masked(url)
        self._url = url.replace("postgresql+psycopg2://", "postgresql://", 1)  # as Dagster and MLflow write it
        self._schema = f"vlmine_{project}"

    @property
    def byte_count(self) -> int:
        """Size of the answers in the database."""
        with self._guarded() as database:
            return int(database.execute("SELECT pg_total_relation_size('replies')").fetchone()[0])

    def _shrink(self, database: Any) -> None:
        """Leave that to the database."""

    @contextmanager
    def _guarded(self) -> Iterator["_Connection"]:
        psycopg2 = _driver()
        try:
            with self._lock:
                yield self._database
        except psycopg2.Error as error:
            self.__dict__.pop("_database", None)  # the next use connects anew
            reason = masked(str(error)).strip()
            raise CacheError(
                f"the response cache {self.where} cannot be used: {reason}. Start the database, or correct "
                f"${CACHE_VARIABLE}; it is needed before any call is paid for."
            ) from error

    @cached_property
    def _database(self) -> Any:
        database = _Connection(_driver().connect(self._url, connect_timeout=10))
        name = '"' + self._schema.replace('"', "") + '"'
        with database:
            database.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
            database.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
            database.execute(f"SET search_path TO {name}")
            database.execute("CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL)")
            found = database.execute("SELECT version FROM layout").fetchone()
            if found is None:
                for statement in filter(str.strip, SCHEMA.split(";")):
                    database.execute(statement.replace(") WITHOUT ROWID", ")").replace(" REAL", " DOUBLE PRECISION"))
                database.execute("INSERT INTO layout VALUES (?)", (SCHEMA_VERSION,))
        if found is not None and found[0] != SCHEMA_VERSION:
            raise CacheError(
                f"{self.where} was written by another version of vlmine (schema {found[0]}). Update vlmine."
            )
        return database


class _Connection:
    """A connection of psycopg2 that is asked as one of sqlite3 is; a block of `with` is a transaction."""

    def __init__(self, connection: Any):
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.autocommit = False
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.rollback() if kind is not None else self._connection.commit()
        self._connection.autocommit = True

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(query.replace("?", "%s"), [_plain(value) for value in values])
        return cursor

    def executemany(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        from psycopg2.extras import execute_batch

        execute_batch(
            self._connection.cursor(),
            query.replace("?", "%s"),
            [[_plain(value) for value in row] for row in rows],
            page_size=500,
        )


def _plain(value: Any) -> Any:
    return value.replace("\x00", "") if isinstance(value, str) else value  # PostgreSQL's text cannot hold it


def _driver() -> Any:
    try:
        import psycopg2
        import psycopg2.extras
    except ImportError as error:
        raise CacheError(f"${CACHE_VARIABLE} needs a driver: pip install 'vlmine-dagster[postgres]'") from error
    return psycopg2
