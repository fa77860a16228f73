"""How large the product is, its longest modules and functions, and in how many files a part of it is named.

    python -m benchmarks.frame_size

A code line holds something other than a comment or a docstring. A part (a signal, a describer, a stage ...) is named in
the files that hold its name in quotes or import its module: whoever adds another one touches about as many.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median_low

from vlmine_dagster.cli.doctor import registries

ROOT = Path(__file__).parents[1]
PRODUCT = ("vlmine_dagster", "assets", "resources")
MOST_LINES_IN_MODULE = 400
MOST_LINES_IN_FUNCTION = 50
_LISTED = 5
_EMPTY = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@dataclass(frozen=True, order=True)
class Size:
    """Code lines of a module or function.

    Attributes:
        lines: How many.
        name: Path of the module; of a function, its name after a colon.
    """

    lines: int
    name: str


def product_files() -> list[Path]:
    """Return the product's modules, in order."""
    return sorted(file for part in PRODUCT for file in (ROOT / part).rglob("*.py") if not _is_linked(file))


def sizes_of(file: Path) -> tuple[Size, list[Size]]:
    """Return the size of a module, and those of its functions; a function within another counts for both."""
    text, name = (
        file.read_text(encoding="utf-8"),
        str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name,
    )
    tree = ast.parse(text)
    lines = _code_lines(text, tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return Size(len(lines), name), [
        Size(len(lines & {*range(node.lineno, (node.end_lineno or 0) + 1)}), f"{name}:{node.name}")
        for node in functions
    ]


def parts() -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the name and the module of every part."""
    for registry in registries():
        for name in registry.names:
            yield registry.group.removeprefix("vlmine."), name, registry.module_of(name)
    for file in sorted((ROOT / "assets").glob("[a-z]*.py")):
        yield "stages", file.stem, f"vlmine_dagster.assets.{file.stem}"


def files_naming(name: str, module: str) -> list[str]:
    """Return the product's files that hold a part's name in quotes or its module's."""
    named = re.compile(rf"""["']{re.escape(name)}["']|^{re.escape(name)} = |\b{re.escape(module)}\b""", re.MULTILINE)
    own = module.rpartition(".")[2]
    return [
        str(file.relative_to(ROOT))
        for file in product_files()
        if named.search(_text(file)) or (file.stem == own and module.split(".")[-2] == file.parent.name)
    ]


def main() -> None:
    """Print all of it."""
    found = [sizes_of(file) for file in product_files()]
    modules, functions = [one for one, _ in found], [one for _, inner in found for one in inner]
    print(f"{sum(one.lines for one in modules):,} code lines in {len(modules)} modules")
    for what, sizes in (("module", modules), ("function", functions)):
        print(f"\nlongest {what}s")
        for size in sorted(sizes, reverse=True)[:_LISTED]:
            print(f"  {size.lines:4} {size.name}")
    counts: dict[str, list[tuple[int, str]]] = {}
    for kind, name, module in parts():
        counts.setdefault(kind, []).append((len(files_naming(name, module)), name))
    print("\nfiles that name a part: the fewest, and half of the parts at most")
    for kind, named in counts.items():
        fewest, half = min(named), median_low(count for count, _ in named)
        print(f"  {kind:12} {fewest[0]} ({fewest[1]}), {half}")


def _code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code; a string that nobody uses is a docstring."""
    written: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _EMPTY:
            written.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            written.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return written


def _is_linked(file: Path) -> bool:
    return any(parent.is_symlink() for parent in file.parents)


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
