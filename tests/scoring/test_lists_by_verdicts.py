"""What verdicts do to a list: who votes, by which view of an image, and where a list puts what was judged."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader

from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.scoring.verdicts import CONFIRMED_NOTE, by_verdicts, evidence_of
from vlmine_dagster.settings import ExperimentSettings
from vlmine_dagster.settings.project import Project, parse_settings

FEATURES, TAGS = 1280, 1000
COLUMNS = {
    "embeddings": ("image_id", "embedding", "tag_probabilities"),
    "verdicts": ("image_id", "reviewer", "verdict", "list_rank"),
    "images": ("image_id", "label", "split", "outcome"),
}
KITES, CARS = [f"a/kite {k}" for k in range(5)], [f"a/car {k}" for k in range(5)]


def vectors(names, *, views=("tags", "features")):
    """Kites and cars as tags and as features show them: alike among themselves, and as different as can be."""
    is_kite = np.array(["kite" in name for name in names])
    features, tags = np.zeros((len(names), FEATURES), np.float16), np.zeros((len(names), TAGS), np.float16)
    tags[:, 0] = 1.0
    if "features" in views:
        features[:, 0] = np.where(is_kite, 1, -1)
    if "tags" in views:
        tags[:, 0], tags[:, 1] = is_kite, ~is_kite
    return pa.table({"image_id": names, "embedding": fixed(features), "tag_probabilities": fixed(tags)})


def fixed(rows):
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def reader(folder, names, *, said=(), views=("tags", "features"), labels=None):
    """Images in a shard, what one reviewer said of some of them, and labels."""
    labels = labels or {}
    images = {
        "image_id": names,
        "label": pa.array([labels.get(name) for name in names], pa.string()),
        "split": ["seed" if name in labels else "pool" for name in names],
        "outcome": ["ok"] * len(names),
    }
    rows = [(name, "ana", verdict.value, place) for place, (name, verdict) in enumerate(said, start=1)]
    columns = dict(zip(COLUMNS["verdicts"], (list(column) for column in zip(*rows, strict=True)), strict=False))
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}})
    tables = {"images": {"a": pa.table(images)}, "embeddings": {"a": vectors(names, views=views)}}
    tables["verdicts"] = {"pool": pa.table(columns)}
    return MemoryReader(tables, COLUMNS, project=Project(settings, folder))


def voting(pool, standing, places, *, labels=None):
    """Return the items that vote and the evidence by tags and by features."""
    ranks = {name: place for place, name in enumerate(standing, start=1)}
    return evidence_of(pool, standing, ranks, places, len(places), labels=labels or {})


@pytest.mark.parametrize("view", ["tags", "features"])
def test_a_list_begins_with_the_confirmed_then_what_resembles_them_and_ends_with_the_rejected(tmp_path, view):
    names = [name for pair in zip(CARS, KITES, strict=True) for name in pair]
    said = [(name, Verdict.RARE) for name in KITES[:3]] + [(name, Verdict.COMMON) for name in CARS[:3]]
    pool = pa.table({"image_id": names})
    ranking = Ranking(np.arange(10), np.arange(1, 11), np.arange(10.0), {}, 0)

    found, notes = by_verdicts(
        reader(tmp_path, names, said=said, views=[view]), ExperimentSettings(signals=["entropy"]), ranking, pool
    )

    assert [names[place] for place in found.order] == [*KITES, *CARS[3:], *CARS[:3]]
    assert found.front.tolist() == [place + 1 for place in found.order]  # each keeps its own
    assert found.rank_sum.tolist() == found.order.tolist()
    of_note = {names[place]: note for place, note in notes.items()}
    assert of_note == {
        **dict.fromkeys(KITES[:3], CONFIRMED_NOTE),
        **dict.fromkeys(KITES[3:], " · resembles what was confirmed rare"),
        **dict.fromkeys(CARS[3:], " · resembles what was rejected"),
    }


def test_evidence_is_ten_times_the_lead_in_cosine_of_the_confirmed_over_the_rejected(tmp_path):
    standing = {**dict.fromkeys(KITES[:3], Verdict.RARE), **dict.fromkeys(CARS[:3], Verdict.COMMON)}
    names = [*KITES, *CARS]

    judged, (by_tags, by_features) = voting(reader(tmp_path, names), standing, {KITES[4]: 0, CARS[4]: 1})

    assert judged.is_rare.tolist() == [True] * 3 + [False] * 3
    assert by_tags == pytest.approx([10, -10])  # cosines of 1 and 0
    assert by_features == pytest.approx([20, -20], rel=1e-3)  # of 1 and -1


def test_with_too_few_rejected_the_confirmed_are_compared_with_images_without_a_verdict(tmp_path):
    standing = dict.fromkeys(KITES[:3], Verdict.RARE)
    places = {name: place for place, name in enumerate([*KITES[:3], *CARS])}

    judged, (by_tags, _) = voting(reader(tmp_path, [*KITES, *CARS]), standing, places)

    assert len(judged.others[0]) == len(CARS)
    assert by_tags == pytest.approx([10] * 3 + [-10] * 5)


def test_a_labelled_class_of_which_nothing_was_said_votes_by_its_size(tmp_path):
    labels = {**dict.fromkeys(KITES[:3], "kite"), "a/kite 9": "kite", **{f"a/car {k}": "car" for k in range(9, 34)}}
    pool = reader(tmp_path, [*KITES, *CARS, *list(labels)[3:]], labels=labels)
    standing = dict.fromkeys(KITES[:3], Verdict.RARE)

    judged, _ = voting(pool, standing, {name: place for place, name in enumerate(CARS)}, labels=labels)

    votes = sorted(set(judged.labelled.is_rare.tolist()))
    assert votes[0] == pytest.approx(0.0, abs=1e-9)  # 25 labels make no few-shot class
    assert votes[1] > 0.9
    assert len(judged.labelled.is_rare) == 26  # what was judged votes as judged


def test_of_many_images_without_a_verdict_a_thousand_are_compared_with_evenly_over_the_pool(tmp_path):
    there = [f"a/car {place:04d}" for place in (0, 1, 2, 1000, 1001, 1003)]  # the others have no vectors
    places = {f"a/car {place:04d}": place for place in range(1_999)}

    judged, _ = voting(reader(tmp_path, [*KITES, *there]), dict.fromkeys(KITES[:3], Verdict.RARE), places)

    assert len(judged.others[0]) == 4  # of 0, 1, 3, 5 ... 999, 1001, 1003 ... 1997


def test_of_more_than_four_thousand_verdicts_so_many_vote_evenly_over_the_pool(tmp_path):
    names = [f"a/car {place:04d}" for place in range(8_001)]
    pool = reader(tmp_path, names[:4])

    judged, _ = voting(pool, dict.fromkeys(names, Verdict.JUNK), {})

    assert judged.ranks.tolist() == [1, 3]  # and 5, 7 ... 7999, which have no vectors
