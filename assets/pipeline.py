"""The Dagster assets of a project, made from the catalog of stages."""

from collections.abc import Sequence

import dagster as dg

from assets.catalog import STAGES
from assets.stages import Stage, build_asset
from vlmine_dagster.partitions import experiments, shards
from vlmine_dagster.project import Project


def build_assets(project: Project) -> list[dg.AssetsDefinition]:
    """Return every asset of a project: each stage once, and the variant stages once a variant."""
    arms = experiments(list(project.settings.experiments))
    partitions = {"shard": shards, "experiment": arms, "pool": None}
    is_declarative = project.settings.automation.mode == "declarative"
    condition = dg.AutomationCondition.eager() if is_declarative else None
    return [
        build_asset(
            stage,
            partitions_def=partitions[stage.contract.partition],
            variants=project.settings.variant_names,
            variant=variant,
            condition=condition,
        )
        for stage in STAGES
        for variant in stage.variants(project)
    ]


def applicable(project: Project) -> Sequence[Stage]:
    """Return the stages that a project can have: without labels there is no task model."""
    return [stage for stage in STAGES if stage.skipped(project) is None]
