"""Keyworder `rules`: the words of the description, without any model."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.resources.keyworders import RULES_VERSION, FunctionKeyworder
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.providers import KeyworderPlugin, KeyworderSettings

if TYPE_CHECKING:
    from vlmine_dagster.resources.describers import Description
    from vlmine_dagster.resources.workbench import Workbench


class RulesSettings(KeyworderSettings):
    """Keywords from the description's words; for describers that give no tags."""

    kind: Literal["rules"] = "rules"
    """Tokenize, drop stop words, lemmatize, keep phrases."""
    language: str = "en"
    """Language of the descriptions, for the lemmatizer."""
    max_words: Annotated[int, Field(ge=1, le=5)] = 1
    """Longest phrase kept as one keyword, in words."""


def by_rules(settings: RulesSettings) -> FunctionKeyworder:
    """Return the keyworder."""
    return FunctionKeyworder(partial(_words, settings), fingerprint=settings_hash(RULES_VERSION, settings))


def _words(settings: RulesSettings, description: "Description") -> list[str]:
    from vlmine_dagster.mining.keywords import extract_keywords

    return extract_keywords(description.text or "", language=settings.language, max_words=settings.max_words)


def _make(_bench: "Workbench", settings: RulesSettings) -> FunctionKeyworder:
    return by_rules(settings)


PLUGIN = KeyworderPlugin(RulesSettings, _make)
