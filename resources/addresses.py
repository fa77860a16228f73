"""Where the web UIs are: links in MLflow and in what commands print lead there."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.settings.project import Project

DAGSTER_VARIABLE = "VLMINE_DAGSTER_URL"
MLFLOW_VARIABLE = "VLMINE_MLFLOW_URL"

_DEFAULTS = {DAGSTER_VARIABLE: "http://127.0.0.1:3000", MLFLOW_VARIABLE: "http://127.0.0.1:5000"}


def web_address(project: Project, variable: str) -> str:
    """Return the address of a web UI: by the environment, else where `vlmine ui` served it last, else its default.

    Args:
        project: The project.
        variable: `DAGSTER_VARIABLE` or `MLFLOW_VARIABLE`.
    """
    found = os.environ.get(variable) or _kept(project).get(variable) or _DEFAULTS[variable]
    return found.rstrip("/")


def keep_addresses(project: Project, addresses: Mapping[str, str]) -> None:
    """Keep in the home where the web UIs are served, for the commands and runs to come.

    Args:
        project: The project.
        addresses: By variable; those of others stay as they are.
    """
    write_whole(_file(project), json.dumps({**_kept(project), **addresses}))


def _kept(project: Project) -> dict[str, str]:
    file = _file(project)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _file(project: Project) -> Path:
    return project.state_folder("ui") / "addresses.json"
