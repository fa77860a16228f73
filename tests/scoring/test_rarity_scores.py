import numpy as np
import pytest
import yaml

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.catalog import NEIGHBOUR_SCORES, RARITY_SCORES
from vlmine_dagster.mining.census import Census
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.evidence import Evidence
from vlmine_dagster.scoring.rarity import Naming, rarity_by_labels

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


def told(pool=POOL, **more):
    given = {"naming": Naming(("Yak",), TAGS), "few_under": 20, "is_mined": None, "sparsity": SPARSITY}
    return rarity_by_labels(pool, SEED, LABELS, COUNTS, **given | more)


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

    found = rarity_by_labels(POOL, seed, labels, COUNTS, naming=Naming(), few_under=20, sparsity=SPARSITY)

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
        return [stage.settings(bench, "pool", "default") for stage in (RARITY_SCORES, NEIGHBOUR_SCORES)]

    assert all(a != b for a, b in zip(inputs(), inputs(neighbour_search="exact"), strict=True))
    with pytest.raises(ConfigError, match="neighbour_search"):
        inputs(neighbour_search="roughly")
