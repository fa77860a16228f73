"""The asset checks of a stage: its table's contract, the quality of its rows, and what it looks for itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import CutSequencesError, MixedVariantsError, TooManyFailuresError, VlmineError
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.failures import FAILURE_FACT
from vlmine_dagster.engine.stage import Stage
from vlmine_dagster.resources.expectations import QUALITY, Finding, summarize_findings

if TYPE_CHECKING:
    from vlmine_dagster.mining.advice import Advice

CONTRACT_CHECK = "contract"

VARIANT_CHECK = "one_variant"

SEQUENCE_CHECK = "splits_keep_sequences"

_BROKEN_BY: Mapping[type[VlmineError], str] = {
    TooManyFailuresError: QUALITY,
    MixedVariantsError: VARIANT_CHECK,
    CutSequencesError: SEQUENCE_CHECK,
}

_MOST_PAGES = 3

CHECKS = {
    CONTRACT_CHECK: "Great Expectations on every column: nothing missing, no repeats, bounds and categories kept. "
    "A table that breaks it is not published.",
    QUALITY: "Advice that does not block: the share of images that could be used.",
}


def checks_of(stage: Stage) -> list[str]:
    """Return the names of a stage's checks: only one with outcomes has a quality, some have advice of their own."""
    has_outcomes = any(column.name == "outcome" for table in stage.tables for column in TABLES[table].columns)
    return [CONTRACT_CHECK, *([QUALITY] if has_outcomes else []), *stage.advice]


def check_specs(stage: Stage, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare a stage's checks for its asset."""
    texts = {**CHECKS, **stage.advice}
    return [dg.AssetCheckSpec(name=name, asset=key, description=texts[name]) for name in checks_of(stage)]


def failed_check(stage: Stage, key: dg.AssetKey, error: VlmineError) -> dg.AssetCheckEvaluation:
    """Return the check that a failure breaks: a broken quality, a mixed pool, a cut sequence, or else the contract."""
    broken = _BROKEN_BY.get(type(error), CONTRACT_CHECK)
    name = broken if broken in checks_of(stage) else CONTRACT_CHECK
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=False,
        metadata={FAILURE_FACT: dg.MetadataValue.text(str(error))},
        description=str(error),
        severity=dg.AssetCheckSeverity.ERROR,
    )


def check_results(
    stage: Stage, key: dg.AssetKey, findings: Sequence[Finding], failing: Mapping[str, str]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the contract and the quality.

    Args:
        stage: The stage.
        key: Its asset.
        findings: What the expectations found.
        failing: Why other partitions failed and still do.
    """
    others = "".join(f"; [{name}] still fails: {text}" for name, text in list(failing.items())[:3])
    others += f"; and {len(failing) - 3} more" if len(failing) > 3 else ""
    for name in (name for name in checks_of(stage) if name in CHECKS):
        mine = [finding for finding in findings if (finding.check == QUALITY) == (name == QUALITY)]
        broken = [finding for finding in mine if not finding.is_met]
        yield dg.AssetCheckResult(
            passed=not broken and (name == QUALITY or not failing),
            check_name=name,
            asset_key=key,
            severity=dg.AssetCheckSeverity.WARN if name == QUALITY else dg.AssetCheckSeverity.ERROR,
            description=(
                summarize_findings(broken) if broken else counted(len(mine), "expectation holds", "expectations hold")
            )
            + ("" if name == QUALITY else others),
            metadata={
                "expectations": len(mine),
                "broken": len(broken),
                "partitions failing": len(failing),
                "rules": _rules_markdown(mine),
                **_data_docs(broken or mine),
            },
        )


def advice_results(
    stage: Stage, key: dg.AssetKey, advice: "Sequence[tuple[str, str, Advice]]"
) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for each of the stage's own checks; one bad partition is enough."""
    for name in stage.advice:
        mine = [(partition, one) for check, partition, one in advice if check == name]
        bad = [(partition, one) for partition, one in mine if not one.is_met]
        shown = (bad or mine)[:3]
        more = f" (and {len(bad) - 3} more)" if len(bad) > 3 else ""
        yield dg.AssetCheckResult(
            passed=not bad,
            check_name=name,
            asset_key=key,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(one.text for _, one in shown) + more or "nothing to evaluate",
            metadata={} if not shown else dict(shown[0][1].facts),
        )


def _rules_markdown(findings: Sequence[Finding]) -> dg.MarkdownMetadataValue:
    lines = (f"- {'ok' if f.is_met else '**broken**'} {f.rule}, {f.coverage}" for f in findings)
    return dg.MetadataValue.md("\n".join(lines))


def _data_docs(findings: Sequence[Finding]) -> dict[str, dg.PathMetadataValue]:
    """Return the Great Expectations pages of some findings, as paths: no browser follows a link to a file."""
    paths = list(dict.fromkeys(finding.page_path for finding in findings if finding.page))[:_MOST_PAGES]
    names = ["Data Docs", *(f"Data Docs {place}" for place in range(2, len(paths) + 1))]
    return {name: dg.MetadataValue.path(path) for name, path in zip(names, paths, strict=False)}
