"""One question to a model, as a run would ask it: what `vlmine doctor` learns that a list of models does not tell."""

from typing import TYPE_CHECKING

from vlmine_dagster.describing.providers import describer_of, keyworder_of
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.describers import ModelDescriber
from vlmine_dagster.resources.keyworders import ModelKeyworder
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.settings.providers import Finding

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench

SENTENCE = "A brown dog runs across a wet meadow."
_LONGEST_SHOWN = 80


def try_describer(bench: "Workbench", variant: str) -> Finding | None:
    """Let a describer describe a picture of a red circle and a blue square; None where it asks no model.

    The question is a new one each time, since kept answers would not tell whether the server still answers. It is paid
    for and counts as spent.

    Raises:
        ModelError: the endpoint cannot be used.
    """
    describer = describer_of(bench, variant)
    if not isinstance(describer, ModelDescriber):
        return None
    return _finding(describer.try_once(describer.medium.example()), f"describes a test {describer.medium.noun}")


def try_keyworder(bench: "Workbench", variant: str) -> Finding | None:
    """Let a keyworder read a sentence; None where it asks no model.

    Raises:
        ModelError: the endpoint cannot be used.
    """
    keyworder = keyworder_of(bench, variant)
    if not isinstance(keyworder, ModelKeyworder):
        return None
    return _finding(keyworder.try_once(SENTENCE), "reads a test sentence")


def _finding(reply: object, what: str) -> Finding:
    from vlmine_dagster.resources.replies import Reply

    if not isinstance(reply, Reply):
        return Finding("warn", "not tried: max_cost_usd leaves no room for a question", "Raise max_cost_usd.")
    if reply.outcome is not Outcome.OK:
        advice = "A run would get the same: look at model, prompt and `extra`."
        return Finding("fail", f"a test question failed ({reply.outcome}): {reply.failure}", advice)
    text = shown_line(reply.text or "")
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    about = "about " if reply.is_estimated else ""
    price = "price unknown" if reply.cost_usd is None else f"{about}${reply.cost_usd:.4f}"
    tokens = f"{about}{reply.prompt_tokens + reply.output_tokens:,} tokens"
    return Finding("ok", f"{what} in {reply.latency_s:.1f} s, {tokens}, {price}: {shown}")
