import pytest

from vlmine_dagster.mining.strategy import strategy_advice


def test_with_labels_the_list_of_rare_classes_is_advised_and_names_if_there_are_none():
    with_names, without = (strategy_advice(label_count=90, has_names=known) for known in (True, False))

    assert with_names.startswith("`fused`: the labelled images say")
    assert "dataset.labels.classes" in without
    assert "dataset.labels.classes" not in with_names


@pytest.mark.parametrize(("weight", "apart"), [(0.0, True), (0.4, None), (1.0, False), (None, False)])
def test_where_tags_tell_nothing_novelty_is_advised_against(weight, apart):
    said = strategy_advice(label_count=0, has_names=False, tag_weight=weight, tells_images_apart=apart)

    assert "do not mine by novelty" in said
    assert "Name the classes" not in said
    assert "Label a few dozen images" in said


def test_where_tags_tell_images_apart_they_are_mined_by():
    told = strategy_advice(label_count=0, has_names=False, tag_weight=0.9, tells_images_apart=True)
    unknown = strategy_advice(label_count=0, has_names=False)

    assert "goes by what is rare in them" in told
    assert "finds out how much tags tell" in unknown
    assert "`dataset.labels: {classes: FILE}` needs no label" in told
    named = strategy_advice(label_count=0, has_names=True, tag_weight=0.9, tells_images_apart=True)
    assert "Name the classes" not in named


@pytest.mark.parametrize(("weight", "is_enough"), [(0.49, False), (0.5, True), (0.7, True)])
def test_tags_are_mined_by_from_a_weight_of_one_half(weight, is_enough):
    said = strategy_advice(label_count=0, has_names=False, tag_weight=weight)

    assert ("goes by what is rare in them" in said) is is_enough
    assert ("do not mine by novelty" in said) is not is_enough
    assert ("Name the classes" in said) is is_enough
