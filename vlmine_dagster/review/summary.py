"""What a review came to: who judged how much, how far reviewers agree, how right the lists were, what it cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.domain.verdicts import CONFIRMED, Verdict
from vlmine_dagster.mining.judging import Agreement, Precision, agreements, disputed, precision_at, standing_verdicts
from vlmine_dagster.mining.review_cost import Judged, Prices, cost_per_rare, times_as_dear
from vlmine_dagster.mining.significance import Interval

if TYPE_CHECKING:
    from vlmine_dagster.resources.verdicts import Judgement
    from vlmine_dagster.resources.workbench import Workbench

FIRST = (10, 20, 50, 100, 200, 500, 1000)
"""How many items from the top precision is told of."""


@dataclass(frozen=True)
class ListSummary:
    """What verdicts say of one list.

    Attributes:
        experiment: Whose list.
        judged: Items of it with a verdict that stands.
        confirmed: How many of them are rare.
        precision: Among the first 10, 20, 50 ..., as far down as somebody judged.
        cost: Dollars per confirmed rare item; None where nothing was judged, or the settings name no price.
        random_costs: How many times as much one of a random list costs; None where none was judged, or this is one.
    """

    experiment: str
    judged: int
    confirmed: int
    precision: tuple[Precision, ...]
    cost: Interval | None
    random_costs: Interval | None = None


@dataclass(frozen=True)
class Summary:
    """What a review came to.

    Attributes:
        judged: Items with a verdict, of anybody.
        minutes: Time of all verdicts.
        usd: What that time costs; None where the settings do not say what an hour costs.
        by_reviewer: Verdicts by reviewer.
        by_verdict: Items by the verdict that stands.
        lists: By experiment, those on whose lists somebody judged.
        agreements: How far reviewers agree.
        disputed: Items about which they differ, with who said what.
    """

    judged: int
    minutes: float
    usd: float | None
    by_reviewer: Mapping[str, int]
    by_verdict: Mapping[str, int]
    lists: tuple[ListSummary, ...]
    agreements: tuple[Agreement, ...]
    disputed: Mapping[str, Mapping[str, Verdict]]


def summarize(bench: "Workbench", judgements: "Sequence[Judgement]") -> Summary:
    """Return what some verdicts come to."""
    pairs = [(one.image_id, one.reviewer, one.verdict) for one in judgements]
    standing = standing_verdicts(pairs)
    review = bench.project.settings.review
    seconds = review.seconds_per_verdict
    spent = sum(one.seconds if seconds is None else seconds for one in judgements)
    names = [name for name in bench.project.settings.experiments if any(one.experiment == name for one in judgements)]
    by_list = {name: [one for one in judgements if one.experiment == name] for name in names}
    judged = {name: _judged(bench, name, by_list[name], standing) for name in names}
    arms = bench.project.settings.experiments
    chance = next((judged[name] for name in names if arms[name].signals == ("random",)), None)
    return Summary(
        judged=len({one.image_id for one in judgements}),
        minutes=spent / 60,
        usd=spent / 3600 * review.hourly_usd if review.hourly_usd else None,
        by_reviewer=dict(Counter(one.reviewer for one in judgements)),
        by_verdict=dict(Counter(verdict.value for verdict in standing.values()).most_common()),
        lists=tuple(_of_list(name, by_list[name], standing, judged[name], chance) for name in names),
        agreements=tuple(agreements(pairs)),
        disputed=disputed(pairs),
    )


def summary_lines(found: Summary) -> list[str]:
    """Return what a review came to, a line each, for people."""
    lines = [f"{found.judged:,} judged in {found.minutes:,.1f} minutes"]
    lines += [f"{count:,} {name}" for name, count in found.by_verdict.items()]
    for one in found.lists:
        share = one.precision[-1].share
        if share is not None:
            first = one.precision[-1].first
            lines.append(
                f"{one.experiment}: {share.mean:.0%} of the first {first:,} are rare "
                f"(95% interval {share.low:.0%} to {share.high:.0%})"
            )
    lines += [f"reviewers disagree about {len(found.disputed):,}"] if found.disputed else []
    return lines


def _of_list(
    experiment: str,
    judgements: "Sequence[Judgement]",
    standing: Mapping[str, Verdict],
    judged: Judged,
    chance: Judged | None,
) -> ListSummary:
    ranks = {one.image_id: one.rank for one in judgements}
    deepest = max(rank for name, rank in ranks.items())
    firsts = [first for first in FIRST if first < deepest]
    return ListSummary(
        experiment,
        sum(name in standing for name in ranks),
        sum(standing.get(name) in CONFIRMED for name in ranks),
        tuple(precision_at(ranks, standing, first) for first in (*firsts, deepest)),
        cost_per_rare(judged.seconds, judged.is_rare, judged.prices) if judged.prices.are_set else None,
        None if chance is None or chance is judged else times_as_dear(judged, chance),
    )


def _judged(
    bench: "Workbench", experiment: str, judgements: "Sequence[Judgement]", standing: Mapping[str, Verdict]
) -> Judged:
    """Return how long the items of a list took, with which of them were confirmed."""
    given = bench.project.settings.review.seconds_per_verdict
    seconds: dict[str, float] = dict.fromkeys((one.image_id for one in judgements), 0.0)
    for one in judgements:
        seconds[one.image_id] += one.seconds if given is None else given
    is_rare = [standing.get(name) in CONFIRMED for name in seconds]
    return Judged(list(seconds.values()), is_rare, prices_of(bench, experiment))


def prices_of(bench: "Workbench", experiment: str) -> Prices:
    """Return what judging a list costs: people by the settings, and what its descriptions took."""
    settings = bench.project.settings
    arm = settings.experiments[experiment]
    spent = _spent(bench, arm.variant) if arm.needs_keywords else 0.0
    spent += _cost_of(bench, "grounded_keywords", experiment)
    return Prices(settings.review.hourly_usd, settings.review.usd_per_label, spent)


def _spent(bench: "Workbench", variant: str) -> float:
    """Return what describing the pool and extracting keywords cost, by the tables that are there."""
    return sum(
        _cost_of(bench, table, partition, variant)
        for table in ("descriptions", "keyword_answers")
        for partition in bench.lake.partitions(table, variant=variant)
    )


def _cost_of(bench: "Workbench", table: str, partition: str, variant: str = DEFAULT_VARIANT) -> float:
    """Return what the answers of a partition cost, nothing where it is not there."""
    if bench.lake.stamp(table, partition, variant=variant) is None:
        return 0.0
    costs = bench.lake.read(table, partition, columns=["cost_usd"], variant=variant).column("cost_usd")
    return sum(cost or 0.0 for cost in costs.to_pylist())
