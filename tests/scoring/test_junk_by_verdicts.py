"""What reviewers say of junk."""

import pyarrow as pa
import pytest
from memory import MemoryReader

from vlmine_dagster.scoring.junk import junk_kinds

COLUMNS = {"junk": ("image_id", "kind"), "verdicts": ("image_id", "reviewer", "verdict")}
JUNK = pa.table({"image_id": ["a/0", "a/1", "a/2"], "kind": ["blurred", "too dark", "blurred"]})


def kinds(*said, columns=COLUMNS):
    names, reviewers, verdicts = zip(*said, strict=True)
    rows = pa.table({"image_id": names, "reviewer": reviewers, "verdict": verdicts})
    tables = {"junk": {"pool": JUNK}, "verdicts": {"pool": rows}, "keywords": {"a": rows}}
    return junk_kinds(MemoryReader(tables, columns))


@pytest.mark.parametrize("verdict", ["rare", "common"])
def test_junk_is_what_no_reviewer_called_anything_else(verdict):
    found = kinds(("a/0", "ana", verdict), ("a/1", "ana", "junk"), ("a/9", "ana", "junk"))

    assert found == {"a/1": "too dark", "a/2": "blurred"}


def test_reviewers_who_are_even_or_unsure_leave_junk_where_it_is():
    found = kinds(("a/0", "ana", "rare"), ("a/0", "ben", "junk"), ("a/1", "ana", "unsure"))

    assert set(found) == {"a/0", "a/1", "a/2"}


def test_a_list_that_does_not_learn_from_verdicts_has_all_of_its_junk():
    found = kinds(("a/0", "ana", "rare"), columns={"junk": COLUMNS["junk"]})

    assert set(found) == {"a/0", "a/1", "a/2"}
