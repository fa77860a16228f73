"""The mutation run: what it changes, what it leaves alone, and which tests it asks."""

import ast

import pytest

from benchmarks import mutation

SOURCE = '''"""A module of few lines."""

FEW: int = 20

if TYPE_CHECKING:
    from few import many

PAIRS = list(zip("ab", "cd", strict=True))


def is_few(count: int, *, strict: bool = True) -> bool:
    """Return whether 1 is few."""
    if not count:
        raise ValueError(f"{1 + 1} is none")
    return count < FEW and min(count, 5) > -1 if strict else True
'''


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "ROOT", tmp_path)
    (tmp_path / "few.py").write_text(SOURCE)
    return tmp_path / "few.py"


def test_numbers_conditions_signs_and_comparisons_change_and_messages_do_not(source):
    found = {(mutant.before, mutant.after) for mutant in mutation.mutants_of(source)}

    assert found == {
        ("20", "21"),
        ("True", "False"),
        ("not count", "not not count"),
        ("strict", "not strict"),
        ("count < FEW and min(count, 5) > -1", "count < FEW or min(count, 5) > -1"),
        ("count < FEW", "count <= FEW"),
        ("min(count, 5) > -1", "min(count, 5) >= -1"),
        ("min", "max"),
        ("5", "6"),
        ("-1", "+1"),
        ("1", "2"),
    }


def test_work_elsewhere_draws_the_same_changes_again(source):
    before = mutation.mutants_of(source)
    names = [mutant.name for mutant in mutation.drawn_of(before, 4, seed=1)]
    source.write_text(SOURCE.replace("FEW: int = 20", "SOME = 3\n\n\nFEW: int = 20"))

    again = mutation.drawn_of([one for one in mutation.mutants_of(source) if one.before != "3"], 4, seed=1)

    assert [mutant.name for mutant in again] == names
    assert [mutant.number for mutant in again] != [mutant.number for mutant in mutation.drawn_of(before, 4, seed=1)]
    assert len({mutant.name for mutant in before}) == len(before)
    assert names != [mutant.name for mutant in mutation.drawn_of(before, 4, seed=2)]


def test_each_change_is_one_change_of_the_module(source):
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()

    for mutant in mutation.mutants_of(source):
        changed = ast.unparse(mutation.changed_tree(mutant)).splitlines()
        assert sum(one != other for one, other in zip(whole, changed, strict=True)) == 1


def test_the_tests_of_a_module_are_its_examples_and_those_that_name_it():
    found = mutation.tests_of("vlmine_dagster/mining/significance.py")
    assert found[0] == "vlmine_dagster/mining/significance.py"
    assert "tests/mining/test_longtail_and_significance.py" in found
    assert "tests/mining/test_census.py" not in found
    assert mutation.tests_of("vlmine_dagster/mining/census.py")[-1] == "tests/scoring/test_rarity_scores.py"


def test_a_module_that_no_test_names_has_the_tests_of_those_that_use_it():
    assert "tests/mining/test_failures.py" in mutation.tests_of("vlmine_dagster/mining/leftovers.py")


def test_what_was_not_noticed_is_listed(capsys):
    mutant = mutation.Mutant("a.py", 3, 0, "x < y", "x <= y")

    mutation._tell([(mutant, "missed"), (mutant, "caught"), (mutant, "slow")], drawn=4)

    said = capsys.readouterr().out
    assert "3 of 4 tried: 2 noticed (66.7%)." in said
    assert "| a.py | 3 | 2 |" in said
    assert "- a.py:3 `x < y` became `x <= y`" in said
