"""Great Expectations' project under the home: its suites, its validation results and its Data Docs.

`gx.get_context(mode="file", project_root_dir=HOME)` opens it. Of each table and partition, the latest result is kept.
Any number of processes may write: a result has a file of its own, everything shared is written under one lock.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

INDEX_AGE_S = 30.0
"""How old the index may be before a new result builds it again; `build_index` always does."""

MOST_LISTED = 1000
"""Results that the index lists, latest first: it opens each of them."""

_SITE = "uncommitted/data_docs/local_site"
_VIEWS = "vlmine_dagster.resources.data_docs_views"
_THREADS = threading.Lock()


@dataclass(frozen=True)
class Archive:
    """Where the result of a validation is kept.

    Attributes:
        home: Folder in which Great Expectations' `gx` folder is.
        partition: What was validated: a shard, the pool, an experiment.
        variant: The extraction variant.
        run_id: The Dagster run.
        at: When it was validated; one time for all parts of a table.
    """

    home: Path
    partition: str
    variant: str = "default"
    run_id: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def keep_result(
    archive: Archive, table: str, result: Any, *, row_count: int, evaluated_count: int, part: str = ""
) -> str:
    """Keep a validation result, write its page, and drop earlier ones of the same partition.

    Args:
        archive: Where to keep it.
        table: The table, which is also the suite's name.
        result: Great Expectations' result, with its suite.
        row_count: Rows of the table.
        evaluated_count: Rows that the expectations were evaluated on.
        part: Which part of the rows, of a table that is validated in several.

    Returns:
        Address of the page.
    """
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    context, site = _site(archive.home)
    run = RunIdentifier(run_name=_safe(archive.partition), run_time=archive.at)
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(table), run, _safe(archive.variant) + part)
    note = "all rows" if evaluated_count == row_count else "the rows with the extreme values, which decide for all rows"
    result.meta.pop("batch_markers", None)
    result.meta["run_id"] = run
    result.meta["batch_spec"] = {
        "data_asset_name": table,
        "partition": archive.partition,
        "variant": archive.variant,
        "Dagster run": archive.run_id,
        "rows in the table": row_count,
        "rows evaluated": evaluated_count,
        "evaluated": note,
    }
    with _THREADS:
        context.validation_results_store.set(key, result)
        _write_page(site, "validations", key, result)
    page = _page(archive.home, key)
    _drop_older(archive, table, page)
    index = archive.home / "gx" / _SITE / "index.html"
    if not index.exists() or time.time() - index.stat().st_mtime > INDEX_AGE_S:
        build_index(archive.home, is_patient=False)
    return page.as_uri()


def keep_suite(home: Path, table: str, expectations: tuple[Any, ...]) -> None:
    """Store a table's suite and its page, unless they are stored as they are."""
    import great_expectations as gx
    from great_expectations.data_context.types.resource_identifiers import ExpectationSuiteIdentifier

    file = home / "gx" / "expectations" / f"{table}.json"
    if _state(file) and _state(file) == _stored.get(file):
        return
    context, site = _site(home)
    key = ExpectationSuiteIdentifier(table)
    with _locked(home):
        stored = context.suites.get(table) if context.expectations_store.has_key(key) else None
        if stored is None or _rules(stored.expectations) != _rules(expectations):
            new = gx.ExpectationSuite(table, expectations=[copy(expectation) for expectation in expectations])
            _write_page(site, "expectations", key, context.suites.add_or_update(new))
        _stored[file] = _state(file)


_stored: dict[Path, tuple[int, int] | None] = {}
"""Files of suites that this process has seen to be as they should be, and their state then."""


def _state(file: Path) -> tuple[int, int] | None:
    """Return what changes when somebody writes a file, None where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def build_index(home: Path, *, is_patient: bool = True) -> str | None:
    """Build the page that lists suites and the latest results.

    Args:
        home: Folder in which Great Expectations' `gx` folder is.
        is_patient: Whether to wait for another process that builds; without, its index is good enough.

    Returns:
        Address of the index; None where nothing was validated yet.
    """
    from filelock import Timeout

    if not (home / "gx").is_dir():
        return None
    _, site = _site(home)
    try:
        with _locked(home, wait_s=60.0 if is_patient else 0.0):
            site.site_index_builder.build(skip_and_clean_missing=False)
    except Timeout:
        pass
    return (home / "gx" / _SITE / "index.html").as_uri()


@cache
def _site(home: Path) -> tuple[Any, Any]:
    """Return the file context under a home, and what builds its pages; made once per process."""
    import great_expectations as gx
    from great_expectations.render.renderer.site_builder import SiteBuilder

    with _locked(home):
        context = gx.get_context(mode="file", project_root_dir=home)
        if context.variables.analytics_enabled is not False:
            context.enable_analytics(False)
    page = {"module_name": _VIEWS, "class_name": "OfflinePageView"}
    site = SiteBuilder(
        data_context=context,
        site_name="vlmine",
        store_backend={"class_name": "TupleFilesystemStoreBackend", "base_directory": str(home / "gx" / _SITE)},
        site_index_builder={
            "class_name": "DefaultSiteIndexBuilder",
            "validation_results_limit": MOST_LISTED,
            "view": {"module_name": _VIEWS, "class_name": "OfflineIndexView"},
        },
        site_section_builders={"expectations": {"view": page}, "validations": {"view": page}, "profiling": "None"},
        show_how_to_buttons=False,
    )
    return context, site


def _write_page(site: Any, section: str, key: Any, resource: Any) -> None:
    from great_expectations.data_context.store.html_site_store import SiteSectionIdentifier

    builder = site.site_section_builders[section]
    text = builder.view_class.render(builder.renderer_class.render(resource))
    site.target_store.set(SiteSectionIdentifier(site_section_name=section, resource_identifier=key), text)


def _page(home: Path, key: Any) -> Path:
    return home.joinpath("gx", _SITE, "validations", *key.to_tuple()).with_suffix(".html")


def _drop_older(archive: Archive, table: str, page: Path) -> None:
    """Drop earlier results of the same table, partition and variant."""
    for folder, ending in ((f"{_SITE}/validations", "html"), ("uncommitted/validations", "json")):
        runs = archive.home.joinpath("gx", folder, table, _safe(archive.partition))
        for old in runs.glob(f"*/{_safe(archive.variant)}*.{ending}"):
            if old.parent.name < page.parent.name:
                old.unlink(missing_ok=True)
                with suppress(OSError):  # another variant's result is in it
                    old.parent.rmdir()


def _rules(expectations: Any) -> list[Any]:
    return [(one.expectation_type, one.configuration.kwargs) for one in expectations]


def _safe(name: str) -> str:
    """Return a name of a file that no other name has; a slash becomes a tilde, which browsers leave alone."""
    return quote(name, safe=" ").replace("~", "%7E").replace("%2F", "~")


@contextmanager
def _locked(home: Path, *, wait_s: float = 60.0) -> Iterator[None]:
    from filelock import FileLock

    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "gx.lock", timeout=wait_s):
        yield
