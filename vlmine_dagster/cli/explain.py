"""`vlmine explain`: why an image was mined, or why not."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, table_of
from vlmine_dagster.domain.counting import COUNTED, CountedUnit
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.items import IMAGE, ITEMS, OBJECT
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.settings.junk import why_no_junk_lane

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import ExperimentSettings

_SHOWN = 5


@click.command()
@click.argument("image_id")
@as_json
def explain(image_id: str, is_json: bool) -> None:
    """Show why an image was mined or not: keywords with their counts, and every signal's value and rank.

    IMAGE_ID is shard/key, or the end of an id or file name if only one image matches.
    """
    bench = open_bench()
    card = selection_card(bench, image_id, bench.source.shards())
    print_json(card) if is_json else print_card(card)


def selection_card(bench: "Workbench", name: str, shards: Sequence[str]) -> dict[str, Any]:
    """Return everything known about an image: its rows in every table, and its place in every experiment.

    The scores follow from it: `novelty_min` is 1 / the smallest of the keywords' `unit_count`, `novelty_mean` 1 / their
    mean; `count_by` says what is counted.

    Args:
        bench: The project's resources.
        name: Its image id, or how the id or the name of its file ends, as far as only one does.
        shards: All shards.

    Raises:
        SourceError: no shard holds such an image, or several do.
    """
    from vlmine_dagster.resources.sources import shard_of

    image_id = found_id(bench, name, shards)
    shard = shard_of(image_id, shards)
    card: dict[str, Any] = {**_identity(bench, shard, image_id), "shard": shard}
    card["count_by"] = bench.project.settings.counted.noun
    card |= _extracted(bench, shard, image_id, DEFAULT_VARIANT)
    card["variants"] = {name: _extracted(bench, shard, image_id, name) for name in bench.project.settings.variants}
    card["uncertainty"] = _one(bench, "uncertainty_scores", shard, image_id)
    card["junk"] = _junk(bench, image_id)
    card["experiments"] = {
        name: place
        for name, settings in bench.project.settings.experiments.items()
        if (place := _place(bench, name, settings, image_id)) is not None
    }
    card["near_duplicate_of"] = _stands_for(bench, image_id)
    card["verdict"] = _verdict(card)
    return card


def _identity(bench: "Workbench", shard: str, item_id: str) -> dict[str, Any]:
    """Return the ids of an item, its row, and that of the image that it is part of."""
    item = _one(bench, ITEMS, shard, item_id)
    if bench.project.settings.items is not OBJECT or item is None:
        return {"image_id": item_id, "image": item}
    image_id = item.pop("parent_id")
    image = _one(bench, "images", shard, image_id)
    return {"object_id": item_id, "image_id": image_id, "object": item, "image": image}


def found_id(bench: "Workbench", name: str, shards: Sequence[str]) -> str:
    """Return the one image id that is meant by an id, by how an id ends after a slash, or by how a file's name does."""
    from vlmine_dagster.resources.sources import shard_of
    from vlmine_dagster.resources.sources.contract import one_line, without_ending

    name = one_line(name)
    with suppress(SourceError):
        if _one(bench, ITEMS, shard_of(name, shards), name) is not None:
            return name
    lake, known = bench.lake, set(shards)
    items = lake.require(ITEMS, [shard for shard in lake.partitions(ITEMS) if shard in known])
    has_files = lake.kind is IMAGE and without_ending(name) != name
    places = "ends_with('/' || replace(uri, '#', '/'), '/' || $name)"
    with lake.connect(items=items) as connection:
        query = f"""SELECT image_id FROM items
                    WHERE ends_with(image_id, '/' || $name) {f"OR {places}" if has_files else ""}
                    ORDER BY image_id LIMIT {_SHOWN + 1}"""  # noqa: S608 - our own text
        matches = [row[0] for row in connection.sql(query, params={"name": name}).fetchall()]
    if len(matches) == 1:
        return str(matches[0])
    if matches:
        found = ", ".join(matches[:_SHOWN])
        raise SourceError(f"several {lake.kind.name}s end in {name!r}, such as {found}. Name one of them.")
    form = "shard/key" if lake.kind is IMAGE else "shard/key#number"
    raise SourceError(
        f"the dataset has no such {lake.kind.name}: {name!r}. Look it up with `vlmine top --json`; an id is {form}."
    )


def _stands_for(bench: "Workbench", image_id: str) -> str | None:
    """Return the image that stands for a near-duplicate, None where there is none."""
    lake = bench.lake
    if bench.project.settings.dedupe != "near" or not lake.path("duplicates", WHOLE_POOL).exists():
        return None
    with lake.connect(duplicates=lake.require("duplicates", [WHOLE_POOL])) as connection:
        query = "SELECT kept_id FROM duplicates WHERE image_id = $id"
        rows = connection.sql(query, params={"id": image_id}).fetchall()
    return str(rows[0][0]) if rows else None


def _extracted(bench: "Workbench", shard: str, image_id: str, variant: str) -> dict[str, Any]:
    return {
        "description": _one(bench, "descriptions", shard, image_id, variant=variant),
        "keywords": _keyword_counts(bench, shard, image_id, variant=variant),
        "novelty": _one(bench, "novelty_scores", shard, image_id, variant=variant),
    }


def _one(
    bench: "Workbench", table: str, shard: str, image_id: str, *, variant: str = DEFAULT_VARIANT
) -> dict[str, Any] | None:
    lake = bench.lake
    if not lake.path(table, shard, variant=variant).exists():
        return None
    with lake.connect(**{table: lake.require(table, [shard], variant=variant)}) as connection:
        query = f"SELECT * EXCLUDE (image_id) FROM {table} WHERE image_id = $id"  # noqa: S608 - our own names
        rows = connection.sql(query, params={"id": image_id}).to_arrow_table().to_pylist()
    return rows[0] if rows else None


def _keyword_counts(bench: "Workbench", shard: str, image_id: str, *, variant: str) -> list[dict[str, Any]]:
    lake = bench.lake
    partitions = {"keywords": shard, "vocab_counts": WHOLE_POOL}
    if not all(lake.path(table, name, variant=variant).exists() for table, name in partitions.items()):
        return []
    tables = {table: lake.require(table, [name], variant=variant) for table, name in partitions.items()}
    with lake.connect(**tables) as connection:
        return (  # type: ignore[no-any-return]
            connection.sql(
                """SELECT keyword, image_count, image_share, unit_count FROM keywords
                   JOIN vocab_counts USING (keyword) WHERE image_id = $id ORDER BY unit_count, keyword""",
                params={"id": image_id},
            )
            .to_arrow_table()
            .to_pylist()
        )


def _place(bench: "Workbench", name: str, settings: "ExperimentSettings", image_id: str) -> dict[str, Any] | None:
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
    kept |= {key: row.get(key) for key in ("more_frames", "listed_instead", "junk")}  # older files lack them
    weights = {name: settings.weights.get(name, 1.0) for name in made_of}
    return {**kept, "variant": settings.variant, "fusion": settings.fusion, "weights": weights, "signals": signals}


def _junk(bench: "Workbench", image_id: str) -> dict[str, Any] | None:
    """Return what is wrong with an image, by which measure; None where nothing is, or the lists have no junk lane."""
    from vlmine_dagster.domain.junk import MEASURED, Junk

    has_lane = why_no_junk_lane(bench.project.settings) is None
    found = _one(bench, "junk", WHOLE_POOL, image_id) if has_lane else None
    return None if found is None else {**found, "measure": MEASURED[Junk(found["kind"])]}


def _verdict(card: dict[str, Any]) -> str:
    item, name = (card["object"], "object") if "object" in card else (card["image"], "image")
    if item["outcome"] != "ok":
        return f"never mined: the {name} is {item['outcome']} ({item['failure']})"
    if item["split"] != "pool":
        return f"never mined: it is in the {item['split']} split"
    if not card["experiments"]:
        return _unranked(card)
    chosen = [name for name, place in card["experiments"].items() if place["selected"]]
    return f"mined by {', '.join(chosen)}" if chosen else _why_not(card)


def _why_not(card: dict[str, Any]) -> str:
    """Return why no experiment that ranks an image has mined it."""
    if card["junk"] and all(place["junk"] for place in card["experiments"].values()):
        return f"not mined: it is in the junk lane ({card['junk']['kind']})"
    instead = {name: other for name, place in card["experiments"].items() if (other := place["listed_instead"])}
    if instead:
        listed = ", ".join(f"{other} by {name}" for name, other in instead.items())
        return f"not mined: another frame of its sequence is listed instead ({listed})"
    return "not mined: ranked below the budget of every experiment"


def _unranked(card: Mapping[str, Any]) -> str:
    if card["near_duplicate_of"]:
        return f"not mined: {card['near_duplicate_of']} shows the same picture and represents it"
    noun = "object" if "object" in card else "image"
    return (
        f"not ranked yet: run `vlmine run`. If it was run, the {noun} lacks the signals of every experiment, another "
        f"one with the same bytes is ranked or labelled, or the lists of this large pool end before it"
    )


def print_card(card: Mapping[str, Any]) -> None:
    """Print the selection card of one image."""
    out = console()
    out.print(f"[bold]{plain(card.get('object_id') or card['image_id'])}[/]  {plain(card['verdict'])}")
    image, item = card["image"], card.get("object") or card["image"]
    if "object" in card and item["width"] is not None:
        box = f"{item['width']:g} x {item['height']:g} pixels at {item['x']:g}, {item['y']:g}"
        guess = f", {plain(item['class_name'])!r} in {plain(item['origin'])}" if item["class_name"] else ""
        out.print(f"  box of {box}{guess}")
    size = f"{image['width']} x {image['height']} pixels" if image["width"] else "unreadable"
    out.print(f"  {plain(image['uri'])}, {size}, {image['n_bytes']:,} bytes, split {item['split']}")
    if image.get("sequence_id"):
        out.print(f"  {plain(_frame(image))}")
    unit, what = COUNTED[card["count_by"]], COUNTED["object" if "object" in card else "image"]
    _print_extracted(out, card, unit, what)
    for name, extracted in card["variants"].items():
        out.print(f"  variant {plain(name)}:")
        _print_extracted(out, extracted, unit, what)
    if card["uncertainty"]:
        scores = card["uncertainty"]
        out.print(
            f"  entropy {scores['entropy']:.3f} nats, variation ratio {scores['variation_ratio']:.3f}, "
            f"margin {scores['margin']:.3f}; the task model predicts {plain(scores['predicted_label'])!r}"
        )
    if card["junk"]:
        out.print(f"  {junk_line(card['junk'])}")
    if card["experiments"]:
        print_table(_places(card["experiments"]))
        for name, place in card["experiments"].items():
            if place["selected"] and len(place["signals"]) > 1:
                out.print(f"  mined by {plain(name)}: {plain(place['reason'])}")
        meanings = {s: v["meaning"] for place in card["experiments"].values() for s, v in place["signals"].items()}
        for name, meaning in meanings.items():
            out.print(f"  [dim]{name}: {plain(meaning)}[/]")


def junk_line(junk: Mapping[str, Any]) -> str:
    """Return why an image is junk, for people.

    Examples:
        >>> junk_line({"kind": "blurred", "measure": "sharpness", "value": 0.15, "limit": 0.22, "typical": 0.66})
        'blurred: sharpness is 0.15, junk starts at 0.22; usual in this pool is 0.66'
    """
    value, limit, typical = (f"{junk[name]:.3g}" for name in ("value", "limit", "typical"))
    return f"{junk['kind']}: {junk['measure']} is {value}, junk starts at {limit}; usual in this pool is {typical}"


def _frame(image: Mapping[str, Any]) -> str:
    """Return of which sequence an image is a frame, for people."""
    number = "a frame" if image["frame_index"] is None else f"frame {image['frame_index']}"
    time = "" if image["timestamp_s"] is None else f", at {image['timestamp_s']:.3f} s"
    return f"{number} of sequence {image['sequence_id']}{time}"


def _print_extracted(out: "Console", extracted: Mapping[str, Any], unit: CountedUnit, item: CountedUnit) -> None:
    """Print description, keywords and novelty by one extraction variant."""
    if extracted["description"]:
        answer = extracted["description"]
        out.print(
            f"  description: {plain(answer['description'] or answer['failure'] or answer['outcome'].replace('_', ' '))}"
        )
    for word in extracted["keywords"]:
        units = "" if unit.column is None else f"{unit.of(word['unit_count'])}, "
        items = f"{item.of(word['image_count'])} ({word['image_share']:.2%})"
        out.print(f"  keyword {plain(word['keyword'])!r} in {units}{items}")
    if extracted["novelty"]:
        novelty = extracted["novelty"]
        out.print(
            f"  novelty_min = 1 / {novelty['min_count']} = {novelty['novelty_min']:.4g}, "
            f"novelty_mean = 1 / {novelty['mean_count']:.4g} = {novelty['novelty_mean']:.4g}"
        )


def _places(experiments: Mapping[str, Mapping[str, Any]]) -> "Table":
    table = table_of({"experiment": "left", "rank": "right", "front": "right", "mined": "left", "signals": "left"})
    for name, place in experiments.items():
        signals = ", ".join(
            f"{s} {v['value']:.4g} (rank {v['rank']:,.10g}{_times(place['weights'][s])})"
            for s, v in place["signals"].items()
        )
        rank = f"{place['rank']:,} of {place['ranked']:,}"
        shown = name if place["variant"] == DEFAULT_VARIANT else f"{name} (variant {place['variant']})"
        table.add_row(plain(shown), rank, f"{place['front']:,}", "yes" if place["selected"] else "no", signals)
    return table


def _times(weight: float) -> str:
    return "" if weight == 1 else f", weight {weight:g}"
