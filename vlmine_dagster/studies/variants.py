"""What the studies of describers and of prompts share: the extraction variants of a project, and their novelty."""

from collections.abc import Mapping
from typing import Any

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import JUDGES
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.studies.draws import headline_of
from vlmine_dagster.studies.novelties import POOLINGS, Floats
from vlmine_dagster.studies.pool import novelty_of
from vlmine_dagster.studies.reading import PoolReader
from vlmine_dagster.studies.study import StudyRun


def variants_of(run: StudyRun) -> tuple[str, ...]:
    """Return the extraction variants of the project.

    Raises:
        ConfigError: there is none beside the default.
    """
    names = run.bench.project.settings.variant_names
    if len(names) < 2:
        raise ConfigError(
            f"study {run.study.name}: the project describes its pool in one way. Add others (a prompt, a model, a "
            f"keyworder) as `variants` in vlmine.yaml, and `vlmine run`."
        )
    return names


def novelty_by_variant(run: StudyRun) -> dict[tuple[str, str], Floats]:
    """Return novelty over the whole pool by (variant, pooling)."""
    if not run.memory:
        for name in variants_of(run):
            _remember(run, name, run.pool(name).novelty)
    return run.memory


def novelty_without_labels(run: StudyRun) -> dict[tuple[str, str], Floats]:
    """Return novelty by (variant, pooling) of all images that are not there to judge, whether anything is labelled."""
    if not run.memory:
        with PoolReader(run.bench).connect(ITEMS) as connection:
            query = "SELECT image_id FROM items WHERE outcome = 'ok' AND split NOT IN $judges ORDER BY image_id"
            ids = [name for (name,) in connection.sql(query, params={"judges": list(JUDGES)}).fetchall()]
        for name in variants_of(run):
            _remember(run, name, novelty_of(PoolReader(run.bench, variant=name), ids))
    return run.memory


def settings_read(bench: Workbench) -> list[Any]:
    """Return what rows depend on beside the default variant's tables: the other variants' novelty."""
    shards, names = bench.source.shards(), bench.project.settings.variants
    stamps = [
        (name, shard, bench.lake.stamp("novelty_scores", shard, variant=name)) for name in names for shard in shards
    ]
    settings = bench.project.settings
    versions = [(name, shard, None if stamp is None else stamp.version()) for name, shard, stamp in stamps]
    return [versions, settings.retraining.budgets, headline_of(settings)]


def _remember(run: StudyRun, variant: str, found: Mapping[str, Floats]) -> None:
    run.memory |= {(variant, pooling): found[f"novelty_{pooling}"] for pooling in POOLINGS}
