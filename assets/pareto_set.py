"""Stage `pareto_set`: the pool in the order in which it should be labelled, and why."""

from functools import partial
from typing import Any

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.checks import SEQUENCE_CHECK
from vlmine_dagster.engine.stage import MiningConfig, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.mining.limits import MOST_JACCARD, MOST_SPEARMAN
from vlmine_dagster.resources.verdicts import has_finished_verdicts
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.junk import why_no_junk_lane

AGREEMENT_CHECK = "signals_differ"
_USED = ("prompt_tokens", "output_tokens", "cost_usd")
_VERDICT = ("image_id", "reviewer", "verdict", "list_rank", "round")
_PREVIEW = 20
GROUNDED = ("image_id", "list_rank", "is_confirmed", "outcome")


def _mined(table: str) -> Reads:
    """Return what mining reads of a table, whichever packages the experiment's signals and its second step are from."""
    return Reads(table, lambda part: part.experiment.reads[table], when=lambda part: table in part.experiment.reads)


def _learns(part: Part) -> bool:
    return part.experiment.can_learn_from_verdicts and has_finished_verdicts(part.project)


def oracle_labels(bench: Workbench, part: Part) -> list[Any]:
    """Return what an oracle's arm reads: the labels, and by which of them classes are rare."""
    labels, settings = bench.labels, part.settings.dataset.labels
    if labels is None or settings is None or not part.experiment.uses_oracle:
        return []
    return [labels.fingerprint, *(["seed"] if settings.shots_by == "seed" else [])]


def is_grounded(part: Part) -> bool:
    """Whether a second model looks for the keywords of an experiment's list."""
    return part.settings.grounding is not None and part.experiment.is_decided_by_keywords


RANKED_BY = (
    *(_mined(name) for name, table in TABLES.items() if table.partition != "experiment"),
    _mined(ITEMS),
    Reads(ITEMS, ("sequence_id",), when=lambda part: part.settings.dataset.has_sequences),
    Reads("duplicates", ("image_id", "kept_id"), when=lambda part: part.settings.dedupe == "near"),
    Reads("junk", ("image_id", "kind"), when=lambda part: why_no_junk_lane(part.settings) is None),
    Reads("embeddings", ("image_id", "embedding", "tag_probabilities"), when=_learns),
    Reads("verdicts", _VERDICT, when=_learns),
    Reads(ITEMS, ("image_id", "label", "split", "outcome"), when=_learns),
    Reads("attributes", ("image_id", "attributes"), when=lambda part: part.reads_attributes),
    Reads(
        "keywords",
        ("image_id", "keyword"),
        when=lambda part: part.reads_slice_keywords or part.counts_within_slices,
    ),
    Reads(
        ITEMS,
        lambda part: part.settings.counted.columns,
        when=lambda part: part.counts_within_slices and bool(part.settings.counted.columns),
    ),
)
"""What the pool is ranked by, before anything sinks or is picked."""


@stage(
    "pareto_set",
    group="mine",
    kinds={"duckdb", "mlflow", "parquet"},
    companions=("list_changes",),
    reads=[
        *RANKED_BY,
        Reads("grounded_keywords", GROUNDED, when=is_grounded, where=lambda settings: settings.grounding is not None),
        Reads(
            "vocab_counts", ("keyword", "image_count", "image_share"), when=lambda part: part.experiment.needs_keywords
        ),
        Reads("descriptions", _USED, when=lambda part: part.experiment.needs_keywords),
        Reads("keyword_answers", _USED, when=lambda part: part.experiment.needs_keywords),
    ],
    settings=lambda part: [
        part.settings.budget,
        *([] if part.slices is None else [part.slices]),
        *part.settings.counts_every_file,
        *part.settings.ends_lists,
    ],
    experiment_settings=lambda part: [part.experiment, part.experiment.signal_versions, *part.means_text],
    fingerprints=oracle_labels,
    is_tracked=True,
    version=8,
    config=MiningConfig,
    checks={
        AGREEMENT_CHECK: f"No two signals are alike: Spearman up to {MOST_SPEARMAN}, overlap at the budget up to "
        f"{MOST_JACCARD} (Jaccard); otherwise joining them adds nothing.",
        SEQUENCE_CHECK: "No sequence has labelled frames in several splits; otherwise nothing is mined.",
    },
)
def pareto_set(run: StageRun) -> Product:
    """The images of the pool in mining order, by the experiment's signals.

    One row per ranked image: its rank, its non-dominated front, one column per signal (higher is more worth mining),
    whether the budget reaches it, and why. Failed images and images that lack a signal never enter. Frames that the
    experiment's rules skip come after the others, each with the frame that is listed in its place, and junk comes last.
    The list of a large pool (`whole_list_up_to`) ends at twice the budget; its images have the places that they would
    have among all.
    `list_changes` says which images the budget reaches that it did not in the last list, which it no longer does, why.
    """
    from vlmine_dagster.engine.facts import table_fact
    from vlmine_dagster.reporting.mlflow_runs import record_list
    from vlmine_dagster.reporting.slices import slice_facts
    from vlmine_dagster.scoring.list_changes import list_changes
    from vlmine_dagster.scoring.ranking import mined_list
    from vlmine_dagster.scoring.sequences import check_sequences

    whole = check_sequences(run)
    experiment = run.project.settings.experiments[run.partition]
    changed = run.config.budget if isinstance(run.config, MiningConfig) else None
    budget = changed or experiment.budget or run.project.settings.budget
    found = mined_list(run, experiment, budget=budget, labels=run.labels)
    changes = list_changes(run, found, run.previous(), run.previous("list_changes"))
    facts = {
        "selected": found.selected_count,
        **changes.counts,
        "ranked": found.rows.num_rows,
        **({"first of": found.pool_size} if found.ends_early else {}),
        "lacking a signal": found.excluded_count,
        "fronts": found.front_count,
        **({"skipped frames": found.skipped_count} if experiment.skips_frames else {}),
        **({"junk lane": found.junk_count} if run.needs("junk") else {}),
        "shards": f"{len(run.shards)} used",
        **slice_facts(found.rows, run.project.settings.slices_of(run.partition)),
        **({"another budget": another} if (another := run.project.settings.another_budget(run.partition)) else {}),
    }
    preview = table_fact(found.rows.slice(0, _PREVIEW).select(["rank", "image_id", "reason"]).to_pylist())
    record = partial(record_list, run, run.tracking, found, changes, budget=budget, labels=run.labels)
    advice = {AGREEMENT_CHECK: found.advice, SEQUENCE_CHECK: whole}
    facts["top of the list"] = preview
    return Product(found.rows, facts, record, companions={"list_changes": changes.rows}, advice=advice)
