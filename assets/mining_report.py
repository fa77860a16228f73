"""Stage `mining_report`: one page per experiment that shows what was mined and why."""

from functools import partial
from typing import Any

from vlmine_dagster.assets.pareto_set import GROUNDED, is_grounded
from vlmine_dagster.domain.items import ITEMS, OBJECT
from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench

STOP_CHECK = "worth_labelling_more"
_RIVALS = ("random", "entropy", "novelty_min", "pareto", "fused")
_BOX = ("object_id", "image_id", "x", "y", "width", "height")
_LIST = ("image_id", "rank", "front", "selected", "reason", "junk")
_METRICS = ("budget", "seed", "metric", "value")


def _rivals(part: Part) -> tuple[str, ...]:
    """Return the other experiments whose recall is shown beside."""
    return tuple(name for name in _RIVALS if name in part.settings.experiments and name != part.partition)


def _needs_keywords(part: Part) -> bool:
    return part.experiment.needs_keywords


def _labels(bench: Workbench, _part: Part) -> list[Any]:
    return [None if bench.labels is None else bench.labels.fingerprint]


def _context(run: StageRun) -> Any:
    from vlmine_dagster.reporting.report_content import Context

    is_whole = run.project.settings.unit != OBJECT.name
    return Context(
        pictures=run.pictures,
        frames=run.frames,
        recordings=run.source if run.medium.is_playable and is_whole else None,
        medium=run.medium,
        labels=run.labels,
        tracking=run.tracking,
        rivals=_rivals(Part(run.project, run.partition)),
    )


@stage(
    "mining_report",
    group="evaluate",
    kinds={"html", "mlflow"},
    reads=[
        Reads(
            "pareto_set",
            lambda part: (*_LIST, *([] if part.slices is None else ["slice"]), *part.experiment.signals),
        ),
        Reads("list_changes", ("image_id", "change", "cause", "why", "rank", "rank_before")),
        Reads("retrain_metrics", _METRICS),
        Reads("retrain_metrics", _METRICS, partitions=_rivals, is_optional=True),
        Reads(ITEMS, ("image_id", "outcome", "split", "label")),
        Reads(OBJECT.table, _BOX, when=lambda part: part.settings.unit == OBJECT.name),
        Reads("descriptions", ("image_id", "description"), is_optional=True),
        Reads("grounded_keywords", GROUNDED, when=is_grounded, where=lambda settings: settings.grounding is not None),
        Reads("novelty_scores", ("image_id", "rarest_keyword", "min_count"), when=_needs_keywords),
        Reads("vocab_counts", ("keyword", "unit_count", "image_count", "image_share"), when=_needs_keywords),
        Reads("keywords", ("image_id", "keyword"), when=_needs_keywords),
    ],
    settings=lambda part: [part.settings.name],
    fingerprints=_labels,
    is_tracked=True,
    version=10,
    checks={
        STOP_CHECK: "More labels of random images would show new classes; otherwise it is time to stop.",
    },
)
def mining_report(run: StageRun) -> Product:
    """The contact sheet of an experiment: a self-contained HTML page that opens without a server.

    Each picture is shown with its driving keyword and that keyword's count, its signals with ranks, its front, and its
    class where that is known; below are the histogram of keyword counts, the fronts, the junk lane and recall over
    budget. The one row says where the page is.
    """
    import dagster as dg

    from vlmine_dagster.mining.discovery import enough_advice
    from vlmine_dagster.reporting.mlflow_runs import record_page
    from vlmine_dagster.reporting.report_content import page_row, report_of, write_page

    report = report_of(run, _context(run))
    page = write_page(report, run.project.state_folder("reports"))
    record = partial(record_page, run, run.tracking, page, report)
    facts = {"report": dg.MetadataValue.path(str(page)), "pictures": len(report.cards)}
    facts |= {name: text for name, text in report.facts.items() if name in ("more labels", "more images")}
    by_classes = next((found for found in report.discoveries if found.noun == "classes"), None)
    return Product(page_row(page, report), facts, record, advice={STOP_CHECK: enough_advice(by_classes)})
