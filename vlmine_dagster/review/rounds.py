"""The end of a round of review: verdicts begin to count, named classes become labels, MLflow learns of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import JUDGES
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.significance import Interval
from vlmine_dagster.review.summary import Summary, summarize

if TYPE_CHECKING:
    from vlmine_dagster.resources.verdicts import Judgement
    from vlmine_dagster.resources.workbench import Workbench

_LABELLED = (Verdict.RARE, Verdict.COMMON)
_VETOED = "a reviewer calls the item junk, a duplicate or wrong keyword"
_DIFFER = "reviewers name different classes"
_UNSURE = "who named it is unsure"


@dataclass(frozen=True)
class NamedClasses:
    """The classes that reviewers named.

    Attributes:
        labels: Class by item, of those that become labels.
        left_out: How many items have a named class that does not, by the reason.
    """

    labels: Mapping[str, str]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class FinishedRound:
    """A round of review that was finished.

    Attributes:
        number: 1 for the first.
        summary: What it came to.
        labels: Class by item of those that became labels.
        label_round: Number of the round of labels; None where nothing new became one.
        urls: Addresses of its MLflow runs, by experiment.
        left_out: How many items have a named class that became no label, by the reason.
    """

    number: int
    summary: Summary
    labels: Mapping[str, str]
    label_round: int | None
    urls: Mapping[str, str]
    left_out: Mapping[str, int]


def finish_round(bench: "Workbench") -> FinishedRound:
    """Finish the open round: the next lists learn from its verdicts, and classes that were named become labels.

    A class becomes a label where all who named one named the same, and nobody calls the item junk, a duplicate, or
    listed for a wrong keyword. Labels are written first: a process that dies in between leaves the round open, and
    finishing it again adds nothing twice.

    Raises:
        SourceError: nothing was judged since the last round, or a class is not one of the project's.
    """
    from vlmine_dagster.resources.verdicts import verdict_log

    log = verdict_log(bench.project)
    judgements = log.standing(rounds="open")
    if not judgements and not log.standing(rounds="all"):
        raise SourceError("nothing was judged yet. Review part of a list first: vlmine review.")
    named = named_classes(judgements)
    label_round = _write_labels(bench, named.labels) if named.labels else None
    number = log.finish_round()
    if number is None:
        raise SourceError("nothing was judged since the last round. Review part of a list first: vlmine review.")
    summary = summarize(bench, judgements)
    return FinishedRound(
        number, summary, named.labels, label_round, _record(bench, number, summary), left_out=named.left_out
    )


def named_classes(judgements: "Sequence[Judgement]") -> NamedClasses:
    """Return the class of each item about whose class its reviewers agree, and why others are left out."""
    classes: dict[str, set[str]] = defaultdict(set)
    vetoed = {one.image_id for one in judgements if one.verdict not in (*_LABELLED, Verdict.UNSURE)}
    for one in judgements:
        if one.class_name:
            classes[one.image_id].update({one.class_name} if one.verdict in _LABELLED else ())
    labels: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for name, found in classes.items():
        if name in vetoed:
            left_out[_VETOED] += 1
        elif len(found) == 1:
            labels[name] = found.pop()
        else:
            left_out[_DIFFER if found else _UNSURE] += 1
    return NamedClasses(labels, dict(left_out))


def open_class_lines(bench: "Workbench", judgements: "Sequence[Judgement]") -> list[str]:
    """Return what becomes of the classes that were named in the open round, a line each, for people."""
    from vlmine_dagster.resources.rounds import no_such_class

    named = named_classes(judgements)
    lines = [f"{_classes(len(named.labels))} to become labels"] if named.labels else []
    lines += left_out_lines(named.left_out)
    announced = () if bench.labels is None else bench.labels.announced
    unknown = sorted(set(named.labels.values()) - set(announced)) if announced else []
    return lines + [f"{no_such_class(name, announced)} Until then the round cannot be finished." for name in unknown]


def left_out_lines(left_out: Mapping[str, int]) -> list[str]:
    """Return how many named classes become no labels, a line for each reason.

    Examples:
        >>> left_out_lines({"reviewers name different classes": 2})
        ['2 named classes left out: reviewers name different classes']
    """
    return [f"{_classes(count)} left out: {reason}" for reason, count in left_out.items()]


def _classes(count: int) -> str:
    return f"{count:,} named {'class' if count == 1 else 'classes'}"


def _write_labels(bench: "Workbench", labels: Mapping[str, str]) -> int | None:
    """Write labels as a round, like those that come back from a labelling tool; None where all are known."""
    from vlmine_dagster.resources.label_import import start_labels
    from vlmine_dagster.resources.rounds import check_annotations, load_rounds, write_round

    class_names = () if bench.labels is None else bench.labels.announced
    with bench.lake.connect(items=bench.lake.require(ITEMS, bench.lake.partitions(ITEMS))) as connection:
        splits = dict(connection.sql("SELECT image_id, split FROM items").fetchall())
    tests = {name for name, split in splits.items() if split in JUDGES}
    check_annotations(labels, known_ids=set(splits), test_ids=tests, class_names=class_names)
    earlier = {name: label for back in load_rounds(bench.project) for name, label in back.labels.items()}
    if labels.items() <= earlier.items():
        return None
    taken = write_round(bench.project, labels)
    if bench.project.settings.dataset.labels is None:
        start_labels(bench.project)
    return taken.number


def _record(bench: "Workbench", number: int, summary: Summary) -> dict[str, str]:
    """Tell MLflow of a round: one run per list, beside that of the list itself."""
    tracking, urls = bench.tracking, {}
    kappa = {f"kappa_{' '.join(one.reviewers)}": one.kappa for one in summary.agreements if one.kappa == one.kappa}
    for found in summary.lists:
        parent = tracking.latest(experiment=found.experiment, asset="pareto_set")
        tags = {"vlmine.experiment": found.experiment, "vlmine.asset": "verdicts", "vlmine.round": str(number)}
        with tracking.run(f"{found.experiment}, review {number}", tags=tags, parent_run_id=parent) as tracked:
            tracked.params({"experiment": found.experiment, "round": number, "reviewers": len(summary.by_reviewer)})
            points = [(one.first, one.share) for one in found.precision if one.share is not None]
            tracked.curves([("precision", first, share.mean) for first, share in points])
            tracked.curves([("precision_low", first, share.low) for first, share in points])
            tracked.curves([("precision_high", first, share.high) for first, share in points])
            tracked.metrics(_numbers(found.judged, found.confirmed, summary) | _safe(kappa))
            tracked.metrics(_ends("usd_per_rare", found.cost) | _ends("random_costs_times", found.random_costs))
            urls[found.experiment] = tracked.url
    return urls


def _numbers(judged: int, confirmed: int, summary: Summary) -> dict[str, float]:
    counted = Counter(summary.by_verdict)
    return {
        "judged": judged,
        "confirmed_rare": confirmed,
        "minutes": summary.minutes,
        **({} if summary.usd is None else {"review_usd": summary.usd}),
        "disputed": len(summary.disputed),
        **{f"verdict_{name.replace(' ', '_')}": count for name, count in counted.items()},
    }


def _ends(name: str, found: Interval | None) -> dict[str, float]:
    """Return a number and the ends of its interval as metrics, as far as they are finite."""
    values = {} if found is None else {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return {name: value for name, value in values.items() if value < float("inf")}


def _safe(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics by names that MLflow takes: reviewers are called as they like."""
    return {"".join(c if c.isalnum() or c in "_-. " else "_" for c in name): value for name, value in metrics.items()}
