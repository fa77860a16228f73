"""What failed and has not been fixed since: `vlmine status` and the checks of the assets show it until it is."""

from collections.abc import Callable

import dagster as dg

from vlmine_dagster.domain.tables import WHOLE_POOL

FAILURE_FACT = "failure"
_LAST_FAILURES = 1000


def standing_failures(
    instance: dg.DagsterInstance, key: dg.AssetKey, *, is_unfinished: Callable[[str], bool]
) -> dict[str, str]:
    """Return why partitions failed, where the failure is newer than what is there.

    Args:
        instance: Dagster's history; its last 1,000 failures of the asset are looked at.
        key: The asset.
        is_unfinished: Whether a partition (`WHOLE_POOL` for an asset without partitions) is of the project and not
            fresh: a failure that settings or files outlived is none any more.

    Returns:
        Reason by partition, the newest first.
    """
    latest: dict[str, tuple[float, str]] = {}
    for record in instance.fetch_observations(key, limit=_LAST_FAILURES).records:  # the newest first
        observed = record.asset_observation
        failure = None if observed is None else observed.metadata.get(FAILURE_FACT)
        if observed is not None and failure is not None:
            latest.setdefault(observed.partition or WHOLE_POOL, (record.timestamp, str(failure.value)))
    return {
        partition: text
        for partition, (when, text) in latest.items()
        if is_unfinished(partition) and not _is_made_since(instance, key, partition, when)
    }


def _is_made_since(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str, when: float) -> bool:
    where = None if partition == WHOLE_POOL else [partition]
    records = instance.fetch_materializations(dg.AssetRecordsFilter(key, where), limit=1).records
    return bool(records) and records[0].timestamp >= when
