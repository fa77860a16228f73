"""Lists whose deciding keywords a second model looked for."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
from memory import MemoryReader

from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.scoring.grounding import by_grounding, confirmations_of, denied_images

COLUMNS = ("image_id", "list_rank", "outcome", "is_confirmed")
POOL = pa.table({"image_id": ["a/0", "a/1", "a/2", "a/3"]})
RANKING = Ranking(np.array([2, 0, 1, 3]), np.array([1, 1, 2, 3]), np.array([2.0, 3.0, 5.0, 6.0]), {}, 0)


def reader(answers, *, first=2):
    """Answers by image, best first: True, False, or None where there is none."""
    rows = pa.table(
        {
            "image_id": pa.array(answers, pa.string()),
            "list_rank": pa.array(range(1, len(answers) + 1), pa.int64()),
            "outcome": pa.array(["failed" if said is None else "ok" for said in answers.values()], pa.string()),
            "is_confirmed": pa.array(answers.values(), pa.bool_()),
        }
    )
    grounding = None if first is None else SimpleNamespace(first=first)
    project = SimpleNamespace(settings=SimpleNamespace(grounding=grounding))
    tables = {"grounded_keywords": {"rare": rows}, "keywords": {"a": rows}}
    return MemoryReader(tables, {"grounded_keywords": COLUMNS}, project=project)


def test_an_image_sinks_if_its_keyword_was_not_seen_and_stays_if_it_was_or_nobody_answered():
    answers = {"a/2": False, "a/0": True, "a/1": None, "gone/9": False}

    found, notes = by_grounding(reader(answers), POOL, RANKING)

    assert found.order.tolist() == [0, 1, 3, 2]
    assert notes == {2: " · not seen by a second model", 0: " · seen by a second model"}
    assert denied_images(reader(answers)) == {"a/2", "gone/9"}


def test_without_a_second_model_a_list_stays_as_it_is():
    nobody = reader({})
    nobody.columns = {}

    assert by_grounding(nobody, POOL, RANKING) == (RANKING, {})
    assert denied_images(nobody) == frozenset()


def test_the_first_places_make_the_rate_of_keywords_that_were_made_up():
    answers = {"a/2": False, "a/0": True, "a/1": False, "a/3": None}

    found = confirmations_of(reader(answers, first=2))

    assert found is not None
    assert (found.asked, found.answered, found.denied, found.failed, found.sunk) == (4, 2, 1, 1, 2)
    assert found.rate == 0.5


def test_there_is_no_rate_where_nobody_was_asked():
    assert confirmations_of(reader({})) is None
    assert confirmations_of(reader({"a/2": False}, first=None)) is None
