"""What reviewing a list will cost, before anybody looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.outcomes import JUDGES
from vlmine_dagster.domain.verdicts import CONFIRMED
from vlmine_dagster.mining.judging import share_interval, standing_verdicts
from vlmine_dagster.mining.review_cost import expected_cost
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import Interval
from vlmine_dagster.review.summary import prices_of

if TYPE_CHECKING:
    from vlmine_dagster.resources.verdicts import Judgement
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import ExperimentSettings

UNTRAINED = -1
"""The seed of a metric of `retrain_metrics` for which nothing was trained."""


@dataclass(frozen=True)
class ReviewOutlook:
    """What reviewing the list of an experiment will cost.

    Attributes:
        experiment: Whose list.
        count: Items within its budget.
        seconds: Time of a verdict.
        hours: Time of all.
        usd: What that time costs.
        precision: Share of rare items to be expected, with its 95% interval; None where nothing tells.
        source: What tells: "verdicts" of earlier reviews, "labels" of the pool, or "" where nothing does.
        usd_per_rare: Dollars per confirmed rare item, with the interval that follows from that of the precision.
    """

    experiment: str
    count: int
    seconds: float
    hours: float
    usd: float
    precision: Interval | None
    source: str
    usd_per_rare: Interval | None


def review_outlooks(bench: "Workbench") -> list[ReviewOutlook]:
    """Return what reviewing each experiment's list will cost; nothing where no price or no time is known.

    The time is that of the settings, else what reviewers took so far. The precision is that of earlier verdicts on the
    experiment's lists, else, with labels everywhere, the share of few-shot images at the budget nearest to its own.
    """
    from vlmine_dagster.resources.verdicts import verdict_log

    settings = bench.project.settings.review
    judgements = verdict_log(bench.project).standing()
    seconds = _seconds(bench, judgements)
    if not seconds or not (settings.hourly_usd or settings.usd_per_label):
        return []
    return [_outlook(bench, name, arm, judgements, seconds) for name, arm in bench.project.settings.experiments.items()]


def missing_for_outlook(bench: "Workbench") -> str:
    """Return which setting an estimate of a review lacks, for people; "" where none, or none of them is set."""
    from vlmine_dagster.resources.verdicts import verdict_log

    settings = bench.project.settings.review
    if not (settings.hourly_usd or settings.usd_per_label):
        missing = "" if settings.seconds_per_verdict is None else "review.hourly_usd or review.usd_per_label"
    elif _seconds(bench, verdict_log(bench.project).standing()):
        missing = ""
    else:
        missing = "review.seconds_per_verdict, or judge some images with `vlmine review`, which measures the time"
    return f"No estimate for a review: set {missing}." if missing else ""


def _seconds(bench: "Workbench", judgements: "Sequence[Judgement]") -> float:
    """Return the time of a verdict by the settings, else by what reviewers took so far; 0 where neither tells."""
    taken = [one.seconds for one in judgements]
    return bench.project.settings.review.seconds_per_verdict or (sum(taken) / len(taken) if taken else 0.0)


def _outlook(
    bench: "Workbench", name: str, arm: "ExperimentSettings", judgements: "Sequence[Judgement]", seconds: float
) -> ReviewOutlook:
    count = _count(bench, name, arm)
    precision, source = _by_verdicts(name, judgements), "verdicts"
    if precision is None:
        precision, source = _by_labels(bench, name, count), "labels"
    prices = prices_of(bench, name)
    cost = None if precision is None else expected_cost(precision, seconds=seconds, prices=prices, count=max(count, 1))
    hours = count * seconds / 3600
    source = source if precision is not None else ""
    return ReviewOutlook(name, count, seconds, hours, hours * prices.hourly_usd, precision, source, cost)


def _count(bench: "Workbench", name: str, arm: "ExperimentSettings") -> int:
    """Return how many items the budget reaches: of the list, or of the pool where it was not mined yet."""
    lake = bench.lake
    if lake.path("pareto_set", name).exists():
        return int(sum(lake.read("pareto_set", name, columns=["selected"]).column("selected").to_pylist()))
    budget = arm.budget or bench.project.settings.budget
    shards = lake.partitions(ITEMS)
    if not shards or not isinstance(budget, float | int):
        return 0
    with lake.connect(items=lake.require(ITEMS, shards)) as connection:
        query = "SELECT count(*) FROM items WHERE outcome = 'ok' AND split NOT IN $judges AND split <> 'seed'"
        pool = connection.sql(query, params={"judges": list(JUDGES)}).fetchall()[0][0]
    return budget_count(budget, pool) if pool else 0


def _by_verdicts(name: str, judgements: "Sequence[Judgement]") -> Interval | None:
    standing = standing_verdicts(
        (one.image_id, one.reviewer, one.verdict) for one in judgements if one.experiment == name
    ).values()
    return share_interval(sum(verdict in CONFIRMED for verdict in standing), len(standing)) if standing else None


def _by_labels(bench: "Workbench", name: str, count: int) -> Interval | None:
    """Return the share of few-shot images among the mined ones, at the judged budget that is nearest."""
    if not bench.lake.path("retrain_metrics", name).exists():
        return None
    rows = bench.lake.read("retrain_metrics", name, columns=["mined_count", "seed", "metric", "value"]).to_pylist()
    precision = {
        row["mined_count"]: row["value"]
        for row in rows
        if row["metric"] == "few_precision" and row["seed"] == UNTRAINED and row["value"] is not None
    }
    mined = min((size for size in precision if size), key=lambda size: abs(size - count), default=None)
    return None if mined is None else share_interval(round(precision[mined] * mined), mined)
