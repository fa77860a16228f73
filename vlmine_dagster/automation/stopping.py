"""The sensor that says, after labels came, how many new classes more of them would bring."""

import json

import dagster as dg

from vlmine_dagster.resources.workbench import Workbench


@dg.sensor(
    name="when_to_stop",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says how many new classes and keywords another 500 random images would bring, as the reason of its "
    "ticks and, where labels or images changed, in its log. It requests no run.",
)
def when_to_stop(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SkipReason:
    """Say what more labels would bring; the same as at the last tick where nothing was published since."""
    bench = Workbench(settings_file=workbench.settings_file)
    state = _published(bench)
    last = json.loads(context.cursor or "{}")
    if last.get("state") == state:
        return dg.SkipReason(last["said"])
    outlook = _outlook(bench)
    context.log.info(outlook)
    context.update_cursor(json.dumps({"state": state, "said": outlook}))
    return dg.SkipReason(outlook)


def _published(bench: Workbench) -> str:
    """Return what changes whenever the outlook may: hashes of what was published, and of the labels."""
    import hashlib

    from vlmine_dagster.domain.items import ITEMS
    from vlmine_dagster.domain.tables import WHOLE_POOL

    lake = bench.lake
    stamps = [lake.stamp(ITEMS, shard) for shard in lake.partitions(ITEMS)]
    stamps.append(lake.stamp("vocab_counts", WHOLE_POOL))
    labels = None if bench.labels is None else bench.labels.fingerprint
    parts = [labels, *(None if stamp is None else stamp.version() for stamp in stamps)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _outlook(bench: Workbench) -> str:
    from vlmine_dagster.mining.discovery import enough_advice
    from vlmine_dagster.scoring.discovery import discoveries_of

    found = discoveries_of(bench)
    by_noun = {one.noun: one for one in found}
    lines = [enough_advice(by_noun.get("classes")).text, *(one.text for one in found if one.noun != "classes")]
    return " ".join(line if line.endswith(".") else f"{line}." for line in lines)
