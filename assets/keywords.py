"""Stage `keywords`: descriptions cut down to what they name."""

from typing import Any

import pyarrow as pa

from assets.stages import Product, Reads, Stage, StageRun
from resources.describers import Description, Tag
from resources.keyworders import FunctionKeyworder, Keyworder
from resources.workbench import Workbench
from vlmine_dagster.errors import ConfigError
from vlmine_dagster.mining.keywords import extract_keywords, tag_keywords
from vlmine_dagster.project import KeyworderSettings, RulesSettings, settings_hash
from vlmine_dagster.tables import KEYWORDS, Outcome

RULES_VERSION = 2


def compute(run: StageRun) -> Product:
    """The keywords of each described image of a shard, each once an image.

    A row is one (image, keyword). Images whose description yields nothing have no row: they are unknown, not rare.
    """
    described = run.read("descriptions", ["image_id", "description", "tags", "outcome", "variant_hash"]).to_pylist()
    usable = [_description(row) for row in described if row["outcome"] == Outcome.OK]
    keyworder = build_keyworder(run.project.settings.variant(run.variant).keyworder)
    names: list[str] = []
    words: list[str] = []
    without = 0
    for answer in keyworder.extract(usable):
        names += [answer.image_id] * len(answer.keywords)
        words += answer.keywords
        without += not answer.keywords
    hashes = {row["variant_hash"] for row in described}
    digest = settings_hash(sorted(hashes), keyworder.fingerprint)
    columns = {"image_id": names, "keyword": words, "variant_hash": [digest] * len(names)}
    table = pa.table(columns, schema=KEYWORDS.schema).sort_by([("image_id", "ascending"), ("keyword", "ascending")])
    described_count = len(usable)
    return Product(
        table,
        {
            "images described": described_count,
            "images without keywords": without,
            "keywords an image": round(len(words) / described_count, 2) if described_count else 0.0,
            "variant_hash": digest,
        },
    )


def build_keyworder(settings: KeyworderSettings) -> Keyworder:
    """Return the keyworder that the settings name."""
    fingerprint = settings_hash(RULES_VERSION, settings)
    if isinstance(settings, RulesSettings):
        rules = settings

        def by_rules(description: Description) -> list[str]:
            return extract_keywords(description.text or "", language=rules.language, max_words=rules.max_words)

        return FunctionKeyworder(by_rules, fingerprint=fingerprint)
    return FunctionKeyworder(_own_tags, fingerprint=fingerprint)


def _own_tags(description: Description) -> list[str]:
    if description.tags is None:
        raise ConfigError("keyworder `tags`: the describer gives no tags. Choose `kind: rules` in vlmine.yaml.")
    return tag_keywords(tag.tag for tag in description.tags)


def _description(row: dict[str, Any]) -> Description:
    tags = None if row["tags"] is None else tuple(Tag(tag["tag"], tag["probability"]) for tag in row["tags"])
    return Description(row["image_id"], row["description"], tags)


def _settings(bench: Workbench, _partition: str, variant: str) -> list[Any]:
    return [build_keyworder(bench.project.settings.variant(variant).keyworder).fingerprint]


STAGE = Stage(
    table="keywords",
    group="describe",
    kinds=frozenset({"python", "parquet"}),
    compute=compute,
    reads=(Reads("descriptions", ("image_id", "description", "tags", "outcome", "variant_hash")),),
    settings=_settings,
    is_variant=True,
)
