"""Keyworder `tags`: the describer's own tags."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.keyworders import RULES_VERSION, FunctionKeyworder
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.providers import KeyworderCapabilities, KeyworderPlugin, KeyworderSettings

if TYPE_CHECKING:
    from vlmine_dagster.resources.describers import Description
    from vlmine_dagster.resources.workbench import Workbench


class TagsSettings(KeyworderSettings):
    """Keywords are the describer's own tags: the default, for it finds more of the tail (docs/benchmarks.md)."""

    kind: Literal["tags"] = "tags"
    """Only for describers that give tags."""

    @property
    def capabilities(self) -> KeyworderCapabilities:
        """It takes tags alone."""
        return KeyworderCapabilities(needs_tags=True)


def by_tags(settings: TagsSettings) -> FunctionKeyworder:
    """Return the keyworder."""
    return FunctionKeyworder(_tags, fingerprint=settings_hash(RULES_VERSION, settings))


def _tags(description: "Description") -> list[str]:
    from vlmine_dagster.mining.keywords import tag_keywords

    if description.tags is None:
        raise ConfigError("keyworder `tags`: the describer gives no tags. Choose `kind: rules` in vlmine.yaml.")
    return tag_keywords(tag.tag for tag in description.tags)


def _make(_bench: "Workbench", settings: TagsSettings) -> FunctionKeyworder:
    return by_tags(settings)


PLUGIN = KeyworderPlugin(TagsSettings, _make)
