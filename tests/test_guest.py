"""A guest in somebody else's Dagster project: an installed wheel beside packages named like our folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import members, write_tar

ROOT = Path(__file__).parent.parent

HOST = """
import dagster as dg
from assets import report
from resources import greeting
from vlmine_dagster.definitions import guest_definitions

mine = dg.Definitions(assets=[report], resources={"greeting": greeting}, executor=dg.multiprocess_executor)
defs = dg.Definitions.merge(mine, guest_definitions("vlmine.yaml", key_prefix=["mining"]))

import vlmine_dagster
assert "wheel" in vlmine_dagster.__file__, vlmine_dagster.__file__
keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
assert {"report", "mining/images", "mining/pareto_set", "mining/dataset"} <= keys, keys
assert not keys & {"images", "pareto_set"}
instance = dg.DagsterInstance.ephemeral()
instance.add_dynamic_partitions("shards", ["a"])
chosen = dg.AssetSelection.assets(*(["mining", name] for name in ("images", "embeddings", "descriptions", "keywords")))
job = dg.define_asset_job("host_job", selection=chosen)
whole = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
result = whole.resolve_job_def("host_job").execute_in_process(instance=instance, partition_key="a")
made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
assert made == {"mining/images", "mining/embeddings", "mining/descriptions", "mining/keywords"}, made
print("a guest")
"""


@pytest.mark.slow
def test_a_wheel_lives_in_a_project_that_has_packages_called_assets_and_resources(tmp_path, state):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("vlmine_dagster-*.whl"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(tmp_path / "wheel"), str(wheel)], check=True, capture_output=True)
    installed = {path.name for path in (tmp_path / "wheel").iterdir() if path.suffix != ".dist-info"}
    assert installed == {"bin", "vlmine_dagster"}
    host = tmp_path / "host"
    for name, code in {
        "assets": "import dagster as dg\n\n@dg.asset\ndef report(): ...\n",
        "resources": "import dagster as dg\n\n@dg.resource\ndef greeting(): ...\n",
    }.items():
        (host / name).mkdir(parents=True)
        (host / name / "__init__.py").write_text(code)
    write_tar(host / "data/a.tar", members({"coffee": 3}, start=0))
    (host / "vlmine.yaml").write_text("name: guest\ndataset: {kind: webdataset, root: data}\n")
    (host / "run.py").write_text(HOST)
    (host / ".vlmine").mkdir()
    (host / ".vlmine/models").symlink_to(state / "models")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "run.py"],
        cwd=host,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(host), str(tmp_path / "wheel")])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip().endswith("a guest"), done.stderr[-3000:]
