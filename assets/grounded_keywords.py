"""Stage `grounded_keywords`: whether the keywords that decide the first places of a list are in the pictures."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vlmine_dagster.assets.pareto_set import RANKED_BY, is_grounded, oracle_labels
from vlmine_dagster.engine.stage import ModelConfig, Part, Product, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def _unless_asked(part: Part) -> str | None:
    return (
        None
        if part.settings.grounding is not None
        else "grounding is not set (vlmine.yaml): keywords are taken as correct"
    )


def _pool(part: Part) -> str | None:
    grounding = part.settings.grounding
    return None if grounding is None else grounding.describer.capabilities.pool


def _settings(part: Part) -> list[Any]:
    grounding = part.settings.grounding
    if grounding is None:
        return []
    return [grounding.describer.results_depend_on(), grounding.first, grounding.most_questions]


def _fingerprint(bench: Workbench, part: Part) -> list[Any]:
    from vlmine_dagster.describing.providers import grounder_of

    grounder = grounder_of(bench)
    return [] if grounder is None else [grounder.fingerprint, *oracle_labels(bench, part)]


def _where_grounded(when: Callable[[Part], bool] | None) -> Callable[[Part], bool]:
    return lambda part: is_grounded(part) and (when is None or when(part))


@stage(
    "grounded_keywords",
    group="mine",
    kinds={"python", "parquet", "ai"},
    reads=[replace(reads, when=_where_grounded(reads.when)) for reads in RANKED_BY],
    settings=_settings,
    experiment_settings=lambda part: [part.experiment, part.experiment.signal_versions],
    fingerprints=_fingerprint,
    skipped=_unless_asked,
    is_on_demand=True,
    pool=_pool,
    config=ModelConfig,
)
def grounded_keywords(run: StageRun) -> Product:
    """Whether a second model sees the rarest keyword of each of the first images of a list, where it decides the place.

    One row per question, with its answer, outcome, tokens and price. Images whose keyword is not seen sink in
    `pareto_set`; those that come up in their place are asked about too. A failure neither confirms nor denies. Empty
    for an experiment without a signal of keywords.
    """
    from vlmine_dagster.describing.grounding import ground
    from vlmine_dagster.domain.tables import GROUNDED_KEYWORDS
    from vlmine_dagster.engine.facts import endpoint_facts
    from vlmine_dagster.resources.extraction import pool_loader
    from vlmine_dagster.resources.intake import outcome_counts
    from vlmine_dagster.scoring.draft import Draft
    from vlmine_dagster.scoring.grounding import confirmed

    settings, grounder = run.project.settings.grounding, run.grounder
    if settings is None or grounder is None or not is_grounded(Part(run.project, run.partition)):
        return Product(GROUNDED_KEYWORDS.schema.empty_table(), {"asked": "nothing: no signal is made of keywords"})
    draft = Draft.of(run, run.project.settings.experiments[run.partition], run.labels)
    rows, bill = ground(
        lambda denied: draft.first(settings.first, denied=denied),
        grounder,
        pool_loader(run.requests, run.shards),
        most=settings.most_questions,
        progress=run.progress(None, "keywords"),
        where=f"grounded_keywords[{run.partition}]",
        is_failure_retried=run.is_failure_retried,
    )
    found = confirmed(rows, first=settings.first)
    facts = {"hallucinations": str(found), **found.metrics(), "outcomes": outcome_counts(rows), **bill.facts()}
    facts |= {"asked": grounder.model.label, "ran on": grounder.model.where}
    return Product(rows, facts | endpoint_facts(grounder.model, run.log))
