"""Change one thing in the code at a time, and see whether a test fails: how much the tests would notice.

    python -m benchmarks.mutation                    # 300 changes, seed 0
    python -m benchmarks.mutation --count 60 --part mining --out mutants.jsonl

Which changes are drawn is a hash of the seed and of the change, so that work elsewhere draws the same ones again.

A change is a comparison, a sign, a number, a condition or a default that became another one. Each is made in a child
process alone, never in the files; its tests are those whose text names the module, and its examples. Tests that make
a whole project are left out, as they take minutes each: what nothing noticed here may still fail in the whole suite.
With `--out` results are kept as they come, and a stopped run goes on where it was; what was missed is tried again.
"""

import ast
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

import click

ROOT = Path(__file__).parent.parent
PARTS = {
    "mining": "vlmine_dagster/mining/*.py",
    "learning": "vlmine_dagster/learning/*.py",
    "scoring": "vlmine_dagster/scoring/*.py",
    "lake": "resources/lake.py",
    "cache": "resources/cache.py",
}
WHOLE_PROJECT = {"finished", "_finished", "make_project", "sample_pool"}
"""Fixtures that run a pipeline."""

_CODE = ("vlmine_dagster", "assets", "resources")
_SLOWEST_S = 600.0
_NO_TESTS = 5  # pytest's exit code where all tests are left out
_BROKEN = ast.parse("raise RuntimeError('changed')")
_PATIENCE = 5.0  # times as long as without a change, and ten seconds
_COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_SIGNS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_TURNED = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
           "ones": "zeros", "zeros": "ones", "argmax": "argmin", "argmin": "argmax", "sum": "max"}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        file: Path below the project's root.
        line: Line of the change.
        number: Its place among the changes of the file, from 0.
        before: The expression as it is.
        after: As it becomes.
        twin: Its place among the changes of the file that read the same, from 0.
    """

    file: str
    line: int
    number: int
    before: str
    after: str
    twin: int = 0

    @property
    def name(self) -> str:
        """What it is called while the code around it changes."""
        return f"{self.file} {self.before} {self.after} {self.twin}"


def mutants_of(file: Path) -> list[Mutant]:
    """Return every change of a file."""
    name = file.relative_to(ROOT).as_posix()
    found = []
    alike: Counter[tuple[str, str]] = Counter()
    for number, node in enumerate(_changeable(ast.parse(file.read_text(encoding="utf-8")))):
        before = _text(node)
        _change(node)()  # type: ignore[misc]
        after = _text(node)
        found.append(Mutant(name, node.lineno, number, before, after, alike[before, after]))
        alike[before, after] += 1
    return found


def drawn_of(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return some changes, the same ones whatever else there is to change."""
    return sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())[:count]


def changed_tree(mutant: Mutant) -> ast.Module:
    """Return the module with the change in it."""
    tree = ast.parse((ROOT / mutant.file).read_text(encoding="utf-8"))
    node = list(_changeable(tree))[mutant.number]
    _change(node)()  # type: ignore[misc]
    return ast.fix_missing_locations(tree)


def _text(node: Any) -> str:
    return ast.unparse(node.test if isinstance(node, (ast.If, ast.IfExp, ast.While)) else node)


def _changeable(tree: ast.AST) -> list[Any]:
    """Return the nodes that may change: no messages, annotations, imports, docstrings, `__all__` or `strict=True`."""
    skipped = (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Assert)
    if isinstance(tree, ast.keyword) and tree.arg == "strict":
        return []
    found = []
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, skipped):
                found += [child] if _change(child) else []
                found += _changeable(child)
    return found


def _change(node: Any) -> Callable[[], None] | None:
    """Return what changes a node in place, None where nothing does."""
    if isinstance(node, ast.Constant):
        return _other_constant(node)
    kind = type(node.ops[0]) if isinstance(node, ast.Compare) else type(getattr(node, "op", None))
    if isinstance(node, ast.Compare) and kind in _COMPARED:
        return partial(node.ops.__setitem__, 0, _COMPARED[kind]())
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and kind in _SIGNS:
        return partial(setattr, node, "op", _SIGNS[kind]())
    if isinstance(node, ast.UnaryOp) and kind in (ast.Not, ast.USub):
        is_not = kind is ast.Not
        changed = ast.UnaryOp(ast.Not(), node.operand) if is_not else ast.UAdd()
        return partial(setattr, node, "operand" if is_not else "op", changed)
    is_condition = isinstance(node, (ast.If, ast.IfExp, ast.While)) and ast.unparse(node.test) != "TYPE_CHECKING"
    if is_condition and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
        return partial(setattr, node, "test", ast.UnaryOp(ast.Not(), node.test))
    name = "attr" if isinstance(node, ast.Attribute) else "id"
    turned = _TURNED.get(getattr(node, name, ""))
    return partial(setattr, node, name, turned) if turned else None


def _other_constant(node: ast.Constant) -> Callable[[], None] | None:
    if isinstance(node.value, bool):
        return partial(setattr, node, "value", not node.value)
    if isinstance(node.value, (int, float)):
        step = 1 if isinstance(node.value, int) else node.value / 2 or 1.0
        return partial(setattr, node, "value", node.value + step)
    return None


class _Changed(SourceFileLoader):
    """Loads a module from a changed tree."""

    def __init__(self, name: str, path: str, tree: ast.Module):
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the one module that is changed; all others come from where they always do."""

    def __init__(self, name: str, path: Path, tree: ast.Module):
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return spec_from_file_location(name, self._path, loader=_Changed(name, str(self._path), self._tree))


def module_name(file: str) -> str:
    """Return the name under which a file is imported.

    Examples:
        >>> module_name("resources/lake.py"), module_name("vlmine_dagster/mining/pareto.py")
        ('vlmine_dagster.resources.lake', 'vlmine_dagster.mining.pareto')
    """
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return name if name.startswith("vlmine_dagster") else f"vlmine_dagster.{name}"


def tests_of(file: str) -> list[str]:
    """Return the test files whose text names a module, quickest first, after the examples in the module itself.

    Of a module that no test names they are those of the modules that name it.
    """
    own = [file] if ">>>" in (ROOT / file).read_text(encoding="utf-8") else []
    tests = _naming(file, "tests/**/test_*.py")
    if not tests:
        users = [user for folder in _CODE for user in _naming(file, f"{folder}/**/*.py")]
        tests = list(dict.fromkeys(test for user in users for test in _naming(user, "tests/**/test_*.py")))
    return own + sorted(tests, key=lambda test: (ROOT / test).stat().st_size)


def _naming(file: str, pattern: str) -> list[str]:
    """Return the files of a pattern whose text names a module."""
    name = module_name(file)
    parent, _, last = name.rpartition(".")
    wanted = (name, f"from {parent} import {last}")
    found = [path for path in sorted(ROOT.glob(pattern)) if any(word in path.read_text("utf-8") for word in wanted)]
    return [path.relative_to(ROOT).as_posix() for path in found]


class _WithoutProjects:
    """Leaves out the tests that make a whole project."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if not WHOLE_PROJECT & set(getattr(item, "fixturenames", ()))]


def _test(mutant: Mutant, tree: ast.Module | None, tests: list[str]) -> None:
    """Run tests in a child; its exit code is pytest's."""
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    with open(os.devnull, "w") as silence:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(silence.fileno(), 1)
        os.dup2(silence.fileno(), 2)
    if tree is not None:
        sys.meta_path.insert(0, _Finder(module_name(mutant.file), ROOT / mutant.file, tree))
    arguments = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-n0", *tests]  # rewriting would import it
    if not _needs_pipeline(tests):
        arguments += ["-o", "filterwarnings=default"]  # those of the project name classes of Dagster, which imports it
        import hypothesis

        hypothesis.settings.register_profile("shared machines", deadline=None)
        hypothesis.settings.load_profile("shared machines")
        arguments.append("--noconftest")
    os._exit(int(pytest.main(arguments, plugins=[_WithoutProjects()])))


def outcome_of(mutant: Mutant, tree: ast.Module | None, tests: list[str], *, limit_s: float) -> str:
    """Return `caught`, `missed`, `untested` or `slow` (the tests did not end, which somebody would notice)."""
    child = multiprocessing.get_context("fork").Process(target=_test, args=(mutant, tree, tests))
    child.start()
    child.join(limit_s)
    if child.is_alive():
        child.kill()
        child.join()
        return "slow"
    return {0: "missed", _NO_TESTS: "untested"}.get(child.exitcode or 0, "caught")


def _import_libraries(*, has_pipeline: bool) -> None:
    """Import what children would each import again; nothing of ours, which is what changes."""
    names = ["hypothesis", "numba", "scipy.stats"]
    names += ["dagster", "duckdb", "great_expectations", "mlflow", "skimage.data"] if has_pipeline else []
    for name in names:
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)  # threads do not live through a fork


def _needs_pipeline(tests: Sequence[str]) -> bool:
    """Whether tests take what `conftest.py` makes, which imports all there is, or what a test beside them does."""
    return any(_reads_conftest(ROOT / test) for test in tests)


def _reads_conftest(file: Path) -> bool:
    text = file.read_text(encoding="utf-8")
    others = re.findall(r"^from (test_\w+) import", text, re.MULTILINE)
    return "from conftest" in text or any(_reads_conftest(file.with_name(f"{name}.py")) for name in others)


@click.command()
@click.option("--count", default=300, show_default=True, help="Changes, drawn from all that there are.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the draw.")
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep results here, one line of JSON each.")
@click.option("--minutes", type=float, help="Stop after this time.")
@click.option("--quick", "is_quick", is_flag=True, help="Only tests that need no pipeline, and modules that have such.")
def main(
    *, count: int, seed: int, parts: tuple[str, ...], out: Path | None, minutes: float | None, is_quick: bool
) -> None:
    """Print how many changes no test noticed, and which."""
    files = sorted(file for part in parts or PARTS for file in ROOT.glob(PARTS[part]) if file.stat().st_size > 200)
    all_mutants = [mutant for file in files for mutant in mutants_of(file)]
    drawn = drawn_of(all_mutants, count, seed)
    if is_quick:
        drawn = [one for one in drawn if _in_two(tests_of(one.file))[0]]
    kept = [json.loads(line) for line in out.read_text().splitlines()] if out and out.exists() else []
    done = {Mutant(**one["mutant"]).name: one["outcome"] for one in kept if one["outcome"] != "missed"}
    click.echo(f"{len(all_mutants):,} possible changes in {len(files)} files; {len(drawn)} drawn with seed {seed}.")
    _import_libraries(has_pipeline=not is_quick)
    ends = time.monotonic() + 60 * (minutes or 1e9)
    trial = Trial(is_quick=is_quick)
    results: list[tuple[Mutant, str]] = []
    for mutant in drawn:
        if mutant.name not in done:
            if time.monotonic() > ends:
                continue
            done[mutant.name] = trial.outcome_of(mutant)
            if out:
                with out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"mutant": asdict(mutant), "outcome": done[mutant.name]}) + "\n")
        results.append((mutant, done[mutant.name]))
    _tell(results, drawn=len(drawn))


class Trial:
    """Tries changes, first with the tests that need no pipeline, then with those that do.

    Args:
        is_quick: Only with the former.
    """

    def __init__(self, *, is_quick: bool):
        self._is_quick = is_quick
        self._limits: dict[tuple[str, ...], float] = {}
        self._checked: set[tuple[str, ...]] = set()

    def outcome_of(self, mutant: Mutant) -> str:
        """Return whether any test noticed a change: `caught`, `slow` or `missed`."""
        quick, slow = _in_two(tests_of(mutant.file))
        for tests in [quick] if self._is_quick else [quick, slow]:
            if tests:
                found = outcome_of(mutant, changed_tree(mutant), tests, limit_s=self._limit_s(mutant, tests))
                if found in ("caught", "slow"):
                    return found
                self._check_import(mutant, tests)
        return "missed"

    def _limit_s(self, mutant: Mutant, tests: list[str]) -> float:
        """Return how long tests may take; refuse tests that fail as it is."""
        key = (mutant.file, *tests)
        if key not in self._limits:
            started = time.monotonic()
            if outcome_of(mutant, None, tests, limit_s=_SLOWEST_S) in ("caught", "slow"):
                raise click.ClickException(f"the tests of {mutant.file} fail as it is: {' '.join(tests)}")
            self._limits[key] = _PATIENCE * (time.monotonic() - started) + 10
        return self._limits[key]

    def _check_import(self, mutant: Mutant, tests: list[str]) -> None:
        """Refuse tests that noticed nothing because they do not import what was changed."""
        key = (mutant.file, *tests)
        if key not in self._checked:
            if outcome_of(mutant, _BROKEN, tests, limit_s=_SLOWEST_S) == "missed":
                raise click.ClickException(f"the tests of {mutant.file} do not import what was changed")
            self._checked.add(key)


def _in_two(tests: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tests that need no pipeline, and the others."""
    quick = [test for test in tests if not _needs_pipeline([test])]
    return quick, [test for test in tests if test not in quick]


def _tell(results: list[tuple[Mutant, str]], *, drawn: int) -> None:
    total = Counter(outcome for _, outcome in results)
    noticed = len(results) - total["missed"]
    click.echo(f"{len(results)} of {drawn} tried: {noticed} noticed ({noticed / max(len(results), 1):.1%}).\n")
    click.echo("| file | tried | noticed |\n| --- | ---: | ---: |")
    for file in sorted({mutant.file for mutant, _ in results}):
        ours = [outcome for mutant, outcome in results if mutant.file == file]
        click.echo(f"| {file} | {len(ours)} | {len(ours) - ours.count('missed')} |")
    for mutant, outcome in results:
        if outcome == "missed":
            click.echo(f"- {mutant.file}:{mutant.line} `{mutant.before}` became `{mutant.after}`")


if __name__ == "__main__":
    main()
