"""Which describer and which keyworder an extraction variant has: settings become parts here."""

from functools import partial
from typing import Any, Literal

from vlmine_dagster.describing.grounding import KEYWORD, Grounder
from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.resources.describers import Describer, ModelDescriber
from vlmine_dagster.resources.keyworders import Keyworder, ModelKeyworder
from vlmine_dagster.resources.media.photo import PHOTO
from vlmine_dagster.resources.prices import Price, price_of
from vlmine_dagster.resources.replies import Asker, ReplyModel, Spending
from vlmine_dagster.resources.visible import visible_text
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import EndpointSettings
from vlmine_dagster.settings.grounding import GroundingSettings
from vlmine_dagster.settings.providers import Finding, ProviderSettings

DESCRIPTIONS_VERSION = 7  # each is raised when the same answer of a model may be judged differently
KEYWORD_LISTS_VERSION = 5
CONFIRMATIONS_VERSION = 1


def describer_of(bench: Workbench, variant: str) -> Describer:
    """Return the describer of an extraction variant, made once per workbench."""
    settings = bench.project.settings.variant(variant).describer
    made: Describer = _once(bench, f"describer {variant}", settings)
    return made


def keyworder_of(bench: Workbench, variant: str) -> Keyworder:
    """Return the keyworder of an extraction variant, made once per workbench."""
    settings = bench.project.settings.variant(variant).keyworder
    made: Keyworder = _once(bench, f"keyworder {variant}", settings)
    return made


def grounder_of(bench: Workbench) -> Grounder | None:
    """Return who is asked whether keywords are in pictures, None where nobody is; made once per workbench.

    Raises:
        ConfigError: the describer or the prompt cannot be used for that.
    """
    settings = bench.project.settings.grounding
    if settings is None:
        return None
    if "grounding" not in bench.parts:
        bench.parts["grounding"] = _grounder(bench, settings)
    found: Grounder = bench.parts["grounding"]
    return found


def _grounder(bench: Workbench, settings: GroundingSettings) -> Grounder:
    from vlmine_dagster.mining.yes_or_no import judge_confirmation

    wanted = {"prompt": settings.prompt, "answer": "description"}
    fields = type(settings.describer).model_fields
    asked = settings.describer.model_copy(update={name: text for name, text in wanted.items() if name in fields})
    made = asked.plugins.get(asked.kind).make(bench, asked)
    if not isinstance(made, ModelDescriber) or "prompt" not in fields:
        raise ConfigError(
            f"grounding: describer {asked.kind} takes no prompt, so it cannot be asked whether a keyword is in a "
            f"picture. Take {{kind: openai}} or {{kind: transformers}}."
        )
    if KEYWORD not in made.prompt:
        raise ConfigError(f"prompt {settings.prompt} does not say where the keyword goes: write {KEYWORD} into it.")
    return Grounder(made.asking(judge_confirmation, judge_name=f"confirmation {CONFIRMATIONS_VERSION}"))


def model_describer(
    bench: Workbench,
    model: ReplyModel,
    prompt: str,
    *,
    answer: Literal["description", "keywords"],
    language: str | None,
) -> ModelDescriber:
    """Return a describer that asks a model, keeps its answers and stays within `max_cost_usd`.

    Args:
        bench: The project's resources.
        model: Who is asked.
        prompt: What it is asked about each image.
        answer: Whether it answers in words or with a list of keywords.
        language: Answers in another language are unparseable; None lets all pass.
    """
    from vlmine_dagster.mining.answers import judge_description, judge_keywords

    medium = PHOTO if bench.project.settings.unit == "object" else bench.medium  # crops are pictures
    if answer == "keywords":
        return ModelDescriber(Asker(model, prompt, judge_keywords, _keyword_lists(), _spending(bench)), medium)
    judge, name = partial(judge_description, language=language), f"description {DESCRIPTIONS_VERSION} {language}"
    return ModelDescriber(Asker(model, prompt, judge, name, _spending(bench)), medium)


def model_keyworder(bench: Workbench, model: ReplyModel, prompt: str) -> ModelKeyworder:
    """Return a keyworder that asks a model, keeps its answers and stays within `max_cost_usd`."""
    from vlmine_dagster.mining.answers import judge_keywords

    return ModelKeyworder(Asker(model, prompt, judge_keywords, _keyword_lists(), _spending(bench)))


def price_for(bench: Workbench, settings: EndpointSettings) -> Price | None:
    """Return the price of a model behind an endpoint.

    Raises:
        ConfigError: `max_cost_usd` is set, and the price is unknown.
    """
    price = price_of(bench.project, settings.model, is_batch=settings.is_batch)
    if price is None and bench.project.settings.max_cost_usd is not None:
        raise ConfigError(
            f"max_cost_usd is set, but the price of {settings.model} is unknown. Set it in vlmine.yaml: "
            f"prices: {{{settings.model}: {{input: 0.5, output: 1.5}}}} (US dollars for a million tokens; 0 if it is "
            f"your own)."
        )
    return price


def look_at_endpoint(settings: EndpointSettings) -> Finding:
    """Find out whether an endpoint answers and has the model; costs nothing.

    Raises:
        ModelError: it does not answer.
    """
    from vlmine_dagster.resources.access import address_of
    from vlmine_dagster.resources.endpoint import listed_models

    if len(settings.each_endpoint) > 1:
        return _look_at_each(settings)
    where, names = address_of(settings), listed_models(settings)
    if names is None:
        return Finding("ok", f"{where} answers; it lists no models, so {settings.model} may be there or not")
    if settings.model in names:
        return Finding("ok", f"{settings.model} at {where}")
    some = visible_text(", ".join(names[:5]))
    return Finding("warn", f"{where} lists no {settings.model}", f"It has: {some or 'none'}.")


def _look_at_each(settings: EndpointSettings) -> Finding:
    """Look at several endpoints: those that do not answer are a warning, unless none does."""
    found: list[Finding] = []
    dead: list[ModelError] = []
    for one in settings.each_endpoint:
        try:
            found.append(look_at_endpoint(one))
        except ModelError as error:
            dead.append(error)
    if not found:
        raise dead[0]
    text = "; ".join([*(one.found for one in found), *(str(error).rstrip(".") for error in dead)])
    bad = [one for one in found if one.state != "ok"]
    if dead or bad:
        advice = next((one.advice for one in bad), "Start it, or take it out of base_url.")
        return Finding("warn", text, advice)
    return Finding("ok", text)


def _once(bench: Workbench, name: str, settings: ProviderSettings) -> Any:
    if name not in bench.parts:
        bench.parts[name] = settings.plugins.get(settings.kind).make(bench, settings)
    return bench.parts[name]


def _spending(bench: Workbench) -> Spending:
    return Spending(bench.cache, bench.project.settings.max_cost_usd)


def _keyword_lists() -> str:
    return f"keywords {KEYWORD_LISTS_VERSION}"
