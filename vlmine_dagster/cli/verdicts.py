"""`vlmine verdicts`: what reviewers said, and the end of a round of review."""

import math
from collections.abc import Sized
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, table_of
from vlmine_dagster.domain.counting import counted

if TYPE_CHECKING:
    from vlmine_dagster.mining.significance import Interval
    from vlmine_dagster.review.rounds import FinishedRound
    from vlmine_dagster.review.summary import Summary

_SHOWN = 10


@click.command()
@click.option("--finish", "is_finished", is_flag=True, help="Finish the round: the next lists learn from it.")
@as_json
def verdicts(is_finished: bool, is_json: bool) -> None:
    """Show the results of reviews: precision, agreement, minutes and dollars.

    `--finish` ends the round, so that the next lists learn from it.
    Classes that reviewers named become a round of labels, as if imported by `vlmine labels import`.
    """
    from vlmine_dagster.resources.verdicts import verdict_log
    from vlmine_dagster.review.rounds import finish_round
    from vlmine_dagster.review.summary import summarize
    from vlmine_dagster.scoring.discovery import discoveries_of

    bench = open_bench()
    if is_finished:
        done = finish_round(bench)
        print_json(finite(asdict(done))) if is_json else print_finished(done)
        return
    found = summarize(bench, verdict_log(bench.project).standing())
    more = discoveries_of(bench)
    if is_json:
        print_json(finite({**asdict(found), "more_images": {one.noun: asdict(one) for one in more}}))
        return
    print_summary(found)
    for one in more:
        console().print(one.text)


def finite(value: Any) -> Any:
    """Return a value as JSON can hold it: null for numbers that are infinite or none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def print_finished(done: "FinishedRound") -> None:
    """Print what a finished round came to."""
    from vlmine_dagster.review.rounds import left_out_lines

    print_summary(done.summary)
    out = console()
    out.print(f"Round {done.number} is finished: the next lists learn from it.")
    if done.label_round is not None:
        out.print(f"{_named(done.labels)} round {done.label_round} of the labels.")
    elif done.labels:
        out.print(f"{_named(done.labels)} in the labels already.")
    for line in left_out_lines(done.left_out):
        out.print(f"{line}.")
    for url in done.urls.values():
        out.print(f"[dim]{plain(url)}[/]")
    out.print("Next: vlmine run")


def print_summary(found: "Summary") -> None:
    """Print what verdicts come to."""
    out = console()
    if not found.judged:
        out.print("There are no verdicts yet. Start with `vlmine review`.")
        return
    verdict_counts = ", ".join(f"{plain(name)} {count:,}" for name, count in found.by_verdict.items())
    reviewers = ", ".join(f"{plain(name)} {count:,}" for name, count in found.by_reviewer.items())
    price = "" if found.usd is None else f" (${found.usd:,.2f})"
    out.print(f"{counted(found.judged, 'item')} judged in {found.minutes:,.1f} minutes{price}, by {reviewers}.")
    out.print(f"Standing: {verdict_counts or 'none'}.")
    _print_lists(found)
    for pair in found.agreements:
        kappa = "no kappa: both gave only one verdict" if math.isnan(pair.kappa) else f"Cohen's kappa {pair.kappa:.2f}"
        out.print(
            f"{plain(pair.reviewers[0])} and {plain(pair.reviewers[1])}: {kappa} on {counted(pair.count, 'item')}."
        )
    for name, words in list(found.disputed.items())[:_SHOWN]:
        out.print(
            f"[dim]disputed: {plain(name)}: {plain(', '.join(f'{who} {word}' for who, word in words.items()))}[/]"
        )
    if len(found.disputed) > _SHOWN:
        out.print(
            f"[dim]and {len(found.disputed) - _SHOWN:,} more: in `vlmine review`, choose `reviewers disagree`.[/]"
        )


def _print_lists(found: "Summary") -> None:
    """Print how right each list was, and what a rare item of it costs where the settings name a price."""
    costs = {
        "$ per rare": [dollars(one.cost) for one in found.lists],
        "random costs": [times(one.random_costs) for one in found.lists],
    }
    costs = {name: values for name, values in costs.items() if set(values) - {"-"}}
    columns = ["list", "first", "judged", "rare", "95% interval", *costs]
    table = table_of({name: "left" if name == "list" else "right" for name in columns})
    for at, one in enumerate(found.lists):
        for precision in one.precision:
            share = precision.share
            shown = ("-", "-") if share is None else (f"{share.mean:.0%}", f"{share.low:.0%} to {share.high:.0%}")
            last = [values[at] if precision is one.precision[-1] else "" for values in costs.values()]
            table.add_row(plain(one.experiment), f"{precision.first:,}", f"{precision.judged:,}", *shown, *last)
    print_table(table)
    if found.lists and "$ per rare" not in costs:
        console().print("[dim]Dollars per rare item: no price set (review.hourly_usd, review.usd_per_label).[/]")


def dollars(found: "Interval | None") -> str:
    """Return dollars with their interval.

    Examples:
        >>> from vlmine_dagster.mining.significance import Interval
        >>> dollars(Interval(0.5, 0.25, math.inf, 9)), dollars(Interval(math.inf, 1.0, math.inf, 9)), dollars(None)
        ('0.50 (0.25 to any)', 'none confirmed', '-')
    """
    return _with_interval(found, "{:,.2f}", endless="none confirmed")


def times(found: "Interval | None") -> str:
    """Return a ratio with its interval.

    Examples:
        >>> from vlmine_dagster.mining.significance import Interval
        >>> times(Interval(2.5, 1.2, math.inf, 9)), times(None), times(Interval(math.inf, 2.0, math.inf, 9))
        ('2.5 times (1.2 to any)', '-', 'none confirmed at random')
    """
    return _with_interval(found, "{:,.1f}", unit=" times", endless="none confirmed at random")


def _with_interval(found: "Interval | None", form: str, *, unit: str = "", endless: str) -> str:
    """Return a number with its interval, in the form of its digits; what stands for an infinite one is given."""
    if found is None:
        return "-"
    if math.isinf(found.mean):
        return endless
    high = "any" if math.isinf(found.high) else form.format(found.high)
    return f"{form.format(found.mean)}{unit} ({form.format(found.low)} to {high})"


def _named(labels: Sized) -> str:
    return counted(len(labels), "class that was named is", "classes that were named are")
