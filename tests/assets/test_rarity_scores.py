import numpy as np
import pytest

from assets.rarity import Evidence, Naming, _Census, told_by_seed

TAGS = ("road", "tram", "yak", "fern")


def evidence(counts):
    """Images that each show one tag clearly; features say the same."""
    shown = np.repeat(np.arange(len(TAGS)), counts)
    tags = np.full((len(shown), len(TAGS)), 0.02)
    tags[np.arange(len(shown)), shown] = 0.94
    return Evidence(tags * 3, tags, [[TAGS[k]] for k in shown])


SEED = evidence([40, 2, 0, 0])
LABELS = ["Road"] * 40 + ["Tram"] * 2
POOL = evidence([160, 8, 2, 0])
SPARSITY = -np.repeat([160.0, 8.0, 2.0], [160, 8, 2])
COUNTS = {"road": 200, "tram": 10, "yak": 2}


def told(**more):
    given = {"naming": Naming(("Yak",), TAGS), "few_under": 20, "is_mined": None, "sparsity": SPARSITY}
    return told_by_seed(POOL, SEED, LABELS, COUNTS, **given | more)


def test_a_class_that_is_known_by_name_alone_tops_its_list():
    found = told()

    assert found["rare_class"][-2:] == ["Yak", "Yak"]
    assert found["class_rank_rarity"][-2:].min() > np.median(found["class_rank_rarity"][:160])


def test_without_announced_names_nobody_is_said_to_be_of_an_unseen_class():
    assert "Yak" not in set(told(naming=Naming((), TAGS))["rare_class"])


def test_classes_are_searched_for_without_any_names():
    found = told(naming=Naming())

    assert np.sort(np.argsort(-found["class_rank_rarity"])[:10]).tolist() == list(range(160, 170))
    assert set(found["rare_class"][160:168]) == {"Tram"}


def test_what_is_strange_tops_the_list_of_classes_that_have_neither_a_label_nor_a_name():
    named = told(naming=Naming(("Yak",), TAGS))
    for naming in (Naming(), Naming((), TAGS), Naming(("x-17",), TAGS)):
        found = told(naming=naming)

        assert found["rare_class"][-2:] == [None, None]
        assert found["class_rank_rarity"][-2:].min() > found["class_rank_rarity"][:160].max()
    assert None not in named["rare_class"][160:]


def test_a_class_that_mining_found_is_no_longer_expected_among_the_nameless():
    sizes = {"fraction": 0.2, "is_named": np.zeros(3, dtype=bool), "is_announced": False, "few_under": 20}
    by_chance = np.array([9, 1, 0])

    before, after = (_Census(known=np.array([9, 1, new]), by_chance=by_chance, **sizes) for new in (0, 1))

    assert before.nameless_count == pytest.approx(np.log(5))
    assert after.nameless_count == pytest.approx(np.log(5) - 1)


def test_a_class_known_to_be_large_by_mining_is_no_longer_searched_for():
    is_mined = np.array([False] * 40 + [False, True])
    assert set(told(is_mined=is_mined)["rare_class"][160:168]) == {"Tram"}
    assert "Tram" not in set(told(is_mined=is_mined, few_under=2)["rare_class"])


@pytest.mark.parametrize("labels", [["Road"] * 42, []])
def test_a_seed_of_one_class_says_nothing(labels):
    seed = SEED if labels else SEED.take(np.array([], dtype=np.int64))

    found = told_by_seed(POOL, seed, labels, COUNTS, naming=Naming(), few_under=20, sparsity=SPARSITY)

    assert np.isnan(found["class_rank_rarity"]).all()
    assert set(found["rare_class"]) == {None}


def test_labels_that_only_came_back_say_nothing_about_shares():
    assert np.isnan(told(is_mined=np.ones(42, dtype=bool))["class_rank_rarity"]).all()
