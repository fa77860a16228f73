"""Dagster's instance of a project: where its history is kept, and how it is opened."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.dagster_internals import lighten
from vlmine_dagster.resources.sqlite_files import kept_open
from vlmine_dagster.settings.plain_paths import plain_path
from vlmine_dagster.settings.project import Project


@contextmanager
def open_instance(project: Project) -> Iterator[dg.DagsterInstance]:
    """Open the project's Dagster instance: DAGSTER_HOME if set, else `dagster/` under the home."""
    home = prepare_dagster_home(project)
    with kept_open(home), dg.DagsterInstance.from_config(str(home)) as instance:
        lighten(instance)
        yield instance


def prepare_dagster_home(project: Project) -> Path:
    """Return the folder of the Dagster instance, with a `dagster.yaml` in it.

    A DAGSTER_HOME of the user's own is taken as it is; one that is not there or empty is made.

    Raises:
        ConfigError: it cannot be made, or Dagster is installed where it cannot start.
    """
    _refuse_percent_sign(Path(dg.__file__).parent)
    home = project.dagster_home
    if os.environ.get("DAGSTER_HOME") and home.is_dir() and any(home.iterdir()):
        return home
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder DAGSTER_HOME={home} cannot be made ({error.strerror}). Make it, name another or unset "
            f"DAGSTER_HOME: Dagster's history is then kept with the project."
        ) from error
    home = plain_path(home)
    if not (home / "dagster.yaml").exists():
        with packaged_dagster_yaml() as source:
            shutil.copy(source, home / "dagster.yaml")
    return home


def _refuse_percent_sign(installed: Path) -> None:
    """Refuse an installation whose path alembic, which Dagster makes its tables with, takes for a reference."""
    if "%" in str(installed):
        raise ConfigError(
            f"Dagster is installed in {installed}, and cannot start from a path with a percent sign. Make the virtual "
            f"environment elsewhere (python -m venv ~/vlmine) and install vlmine there; projects may lie anywhere."
        )


@contextmanager
def packaged_dagster_yaml() -> Iterator[Path]:
    """Give the `dagster.yaml` that comes with the project, from a checkout or from a wheel."""
    checkout = Path(__file__).parent.parent.parent / "dagster.yaml"
    yield checkout if checkout.exists() else Path(str(files("vlmine_dagster").joinpath("dagster.yaml")))


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries out of the terminal; what matters is in Dagster's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("mlflow", "alembic", "great_expectations"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
