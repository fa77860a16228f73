import re
from importlib import import_module
from pathlib import Path

import pytest

from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.signals import SIGNALS
from vlmine_dagster.tables import TABLES

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=list(SIGNALS))
def test_a_signal_has_its_column_its_formula_with_an_example_and_a_reason_in_words(signal):
    if signal.table is not None:
        assert TABLES[signal.table].column(signal.name)
    module, _, function = signal.source.rpartition(".")
    docstring = getattr(import_module(f"vlmine_dagster.{module}"), function).__doc__
    assert ">>>" in docstring
    assert re.search(r"[Hh]igher|[Ll]ower|uniform", docstring), "the docstring says the direction"

    reason = selection_reason({signal.name: (0.5, 3.0)}, pool_size=1200, keyword="comet", keyword_count=2)

    assert reason.startswith(signal.said.split("{")[0])
    assert "{" not in reason


def test_a_column_that_is_lower_for_what_is_worth_more_is_known_as_such():
    """What a column says of itself and what mining makes of it agree."""
    for signal in SIGNALS.values():
        if signal.table is not None and "lower is" in TABLES[signal.table].column(signal.name).description:
            assert signal.is_negated, signal.name


def test_the_document_lists_every_signal_as_the_code_knows_it():
    text = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")

    listed = [tuple(cell.strip(" `") for cell in row.split("|")[1:5]) for row in text.splitlines() if row[:3] == "| `"]

    assert listed == [(s.name, s.meaning, s.needs, s.source) for s in SIGNALS.values()]
