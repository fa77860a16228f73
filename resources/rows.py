"""Rows of model answers, gathered in little memory, and what they cost."""

import time
from typing import Any, Protocol

import pyarrow as pa

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.tables import Outcome

_ROWS_A_BLOCK = 1000


class RowBuffer:
    """Turns rows into Arrow blocks as they come, so that a large shard is not in memory as objects.

    Args:
        schema: Columns of the rows.
    """

    def __init__(self, schema: pa.Schema):
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._blocks: list[pa.RecordBatch] = []

    def add(self, row: dict[str, Any]) -> None:
        """Take a row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_A_BLOCK:
            self._pack()

    def table(self) -> pa.Table:
        """Return all rows, in the order in which they came."""
        self._pack()
        return pa.Table.from_batches(self._blocks, schema=self._schema)

    def _pack(self) -> None:
        if self._rows:
            self._blocks.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []


class Answered(Protocol):
    """What a model answered about one image."""

    @property
    def image_id(self) -> str:
        """The image."""

    @property
    def outcome(self) -> Outcome:
        """What became of it."""

    @property
    def failure(self) -> str | None:
        """Why it is no good."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens read."""

    @property
    def output_tokens(self) -> int:
        """Tokens written."""

    @property
    def latency_s(self) -> float:
        """Seconds that it took."""

    @property
    def cost_usd(self) -> float | None:
        """Price in US dollars."""

    @property
    def is_estimated(self) -> bool:
        """Whether tokens and price are estimates."""


def answer_row(answer: Answered, variant_hash: str) -> dict[str, Any]:
    """Return the columns that every table of answers has."""
    return {
        "image_id": answer.image_id,
        "outcome": answer.outcome.value,
        "failure": answer.failure,
        "prompt_tokens": answer.prompt_tokens,
        "output_tokens": answer.output_tokens,
        "latency_s": answer.latency_s,
        "cost_usd": answer.cost_usd,
        "is_estimated": answer.is_estimated,
        "variant_hash": variant_hash,
    }


class Bill:
    """Tokens, dollars and failures so far; its text goes behind the progress.

    Attributes:
        failed: Answers that are not ok.
        cost_usd: Sum of the prices that are known.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._prompt_tokens = self._output_tokens = self.failed = self._unpriced = self._estimated = 0
        self.cost_usd = 0.0

    def add(self, answer: Answered) -> None:
        """Count an answer."""
        self._prompt_tokens += answer.prompt_tokens
        self._output_tokens += answer.output_tokens
        self.failed += answer.outcome is not Outcome.OK
        self._unpriced += answer.cost_usd is None
        self._estimated += answer.is_estimated
        self.cost_usd += answer.cost_usd or 0.0

    def facts(self) -> dict[str, Any]:
        """Return the sums; the price is None where any answer's is unknown, and an estimate where any answer's is."""
        facts = {
            "prompt_tokens": self._prompt_tokens,
            "output_tokens": self._output_tokens,
            "cost_usd": "unknown" if self._unpriced else round(self.cost_usd, 6),
        }
        if self._estimated:
            facts["estimated"] = (
                f"tokens and price of {counted(self._estimated, 'answer')}: the server did not say what it used, or "
                f"was late"
            )
        return facts

    def __str__(self) -> str:
        parts = []
        tokens = self._prompt_tokens + self._output_tokens
        if tokens:
            parts.append(f"{tokens / max(time.monotonic() - self._started, 1e-9):,.0f} tokens/s")
            about = "about " if self._estimated else ""
            parts.append("price unknown" if self._unpriced else f"{about}${self.cost_usd:.4f}")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)
