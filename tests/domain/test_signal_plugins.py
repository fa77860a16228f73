"""A signal of another package is mined, read and explained like ours."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from test_plugins import install

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.assets.pareto_set import pareto_set
from vlmine_dagster.cli.settings import settings
from vlmine_dagster.domain import plugins
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import REGISTRY, SIGNALS
from vlmine_dagster.engine.stage import Part
from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.scoring.pool import MinedPool, signal_of, signal_values
from vlmine_dagster.settings.project import Project, parse_settings

CODE = """
import numpy as np
from vlmine_dagster.domain.signals import Signal


def _darkness(reader, pool):
    widths = reader.read("images", ["image_id", "width"])
    by_id = dict(zip(widths.column("image_id").to_pylist(), widths.column("width").to_pylist()))
    return np.array([-by_id[name] for name in pool.image_ids()], dtype=float)


darkness = Signal("darkness", None, "how narrow it is", "{negated:,.0f} pixels wide", "camera.narrow", make=_darkness,
                  reads={"images": ("image_id", "width")})
crooked = Signal("crooked", None, "too short", "crooked", "camera.crooked", make=lambda reader, pool: [1.0])
"""


@pytest.fixture
def camera(tmp_path, monkeypatch):
    """A package with a signal that works, one that returns too little and one that cannot be loaded."""
    module = f"camera_{tmp_path.name}"
    offers = {name: f"{module}:{name}" for name in ("darkness", "crooked")} | {"gone": f"no_{module}:gone"}
    install(tmp_path, "camera", "vlmine.signals", offers, **{module: CODE})
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        plugins._offers.cache_clear()
        REGISTRY.__dict__.pop("_offers", None)
        SIGNALS.__dict__.pop("_all", None)

    forget()
    yield
    monkeypatch.undo()
    forget()


def project(*signals):
    arm = {"signals": list(signals)}
    found = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "experiments": {"arm": arm}})
    return Project(found, Path(), "")


class Widths:
    """A reader that knows widths alone."""

    def read(self, table, columns, *, partitions=None):
        assert (table, columns) == ("images", ["image_id", "width"])
        return pa.table({"image_id": ["a/2", "a/1"], "width": [20, 10]})


POOL = pa.table({"image_id": ["a/1", "a/2"], "novelty_min": [0.5, 1.0], "is_described": [True, True]})


@pytest.mark.usefixtures("camera")
def test_a_foreign_signal_is_mined_beside_ours_and_what_it_reads_is_read_by_its_experiment():
    settings = project("novelty_min", "darkness")
    experiment = settings.settings.experiments["arm"]

    values = signal_values(Widths(), experiment, POOL, None)

    np.testing.assert_array_equal(values["darkness"], [-10.0, -20.0])
    np.testing.assert_array_equal(values["novelty_min"], [0.5, 1.0])

    def columns(settings):
        sources = GRAPH.sources(pareto_set, Part(settings, "arm"), ())
        return {name for one in sources if one.table == "images" for name in one.columns}

    assert "width" in columns(settings)
    assert "width" not in columns(project("novelty_min"))
    assert selection_reason({"darkness": (-10.0, 1.0)}) == "10 pixels wide"


@pytest.mark.usefixtures("camera")
def test_ours_come_first_in_the_order_of_their_declaration_and_settings_list_all():
    assert [*SIGNALS][:3] == ["random", "novelty_min", "novelty_mean"]
    assert [*SIGNALS][-3:] == ["oracle", "darkness", "crooked"]

    shown = " ".join(CliRunner().invoke(settings, []).output.split())
    assert "darkness how narrow it is, from package camera" in shown
    assert "entropy how uncertain the task model is over all classes, in nats, needs labels" in shown


@pytest.mark.usefixtures("camera")
def test_a_signal_that_is_not_one_number_per_image_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"signal crooked: its plug-in made shape \(1,\) .* expected .* \(2,\)"):
        signal_of(Widths(), "crooked", MinedPool(POOL))


@pytest.mark.usefixtures("camera")
def test_a_broken_signal_is_named_where_it_is_asked_for_and_the_others_work():
    assert "gone" not in SIGNALS
    with pytest.raises(ConfigError, match=r"the plug-in vlmine.signals 'gone' of package camera: .* cannot be loaded"):
        project("gone")
    assert project("darkness").settings.experiments["arm"].signals == ("darkness",)
