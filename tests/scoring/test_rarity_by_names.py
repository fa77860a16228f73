"""Rare classes by their names alone, where nothing is labelled."""

from pathlib import Path

import numpy as np
import pytest

from vlmine_dagster.mining.class_names import posterior_with_others
from vlmine_dagster.mining.class_sizes import few_shot_by_size
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.scoring.names import ClassNames, Naming, few_shot_under, rarity_by_names
from vlmine_dagster.settings.project import Project, parse_settings


@pytest.mark.parametrize("block", [1, 4, 100])
def test_a_class_is_as_large_as_its_posteriors_add_up_to_over_all_blocks(block):
    shown = np.repeat([0, 1, 2], [12, 6, 2])
    tags = np.eye(3)[shown]
    names = ClassNames(Naming(("bus", "car", "yak"), ("bus", "car", "yak")), lambda: iter([]), few_under=8)

    found = rarity_by_names(
        lambda: (tags[start : start + block] for start in range(0, len(tags), block)), names, search="exact"
    )

    assert found.coverage == 1.0
    assert found.columns[0] == pytest.approx(few_shot_by_size([12, 6, 2], few_under=8)[shown])
    assert found.columns[0].dtype == np.float64
    expected = semantic_density(lambda: iter([posterior_with_others(tags, coverage=1.0)]), search="exact")
    assert found.columns[1] == pytest.approx(-expected)


def test_images_of_no_named_class_are_of_no_few_shot_class_however_few_they_are():
    shown = np.repeat([0, 1, 2, 3], [12, 6, 2, 1])
    names = ClassNames(Naming(("bus", "car", "yak", "ship"), ("bus", "car", "yak", "kite")), lambda: iter([]), 8)

    found = rarity_by_names(lambda: iter([np.eye(4)[shown]]), names, search="exact")

    assert found.coverage == 0.75
    assert found.columns[0][-1] == 0
    assert found.columns[0][18:20].min() > found.columns[0][12:18].max() > found.columns[0][:12].max()


def test_a_project_without_labels_calls_few_shot_what_one_with_labels_does_by_default():
    def few_under(**labels):
        dataset = {"kind": "folder", "root": ".", **labels}
        return few_shot_under(Project(parse_settings({"name": "p", "dataset": dataset}), Path("/nowhere")))

    assert few_under() == few_under(labels={"file": "labels.csv"}) == 20
    assert few_under(labels={"file": "labels.csv", "few_under": 7}) == 7
