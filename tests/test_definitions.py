"""What it costs to load the project: nobody waits for libraries that only work needs."""

import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import grimp

HEAVY = ("numpy", "pyarrow", "duckdb", "PIL", "jinja2", "scipy", "torch", "mlflow", "great_expectations", "onnxruntime")


def loaded_after(code: str, folder: Path) -> set[str]:
    """The modules that a fresh interpreter has loaded after running some code."""
    told = "\nimport sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + told], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_definitions_are_built_without_any_library_that_only_work_needs(tmp_path):
    (tmp_path / "vlmine.yaml").write_text("name: small\ndataset: {kind: folder, root: .}\n")
    code = "import vlmine_dagster.definitions as d; assert d.defs().resolve_all_asset_keys()"
    assert loaded_after(code, tmp_path) & set(HEAVY) == set()


def test_no_command_loads_dagster_to_print_its_help(tmp_path):
    code = """
from click.testing import CliRunner
from vlmine_dagster.cli.main import main
for name in ("", *main.commands):
    assert CliRunner().invoke(main, [*name.split(), "--help"]).exit_code == 0
"""
    assert loaded_after(code, tmp_path) & {"dagster", *HEAVY} == set()


def test_a_probe_is_trained_without_the_compiler_of_torch(tmp_path):
    code = """
import numpy as np
from vlmine_dagster.learning.training import fit_probe
fit_probe(np.eye(4, dtype=np.float32), [0, 1, 2, 3], class_count=4)
"""
    assert loaded_after(code, tmp_path) & {"torch", "torch._dynamo"} == {"torch"}


def test_no_rule_for_the_answers_of_models_is_compiled_where_no_model_is_asked(tmp_path):
    code = "import vlmine_dagster.automation.runner, vlmine_dagster.describing.providers"
    assert not {name for name in loaded_after(code, tmp_path) if name.startswith("vlmine_dagster.mining.failures")}


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions():
    modules = grimp.build_graph("vlmine_dagster", cache_dir=None, exclude_type_checking_imports=True)
    imports = {name: modules.find_modules_directly_imported_by(name) for name in modules.modules}

    TopologicalSorter(imports).prepare()  # names the modules of a circle


def test_what_loads_studies_by_name_is_imported_by_no_study():
    modules = grimp.build_graph("vlmine_dagster", cache_dir=None, exclude_type_checking_imports=True)
    studies = {name for name in modules.modules if name.startswith("vlmine_dagster.studies")}
    loaders = {name for name in studies if "import_module(" in Path(find_spec(name).origin).read_text()}

    assert loaders == {"vlmine_dagster.studies.jobs"}
    assert not studies & modules.find_modules_that_directly_import("vlmine_dagster.studies.jobs")
