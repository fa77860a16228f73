"""What the commands show: plain lists and dictionaries, read from the lake and from MLflow."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.tables import JUDGES, TABLES, WHOLE_POOL
from vlmine_dagster.engine.catalog import all_units
from vlmine_dagster.engine.failures import standing_failures
from vlmine_dagster.engine.lineage import Lineage
from vlmine_dagster.engine.stages import Stage, Unit, asset_key
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings, default_experiment

if TYPE_CHECKING:
    from vlmine_dagster.resources.lake import Lake
    from vlmine_dagster.resources.rounds import Round

_ROWS_AT_ONCE = 10_000
_SHOWN = 5

History = Callable[[], AbstractContextManager[dg.DagsterInstance]]


def status(bench: Workbench, shards: Sequence[str], history: History | None = None) -> list[dict[str, Any]]:
    """Return a row a table and variant: partitions by state, rows, outcomes, tokens, money, and why some failed.

    Args:
        bench: The project's resources.
        shards: All shards.
        history: Opens Dagster's history, which knows the failures; asked only if something is not fresh. Without it
            none is told.
    """
    lineage = Lineage(bench, shards)
    rows = [_row(bench, lineage, unit, shards) for unit in all_units(bench.project)]
    if history is not None and any(row.get("not_fresh") for row in rows):
        with history() as instance:
            for row in rows:
                if row.get("not_fresh"):
                    row["failures"] = _failures(instance, row)
    return rows


def _row(bench: Workbench, lineage: Lineage, unit: Unit, shards: Sequence[str]) -> dict[str, Any]:
    stage, variant = unit.stage, unit.variant
    reason = stage.skipped(bench.project, variant)
    if reason is not None:
        nothing = {"partitions": 0, "states": {}, "not_fresh": [], "failures": {}, "rows": 0}
        return {"table": stage.table, "variant": variant, "skipped": reason, **nothing}
    partitions = _partitions(bench, stage, shards)
    states = {name: lineage.state(stage, name, variant) for name in partitions}
    stamps = [lineage.stamp(stage.table, name, variant) for name in partitions]
    return {
        "table": stage.table,
        "variant": variant,
        "partitions": len(partitions),
        "states": dict(Counter(states.values())),
        "not_fresh": [name for name, state in states.items() if state != "fresh"],
        "failures": {},
        "rows": sum(stamp.row_count for stamp in stamps if stamp is not None),
        **_bill(bench.lake, lineage, stage, variant, partitions),
    }


def failed_images(bench: Workbench, shards: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row an image and table whose outcome is not ok: corrupt files, refusals, cut or unreadable answers."""
    lake, rows = bench.lake, []
    for table in (name for name, contract in TABLES.items() if any(c.name == "failure" for c in contract.columns)):
        for variant in bench.project.settings.variant_names if table != "images" else (DEFAULT_VARIANT,):
            there = [shard for shard in lake.partitions(table, variant=variant) if shard in set(shards)]
            with lake.connect(**{table: lake.require(table, there, variant=variant)}) as connection:
                query = f"SELECT image_id, outcome, failure FROM {table} WHERE outcome <> 'ok' ORDER BY image_id"  # noqa: S608
                found = connection.sql(query).to_arrow_table().to_pylist()
            rows += [{"table": table, "variant": variant, **row} for row in found]
    return rows


def _failures(instance: dg.DagsterInstance, row: Mapping[str, Any]) -> dict[str, str]:
    """Return why partitions that are not fresh failed, where the failure is newer than what is there."""
    not_fresh = set(row["not_fresh"])
    return standing_failures(instance, asset_key(row["table"], row["variant"]), is_unfinished=not_fresh.__contains__)


def _partitions(bench: Workbench, stage: Stage, shards: Sequence[str]) -> list[str]:
    kind = stage.contract.partition
    if kind == "shard":
        return list(shards)
    return list(bench.project.settings.experiments) if kind == "experiment" else [WHOLE_POOL]


def _bill(lake: "Lake", lineage: Lineage, stage: Stage, variant: str, partitions: Sequence[str]) -> dict[str, Any]:
    """Return outcomes, and tokens and money where a table has them, as the stamps tell."""
    told = [name for name in stage.tables if any(c.name == "outcome" for c in TABLES[name].columns)]
    stamps = {name: stamp for name in partitions if told and (stamp := lineage.stamp(told[0], name, variant))}
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for name, stamp in stamps.items():
        found = stamp.totals or lake.totals(told[0], name, variant=variant)  # older files do not tell
        outcomes.update(found["outcomes"])
        totals.update({name: value for name, value in found.items() if name != "outcomes"})
    return {"outcomes": dict(outcomes.most_common()), **totals} if stamps else {}


def import_round(bench: Workbench, file: Path) -> tuple["Round", int]:
    """Add a file of labels as the next round; return it and how many rows of the file lack a label or an image id.

    Raises:
        ConfigError: the project has no label file yet.
        SourceError: the file cannot be read, names images or classes that are not of the project, or says nothing new.
    """
    from vlmine_dagster.resources.rounds import check_annotations, read_annotations, write_round

    if bench.labels is None:
        raise ConfigError(
            "this project has no labels yet. Set dataset.labels.file in vlmine.yaml (a CSV with the columns key, "
            "split, class_id; it may hold nothing but test rows, or only its header) and import again."
        )
    given = read_annotations(file)
    images = bench.lake.require("images", bench.lake.partitions("images"))
    with bench.lake.connect(images=images) as connection:
        rows = connection.sql("SELECT image_id, split FROM images").fetchall()
    check_annotations(
        given.labels,
        known_ids={row[0] for row in rows},
        test_ids={row[0] for row in rows if row[1] in JUDGES},
        class_names=bench.labels.class_names if bench.project.settings.dataset.labels.classes else (),  # type: ignore[union-attr]
    )
    return write_round(bench.project, given.labels), given.blank_count


def cached(bench: Workbench) -> list[dict[str, Any]]:
    """Return what the response cache holds, by way of asking, and whether `vlmine.yaml` still asks so."""
    from vlmine_dagster.engine.models import describer_of, keyworder_of
    from vlmine_dagster.resources.describers import ModelDescriber
    from vlmine_dagster.resources.keyworders import ModelKeyworder

    used = set()
    for variant in bench.project.settings.variant_names:
        for part in (describer_of(bench, variant), keyworder_of(bench, variant)):
            if isinstance(part, (ModelDescriber, ModelKeyworder)):
                used.add(part.model.fingerprint)
    return [{**vars(row), "is_used": row.variant in used} for row in bench.cache.variants()]


def shown_experiment(bench: Workbench) -> str:
    """Return the experiment that is meant when none is named: the usual one of those that were made, if any was."""
    known = bench.project.settings.experiments
    made = [name for name in known if bench.lake.path("pareto_set", name).exists()]
    return default_experiment(made or known)


def mined(bench: Workbench, experiment: str, count: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the images of an experiment in its order: their ranks, reasons, signals, and where the bytes lie.

    Args:
        bench: The project's resources.
        experiment: Name of the experiment.
        count: Images from the first on; None means those that the budget selects.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: it was not run yet.
    """
    experiment_of(bench, experiment)
    paths = bench.lake.require("pareto_set", [experiment])
    images = bench.lake.require("images", bench.lake.partitions("images"))
    with bench.lake.connect(pareto_set=paths, images=images) as connection:
        found = connection.sql(
            """SELECT pareto_set.*, images.uri FROM pareto_set JOIN images USING (image_id)
               WHERE coalesce(rank <= $n::BIGINT, selected) ORDER BY rank""",
            params={"n": count},
        )
        for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
            yield from batch.to_pylist()


def top(bench: Workbench, experiment: str, count: int) -> list[dict[str, Any]]:
    """Return the first images of an experiment with their reasons; see `mined`."""
    return list(mined(bench, experiment, count))


def explain(bench: Workbench, name: str, shards: Sequence[str]) -> dict[str, Any]:
    """Return everything that decided about an image: its rows in every table, and its place in every experiment.

    The scores follow from it: `novelty_min` is 1 / the smallest of the keywords' counts, `novelty_mean` 1 / their
    mean.

    Args:
        bench: The project's resources.
        name: Its image id, or how the id or the name of its file ends, as far as only one does.
        shards: All shards.

    Raises:
        SourceError: no shard holds such an image, or several do.
    """
    from vlmine_dagster.resources.sources import shard_of

    image_id = _image_id(bench, name, shards)
    shard = shard_of(image_id, shards)
    card: dict[str, Any] = {"image_id": image_id, "shard": shard, "image": _one(bench, "images", shard, image_id)}
    card |= _extracted(bench, shard, image_id, DEFAULT_VARIANT)
    card["variants"] = {name: _extracted(bench, shard, image_id, name) for name in bench.project.settings.variants}
    card["uncertainty"] = _one(bench, "uncertainty_scores", shard, image_id)
    card["experiments"] = {
        name: place
        for name, settings in bench.project.settings.experiments.items()
        if (place := _place(bench, name, settings, image_id)) is not None
    }
    card["verdict"] = _verdict(card)
    return card


def _image_id(bench: Workbench, name: str, shards: Sequence[str]) -> str:
    """Return the one image id that is meant by an id, by how an id ends after a slash, or by how a file's name does."""
    from vlmine_dagster.resources.sources import shard_of
    from vlmine_dagster.resources.sources.contract import is_image

    with suppress(SourceError):
        if _one(bench, "images", shard_of(name, shards), name) is not None:
            return name
    lake, known = bench.lake, set(shards)
    images = lake.require("images", [shard for shard in lake.partitions("images") if shard in known])
    places = "ends_with('/' || replace(uri, '#', '/'), '/' || $name)"
    with lake.connect(images=images) as connection:
        query = f"""SELECT image_id FROM images
                    WHERE ends_with(image_id, '/' || $name) {f"OR {places}" if is_image(name) else ""}
                    ORDER BY image_id LIMIT {_SHOWN + 1}"""  # noqa: S608 - our own text
        found = [row[0] for row in connection.sql(query, params={"name": name}).fetchall()]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise SourceError(f"several images end in {name!r}, such as {', '.join(found[:_SHOWN])}. Name one of them.")
    raise SourceError(f"the dataset holds no such image: {name!r}. Look it up with `vlmine top`; an id is shard/key.")


def _extracted(bench: Workbench, shard: str, image_id: str, variant: str) -> dict[str, Any]:
    return {
        "description": _one(bench, "descriptions", shard, image_id, variant=variant),
        "keywords": _keyword_counts(bench, shard, image_id, variant=variant),
        "novelty": _one(bench, "novelty_scores", shard, image_id, variant=variant),
    }


def _one(
    bench: Workbench, table: str, shard: str, image_id: str, *, variant: str = DEFAULT_VARIANT
) -> dict[str, Any] | None:
    lake = bench.lake
    if not lake.path(table, shard, variant=variant).exists():
        return None
    with lake.connect(**{table: lake.require(table, [shard], variant=variant)}) as connection:
        query = f"SELECT * EXCLUDE (image_id) FROM {table} WHERE image_id = $id"  # noqa: S608 - our own names
        rows = connection.sql(query, params={"id": image_id}).to_arrow_table().to_pylist()
    return rows[0] if rows else None


def _keyword_counts(bench: Workbench, shard: str, image_id: str, *, variant: str) -> list[dict[str, Any]]:
    lake = bench.lake
    partitions = {"keywords": shard, "vocab_counts": WHOLE_POOL}
    if not all(lake.path(table, name, variant=variant).exists() for table, name in partitions.items()):
        return []
    tables = {table: lake.require(table, [name], variant=variant) for table, name in partitions.items()}
    with lake.connect(**tables) as connection:
        return (  # type: ignore[no-any-return]
            connection.sql(
                """SELECT keyword, image_count, image_share FROM keywords JOIN vocab_counts USING (keyword)
                   WHERE image_id = $id ORDER BY image_count, keyword""",
                params={"id": image_id},
            )
            .to_arrow_table()
            .to_pylist()
        )


def _place(bench: Workbench, name: str, settings: ExperimentSettings, image_id: str) -> dict[str, Any] | None:
    """Return rank, front, reason and, for each signal, its value and its mid-rank among the ranked images."""
    if not bench.lake.path("pareto_set", name).exists():
        return None
    with bench.lake.connect(pareto_set=bench.lake.require("pareto_set", [name])) as connection:
        made_of = [column for column in connection.sql("FROM pareto_set").columns if column in SIGNALS]
        ranks = ", ".join(
            f"""(SELECT count(*) FILTER (o."{s}" > p."{s}") + (count(*) FILTER (o."{s}" = p."{s}") + 1) / 2
                 FROM pareto_set o) AS "{s}_rank" """  # noqa: S608
            for s in made_of
        )
        query = f"""SELECT *, (SELECT count(*) FROM pareto_set) AS ranked, {ranks}
                    FROM pareto_set p WHERE image_id = $id"""  # noqa: S608 - signal names come from a fixed list
        rows = connection.sql(query, params={"id": image_id}).to_arrow_table().to_pylist()
    if not rows:
        return None
    row = rows[0]
    signals = {s: {"value": row[s], "rank": row[f"{s}_rank"], "meaning": SIGNALS[s].meaning} for s in made_of}
    kept = {key: row[key] for key in ("rank", "front", "selected", "reason", "ranked")}
    weights = {name: settings.weights.get(name, 1.0) for name in made_of}
    return {**kept, "variant": settings.variant, "fusion": settings.fusion, "weights": weights, "signals": signals}


def _verdict(card: dict[str, Any]) -> str:
    image = card["image"]
    if image["outcome"] != "ok":
        return f"never mined: the image is {image['outcome']} ({image['failure']})"
    if image["split"] != "pool":
        return f"never mined: it belongs to the {image['split']} split"
    if not card["experiments"]:
        return "not ranked yet: run `vlmine run`, or it lacks the signals of every experiment"
    chosen = [name for name, place in card["experiments"].items() if place["selected"]]
    return f"mined by {', '.join(chosen)}" if chosen else "mined by no experiment: it lies beyond every budget"


def experiment_of(bench: Workbench, name: str) -> ExperimentSettings:
    """Return the settings of an experiment.

    Raises:
        ConfigError: there is none of that name.
    """
    known = bench.project.settings.experiments
    if name not in known:
        raise ConfigError(f"there is no experiment {name!r}. There are: {', '.join(known)}")
    return known[name]
