"""Verdicts: what reviewers say of mined items. Each is one transaction; nothing is ever changed or deleted."""

import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from vlmine_dagster.domain.errors import ContractError, LakeError
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.settings.project import Project

FILE = "verdicts.sqlite"
MOST_SECONDS = 120.0
"""A longer look was a break: no verdict counts for more."""

_BUSY_S = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS judgements (
    number INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE, judged_at REAL NOT NULL,
    reviewer TEXT NOT NULL, experiment TEXT NOT NULL, image_id TEXT NOT NULL, rank INTEGER NOT NULL,
    verdict TEXT, class_name TEXT, seconds REAL NOT NULL, undoes INTEGER REFERENCES judgements (number));
CREATE TABLE IF NOT EXISTS rounds (
    number INTEGER PRIMARY KEY, last INTEGER NOT NULL, finished_at REAL NOT NULL);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON judgements BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON judgements BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""
_GIVEN = "token, judged_at, reviewer, experiment, image_id, rank, verdict, class_name, seconds, undoes"
_STANDING = f"""
SELECT number, {_GIVEN}, (SELECT min(number) FROM rounds WHERE rounds.last >= judgements.number) FROM judgements
WHERE undoes IS NULL AND number NOT IN (SELECT undoes FROM judgements WHERE undoes IS NOT NULL) {{more}}
ORDER BY number
"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Judgement:
    """What one reviewer said of one item.

    Attributes:
        image_id: The item.
        reviewer: Who said it.
        verdict: The verdict.
        class_name: The class that the reviewer named, if any.
        seconds: How long the reviewer looked.
        experiment: The list on which the item was.
        rank: Its rank there.
        judged_at: When, in seconds since 1970.
        round: The round to which it belongs, None while that is open.
        number: Its place in the log, 0 before it is in it.
    """

    image_id: str
    reviewer: str
    verdict: Verdict
    class_name: str | None = None
    seconds: float = 0.0
    experiment: str = ""
    rank: int = 0
    judged_at: float = 0.0
    round: int | None = None
    number: int = 0


class VerdictLog:
    """The log of a project's verdicts in one SQLite file; safe with several windows, processes and `kill -9`.

    A reviewer's last word about an item stands. Undoing appends a line that takes another one back.

    Args:
        file: The file, on a local disk; made with its folder when something is first written.
        now: Tells the time.
    """

    def __init__(self, file: Path, *, now: Callable[[], float] = time.time):
        self.file = file
        self._now = now
        self._lock = threading.Lock()

    def add(self, judgement: Judgement, *, token: str = "") -> int:
        """Append a judgement; once this returns, it survives a crash.

        Args:
            judgement: The judgement; `judged_at`, `round` and `number` are filled in here.
            token: Names the judgement, so that sending it again after a lost answer adds nothing; random if empty.

        Returns:
            Its number in the log.
        """
        token = token or uuid.uuid4().hex
        seconds = min(max(judgement.seconds, 0.0), MOST_SECONDS)
        return self._append(
            (
                token,
                self._now(),
                judgement.reviewer,
                judgement.experiment,
                judgement.image_id,
                judgement.rank,
                judgement.verdict.value,
                judgement.class_name,
                seconds,
                None,
            )
        )

    def undo(self, number: int, *, reviewer: str, token: str = "") -> int:
        """Take back a judgement; whatever the same reviewer said of the item before stands again.

        Raises:
            ContractError: there is no such judgement of this reviewer in the open round.
        """
        with self._reading() as database:
            row = database.execute(
                f"SELECT {_GIVEN} FROM judgements WHERE number = ? AND undoes IS NULL",  # noqa: S608 - our own names
                (number,),
            ).fetchone()
            finished = database.execute("SELECT coalesce(max(last), 0) FROM rounds").fetchone()[0]
        if row is None or row[2] != reviewer or number <= finished:
            raise ContractError(f"verdict {number} cannot be undone: {reviewer!r} gave none of that number this round.")
        return self._append((token or uuid.uuid4().hex, self._now(), *row[2:6], None, None, 0.0, number))

    def number_of(self, token: str) -> int:
        """Return the number of the line that came with a token, 0 where there is none."""
        with self._reading() as database:
            row = database.execute("SELECT number FROM judgements WHERE token = ?", (token,)).fetchone()
        return 0 if row is None else int(row[0])

    def standing(self, *, rounds: str = "all") -> list[Judgement]:
        """Return the last word of each reviewer about each item, in the order in which they were given.

        Args:
            rounds: "all", "finished" or "open".
        """
        more = {
            "all": "",
            "finished": "AND number <= (SELECT coalesce(max(last), 0) FROM rounds)",
            "open": "AND number > (SELECT coalesce(max(last), 0) FROM rounds)",
        }[rounds]
        with self._reading() as database:
            rows = database.execute(_STANDING.format(more=more)).fetchall()
        found: dict[tuple[str, str], Judgement] = {}
        for row in rows:
            judgement = _judgement(row)
            key = (judgement.reviewer, judgement.image_id)
            found.pop(key, None)  # the order is that of the last word
            found[key] = judgement
        return list(found.values())

    def last_number(self) -> int:
        """Return the number of the newest line, 0 for an empty log: it grows with every change, undoing too."""
        with self._reading() as database:
            return int(database.execute("SELECT coalesce(max(number), 0) FROM judgements").fetchone()[0])

    def finish_round(self) -> int | None:
        """Close the open round: the next list learns from it.

        Returns:
            Its number, 1 for the first; None where nothing was said since the last one.
        """
        with self._writing() as database:
            newest = database.execute("SELECT max(number) FROM judgements").fetchone()[0]
            number, last = database.execute("SELECT coalesce(max(number), 0), max(last) FROM rounds").fetchone()
            if newest is None or newest == last:
                return None
            database.execute("INSERT INTO rounds VALUES (?, ?, ?)", (number + 1, newest, self._now()))
        return int(number) + 1

    def round_count(self) -> int:
        """Return how many rounds were finished."""
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM rounds").fetchone()[0])

    def _append(self, values: Sequence[object]) -> int:
        places = ", ".join("?" * len(values))
        with self._writing() as database:
            database.execute(
                f"INSERT OR IGNORE INTO judgements ({_GIVEN}) VALUES ({places})",  # noqa: S608 - our own names
                values,
            )
            return int(database.execute("SELECT number FROM judgements WHERE token = ?", values[:1]).fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.file.exists():
            with sqlite3.connect(":memory:") as empty:
                empty.executescript(_SCHEMA)
                yield empty
            empty.close()
            return
        with self._open() as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self._open() as database:
            database.executescript(_SCHEMA)
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file; a connection for each use, since pages are served by several threads."""
        try:
            database = sqlite3.connect(self.file, timeout=_BUSY_S, isolation_level=None)
            try:
                database.execute("PRAGMA synchronous = FULL")
                yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise LakeError(f"{self.file}: verdicts cannot be read or written ({error}). Check the disk.") from error


def verdict_log(project: Project) -> VerdictLog:
    """Return the log of a project's verdicts."""
    return VerdictLog(project.state_folder("labels") / FILE)


def has_finished_verdicts(project: Project) -> bool:
    """Return whether a round of verdicts was finished, so that lists learn from it."""
    log = verdict_log(project)
    return log.file.exists() and log.round_count() > 0


def finished_verdicts(project: Project) -> list[Judgement]:
    """Return the verdicts of finished rounds: those that lists learn from."""
    return verdict_log(project).standing(rounds="finished")


def verdicts_fingerprint(judgements: Sequence[Judgement]) -> str:
    """Return a hash of verdicts."""
    content = json.dumps([astuple(judgement) for judgement in judgements])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _judgement(row: Sequence[object]) -> Judgement:
    number, _token, judged_at, reviewer, experiment, image_id, rank, verdict, class_name, seconds, _undoes, of = row
    return Judgement(
        image_id=str(image_id),
        reviewer=str(reviewer),
        verdict=Verdict(str(verdict)),
        class_name=None if class_name is None else str(class_name),
        seconds=float(str(seconds)),
        experiment=str(experiment),
        rank=int(str(rank)),
        judged_at=float(str(judged_at)),
        round=None if of is None else int(str(of)),
        number=int(str(number)),
    )
