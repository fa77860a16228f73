"""Great Expectations over our tables: one suite per table, made from its contract, run before it is published."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from vlmine_dagster.domain.tables import NO_FAILURES, TABLES, Column, Severity, Table
from vlmine_dagster.resources.data_docs import Archive, keep_result, keep_suite
from vlmine_dagster.resources.deciding_rows import deciding_rows, is_finite
from vlmine_dagster.resources.suites import DATA_SOURCE, PLACE, Suite, configurations_kept

if TYPE_CHECKING:
    import pyarrow as pa

QUALITY = "quality"
_USABLE_SHARE = 0.95
_EXAMPLES = 3
_ROWS_A_PART = 1_000_000


@dataclass(frozen=True)
class Finding:
    """The result of one expectation.

    Attributes:
        check: The Dagster check that it belongs to.
        rule: The expectation in words, with its column.
        is_met: Whether it holds.
        severity: `critical` findings prevent publishing, `warning` ones advise.
        broken_count: Rows that break it.
        row_count: Rows of the table.
        evaluated_count: Rows that it was evaluated on: all of them, or those few that decide for all.
        examples: A few of the values that break it.
        page: Address of its page in Data Docs, "" where the result is not kept.
    """

    check: str
    rule: str
    is_met: bool
    severity: Severity
    broken_count: int
    row_count: int
    evaluated_count: int
    examples: tuple[str, ...] = ()
    page: str = ""

    @property
    def page_path(self) -> str:
        """The page as a path that a person can open as it is: in its address, odd names of folders are encoded."""
        return unquote(urlsplit(self.page).path)

    @property
    def coverage(self) -> str:
        """Which rows it was evaluated on, in words."""
        if self.evaluated_count == self.row_count:
            return f"evaluated on all {self.row_count:,} rows"
        return f"evaluated on {self.evaluated_count:,} of {self.row_count:,} rows, which decide for all"

    def __str__(self) -> str:
        shown = f", such as {', '.join(self.examples)}" if self.examples else ""
        return f"{self.rule}: broken by {self.broken_count} of {self.row_count} rows{shown}"


def validate(table: str, rows: "pa.Table", *, archive: Archive | None = None) -> list[Finding]:
    """Run a table's suite: on the rows that decide whether a rule is broken, and only if one is on all of them.

    All rows are evaluated a million at a time; those with equal keys are in one part, so that a repeated key is
    counted whatever the number of parts.

    Args:
        table: Table name.
        rows: The rows that are about to be published.
        archive: Where to keep suite and result for Great Expectations' users; None keeps nothing.

    Returns:
        One finding per expectation, in the order of the contract.
    """
    contract, suite = TABLES[table], suite_of(table)
    if archive is not None:
        keep_suite(archive.home, table, suite.expectations)
    if all(check != QUALITY for check, _ in suite.rules):  # a share is one of all rows
        deciding = deciding_rows(contract, rows)
        findings = _validated(contract, deciding, row_count=rows.num_rows, archive=archive, is_final=False)
        if all(finding.is_met for finding in findings):
            return findings
    parts = list(_parts(contract, rows))
    names = [f" part {place}" if len(parts) > 1 else "" for place in range(1, len(parts) + 1)]
    found = [
        _validated(contract, part, row_count=part.num_rows, archive=archive, part=name)
        for part, name in zip(parts, names, strict=True)
    ]
    return [_joined(same) for same in zip(*found, strict=True)]


def failed_critically(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that keep a table from being published."""
    return [finding for finding in findings if not finding.is_met and finding.severity == "critical"]


def summarize_findings(findings: Sequence[Finding]) -> str:
    """Return up to three findings as one line."""
    more = f" (and {len(findings) - 3} more)" if len(findings) > 3 else ""
    return "; ".join(str(finding) for finding in findings[:3]) + more


def _parts(contract: Table, rows: "pa.Table") -> "Iterator[pa.Table]":
    """Cut rows into parts by a hash of their key."""
    count = -(-rows.num_rows // _ROWS_A_PART)
    if count <= 1:
        yield rows
        return
    import pyarrow.compute as pc

    from vlmine_dagster.resources import query_engine

    keys = ", ".join(f'"{name}"' for name in contract.key)
    with query_engine.connect() as connection:
        connection.register("keys", rows.select(list(contract.key)))
        query = f"SELECT (hash({keys}) % {count})::USMALLINT AS part FROM keys"  # noqa: S608 - our own column names
        part = connection.sql(query).to_arrow_table().column("part")
    for place in range(count):
        yield rows.filter(pc.equal(part, place))


def _validated(
    contract: Table, rows: "pa.Table", *, row_count: int, archive: Archive | None, is_final: bool = True, part: str = ""
) -> list[Finding]:
    """Evaluate a table's suite on some rows; the result is kept unless it fails and is to be evaluated on all."""
    suite = suite_of(contract.name)
    suite_result, results = _run(suite, _scalar_frame(contract, rows))
    page, counts = "", {"row_count": row_count, "evaluated_count": rows.num_rows}
    if archive is not None and (is_final or suite_result.success):
        page = keep_result(archive, contract.name, suite_result, **counts, part=part)
    return [
        replace(_finding(result, check, **counts), page=page)
        for result, (check, _) in zip(results, suite.rules, strict=True)
    ]


def _joined(parts: Sequence[Finding]) -> Finding:
    """Return what one expectation found in all parts; a share is one of all rows."""
    broken, count = sum(part.broken_count for part in parts), sum(part.row_count for part in parts)
    is_share = parts[0].check == QUALITY and len(parts) > 1
    return replace(
        parts[0],
        is_met=broken <= (1 - _USABLE_SHARE) * count if is_share else all(part.is_met for part in parts),
        broken_count=broken,
        row_count=count,
        evaluated_count=sum(part.evaluated_count for part in parts),
        examples=tuple(itertools.islice(itertools.chain.from_iterable(part.examples for part in parts), _EXAMPLES)),
    )


def _rules(contract: Table) -> Iterator[tuple[str, Any]]:
    """Yield (check name, expectation) for everything that the contract says."""
    import great_expectations.expectations as gxe

    for column in contract.columns:
        yield from _column_rules(column)
    if len(contract.key) == 1:
        yield "key_is_unique", gxe.ExpectColumnValuesToBeUnique(column=contract.key[0], severity="critical")
    else:
        yield (
            "key_is_unique",
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(contract.key), severity="critical"),
        )
    if any(column.name == "outcome" for column in contract.columns):
        usable = {"column": "outcome", "value_set": sorted(NO_FAILURES), "mostly": _USABLE_SHARE}
        yield QUALITY, gxe.ExpectColumnValuesToBeInSet(**usable, severity="warning")


def _column_rules(column: Column) -> Iterator[tuple[str, Any]]:
    import great_expectations.expectations as gxe
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        if pa.types.is_fixed_size_list(column.type):
            finite = {"column": _finite_name(column), "value_set": [True]}
            yield "values_in_range", gxe.ExpectColumnValuesToBeInSet(**finite, severity="critical")
        return
    if not column.nullable:
        yield "no_missing_values", gxe.ExpectColumnValuesToNotBeNull(column=column.name, severity="critical")
    if column.minimum is not None or column.maximum is not None:
        bounds = {"column": column.name, "min_value": column.minimum, "max_value": column.maximum}
        yield "values_in_range", gxe.ExpectColumnValuesToBeBetween(**bounds, severity="critical")
    if column.allowed:
        allowed = {"column": column.name, "value_set": [str(value) for value in column.allowed]}
        yield "values_in_set", gxe.ExpectColumnValuesToBeInSet(**allowed, severity="critical")


def _finite_name(column: Column) -> str:
    return f"{column.name} is finite"


def _scalar_frame(contract: Table, rows: "pa.Table") -> Any:
    """Return the scalar columns as pandas; a vector column is judged by whether all of it is finite."""
    import pyarrow as pa

    scalars = [c.name for c in contract.columns if not pa.types.is_nested(c.type) and c.name in rows.column_names]
    frame = rows.select(scalars).to_pandas()
    for column in contract.columns:
        if pa.types.is_fixed_size_list(column.type) and column.name in rows.column_names:
            frame[_finite_name(column)] = is_finite(rows.column(column.name)).astype(object)
    return frame


def _run(suite: Suite, frame: Any) -> tuple[Any, list[Any]]:
    """Return a suite's result, and those of its expectations in the order of the rules."""
    result = suite.evaluate(frame)
    if result is None:  # Great Expectations says of each expectation why it could not be evaluated
        result = validated_anew(suite.table, frame)
    return result, sorted(result.results, key=lambda one: one.expectation_config.meta[PLACE])


def validated_anew(table: str, frame: Any) -> Any:
    """Return Great Expectations' result for some rows, with nothing of earlier validations."""
    import great_expectations as gx

    batch = _batch_definition(table).get_batch({"dataframe": frame})
    expectations = [expectation for _, expectation in _rules(TABLES[table])]
    for place, expectation in enumerate(expectations):
        expectation.meta = {PLACE: place}
    with configurations_kept():
        return batch.validate(gx.ExpectationSuite(table, expectations=expectations), result_format="BASIC")


@cache
def suite_of(table: str) -> Suite:
    """Return the suite of a table."""
    return Suite(table, list(_rules(TABLES[table])))


@cache
def _batch_definition(table: str) -> Any:
    """Return what makes a batch of a table's rows."""
    return _data_source().add_dataframe_asset(table).add_batch_definition_whole_dataframe("rows")


@cache
def _data_source() -> Any:
    """Return the data source of all tables, in a context that keeps nothing."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.add_pandas(DATA_SOURCE)


def _finding(result: Any, check: str, *, row_count: int, evaluated_count: int) -> Finding:
    config, found = result.expectation_config, result.result or {}
    problem = (result.exception_info or {}).get("exception_message")
    if problem is None and result.exception_info and "raised_exception" not in result.exception_info:
        problem = next(
            (entry.get("exception_message") for entry in result.exception_info.values() if isinstance(entry, dict)),
            None,
        )
    column = config.kwargs.get("column") or ", ".join(config.kwargs.get("column_list", ()))
    return Finding(
        check=check,
        rule=f"{config.type} on {column}{f' ({problem})' if problem else ''}",
        is_met=bool(result.success),
        severity="warning" if check == QUALITY else "critical",
        broken_count=int(found.get("unexpected_count") or 0),
        row_count=row_count,
        evaluated_count=evaluated_count,
        examples=tuple(repr(value)[:80] for value in (found.get("partial_unexpected_list") or ())[:_EXAMPLES]),
    )
