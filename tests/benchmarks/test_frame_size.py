"""The product's modules and functions stay short."""

import pytest

from benchmarks import frame_size

SOURCE = '''"""A module
of two lines."""

# a comment
WORDS = """two
lines"""


def outer(x):
    """Say it."""

    def inner():
        return x

    return inner  # four code lines
'''


def test_code_lines_are_those_that_are_neither_comment_nor_docstring(tmp_path):
    (tmp_path / "short.py").write_text(SOURCE)

    module, functions = frame_size.sizes_of(tmp_path / "short.py")

    assert module.lines == 6
    assert {(one.lines, one.name) for one in functions} == {(4, "short.py:outer"), (2, "short.py:inner")}


@pytest.mark.parametrize("what", ["module", "function"])
def test_no_module_and_no_function_is_too_long(what):
    found = [frame_size.sizes_of(file) for file in frame_size.product_files()]
    sizes = [one for one, _ in found] if what == "module" else [one for _, inner in found for one in inner]
    most = frame_size.MOST_LINES_IN_MODULE if what == "module" else frame_size.MOST_LINES_IN_FUNCTION

    assert len(sizes) > 100
    assert [one for one in sizes if one.lines > most] == []


def test_every_part_is_counted_where_it_is_named():
    parts = {(kind, name): module for kind, name, module in frame_size.parts()}

    kinds = {"media", "signals", "describers", "keyworders", "sources", "task_models", "exporters", "stages"}
    assert {kind for kind, _ in parts} >= kinds
    found = frame_size.files_naming("captions", parts["describers", "captions"])
    assert found == ["vlmine_dagster/describing/describers/captions.py"]
