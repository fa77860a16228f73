"""Facts with text from data, shown in the Dagster UI as text: never as Markdown, HTML or control characters."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from vlmine_dagster.resources.visible import clip, visible_text

LONGEST_CELL = 300


def table_fact(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Return rows as a table of the UI, whose cells are text: Markdown would be rendered.

    Args:
        rows: Rows with the same columns. Numbers stay numbers; text is cut at 300 characters, None is empty.
    """
    if not rows:
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table([dg.TableRecord({name: _cell(cell) for name, cell in row.items()}) for row in rows])


def _cell(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | int | float):
        return value
    return "" if value is None else visible_text(clip(str(value), LONGEST_CELL))


def endpoint_facts(model: object, log: Any) -> dict[str, Any]:
    """Return, and log, what became of the calls to each endpoint of a model; nothing where it has one or none.

    Args:
        model: Who was asked.
        log: Dagster's logger.
    """
    from vlmine_dagster.resources.chat import ChatModel

    if not isinstance(model, ChatModel) or len(model.health) < 2:
        return {}
    for one in model.health:
        log.info(str(one))
    return {"endpoints": table_fact([asdict(one) for one in model.health])}
