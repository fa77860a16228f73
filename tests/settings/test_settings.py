"""What a wrong `vlmine.yaml` is answered with: the path in the YAML, what it got, what was meant."""

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings.project import parse_settings

PLAIN = {"name": "p", "dataset": {"kind": "folder", "root": "."}}


def answer(**changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_settings({**PLAIN, **changes})
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"budgett": 0.1}, "budgett: there is no such setting (did you mean 'budget'?), got '0.1'"),
        ({"zzz": 1}, "zzz: there is no such setting, got '1'"),
        (
            {"describer": {"kind": "tagger", "topp": 3}},
            "describer.topp: there is no such setting (did you mean 'top'?), got '3'",
        ),
        (
            {"dataset": {**PLAIN["dataset"], "labels": {"file": "l", "clases": "c"}}},
            "dataset.labels.clases: there is no such setting (did you mean 'classes'?), got 'c'",
        ),
        (
            {"variants": {"wordy": {"describer": {"kind": "tagger", "to": 3}}}},
            "variants.wordy.describer.to: there is no such setting (did you mean 'top'?), got '3'",
        ),
        (
            {"experiments": {"a": {"signals": ["random"], "fuson": 1}}},
            "experiments.a.fuson: there is no such setting (did you mean 'fusion'?), got '1'",
        ),
        ({"automation": {"nightlycron": "x"}}, "automation.nightlycron: there is no such setting (did you mean"),
    ],
)
def test_a_misspelt_setting_is_answered_with_its_path_and_the_nearest_one_of_that_place(changes, told):
    assert answer(**changes).startswith(f"vlmine.yaml: {told}")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"describer": {"kind": "taggr"}},
            "describer.kind: expected captions, openai, tagger, transformers, got 'taggr' (did you mean 'tagger'?)",
        ),
        ({"describer": {"top": 3}}, "describer.kind: is missing; it says which of several this is"),
        (
            {"experiments": {"a": {"signals": ["random"], "fusion": "fishr"}}},
            "experiments.a.fusion: expected pareto, rank_sum, reciprocal_rank, fisher, got 'fishr' (did you mean "
            "'fisher'?)",
        ),
        (
            {"experiments": {"a": {"signals": ["random"], "diversity": {"kind": "kcenter"}}}},
            "experiments.a.diversity.kind: expected coverage, k_center, got 'kcenter' (did you mean 'k_center'?)",
        ),
        (
            {"retraining": {"kind": "resnet"}},
            "retraining.kind: expected cnn, probe, resnet18, transformers, got 'resnet' (did you mean 'resnet18'?)",
        ),
        ({"retraining": {"kind": "transformers"}}, "retraining: kind transformers needs `path`"),
        ({"experiments": {"a": {"signals": "random"}}}, "experiments.a.signals: expected a list, got 'random'"),
        ({"experiments": {"a": {"signals": []}}}, "experiments.a.signals: "),
        ({"budget": -1}, "budget: Input should be greater than 0, got '-1'"),
        ({"budget": 1.5}, "budget: 1.5 is neither a share of at most 1 nor a whole number of images"),
        (
            {"experiments": {"a": {"signals": ["random"], "budget": 2.5}}},
            "experiments.a.budget: 2.5 is neither a share of at most 1 nor a whole number of images",
        ),
        ({"experiments": {"a b": {"signals": ["random"]}}}, "experiments.a b: String should match"),
    ],
)
def test_a_wrong_value_is_answered_with_what_was_expected(changes, told):
    assert answer(**changes).startswith(f"vlmine.yaml: {told}")


def test_every_wrong_setting_is_told_and_nothing_that_only_follows():
    assert answer(describer={"kind": "openai", "modell": "x"}) == (
        "vlmine.yaml: describer.model: Field required; "
        "describer.modell: there is no such setting (did you mean 'model'?), got 'x'"
    )


def test_what_may_be_a_key_is_not_shown():
    told = answer(describer={"kind": "openai", "model": "m", "api_key": "sk-secret"})

    assert "describer.api_key: there is no such setting (did you mean 'api_key_env'?)" in told
    assert "sk-secret" not in told


def test_a_number_of_tokens_is_no_key():
    told = answer(describer={"kind": "openai", "model": "m", "usd_per_million_tokens": 2.5})

    assert "describer.usd_per_million_tokens: there is no such setting, got '2.5'" in told


def test_a_key_of_digits_alone_is_not_shown_either():
    told = answer(describer={"kind": "openai", "model": "m", "api_token": 4711081512, "password": 4711081512})

    assert "describer.api_token: there is no such setting" in told
    assert "4711081512" not in told


@pytest.mark.parametrize(
    ("experiment", "can_learn"),
    [
        ({"signals": ["novelty_min"]}, True),
        ({"signals": ["novelty_min"], "learns_from_verdicts": False}, False),
        ({"signals": ["random"]}, False),
        ({"signals": ["likeness"], "like": {"text": "lorry"}}, False),
    ],
)
def test_searches_and_what_others_are_compared_with_learn_nothing_from_verdicts(experiment, can_learn):
    settings = parse_settings(
        {"name": "p", "dataset": {"kind": "folder", "root": "."}, "experiments": {"arm": experiment}}
    )

    assert settings.experiments["arm"].can_learn_from_verdicts == can_learn
