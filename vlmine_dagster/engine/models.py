"""Which describer and which keyworder an extraction variant has: settings become parts here."""

from collections.abc import Callable
from functools import partial
from typing import Any

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.answers import judge_description, judge_keywords
from vlmine_dagster.mining.keywords import extract_keywords, tag_keywords
from vlmine_dagster.resources.describers import Describer, Description, ModelDescriber, Tagger
from vlmine_dagster.resources.keyworders import FunctionKeyworder, Keyworder, ModelKeyworder
from vlmine_dagster.resources.prices import Price, price_of
from vlmine_dagster.resources.prompts import load_prompt
from vlmine_dagster.resources.replies import Asker, ReplyModel, Spending
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import (
    OpenAIDescriberSettings,
    OpenAIKeyworderSettings,
    RulesSettings,
    TaggerSettings,
    TagsSettings,
    TransformersSettings,
    settings_hash,
)

RULES_VERSION = 2  # raised when rules or tags may give other keywords
DESCRIPTIONS_VERSION = 1  # each is raised when the same answer of a model may be judged differently
KEYWORD_LISTS_VERSION = 2


def describer_of(bench: Workbench, variant: str) -> Describer:
    """Return the describer of an extraction variant, made once a workbench."""
    made: Describer = _once(bench, f"describer {variant}", lambda: _describer(bench, variant))
    return made


def keyworder_of(bench: Workbench, variant: str) -> Keyworder:
    """Return the keyworder of an extraction variant, made once a workbench."""
    made: Keyworder = _once(bench, f"keyworder {variant}", lambda: _keyworder(bench, variant))
    return made


def price_for(bench: Workbench, settings: OpenAIDescriberSettings | OpenAIKeyworderSettings) -> Price | None:
    """Return the price of a model behind an endpoint.

    Raises:
        ConfigError: `max_cost_usd` is set, and nobody knows the price.
    """
    is_batch = isinstance(settings, OpenAIKeyworderSettings) and settings.batch
    price = price_of(bench.project, settings.model, is_batch=is_batch)
    if price is None and bench.project.settings.max_cost_usd is not None:
        raise ConfigError(
            f"max_cost_usd is set, but nobody knows what {settings.model} costs. Say it in vlmine.yaml: "
            f"prices: {{{settings.model}: {{input: 0.5, output: 1.5}}}} (US dollars for a million tokens; 0 if it is "
            f"your own)."
        )
    return price


def _once(bench: Workbench, name: str, make: Callable[[], Any]) -> Any:
    if name not in bench.parts:
        bench.parts[name] = make()
    return bench.parts[name]


def _spending(bench: Workbench) -> Spending:
    return Spending(bench.cache, bench.project.settings.max_cost_usd)


def _describer(bench: Workbench, variant: str) -> Describer:
    settings = bench.project.settings.variant(variant).describer
    if isinstance(settings, TaggerSettings):
        return Tagger(bench.encoder, settings)
    prompt = load_prompt(bench.project, settings.prompt)
    if settings.answer == "keywords":
        judge, name = judge_keywords, f"keywords {KEYWORD_LISTS_VERSION}"
    else:
        judge = partial(judge_description, language=settings.language)
        name = f"description {DESCRIPTIONS_VERSION} {settings.language}"
    model = _image_model(bench, settings, prompt)
    return ModelDescriber(Asker(model, prompt, judge, name, _spending(bench)))


def _image_model(bench: Workbench, settings: TransformersSettings | OpenAIDescriberSettings, prompt: str) -> ReplyModel:
    max_pixels = bench.project.settings.dataset.max_pixels
    if isinstance(settings, TransformersSettings):
        from vlmine_dagster.resources.local_model import LocalModel

        model = settings.model_copy(update={"model": _model_source(bench, settings.model)})
        return LocalModel(model, prompt=prompt, folder=bench.models_folder, max_pixels=max_pixels)
    from vlmine_dagster.resources.chat import ChatModel
    from vlmine_dagster.resources.questions import ChatQuestion

    wants_keywords = settings.answer == "keywords"
    return ChatModel(ChatQuestion(settings, prompt, wants_keywords, price_for(bench, settings), max_pixels))


def _model_source(bench: Workbench, model: str) -> str:
    """Return a folder as an absolute path; anything else is a hub id."""
    folder = bench.project.folder / model
    return str(folder) if folder.is_dir() else model


def _keyworder(bench: Workbench, variant: str) -> Keyworder:
    settings = bench.project.settings.variant(variant).keyworder
    if isinstance(settings, OpenAIKeyworderSettings):
        return _model_keyworder(bench, settings)
    return rule_keyworder(settings)


def rule_keyworder(settings: RulesSettings | TagsSettings) -> Keyworder:
    """Return a keyworder that asks nobody."""
    fingerprint = settings_hash(RULES_VERSION, settings)
    if isinstance(settings, TagsSettings):
        return FunctionKeyworder(_own_tags, fingerprint=fingerprint)

    def by_rules(description: Description) -> list[str]:
        return extract_keywords(description.text or "", language=settings.language, max_words=settings.max_words)

    return FunctionKeyworder(by_rules, fingerprint=fingerprint)


def _model_keyworder(bench: Workbench, settings: OpenAIKeyworderSettings) -> Keyworder:
    from vlmine_dagster.resources.batches import BatchModel
    from vlmine_dagster.resources.chat import ChatModel
    from vlmine_dagster.resources.questions import ChatQuestion

    prompt = load_prompt(bench.project, settings.prompt, takes_description=True)
    max_pixels = bench.project.settings.dataset.max_pixels
    question = ChatQuestion(settings, prompt, True, price_for(bench, settings), max_pixels)
    model: ReplyModel = BatchModel(question, bench.cache) if settings.batch else ChatModel(question)
    name = f"keywords {KEYWORD_LISTS_VERSION}"
    return ModelKeyworder(Asker(model, prompt, judge_keywords, name, _spending(bench)))


def _own_tags(description: Description) -> list[str]:
    if description.tags is None:
        raise ConfigError("keyworder `tags`: the describer gives no tags. Choose `kind: rules` in vlmine.yaml.")
    return tag_keywords(tag.tag for tag in description.tags)
