"""What slices can be set to."""

from typing import Any

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings.project import ProjectSettings, parse_settings


def settings(**more: Any) -> ProjectSettings:
    return parse_settings({"name": "x", "dataset": {"kind": "folder", "root": "."}, **more})


@pytest.mark.parametrize(
    ("slices", "problem"),
    [
        ({"by": "keywords"}, "belong together"),
        ({"by": "weather", "keywords": ["fog"]}, "belong together"),
        ({"by": "keywords", "keywords": ["fog", "fog"]}, "listed twice"),
        ({"by": "keywords", "keywords": ["fog"], "bins": 2}, "for columns"),
        ({"by": "speed", "bins": 2, "characters": 3}, "not both"),
        ({"by": "speed", "bins": 1}, "greater than or equal to 2"),
        ({"by": "speed", "floor": 0}, "slices.floor"),
        ({"by": "speed", "floors": 3}, "slices.floors: there is no such setting .did you mean 'floor'"),
    ],
)
def test_what_does_not_fit_together_is_refused(slices: dict[str, Any], problem: str):
    with pytest.raises(ConfigError, match=problem):
        settings(slices=slices)


def test_rarity_within_slices_needs_a_signal_that_counts_keywords():
    with pytest.raises(ConfigError, match="within counts keywords; add novelty_min or novelty_mean"):
        settings(experiments={"mine": {"signals": ["random"], "slices": {"by": "weather", "within": True}}})


def test_a_floor_splits_no_budget_of_boxes():
    mine = {"signals": ["random"], "budget": {"boxes": 50}}
    objects = {"unit": "object", "objects": {"boxes": "boxes.json"}, "slices": {"by": "weather", "floor": 2}}

    with pytest.raises(ConfigError, match="experiment 'mine': slices.floor needs a budget that is a share or a number"):
        settings(experiments={"mine": mine}, **objects)


def test_an_experiment_has_its_own_slices_or_those_of_the_project_and_a_search_none():
    own = {"signals": ["random"], "slices": {"by": "camera"}}
    search = {"signals": ["likeness"], "like": {"text": "a lorry"}}
    found = settings(slices={"by": "weather"}, experiments={"own": own, "rest": {"signals": ["random"]}, "s": search})

    by = {name: found.slices_of(name) for name in ("own", "rest", "s", "unknown")}
    assert {name: one and one.by for name, one in by.items()} == {
        "own": "camera",
        "rest": "weather",
        "s": None,
        "unknown": None,
    }
    assert found.needs_attributes
    assert not settings(slices={"by": "shard"}).needs_attributes


def test_an_experiment_without_slices_is_written_as_before():
    one = settings(experiments={"mine": {"signals": ["random"]}}).experiments["mine"]

    assert "slices" not in one.model_dump()
    assert "slices" not in repr(one)
