"""The response cache: every answer that was paid for, by content and by the way it was asked; and what was spent."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmine_dagster.domain.errors import CacheError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.replies import Reply, Usage

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE replies (
    variant TEXT NOT NULL, content TEXT NOT NULL, text TEXT, outcome TEXT NOT NULL, failure TEXT,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, latency_s REAL NOT NULL, cost_usd REAL,
    is_estimated INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (variant, content)) WITHOUT ROWID;
CREATE TABLE variants (variant TEXT PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE ledger (
    variant TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,
    estimated_usd REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (variant, day)) WITHOUT ROWID;
CREATE TABLE batches (variant TEXT NOT NULL, contents TEXT NOT NULL, batch TEXT NOT NULL,
    PRIMARY KEY (variant, contents)) WITHOUT ROWID;
"""
_UPGRADES = {
    1: """
ALTER TABLE replies ADD COLUMN is_estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN estimated_usd REAL NOT NULL DEFAULT 0
"""
}
"""What makes a file of an older version one of the next: what was paid for is never asked again."""
_COLUMNS = "text, outcome, failure, prompt_tokens, output_tokens, latency_s, cost_usd, is_estimated"
_ALL = f"variant, content, {_COLUMNS}"
_BUSY_S = 120.0
_INSERT = f"INSERT INTO replies ({_ALL}) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (variant, content) DO "  # noqa: S608
_KEEP = f"{_INSERT} NOTHING"
_REPLACE = f"{_INSERT} UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS.split(', '))}"
_NAME = "INSERT INTO variants VALUES (?, ?) ON CONFLICT (variant) DO NOTHING"


@dataclass(frozen=True)
class CachedVariant:
    """What the cache holds of one way to ask.

    Attributes:
        variant: Its hash.
        label: Its name for people.
        reply_count: Answers kept.
        byte_count: Size of their texts.
        calls: Calls ever made, those whose answers were pruned too.
        cost_usd: US dollars ever spent on it.
        estimated_usd: How much of that is an estimate.
    """

    variant: str
    label: str
    reply_count: int
    byte_count: int
    calls: int
    cost_usd: float
    estimated_usd: float


class ReplyCache:
    """Answers in one SQLite file, written as they come, safe with parallel processes and with `kill -9`.

    What was spent stays written down when answers are pruned.

    Args:
        folder: Folder of `replies.sqlite`; on a local disk, made if it is missing.
    """

    def __init__(self, folder: Path):
        self.path = folder / "replies.sqlite"
        self.where = str(self.path)
        self._lock = threading.Lock()

    def find(self, variant: str, contents: Sequence[str]) -> dict[str, Reply]:
        """Return the answers that are there, by content."""
        marks = ", ".join("?" * len(contents))
        query = f"SELECT content, {_COLUMNS} FROM replies WHERE variant = ? AND content IN ({marks})"  # noqa: S608
        with self._guarded() as database:
            rows = database.execute(query, [variant, *contents]).fetchall()
        return {content: _reply(*rest) for content, *rest in rows}

    def put(self, variant: str, replies: Sequence[tuple[str, Reply]], *, label: str) -> None:
        """Keep answers and write down what they cost, all or none; an answer that never came is only counted."""
        kept = [(variant, content, *_values(reply)) for content, reply in replies if reply.is_kept]
        prompt_tokens = sum(reply.prompt_tokens for _, reply in replies)
        output_tokens = sum(reply.output_tokens for _, reply in replies)
        lost_usd = sum(reply.lost_usd for _, reply in replies)
        cost_usd = sum(reply.cost_usd or 0.0 for _, reply in replies) + lost_usd
        estimated_usd = sum(reply.cost_usd or 0.0 for _, reply in replies if reply.is_estimated) + lost_usd
        today = datetime.now(UTC).date().isoformat()
        with self._guarded() as database, database:
            database.executemany(_REPLACE, kept)
            database.execute(
                """INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (variant, day) DO UPDATE SET
                   calls = ledger.calls + excluded.calls,
                   prompt_tokens = ledger.prompt_tokens + excluded.prompt_tokens,
                   output_tokens = ledger.output_tokens + excluded.output_tokens,
                   cost_usd = ledger.cost_usd + excluded.cost_usd,
                   estimated_usd = ledger.estimated_usd + excluded.estimated_usd""",
                (variant, today, len(replies), prompt_tokens, output_tokens, cost_usd, estimated_usd),
            )
            database.execute(_NAME, (variant, label))

    def mark(self, variant: str, reasons: Mapping[str, str], *, outcome: Outcome) -> None:
        """Write down, by content, why kept answers are none; they stay, and are asked for again only on request."""
        query = "UPDATE replies SET outcome = ?, failure = ? WHERE variant = ? AND content = ?"
        with self._guarded() as database, database:
            database.executemany(query, [(outcome.value, why, variant, content) for content, why in reasons.items()])

    def restore(self, variant: str, replies: Sequence[tuple[str, Reply]], *, label: str) -> None:
        """Take back answers that were paid for before, where they are missing; nothing is written down as spent."""
        rows = [(variant, content, *_values(reply)) for content, reply in replies]
        with self._guarded() as database, database:
            database.executemany(_KEEP, rows)
            database.execute(_NAME, (variant, label))

    def spent_usd(self) -> float:
        """Return the US dollars that the project ever spent."""
        with self._guarded() as database:
            return float(database.execute("SELECT coalesce(sum(cost_usd), 0) FROM ledger").fetchone()[0])

    def estimated_usd(self) -> float:
        """Return how much of what was spent is an estimate: servers did not say how many tokens they used."""
        with self._guarded() as database:
            return float(database.execute("SELECT coalesce(sum(estimated_usd), 0) FROM ledger").fetchone()[0])

    def variants(self) -> list[CachedVariant]:
        """Return what is kept, and what was spent, by way of asking."""
        query = """
            SELECT variant, coalesce(label, ''), coalesce(replies, 0), coalesce(bytes, 0),
                   coalesce(n, 0), coalesce(usd, 0), coalesce(guess, 0)
            FROM (SELECT variant FROM ledger UNION SELECT variant FROM replies) AS asked
            LEFT JOIN variants USING (variant)
            LEFT JOIN (SELECT variant, count(*) AS replies, sum(length(text)) AS bytes FROM replies GROUP BY 1) AS kept
                USING (variant)
            LEFT JOIN (SELECT variant, sum(calls) AS n, sum(cost_usd) AS usd, sum(estimated_usd) AS guess
                       FROM ledger GROUP BY 1) AS paid USING (variant)
            ORDER BY 3 DESC, 1"""
        with self._guarded() as database:
            return [CachedVariant(*row) for row in database.execute(query).fetchall()]

    def prune(self, variants: Sequence[str]) -> int:
        """Delete the answers of some ways of asking; return how many they were."""
        with self._guarded() as database:
            with database:
                gone: int = sum(
                    database.execute("DELETE FROM replies WHERE variant = ?", (variant,)).rowcount
                    for variant in variants
                )
            self._shrink(database)
        return gone

    def batch(self, variant: str, contents: str) -> str | None:
        """Return the id of the batch job that was asked for a set of contents, None where there is none."""
        with self._guarded() as database:
            query = "SELECT batch FROM batches WHERE variant = ? AND contents = ?"
            found = database.execute(query, (variant, contents)).fetchone()
        return None if found is None else str(found[0])

    def note_batch(self, variant: str, contents: str, batch: str | None) -> None:
        """Write down, or with None forget, the batch job of a set of contents."""
        with self._guarded() as database, database:
            database.execute("DELETE FROM batches WHERE variant = ? AND contents = ?", (variant, contents))
            if batch is not None:
                database.execute("INSERT INTO batches VALUES (?, ?, ?)", (variant, contents, batch))

    @property
    def byte_count(self) -> int:
        """Size on disk."""
        return sum(file.stat().st_size for file in self.path.parent.glob(f"{self.path.name}*"))

    def _shrink(self, database: Any) -> None:
        database.execute("VACUUM")

    @contextmanager
    def _guarded(self) -> Iterator[Any]:
        try:
            with self._lock:
                yield self._database
        except sqlite3.Error as error:
            raise CacheError(
                f"the response cache {self.path} cannot be used: {error}. Make room on its disk and let this user "
                f"write there; it is needed before any call is paid for."
            ) from error

    @cached_property
    def _database(self) -> Any:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=_BUSY_S, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; only a power cut may
        database.execute("BEGIN IMMEDIATE")
        with database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";"):
                    database.execute(statement)
                version = _set_version(database, SCHEMA_VERSION)
            while version in _UPGRADES:
                for statement in _UPGRADES[version].split(";"):
                    database.execute(statement)
                version = _set_version(database, version + 1)
        if version != SCHEMA_VERSION:
            raise CacheError(f"{self.path} was written by another version of vlmine (schema {version}). Update vlmine.")
        return database


def _set_version(database: sqlite3.Connection, version: int) -> int:
    database.execute(f"PRAGMA user_version = {version}")
    return version


def _reply(text: str | None, outcome: str, failure: str | None, *usage: Any) -> Reply:
    used = dict(zip((one.name for one in fields(Usage)), usage, strict=True))
    return Reply(text, Outcome(outcome), failure, **{**used, "is_estimated": bool(used["is_estimated"])})


def _values(reply: Reply) -> tuple[object, ...]:
    *numbers, is_estimated = reply.usage.values()
    return (reply.text, reply.outcome.value, reply.failure, *numbers, int(is_estimated))
