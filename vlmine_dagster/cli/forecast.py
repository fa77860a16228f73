"""`vlmine forecast`: what a run will take, from a few real calls, whose answers are kept, and the price table."""

import math
import statistics
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench, open_runner
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, table_of
from vlmine_dagster.cli.verdicts import dollars, finite
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import JUDGES, Outcome
from vlmine_dagster.domain.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    from vlmine_dagster.resources.describers import Description, ModelDescriber
    from vlmine_dagster.resources.keyworders import KeywordAnswer
    from vlmine_dagster.resources.prices import Price
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.review.outlook import ReviewOutlook

_Z95 = 1.959964


@dataclass(frozen=True)
class StageForecast:
    """What one stage of one extraction variant will take.

    Attributes:
        stage: `descriptions` or `keywords`, with the variant before it.
        model: The model that is asked.
        left: Calls to make; images of the same bytes count once.
        sampled: Real calls that the forecast comes from; their answers are kept and not among `left`.
        failed: Those of them that failed.
        prompt_tokens: Tokens to be read.
        output_tokens: Tokens to be written.
        cost_usd: US dollars to be paid, None where the price is unknown.
        cost_error_usd: Half of the 95% interval of `cost_usd`, from the spread of the sample.
        hours: Time at the settings' concurrency.
        price: Where the price comes from.
        is_estimated: Whether tokens are estimates, because the server does not say how many it used.
        spared: Calls that are not needed, since near-duplicates are described once (`dedupe: near`).
        spared_usd: US dollars that these would cost, None where the price is unknown.
        is_bound: Whether dollars are the most that it may take, without any call to go by.
    """

    stage: str
    model: str
    left: int
    sampled: int
    failed: int
    prompt_tokens: float
    output_tokens: float
    cost_usd: float | None
    cost_error_usd: float
    hours: float
    price: str
    is_estimated: bool = False
    spared: int = 0
    spared_usd: float | None = 0.0
    is_bound: bool = False


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    Attributes:
        stages: The stages that ask models; none where the tagger, rules and tags do all.
        spent_usd: US dollars spent so far, the sample's included.
        cost_usd: US dollars to be paid, None where a price is unknown.
        max_cost_usd: The project's limit, None for none.
        reviews: What people's review of each list will cost, where the settings name a price and a time is known.
        review_hint: Which setting an estimate of a review lacks, for people; "" where none.
    """

    stages: tuple[StageForecast, ...]
    spent_usd: float
    cost_usd: float | None
    max_cost_usd: float | None
    reviews: "tuple[ReviewOutlook, ...]" = ()
    review_hint: str = ""


@click.command()
@click.option("--sample", default=32, show_default=True, type=click.IntRange(2, 10_000), help="Real calls per stage.")
@as_json
def forecast(sample: int, is_json: bool) -> None:
    """Estimate calls, tokens, dollars and hours of a run from a few real calls, whose answers are kept."""
    with open_runner(is_quiet=is_json) as runner:
        shards = runner.inspect_images()
    made = forecast_run(open_bench(), shards, sample_count=sample)
    print_json(finite(asdict(made))) if is_json else print_forecast(made)


def forecast_run(bench: "Workbench", shards: Sequence[str], *, sample_count: int) -> Forecast:
    """Estimate what a run over the shards will take.

    Args:
        bench: The project; `images` of the shards must be there.
        shards: All shards.
        sample_count: Real calls per stage, at random over the pool.

    Raises:
        BudgetExceededError: not even the sample is within max_cost_usd.
        ModelError: no call of a sample was answered.
        MissingInputError: `images` of a shard is missing.
    """
    from vlmine_dagster.review.outlook import missing_for_outlook, review_outlooks

    stages: list[StageForecast] = []
    for variant in bench.project.settings.variant_names:
        stages += _variant(bench, shards, variant, sample_count)
    stages += _grounding(bench)
    costs = [stage.cost_usd for stage in stages]
    known = [cost for cost in costs if cost is not None]
    total = sum(known) if len(known) == len(costs) else None
    limit, reviews = bench.project.settings.max_cost_usd, tuple(review_outlooks(bench))
    return Forecast(tuple(stages), bench.cache.spent_usd(), total, limit, reviews, missing_for_outlook(bench))


def _variant(bench: "Workbench", shards: Sequence[str], variant: str, sample_count: int) -> Iterator[StageForecast]:
    from vlmine_dagster.describing.providers import describer_of, keyworder_of
    from vlmine_dagster.resources.describers import ModelDescriber
    from vlmine_dagster.resources.keyworders import ModelKeyworder

    describer, keyworder = describer_of(bench, variant), keyworder_of(bench, variant)
    if not isinstance(describer, ModelDescriber) and not isinstance(keyworder, ModelKeyworder):
        return
    images, spared = _images(bench, shards), 0
    prefix = "" if variant == DEFAULT_VARIANT else f"{variant}/"
    unseen = list(images)
    if isinstance(describer, ModelDescriber):
        kept = describer.kept(unseen)
        unseen = [digest for digest in unseen if digest not in kept]
        answers, seconds = _described(bench, describer, shards, {images[d]: d for d in unseen[:sample_count]})
        left = len(unseen) - len(answers)
        name, spared = f"{prefix}descriptions", _spared(bench, describer, shards, asked=images)
        made = _estimate(bench, name, variant=variant, answers=answers, left=left, seconds=seconds)
        yield with_spared(made, answers, spared)
        kept_images = {images[digest]: digest for digest in kept} if isinstance(keyworder, ModelKeyworder) else {}
        known, _ = _described(bench, describer, shards, kept_images)
        usable = [answer for answer in (*answers, *known) if answer.outcome is Outcome.OK]
        described = len(answers) + len(known)
    else:
        usable, others = _descriptions(bench, shards, variant, asked=set(images.values()))
        described = len(usable)
        spared = len(keyworder.missing(others)) if isinstance(keyworder, ModelKeyworder) else 0
    if isinstance(keyworder, ModelKeyworder):
        wanted = keyworder.missing(usable)
        started = time.monotonic()
        found = list(keyworder.extract(wanted[:sample_count]))
        seconds = time.monotonic() - started
        share = len(usable) / described if described else 1.0  # of what is not described yet, as many will be ok
        left = len(wanted) - len(found) + round(max(0, len(images) - described) * share)
        made = _estimate(bench, f"{prefix}keywords", variant=variant, answers=found, left=left, seconds=seconds)
        yield with_spared(made, found, round(spared * share) if isinstance(describer, ModelDescriber) else spared)


def _grounding(bench: "Workbench") -> Iterator[StageForecast]:
    """Estimate the questions whether keywords are in pictures, without any call: at most as many as there are places.

    A question costs what those before it cost, else the most that one may cost. Lists may share images.
    """
    from vlmine_dagster.describing.providers import grounder_of, price_for

    grounding, grounder = bench.project.settings.grounding, grounder_of(bench)
    if grounding is None or grounder is None:
        return
    made = next((one for one in bench.cache.variants() if one.variant == grounder.model.fingerprint), None)
    lists = sum(one.is_decided_by_keywords for one in bench.project.settings.experiments.values())
    left = max(0, grounding.first * lists - (made.reply_count if made is not None else 0))
    settings: Any = grounding.describer
    price = price_for(bench, settings) if settings.capabilities.asks_endpoint else None
    is_unknown = settings.capabilities.asks_endpoint and price is None
    is_measured = made is not None and made.calls > 0
    each = made.cost_usd / made.calls if made is not None and is_measured else grounder.worst_cost_usd()
    yield StageForecast(
        stage="grounded_keywords",
        model=settings.model,
        left=left,
        sampled=0,
        failed=0,
        prompt_tokens=0.0,
        output_tokens=0.0,
        cost_usd=None if is_unknown else each * left,
        cost_error_usd=0.0,
        hours=0.0,
        price=_price_source(price, is_unknown=is_unknown),
        is_bound=not is_measured,
    )


def _price_source(price: "Price | None", *, is_unknown: bool) -> str:
    if is_unknown:
        return "unknown, set `prices` in vlmine.yaml"
    return "your own machine" if price is None else price.source


def _images(bench: "Workbench", shards: Sequence[str], *, is_once: bool | None = None) -> dict[str, str]:
    """Return an image id by SHA-256 of all images to describe, in an order that is as good as random.

    Args:
        bench: The project.
        shards: All shards.
        is_once: Whether near-duplicates are described once; as the settings have it if None.
    """
    tables = {"items": bench.lake.require(ITEMS, shards)}
    once = bench.project.settings.describes_once if is_once is None else is_once
    if once:
        tables["shard_duplicates"] = bench.lake.require("shard_duplicates", shards)
    with bench.lake.connect(**tables) as connection:
        query = f"""SELECT sha256, min(image_id) FROM items
                    {"ANTI JOIN shard_duplicates USING (image_id)" if once else ""}
                    WHERE outcome = 'ok' AND split NOT IN $judges
                    GROUP BY sha256 ORDER BY md5(sha256)"""  # noqa: S608 - our own text
        return dict(connection.sql(query, params={"judges": list(JUDGES)}).fetchall())


def _spared(bench: "Workbench", describer: "ModelDescriber", shards: Sequence[str], *, asked: Mapping[str, str]) -> int:
    """Return how many calls are not needed since near-duplicates are described once; answers that are kept are none."""
    if not bench.project.settings.describes_once:
        return 0
    others = _images(bench, shards, is_once=False).keys() - asked.keys()
    return len(others) - len(describer.kept(list(others)))


def with_spared(
    estimate: StageForecast, answers: "Sequence[Description] | Sequence[KeywordAnswer]", spared: int
) -> StageForecast:
    """Return an estimate with the calls that near-duplicates do not need, at the mean price of some answers."""
    if not spared or estimate.cost_usd is None:
        return replace(estimate, spared=spared, spared_usd=None if spared else 0.0)
    mean = statistics.fmean([answer.cost_usd or 0.0 for answer in answers] or [0.0])
    return replace(estimate, spared=spared, spared_usd=mean * spared)


def _described(
    bench: "Workbench", describer: "ModelDescriber", shards: Sequence[str], sample: Mapping[str, str]
) -> "tuple[list[Description], float]":
    """Return descriptions of images, given as SHA-256 by image id, and the seconds that they took."""
    from vlmine_dagster.resources.extraction import pool_loader

    started = time.monotonic()
    found = list(describer.describe(sample, pool_loader(bench.requests, shards)))
    return found, time.monotonic() - started


def _descriptions(
    bench: "Workbench", shards: Sequence[str], variant: str, *, asked: Collection[str]
) -> "tuple[list[Description], list[Description]]":
    """Return descriptions that are published already: those of images that are asked about, and those of others."""
    from vlmine_dagster.resources.describers import Description

    there = [shard for shard in shards if bench.lake.path("descriptions", shard, variant=variant).exists()]
    with bench.lake.connect(descriptions=bench.lake.require("descriptions", there, variant=variant)) as connection:
        query = """SELECT image_id, description FROM descriptions WHERE outcome = 'ok'
                   ORDER BY md5(image_id)"""
        rows = connection.sql(query).fetchall()
    found = [Description(*row) for row in rows]
    if not bench.project.settings.describes_once:
        return found, []
    return [one for one in found if one.image_id in asked], [one for one in found if one.image_id not in asked]


def _estimate(
    bench: "Workbench",
    stage: str,
    *,
    variant: str,
    answers: "Sequence[Description] | Sequence[KeywordAnswer]",
    left: int,
    seconds: float,
) -> StageForecast:
    from vlmine_dagster.describing.providers import price_for

    _refuse_silence(stage, answers)
    parts = bench.project.settings.variant(variant)
    settings: Any = parts.describer if stage.endswith("descriptions") else parts.keyworder
    has_price = settings.capabilities.asks_endpoint
    price = price_for(bench, settings) if has_price else None
    is_unknown = has_price and price is None
    costs = [answer.cost_usd or 0.0 for answer in answers]
    count = max(len(answers), 1)
    error = _Z95 * statistics.stdev(costs) / math.sqrt(count) * left if count > 1 else 0.0
    return StageForecast(
        stage=stage,
        model=settings.model,
        left=left,
        sampled=len(answers),
        failed=sum(answer.outcome is not Outcome.OK for answer in answers),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers) / count * left,
        output_tokens=sum(answer.output_tokens for answer in answers) / count * left,
        cost_usd=None if is_unknown else sum(costs) / count * left,
        cost_error_usd=error,
        hours=_hours(settings, answers, left, seconds),
        price=_price_source(price, is_unknown=is_unknown),
        is_estimated=any(answer.is_estimated for answer in answers),
    )


def _refuse_silence(stage: str, answers: "Sequence[Description] | Sequence[KeywordAnswer]") -> None:
    """Refuse a sample in which no call was answered: it says nothing about tokens, money or time."""
    failures = Counter(str(answer.failure) for answer in answers if answer.outcome is not Outcome.OK)
    if not answers or failures.total() < len(answers) or any(answer.prompt_tokens for answer in answers):
        return
    ((commonest, count),) = failures.most_common(1)
    reason = commonest.rstrip(".")
    failed = "the one sample call failed" if len(answers) == 1 else f"all {len(answers):,} sample calls failed"
    raise ModelError(
        f"{stage}: {failed}, so nothing could be measured. {count} x {reason}. Look "
        f"at the endpoint with `vlmine doctor`."
    )


def _hours(settings: Any, answers: Sequence[Any], left: int, seconds: float) -> float:
    """Return the time for `left` calls: by latency and concurrency at an endpoint, by the sample's rate here.

    A sample is too small to use an endpoint's full concurrency, so its own rate would not predict a long run.
    """
    if not answers:
        return 0.0
    latencies = [answer.latency_s for answer in answers if answer.latency_s > 0]
    concurrency = getattr(settings, "concurrency", None)
    if concurrency is None or not latencies:
        return float(seconds / len(answers) * left / 3600)
    return statistics.fmean(latencies) / float(concurrency) * left / 3600


def print_forecast(estimate: Forecast) -> None:
    """Print the estimate."""
    from vlmine_dagster.resources.progress import duration

    out = console()
    _print_reviews(estimate.reviews)
    if estimate.review_hint:
        out.print(estimate.review_hint)
    if not estimate.stages:
        out.print("Nothing to estimate: this project asks no model (the tagger and the rules run on this machine).")
        return
    names = ("stage", "model", "calls left", "tokens", "dollars", "time")
    table = table_of({name: "left" if name in names[:2] else "right" for name in names}, title="Estimate for a run")
    for stage in estimate.stages:
        dollars = _dollars(stage)
        tokens = f"{stage.prompt_tokens + stage.output_tokens:,.0f}"
        table.add_row(stage.stage, plain(stage.model), f"{stage.left:,}", tokens, dollars, duration(stage.hours * 3600))
    print_table(table)
    total = "unknown" if estimate.cost_usd is None else f"${estimate.cost_usd:,.2f}"
    limit = "no limit" if estimate.max_cost_usd is None else f"max_cost_usd ${estimate.max_cost_usd:g}"
    out.print(f"To pay: {total}. Spent so far: ${estimate.spent_usd:,.4f} ({limit}).")
    for stage in estimate.stages:
        out.print(f"[dim]{stage.stage}: {_sources(stage)}; price: {plain(stage.price)}.[/]")
        if stage.spared:
            saved = "" if not stage.spared_usd else f" and about ${stage.spared_usd:,.2f}"
            calls = f"{counted(stage.spared, 'call')}{saved}"
            out.print(f"{stage.stage}: near-duplicates are described once, which saves {calls}.")
        if stage.is_estimated:
            out.print(f"[dim]{stage.stage}: tokens are estimated, since the server sends no usage.[/]")
    if (
        estimate.cost_usd is not None
        and estimate.max_cost_usd is not None
        and estimate.spent_usd + estimate.cost_usd > estimate.max_cost_usd
    ):
        out.print(
            "[yellow]That is more than max_cost_usd: the run will stop at the limit and keep the answers paid for.[/]"
        )


def _sources(stage: StageForecast) -> str:
    """Return what an estimate comes from."""
    if stage.sampled:
        failed = f", {stage.failed} of them failed" if stage.failed else ""
        return f"from {stage.sampled} real calls{failed}, kept"
    if stage.stage == "grounded_keywords":
        return "at most, without a call" if stage.is_bound else "from the calls so far, at most one per place"
    return "no real call was needed"


def _print_reviews(reviews: "Sequence[ReviewOutlook]") -> None:
    if not reviews:
        return
    names = ("list", "items", "hours", "dollars", "rare, expected", "dollars per rare image")
    table = table_of({name: "left" if name == "list" else "right" for name in names}, title="Estimate for a review")
    for one in reviews:
        share = one.precision
        expected = "unknown" if share is None else f"{share.mean:.0%} ({share.low:.0%} to {share.high:.0%})"
        numbers = (f"{one.count:,}", f"{one.hours:.1f}", f"{one.usd:,.2f}", expected, dollars(one.usd_per_rare))
        table.add_row(plain(one.experiment), *numbers)
    print_table(table)


def _dollars(stage: StageForecast) -> str:
    if stage.cost_usd is None:
        return "unknown"
    if not stage.left:
        return "nothing left to ask"
    if not stage.sampled and stage.stage == "grounded_keywords":
        return f"at most ${stage.cost_usd:,.2f}"
    return f"{'about ' if stage.is_estimated else ''}${stage.cost_usd:,.2f} +- {stage.cost_error_usd:,.2f}"
