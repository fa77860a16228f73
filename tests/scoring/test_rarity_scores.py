from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from vlmine_dagster.assets.neighbour_scores import neighbour_scores
from vlmine_dagster.assets.rarity_scores import rarity_scores
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.stage import Part
from vlmine_dagster.mining.census import Census
from vlmine_dagster.mining.propagation import spread
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring import class_sizes as sizes_of_classes
from vlmine_dagster.scoring.class_sizes import class_sizes
from vlmine_dagster.scoring.evidence import Evidence
from vlmine_dagster.scoring.names import ClassNames, Naming
from vlmine_dagster.scoring.rarity import rarity_by_labels
from vlmine_dagster.scoring.surroundings import Placed, surroundings

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
COUNTS = {"road": 200, "tram": 10, "yak": 2}


class Searching:
    """A reader of which nothing but its settings is asked."""

    project = SimpleNamespace(settings=SimpleNamespace(neighbour_search="exact"))


def placed(pool, seed):
    """What is known without labels of the images of a pool and then those of a seed."""
    features, tags = (
        [np.concatenate([getattr(one, name) for one in (pool, seed)])] for name in ("features", "tag_probabilities")
    )
    around = surroundings(Searching(), lambda: features, lambda: tags)
    return Placed(around, np.arange(len(pool)), np.arange(len(seed)) + len(pool))


AROUND = placed(POOL, SEED)


def looked_at(naming, *, pool=POOL, size=1000):
    """What is known without labels where these are the names; tags are read some images at a time."""
    blocks = InBlocks(pool, size)
    features, tags = (
        lambda name=name: (getattr(block, name) for block in blocks.blocks())
        for name in ("features", "tag_probabilities")
    )
    names = ClassNames(naming, lambda: iter(pool.keywords), 20)
    return surroundings(Searching(), features, tags, names=names)


def told(pool=POOL, **more):
    given = {"naming": Naming(("Yak",), TAGS), "few_under": 20, "is_mined": None, "around": AROUND}
    return rarity_by_labels(pool, SEED, LABELS, COUNTS, **given | more)


def test_a_class_that_is_known_by_name_alone_tops_its_list():
    found = told()

    assert found["rare_class"][-2:] == ["Yak", "Yak"]
    assert found["class_rank_rarity"][-2:].min() > np.median(found["class_rank_rarity"][:160])


def test_where_nothing_is_labelled_images_of_small_classes_are_known_by_their_names():
    draw = np.random.default_rng(0)
    shown = np.repeat(np.arange(30), [*np.full(25, 40), *np.full(5, 4)])  # 25 classes of 40 images, 5 of 4
    other = 30 + draw.integers(0, 200, size=len(shown))  # what else the tagger sees, seldom the same twice
    tags = np.full((len(shown), 230), 1e-4)
    tags[np.arange(len(shown)), shown] = 0.25
    tags[np.arange(len(shown)), other] = 0.75
    words = [f"thing {number}" for number in range(230)]
    pool = Evidence(tags, tags / tags.sum(axis=1, keepdims=True), [[words[k]] for k in other])

    told = looked_at(Naming(words[:30], words), pool=pool)

    few = shown >= 25
    order = np.argsort(-told.columns["unlabelled_rarity"], kind="stable")
    assert few[order[:20]].all()
    assert few[np.argsort(-told.nameless_rarity, kind="stable")[:20]].mean() < 0.5
    assert (told.nameless().columns["unlabelled_rarity"] == told.nameless_rarity).all()


@pytest.mark.parametrize("are_keywords_tags", [True, False])
def test_names_say_the_same_of_a_pool_that_is_read_in_blocks(are_keywords_tags):
    naming = Naming(("Yak", "Fern", "x-17"), TAGS, are_keywords_tags)

    at_once, in_blocks = (looked_at(naming, size=size).columns["unlabelled_rarity"] for size in (1000, 7))

    assert in_blocks == pytest.approx(at_once)


def test_names_that_nothing_is_known_by_change_nothing():
    told = looked_at(Naming(("x-17",), TAGS))

    assert (told.columns["unlabelled_rarity"] == told.nameless_rarity).all()
    assert np.isfinite(told.nameless_rarity).all()


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


def kinds(counts, seed):
    """Images of some kinds by noisy features; the tags tell nothing."""
    draw = np.random.default_rng(seed)
    shown = np.repeat(np.arange(len(counts)), counts)
    centres = 3 * np.random.default_rng(0).normal(size=(len(counts), 12))
    features = centres[shown] + draw.normal(size=(len(shown), 12))
    return Evidence(features, np.full((len(shown), len(TAGS)), 0.25), [["road"]] * len(shown))


@pytest.mark.parametrize(("are_drawn_alone", "found_least", "found_most"), [(True, 65, 80), (False, 0, 60)])
def test_a_large_class_that_no_label_tells_of_has_a_list_as_long_as_what_labels_leave_unexplained(
    are_drawn_alone, found_least, found_most
):
    seed, pool = kinds([80, 60, 30, 4], seed=1), kinds([320, 240, 120, 16, 80], seed=2)
    labels = [f"kind {k}" for k, count in enumerate([80, 60, 30, 4]) for _ in range(count)]

    told = rarity_by_labels(
        pool,
        seed,
        labels,
        {"road": 950},
        around=placed(pool, seed),
        naming=Naming(),
        few_under=25,
        are_drawn_alone=are_drawn_alone,
    )

    first = np.argsort(-told["class_rank_rarity"])[:96]  # 16 images are of the rare class with labels
    assert found_least <= (first >= 696).sum() <= found_most
    assert set(range(680, 696)) <= set(first.tolist())  # those of the rare class are not pushed out


@pytest.mark.parametrize("naming", [Naming(), Naming(("x-17",), TAGS)])
def test_images_without_keywords_are_ranked_by_what_needs_none(naming):
    wordless = Evidence(POOL.features, POOL.tag_probabilities, [*POOL.keywords[:-1], []])

    found = told(pool=wordless, naming=naming)

    assert np.isfinite(found["class_rank_rarity"]).all()
    assert found["class_rank_rarity"][-1] > found["class_rank_rarity"][:160].max()
    assert np.isnan(found["keyword_value"][-1])


def test_a_class_that_mining_found_is_no_longer_expected_among_the_nameless():
    sizes = {"fraction": 0.2, "is_named": np.zeros(3, dtype=bool), "is_announced": False, "few_under": 20}
    by_chance = np.array([9, 1, 0])

    before, after = (Census(known=np.array([9, 1, new]), by_chance=by_chance, **sizes) for new in (0, 1))

    assert before.nameless_count == pytest.approx(np.log(5))
    assert after.nameless_count == pytest.approx(np.log(5) - 1)


def test_a_class_known_to_be_large_by_mining_is_no_longer_searched_for():
    is_mined = np.array([False] * 40 + [False, True])
    assert set(told(is_mined=is_mined)["rare_class"][160:168]) == {"Tram"}
    assert "Tram" not in set(told(is_mined=is_mined, few_under=2)["rare_class"])


@pytest.mark.parametrize("labels", [["Road"] * 42, []])
def test_a_seed_of_one_class_says_nothing(labels):
    seed = SEED if labels else SEED.take(np.array([], dtype=np.int64))

    around = placed(POOL, seed)
    found = rarity_by_labels(POOL, seed, labels, COUNTS, naming=Naming(), few_under=20, around=around)

    assert np.isnan(found["class_rank_rarity"]).all()
    assert set(found["rare_class"]) == {None}


def test_labels_that_only_came_back_say_nothing_about_shares():
    assert np.isnan(told(is_mined=np.ones(42, dtype=bool))["class_rank_rarity"]).all()


class InBlocks:
    """The pool, some images at a time."""

    def __init__(self, evidence, size):
        self.evidence, self.size = evidence, size

    def __len__(self):
        return len(self.evidence)

    def blocks(self):
        for start in range(0, len(self.evidence), self.size):
            yield self.evidence.take(np.arange(start, min(start + self.size, len(self.evidence))))


@pytest.mark.parametrize("are_keywords_tags", [True, False])
@pytest.mark.parametrize("size", [1, 33, 1000])
def test_a_pool_that_is_read_in_blocks_scores_as_in_memory(are_keywords_tags, size, tmp_path):
    naming = Naming(("Yak", "Fern"), TAGS, are_keywords_tags)
    at_once = told(naming=naming)

    found = told(pool=InBlocks(POOL, size), naming=naming, scratch=tmp_path)

    for name in ("expected_rarity", "class_rank_rarity", "keyword_value"):
        assert np.allclose(found[name], at_once[name], rtol=1e-6)
    assert found["rare_class"] == at_once["rare_class"]


def test_another_search_for_neighbours_makes_scores_stale(tmp_path):
    file = tmp_path / "vlmine.yaml"

    def inputs(**more):
        dataset = {"kind": "folder", "root": "."}
        experiments = {"lonely": {"signals": ["sparsity", "embedding_sparsity"]}}
        file.write_text(yaml.safe_dump({"name": "x", "dataset": dataset, "experiments": experiments, **more}))
        bench = Workbench(settings_file=str(file))
        return [stage.settings(Part(bench.project)) for stage in (rarity_scores, neighbour_scores)]

    assert all(a != b for a, b in zip(inputs(), inputs(neighbour_search="exact"), strict=True))
    with pytest.raises(ConfigError, match="neighbour_search"):
        inputs(neighbour_search="roughly")


BALANCED = evidence([20, 20, 20, 0])
BALANCED_LABELS = ["Road"] * 20 + ["Tram"] * 20 + ["Yak"] * 20
LARGE = evidence([960, 24, 12, 0])


def told_by_balanced(few_under=60):
    warnings = []
    found = rarity_by_labels(
        LARGE,
        BALANCED,
        BALANCED_LABELS,
        {"road": 980, "tram": 44, "yak": 32},
        around=placed(LARGE, BALANCED),
        naming=Naming(("Road", "Tram", "Yak"), TAGS),
        few_under=few_under,
        warn=warnings.append,
    )
    return found, warnings


def test_labels_that_are_as_many_for_every_class_are_no_random_draw_and_their_rare_classes_are_found():
    found, warnings = told_by_balanced()

    (warning,) = warnings
    assert "the labelled images are not a random draw of the pool" in warning
    top = np.argsort(-found["class_rank_rarity"])[:36]
    assert set(top.tolist()) == set(range(960, 996))
    assert set(found["rare_class"][960:984]) == {"Tram"}
    assert set(found["rare_class"][984:]) == {"Yak"}
    assert found["expected_rarity"][960:].min() > found["expected_rarity"][:960].max()


def test_a_random_draw_passes_for_one():
    warnings = []

    drawn = told(warn=warnings.append)

    assert warnings == []
    for name, values in told().items():
        assert list(values) == list(drawn[name])


def test_sizes_of_a_random_draw_are_those_that_its_labels_tell():
    known = np.array([40, 2])
    posterior = np.tile([0.95, 0.05], (len(POOL), 1))

    sizes = class_sizes(POOL, lambda images: posterior[: len(images)], known=known, by_chance=known, fraction=0.2)

    assert sizes.shift is None
    assert sizes.by_chance is known
    assert sizes.corrected(posterior) is posterior


def test_sizes_of_picked_labels_are_those_that_are_predicted():
    posterior = np.repeat([[1.0, 0.0], [0.0, 1.0]], [160, 10], axis=0)
    known = np.array([20, 20])
    blocks = InBlocks(POOL, 33)
    rows = iter(np.split(posterior, range(33, 170, 33)))

    sizes = class_sizes(blocks, lambda images: next(rows), known=known, by_chance=known, fraction=0.2)

    assert sizes.distance == pytest.approx(0.5 - 10 / 170)
    assert sizes.by_chance.tolist() == [36, 6]  # 0.2 x (160 + 20), 0.2 x (10 + 20)
    np.testing.assert_allclose(sizes.shift, [160 / 85, 10 / 85], rtol=1e-6)
    np.testing.assert_allclose(sizes.corrected(np.array([[0.5, 0.5]])), [[160 / 170, 10 / 170]], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 10, 1000])
def test_the_images_that_are_asked_for_sizes_lie_evenly_over_the_pool_whatever_its_blocks(size, monkeypatch):
    monkeypatch.setattr(sizes_of_classes, "_ASKED", 18)  # of 170 images every tenth
    numbered = Evidence(np.arange(170.0)[:, None], POOL.tag_probabilities, POOL.keywords)

    asked = sizes_of_classes._predicted(InBlocks(numbered, size), lambda images: images.features)

    assert asked.ravel().tolist() == list(range(0, 170, 10))


def test_shares_of_the_labels_that_reach_an_image_add_up_to_one_with_and_without_a_shift():
    numbers = np.array([0] * 40 + [1] * 2)

    plain = [AROUND.propagation(numbers, None).log_posterior(k) for k in (0, 1)]
    shifted = [AROUND.propagation(numbers, np.array([1.0, 5.0])).log_posterior(k) for k in (0, 1)]

    for shares in (plain, shifted):
        assert np.exp(shares).sum(axis=0) == pytest.approx(1.0, abs=1e-4)
    road, tram = np.arange(0, 160), np.arange(160, 168)
    assert np.exp(plain[1][tram]).min() > 0.9 > np.exp(plain[1][road]).max()
    odds = [of[1] - of[0] for of in (plain, shifted)]
    start = np.zeros(len(AROUND.around.lists), dtype=np.float32)
    start[AROUND.seed] = numbers == 1
    reach = spread(AROUND.around.graph, start)[AROUND.pool]  # roads too, if processors round a tram into their lists
    expected = np.log((5 * reach + 1e-7) / (reach + 1e-7))  # labels of trams count five times
    assert odds[1] - odds[0] == pytest.approx(expected, abs=0.01)
    assert expected[tram] == pytest.approx(np.log(5), abs=0.01)


@pytest.mark.parametrize(("precision", "is_joined"), [(0.34, True), (0.35, False)])
def test_isolation_is_joined_where_models_are_not_sure_which_images_are_rare(precision, is_joined):
    around = SimpleNamespace(
        columns={"sparsity": np.zeros(4), "local_isolation": np.array([0.5, 2.5, 9.0, 1.5])}, tag_weight=0.0
    )

    found = Placed(around, np.array([0, 1]), np.array([2, 3])).chosen(np.array([0.9, 0.1]), precision=precision)

    assert found["chosen_isolation"].tolist() == ([0.5, 2.5] if is_joined else [0.0, 0.0])
    assert found["chosen_sparsity"].tolist() == [0.0, 0.0]


def test_isolation_stays_where_classes_may_be_missing_that_nobody_has_announced():
    isolated = AROUND.around.columns["local_isolation"].copy()
    isolated[AROUND.seed[-2:]] = isolated.max() + 1  # the trams, of which there are two labels
    columns = {**AROUND.around.columns, "local_isolation": isolated, "sparsity": np.zeros(len(isolated))}
    around = Placed(replace(AROUND.around, columns=columns), AROUND.pool, AROUND.seed)

    announced, not_announced = (
        told(naming=Naming(names, TAGS), around=around)["chosen_isolation"] for names in (("Road", "Tram"), ())
    )

    assert (announced == 0).all()
    assert not_announced.tolist() == isolated[AROUND.pool].tolist()
