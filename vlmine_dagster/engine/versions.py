"""What Dagster knows of freshness, so that the marks of its UI agree with `vlmine status`.

Dagster compares the code version of an asset, and the data versions of what it reads, with those that its last
materialization recorded. It does not follow staleness further than one edge. So a code version here holds all settings
upstream as well, and two observable source assets represent what is not an asset: `dataset` (the files of each shard
and the labels) and `experiments` (the entry of each experiment in `vlmine.yaml`, and how what it reads is made).
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.dagster_internals import DATA_VERSION_TAG, version_tags
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.stage import Stage, Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.project import Project

DATASET = "dataset"
EXPERIMENTS = "experiments"


def code_versions(graph: Graph, project: Project) -> dict[Unit, str]:
    """Return the code version of each unit: its own version, the settings that it depends on, and those upstream.

    What differs from experiment to experiment is not in it, but in the source asset `experiments`.
    """
    found: dict[Unit, str] = {}
    for unit in graph.applicable(project):
        is_experiment = unit.stage.contract.partition == "experiment"
        part = unit.part(project)
        above = set()
        for reads in unit.stage.reads:
            table = project.settings.items.stored(reads.table)
            parent = graph.stage_of(table)
            if parent is unit.stage or (is_experiment and parent.contract.partition != "experiment"):
                continue
            if not reads.is_part_of(project) or not (is_experiment or reads.when is None or reads.when(part)):
                continue
            variant = unit.variant if graph.has_variants(table) else "default"
            above.add(found.get(Unit(parent, variant), ""))
        of_files = [] if unit.stage.source is None else [_dataset_settings(project)]
        found[unit] = settings_hash([unit.stage.version, unit.stage.settings(part), *of_files, sorted(above)])
    return found


def _dataset_settings(project: Project) -> list[Any]:
    """Return the settings that decide what is read of a file and of its label."""
    dataset = project.settings.dataset
    labels = None if dataset.labels is None else dataset.labels.splits_depend_on
    return [dataset.max_pixels, dataset.max_bytes, dataset.own_settings, labels]


def experiment_versions(graph: Graph, project: Project) -> dict[str, str]:
    """Return the data version of each experiment's entry in `vlmine.yaml`, with how what it reads is made."""
    codes = code_versions(graph, project)
    stages = [one.stage for one in graph.applicable(project) if one.stage.contract.partition == "experiment"]
    found = {}
    for name in project.settings.experiments:
        own = [stage.experiment_settings(Unit(stage).part(project, name)) for stage in stages]
        above = {
            codes.get(Unit(graph.stage_of(source.table), source.variant), "")
            for stage in stages
            for source in graph.sources(stage, Unit(stage).part(project, name), ())
            if graph.stage_of(source.table).contract.partition != "experiment"
        }
        found[name] = settings_hash([own, sorted(above)])
    return found


def dataset_versions(
    freshness: Freshness, bench: Workbench, shards: Iterable[str], *, is_quick: bool = False
) -> dict[str, str]:
    """Return the data version of each shard's files and labels.

    Args:
        freshness: Knows how shards are read.
        bench: The project's resources.
        shards: Shards.
        is_quick: Whether to leave out those whose files would have to be read for that.
    """
    images = freshness.graph.stage_of("images")
    labels = None if bench.labels is None else bench.labels.fingerprint
    return {
        shard: settings_hash([freshness.source(images, shard), labels])
        for shard in shards
        if not (is_quick and bench.source.glance(shard).unread_bytes)
    }


def observe(
    instance: dg.DagsterInstance,
    graph: Graph,
    bench: Workbench,
    shards: Sequence[str],
    *,
    is_quick: bool = False,
    recorded: str | None = None,
) -> str:
    """Record the data versions of both source assets, those that have changed since they were last recorded.

    Args:
        instance: Dagster's instance.
        graph: All stages.
        bench: The project's resources.
        shards: The shards to look at.
        is_quick: Whether to leave out shards whose files would have to be read.
        recorded: What the last call returned: if nothing has changed since, the history is not read.

    Returns:
        A hash of all data versions.
    """
    files = dataset_versions(Freshness(graph, bench, shards), bench, shards, is_quick=is_quick)
    digest = settings_hash([files, experiment_versions(graph, bench.project)])
    if digest != recorded:
        _record(instance, DATASET, files)
        observe_experiments(instance, graph, bench.project)
    return digest


def observe_experiments(instance: dg.DagsterInstance, graph: Graph, project: Project) -> None:
    """Record the data versions of the experiments that have changed; needs the settings alone."""
    _record(instance, EXPERIMENTS, experiment_versions(graph, project))


def _record(instance: dg.DagsterInstance, name: str, versions: Mapping[str, str]) -> None:
    recorded = _recorded(instance, dg.AssetKey(name), versions)
    for partition, version in versions.items():
        if recorded.get(partition) != version:
            observation = dg.AssetObservation(name, partition=partition, tags={DATA_VERSION_TAG: version})
            instance.report_runless_asset_event(observation)


def _recorded(instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]) -> dict[str, str]:
    """Return the data version last recorded of each partition."""
    found: dict[str, str] = {}
    for record in instance.fetch_observations(key, limit=2 * len(partitions) + 100).records:  # the newest first
        observed = record.asset_observation
        if observed is not None and observed.partition in partitions:
            found.setdefault(str(observed.partition), (observed.tags or {}).get(DATA_VERSION_TAG, ""))
    return found


def confirm(
    instance: dg.DagsterInstance,
    graph: Graph,
    bench: Workbench,
    shards: Sequence[str],
    *,
    made: Collection[tuple[str, str]],
) -> int:
    """Tell Dagster of partitions that are fresh although something that they depend on was made again.

    Dagster would mark them for ever: it knows neither columns nor that a setting leaves a table as it was. Each gets
    a materialization without a run that names the same data version and what it is up to date with.

    Args:
        instance: Dagster's instance.
        graph: All stages.
        bench: The project's resources.
        shards: All shards.
        made: (asset, partition) pairs that were made since the last time.

    Returns:
        How many partitions were confirmed.
    """
    project, freshness = bench.project, Freshness(graph, bench, shards)
    codes, known = code_versions(graph, project), _known_codes(project)
    changed = {name for name, _ in made}
    count = 0
    for unit, code in codes.items():
        name = unit.key.to_user_string()
        parents = {one.key for one in codes if one.stage in _parents(graph, unit, project)}
        if known.get(name) == code and not changed & {key.to_user_string() for key in parents}:
            continue
        partitions = unit.stage.partitions(project, shards)
        open_ones = [p for p in partitions if (name, p) not in made and freshness.state(unit, p) == "fresh"]
        count += _report_fresh(instance, unit, code, open_ones, parents=parents, freshness=freshness)
    _codes_file(project).write_text(json.dumps({u.key.to_user_string(): code for u, code in codes.items()}))
    return count


def _parents(graph: Graph, unit: Unit, project: Project) -> set[Stage]:
    return set(graph.parents(unit.stage, project))


def _codes_file(project: Project) -> Path:
    return project.state_folder("dagster") / "code_versions.json"


def _known_codes(project: Project) -> dict[str, str]:
    """Return the code version of each asset at the end of the last run."""
    file = _codes_file(project)
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _report_fresh(
    instance: dg.DagsterInstance,
    unit: Unit,
    code: str,
    partitions: Sequence[str],
    *,
    parents: Collection[dg.AssetKey],
    freshness: Freshness,
) -> int:
    if not partitions:
        return 0
    sources = [key for name in (DATASET, EXPERIMENTS) if (key := dg.AssetKey(name)) and _depends_on(unit, name)]
    inputs = [(key, *_last_version(instance, key)) for key in [*parents, *sources]]
    for partition in partitions:
        stamps = [freshness.stamp(table, partition, unit.variant) for table in unit.stage.tables]
        version = settings_hash([stamp.version() for stamp in stamps if stamp is not None])
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                unit.key,
                partition=None if partition == WHOLE_POOL else partition,
                description="Still up to date: what it depends on was made again, and came out the same for it.",
                tags=version_tags(data_version=version, code_version=code, inputs=inputs),
            )
        )
    return len(partitions)


def _depends_on(unit: Unit, source: str) -> bool:
    return unit.stage.source is not None if source == DATASET else unit.stage.contract.partition == "experiment"


def _last_version(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, int | None]:
    """Return data version and storage id of the last event of an asset."""
    is_source = key in (dg.AssetKey(DATASET), dg.AssetKey(EXPERIMENTS))
    fetch = instance.fetch_observations if is_source else instance.fetch_materializations
    records = fetch(key, limit=1).records
    if not records:
        return "INITIAL", None
    event = records[0].asset_observation if is_source else records[0].asset_materialization
    tags = (event.tags if event is not None else None) or {}
    return tags.get(DATA_VERSION_TAG, "INITIAL"), records[0].storage_id


def source_assets(
    graph: Graph,
    *,
    shards: dg.PartitionsDefinition[str],
    experiments: dg.PartitionsDefinition[str],
    key_prefix: tuple[str, ...] = (),
) -> list[dg.SourceAsset]:
    """Return the observable source assets; the Observe button of the UI does what a run and the sensor do.

    Args:
        graph: All stages.
        shards: How the dataset is cut.
        experiments: The experiments of `vlmine.yaml`.
        key_prefix: Put before the keys.
    """

    @dg.observable_source_asset(
        key=dg.AssetKey([*key_prefix, DATASET]),
        partitions_def=shards,
        group_name="ingest",
        description="The files of each shard, and the label file. Changed bytes or labels are a new data version; a "
        "changed date is none.",
    )
    def dataset(context: dg.OpExecutionContext, workbench: Workbench) -> dg.DataVersionsByPartition:
        names = workbench.source.shards()
        return _versions(dataset_versions(Freshness(graph, workbench, names), workbench, names))

    @dg.observable_source_asset(
        key=dg.AssetKey([*key_prefix, EXPERIMENTS]),
        partitions_def=experiments,
        group_name="mine",
        description="The entry of each experiment in vlmine.yaml, together with how what it reads is made.",
    )
    def entries(context: dg.OpExecutionContext, workbench: Workbench) -> dg.DataVersionsByPartition:
        return _versions(experiment_versions(graph, workbench.project))

    return [dataset, entries]


def _versions(found: Mapping[str, str]) -> dg.DataVersionsByPartition:
    return dg.DataVersionsByPartition({name: dg.DataVersion(version) for name, version in found.items()})
