import re
from importlib import import_module
from pathlib import Path

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.settings import ExperimentSettings, settings_hash
from vlmine_dagster.settings.project import parse_settings

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=list(SIGNALS))
def test_a_signal_has_its_column_its_formula_with_an_example_and_a_reason_in_words(signal):
    if signal.table is not None:
        assert {*(signal.made_from or (signal.name,))} <= set(TABLES[signal.table].schema.names)
    module, _, function = signal.source.rpartition(".")
    docstring = getattr(import_module(f"vlmine_dagster.{module}"), function).__doc__
    assert ">>>" in docstring
    assert re.search(r"[Hh]igher|[Ll]ower|uniform", docstring), "the docstring says the direction"

    reason = selection_reason({signal.name: (0.5, 3.0)}, keyword="comet", keyword_count=2)

    assert reason.startswith(signal.reason.split("{")[0])
    assert "{" not in reason
    untagged = selection_reason({signal.name: (0.5, 3.0)}, keyword="comet", keyword_count=2, are_tags_meaningful=False)
    assert "{" not in untagged
    assert not re.search("comet|keyword|tag", untagged)


def test_a_column_that_is_lower_for_what_is_worth_more_is_known_as_such():
    """What a column says of itself and what mining makes of it agree."""
    for signal in SIGNALS.values():
        if signal.table is not None and not signal.made_from:
            is_lower = "lower is" in TABLES[signal.table].column(signal.name).description
            assert signal.is_negated == is_lower, signal.name


def test_the_document_lists_every_signal_as_the_code_knows_it():
    text = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")

    listed = [tuple(cell.strip(" `") for cell in row.split("|")[1:5]) for row in text.splitlines() if row[:3] == "| `"]

    assert listed == [(s.name, s.meaning, s.needs, s.source) for s in SIGNALS.values()]


def settings(**changes):
    experiments = {"arm": {"signals": changes.pop("signals")}}
    dataset = {"kind": "folder", "root": ".", **changes.pop("dataset", {})}
    return parse_settings({"name": "p", "dataset": dataset, "experiments": experiments, **changes})


ORACLE = {"labels": {"file": "labels.csv", "oracle": True}}
LABELLED = {"labels": {"file": "labels.csv"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signals": ["oracle"]}, "'arm': signal oracle reads the true classes of the pool.*dataset.labels.oracle"),
        ({"signals": ["oracle"], "dataset": LABELLED}, "signal oracle reads the true classes"),
        ({"signals": ["dropout_bald"]}, "signal dropout_bald needs passes: set task_model.dropout_passes"),
        ({"signals": ["vote_entropy"]}, "signal vote_entropy needs an ensemble: set task_model.members"),
        ({"signals": ["novelty_min", "entropy"]}, "signal entropy needs labels: set dataset.labels, or a task_model"),
        ({"signals": ["bald"]}, "there is no signal 'bald'. Did you mean 'dropout_bald'"),
        ({"signals": ["entropi"]}, "there is no signal 'entropi'. Did you mean 'entropy'"),
    ],
)
def test_a_signal_that_cannot_be_had_is_refused_when_settings_are_read(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "predictions", "path": "p.parquet", "dropout_passes": 5}, "kind predictions has no dropout layers"),
        ({"kind": "probe", "dropout_passes": 5, "dropout": 0}, "passes that cannot differ"),
        ({"kind": "predictions", "path": "p.parquet", "members": 2}, "kind predictions is one model"),
        ({"kind": "cnn", "dropout_passes": 1}, "passes that cannot differ"),
        ({"kind": "cnn", "dropout_passes": 5, "dropout": 0}, "passes that cannot differ"),
        ({"kind": "cnn", "members": 51}, "members: Input should be less than or equal to 50"),
    ],
)
def test_a_task_model_that_cannot_disagree_is_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        settings(signals=["random"], task_model=model)


def test_the_order_in_which_weights_are_written_changes_no_fingerprint():
    def fingerprint(*names):
        weights = {name: float(len(name)) for name in names}
        arm = ExperimentSettings(signals=["novelty_min", "sparsity"], fusion="rank_sum", weights=weights)
        return settings_hash([arm])

    assert fingerprint("sparsity", "novelty_min") == fingerprint("novelty_min", "sparsity")
    assert fingerprint("novelty_min", "sparsity") == "f5a76a8041e4a5c4"  # as homes hold it
    assert fingerprint("sparsity") != fingerprint("novelty_min")


@pytest.mark.parametrize(
    ("name", "message"),
    [("images", "'images' is the name of a table; choose another"), ("default", "choose another")],
)
def test_a_variant_whose_name_is_taken_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        settings(signals=["random"], variants={name: {"keyworder": {"kind": "rules"}}})


def test_what_can_be_had_is_taken():
    model = {"kind": "cnn", "members": 2, "dropout_passes": 3}

    found = settings(signals=["oracle", "dropout_bald", "ensemble_bald"], dataset=ORACLE, task_model=model)

    assert found.experiments["arm"].uses_oracle
    assert found.task_model.dropout_share == 0.2
    assert settings(signals=["random"], task_model={"kind": "cnn"}).task_model.dropout_share == 0
