"""What a project's own tables say about how to mine it, for those who do not look at Dagster's checks."""

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.domain.tables import NO_FAILURES, TABLES
from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.mining.strategy import strategy_advice
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.box_findings import box_findings
from vlmine_dagster.scoring.grounding import confirmed
from vlmine_dagster.scoring.junk import junk_counts, junk_text
from vlmine_dagster.scoring.vocabulary import absent_keywords, keyword_trouble, published_health
from vlmine_dagster.settings.junk import why_no_junk_lane

if TYPE_CHECKING:
    from vlmine_dagster.resources.lake import Lake

_MADE_OF_FILES_OR_ANSWERS = ("images", "objects", "descriptions", "keyword_answers")
_COUNTED = ("keyword", "image_count", "image_share")
_MOST_TOLD = 3


def keyword_findings(bench: Workbench) -> list[str]:
    """Return a sentence for each extraction variant whose keywords do not capture the pool, with what to do.

    Args:
        bench: A project; a variant that was not counted yet says nothing.
    """
    words = []
    for name in bench.project.settings.variant_names:
        if bench.lake.stamp("vocab_counts", variant=name) is None:
            continue
        trouble = keyword_trouble(bench.lake.read("vocab_counts", columns=_COUNTED, variant=name))
        if trouble is not None:
            words.append(trouble if name == DEFAULT_VARIANT else f"Variant {name}: {trouble}")
    return words


def strategy_of(bench: Workbench) -> str:
    """Return what to mine this project by, as far as its labels and tables tell; see `mining.strategy`."""
    lake, labels = bench.lake, bench.labels
    weight = apart = None
    if lake.stamp("rarity_scores") is not None:
        weights = lake.read("rarity_scores", columns=["tag_weight"]).column(0)
        weight = weights[0].as_py() if len(weights) else None
    if lake.stamp("vocab_counts") is not None:
        counts = lake.read("vocab_counts", columns=_COUNTED)
        apart = published_health(counts).tells_images_apart if counts.num_rows else None
    label_count = 0 if labels is None else labels.known_count
    has_names = labels is not None and bool(labels.announced)
    return strategy_advice(label_count=label_count, has_names=has_names, tag_weight=weight, tells_images_apart=apart)


def grounding_findings(bench: Workbench) -> dict[str, str]:
    """Return what a second model said of the keywords of each list, by experiment; nothing where it was not asked."""
    grounding, lake, found = bench.project.settings.grounding, bench.lake, {}
    for name, experiment in bench.project.settings.experiments.items():
        if grounding is None or not experiment.is_decided_by_keywords or lake.stamp("grounded_keywords", name) is None:
            continue
        rows = lake.read("grounded_keywords", name, columns=["list_rank", "outcome", "is_confirmed"])
        if rows.num_rows:
            found[name] = str(confirmed(rows, first=grounding.first))
    return found


def failure_findings(bench: Workbench, shards: Collection[str]) -> list[str]:
    """Return a sentence for each table with rows that failed: how many, as what, and one of them with its reason.

    Args:
        bench: A project; where tables cannot be read nothing is said: other commands say so.
        shards: The shards that the data set has.
    """
    known, variants = set(shards), bench.project.settings.variant_names
    tables = [(table, variant) for variant in variants for table in _MADE_OF_FILES_OR_ANSWERS]
    try:
        found = [_failed(bench.lake, table, variant, known) for table, variant in tables]
    except VlmineError:
        return []
    return [text for text in found if text is not None]


def _failed(lake: "Lake", table: str, variant: str, shards: Collection[str]) -> str | None:
    outcomes, example = Counter[str](), ""
    for shard in (one for one in lake.partitions(table, variant=variant) if one in shards):
        found = lake.totals(table, shard, variant=variant)["outcomes"]
        outcomes.update(found)
        if not example and set(found) - NO_FAILURES:
            (key,) = TABLES[table].key
            rows = lake.read(table, shard, columns=[key, "outcome", "failure"], variant=variant).to_pylist()
            failed = next(row for row in rows if row["outcome"] not in NO_FAILURES)
            example = f"{failed[key]}: {failed['failure'] or failed['outcome']}"
    kinds = [(kind, count) for kind, count in outcomes.most_common() if kind not in NO_FAILURES]
    if not kinds:
        return None
    count, failures = sum(count for _, count in kinds), ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    name = table.replace("_", " ") + ("" if variant == DEFAULT_VARIANT else f" of variant {variant}")
    return f"{count:,} of {outcomes.total():,} {name} failed ({failures}), such as {example}"


def junk_findings(bench: Workbench) -> list[str]:
    """Return how much junk the pool holds, and which keywords of `out_of_domain` no image has; nothing where none."""
    lake, settings = bench.lake, bench.project.settings
    if why_no_junk_lane(settings) is not None or lake.stamp("junk") is None:
        return []
    counts = junk_counts(lake.read("junk", columns=["kind"]))
    found = [f"{junk_text(counts)}. `vlmine top --junk` lists them (docs/junk.md)."] if counts else []
    if settings.out_of_domain and lake.stamp("vocab_counts") is not None:
        absent = absent_keywords(settings.out_of_domain, _counted_keywords(bench), where="out_of_domain")
        found += [f"{text}." for text in absent]
    return found


def vocabulary_findings(bench: Workbench) -> list[str]:
    """Return a sentence for keywords of vocabulary.csv that no image has; nothing where each is said of some image."""
    lake, file = bench.lake, bench.project.vocabulary_file
    if not file.exists() or lake.stamp("vocabulary") is None or lake.stamp("vocab_counts") is None:
        return []
    rows = lake.read("vocabulary", columns=["keyword", "image_count"]).to_pylist()
    unsaid = [row["keyword"] for row in rows if not row["image_count"]]
    absent = absent_keywords(unsaid, _counted_keywords(bench), where=file.name)
    more = "" if len(absent) <= _MOST_TOLD else f", nor {counted(len(absent) - _MOST_TOLD, 'other')} of its keywords"
    return [f"{text}{more if place == _MOST_TOLD - 1 else ''}." for place, text in enumerate(absent[:_MOST_TOLD])]


def _counted_keywords(bench: Workbench) -> list[str]:
    return [str(name) for name in bench.lake.read("vocab_counts", columns=["keyword"]).column(0).to_pylist()]


_FINDINGS = {
    "objects": box_findings,
    "vocabulary": vocabulary_findings,
    "vocab_counts": keyword_findings,
    "junk": junk_findings,
}


def readable_findings(bench: Workbench, *tables: str) -> dict[str, list[str]]:
    """Return what tables say of the pool, by table; nothing of one that cannot be read: other commands say so.

    Args:
        bench: A project.
        tables: Only these of objects, vocabulary, vocab_counts and junk; none means all.
    """
    found = {}
    for table in tables or _FINDINGS:
        with suppress(VlmineError):
            if texts := _FINDINGS[table](bench):
                found[table] = texts
    return found
