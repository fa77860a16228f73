"""Stage `pareto_set`: the pool in the order in which it should be labelled, and why."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.engine.catalog import AGREEMENT_CHECK
from vlmine_dagster.engine.facts import table_fact
from vlmine_dagster.engine.stages import MiningConfig, Product, StageRun
from vlmine_dagster.mining.advice import agreement_advice
from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.mining.selection import Hashes, Ranking, budget_count, id_hashes, rank_images
from vlmine_dagster.resources.tracking import COLOUR_TAG, INPUTS_TAG, Source, dagster_url, run_colour
from vlmine_dagster.scoring.copies import copies_note
from vlmine_dagster.scoring.diversity import PICKED_BECAUSE, diversified
from vlmine_dagster.scoring.pool import image_ids, load_pool, signal_values
from vlmine_dagster.settings import ExperimentSettings
from vlmine_dagster.settings.providers import ProviderSettings

ORACLE_TAG = "vlmine.oracle"
"""Marks an MLflow run whose list could not be made without the true classes of the pool."""

_BEYOND = "beyond the budget"
_PREVIEW = 20

Floats = npt.NDArray[np.float64]


def compute(run: StageRun) -> Product:
    """Rank the images of the pool; failed ones, and those that lack a signal, never enter."""
    experiment = run.project.settings.experiments[run.partition]
    pool = load_pool(run, experiment)
    signals = signal_values(run, experiment, pool, run.bench.labels)
    hashes = id_hashes(image_ids(pool))
    ranking = rank_images(signals, hashes, fusion=experiment.fusion, weights=experiment.weights)
    if not len(ranking.order):
        raise MissingInputError(
            f"pareto_set[{run.partition}]: nothing can be mined, {_why_nothing(signals, pool.num_rows)}"
        )
    budget = _budget(run, experiment)
    selected_count = min(budget_count(budget, pool.num_rows), len(ranking.order))
    if experiment.diversity is not None:
        ranking = diversified(run, experiment.diversity, ranking, list(image_ids(pool)), selected_count)
    rows = _rows(pool, ranking, signals, selected_count, experiment)
    facts = {
        "selected": selected_count,
        "ranked": len(ranking.order),
        "lacking a signal": ranking.excluded_count,
        "fronts": int(ranking.front.max()),
        "shards": f"{len(run.shards)} used",
    }
    preview = table_fact(rows.slice(0, _PREVIEW).select(["rank", "image_id", "reason"]).to_pylist())
    record = partial(
        _record,
        run,
        experiment,
        budget=budget,
        mined=rows.slice(0, selected_count),
        facts=facts,
        source=_source(run, hashes[ranking.order]),
    )
    advice = {AGREEMENT_CHECK: agreement_advice(signals, mined_count=selected_count)}
    return Product(rows, {**facts, "top of the list": preview}, record, advice=advice)


def _why_nothing(signals: Mapping[str, Floats], pool_size: int) -> str:
    """Return why nothing can be ranked, and what to look at."""
    if not pool_size:
        return (
            "no image is left to mine. Are there readable images outside the seed, the validation and the test split?"
        )
    tables = {name: SIGNALS[name].table for name, values in signals.items() if np.isnan(values).all()}
    if tables:
        empty = " and ".join(f"{name} ({table})" for name, table in tables.items())
        return f"{empty} is empty for all {pool_size} images of the pool. See what the log of that asset says of them."
    return f"none of {pool_size} pool images has all of {', '.join(signals)}. Leave one out, or mine by each alone."


def _budget(run: StageRun, experiment: ExperimentSettings) -> float:
    changed = run.config.budget if isinstance(run.config, MiningConfig) else None
    return changed or experiment.budget or run.project.settings.budget


def _rows(
    pool: pa.Table,
    ranking: Ranking,
    signals: Mapping[str, Floats],
    selected_count: int,
    experiment: ExperimentSettings,
) -> pa.Table:
    count = len(ranking.order)
    selected = pool.take(pa.array(ranking.order[:selected_count]))
    picked = "" if experiment.diversity is None else f" · {PICKED_BECAUSE[experiment.diversity.kind]}"
    reasons = _reasons(selected.to_pylist(), ranking, signals, has_fronts=experiment.fusion == "pareto")
    copies = selected.column("copy_count").to_pylist()
    said = [f"{reason}{picked}{copies_note(count)}" for reason, count in zip(reasons, copies, strict=True)]
    columns = {
        "image_id": pool.select(["image_id"]).take(pa.array(ranking.order)).column(0),
        "rank": np.arange(1, count + 1),
        "front": ranking.front,
        "selected": np.arange(count) < selected_count,
        "reason": pa.chunked_array([pa.array(said, pa.string()), pa.repeat(_BEYOND, count - selected_count)]),
    }
    return pa.table({**columns, **{name: values[ranking.order] for name, values in signals.items()}})


def _reasons(
    selected: Sequence[Mapping[str, Any]], ranking: Ranking, signals: Mapping[str, Floats], *, has_fronts: bool
) -> list[str]:
    """Return why each selected image, best first, stands where it does."""
    places = ranking.order[: len(selected)]
    told = [
        zip((-values if SIGNALS[name].is_negated else values)[places].tolist(), ranks[places].tolist(), strict=True)
        for (name, values), ranks in zip(signals.items(), ranking.signal_ranks.values(), strict=True)
    ]
    return [
        selection_reason(
            dict(zip(signals, found, strict=True)),
            front=front if has_fronts else None,
            keyword=row.get("rarest_keyword"),
            keyword_count=row.get("min_count"),
            predicted_label=row.get("predicted_label"),
            rare_class=row.get("rare_class"),
        )
        for row, front, *found in zip(selected, ranking.front[: len(selected)].tolist(), *told, strict=True)
    ]


def _record(
    run: StageRun,
    experiment: ExperimentSettings,
    *,
    budget: float,
    mined: pa.Table,
    facts: Mapping[str, Any],
    source: Source,
) -> Mapping[str, Any]:
    settings = run.project.settings
    variant = settings.variant(experiment.variant)
    params = {
        "experiment": run.partition,
        "fusion": experiment.fusion,
        "weights": ", ".join(f"{name} {weight:g}" for name, weight in experiment.weights.items()),
        "diversity": "none" if experiment.diversity is None else experiment.diversity.kind,
        "budget": budget,
        "variant": experiment.variant,
        "describer": variant.describer.kind,
        "keyworder": variant.keyworder.kind,
        **_asked(variant.describer),
        **{f"keyworder_{name}": value for name, value in _asked(variant.keyworder).items()},
        "task_model": settings.task_model.kind,
        "shards": len(run.shards),
        "round": 0 if run.bench.labels is None else run.bench.labels.round_count,
    }
    told = {f"vlmine.{name}": str(facts[name]) for name in ("selected", "ranked", "fronts")}
    told["vlmine.signals"] = ", ".join(experiment.signals)  # no param: plots show ten letters, and mix those that agree
    name = f"{run.partition}, round {params['round']}" if params["round"] else run.partition
    with run.bench.tracking.run(name, tags=run_tags(run) | told) as tracked:
        tracked.params(params)
        if experiment.needs_keywords:
            tracked.metrics({name: value for name, value in _bill(run).items() if value})
        tracked.artifact("mined.csv", _csv(mined))
        tracked.dataset(source)
    return {"MLflow run": dg.MetadataValue.url(tracked.url), "mlflow_run_id": tracked.run_id}


def _asked(part: ProviderSettings) -> Mapping[str, Any]:
    """Return which model is asked, and by which prompt, where one is."""
    return {name: getattr(part, name) for name in ("model", "prompt") if hasattr(part, name)}


def _bill(run: StageRun) -> dict[str, float]:
    """Return what describing and keywording the pool took."""
    tables = ("descriptions", "keyword_answers")
    views = {name: run.lake.require(name, run.shards, variant=run.variant) for name in tables}
    columns = "prompt_tokens, output_tokens, cost_usd"
    with run.lake.connect(**views) as connection:
        query = f"""SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0)
                    FROM (SELECT {columns} FROM descriptions UNION ALL SELECT {columns} FROM keyword_answers)"""  # noqa: S608
        row = connection.sql(query).fetchall()[0]
    return {name: float(value) for name, value in zip(columns.split(", "), row, strict=True)}


def mining_run(run: StageRun) -> str | None:
    """Return the MLflow run of the experiment's published list."""
    stamp = run.lake.stamp("pareto_set", run.partition)
    inputs = None if stamp is None else stamp.inputs
    return run.bench.tracking.latest(experiment=run.partition, asset="pareto_set", inputs=inputs)


def run_tags(run: StageRun) -> dict[str, str]:
    """Return the tags that link an MLflow run to the Dagster run and to what it is made of."""
    return {
        "vlmine.experiment": run.partition,
        "vlmine.asset": run.stage.table,
        "vlmine.variant": run.variant,
        COLOUR_TAG: run_colour(list(run.project.settings.experiments).index(run.partition)),
        INPUTS_TAG: run.inputs,
        "dagster.run_id": run.run_id,
        "dagster.run_url": dagster_url(run.project, run.run_id),
        **({ORACLE_TAG: "true"} if run.project.settings.experiments[run.partition].uses_oracle else {}),
        **({} if run.code_revision is None else {"mlflow.source.git.commit": run.code_revision}),
    }


def _source(run: StageRun, hashes: Hashes) -> Source:
    digest = hashlib.sha256(np.sort(hashes).tobytes()).hexdigest()[:16]
    settings = run.project.settings
    return Source(settings.name, run.project.resolve(settings.dataset.root), digest, len(hashes))


def _csv(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows, sink)
    return sink.getvalue()
