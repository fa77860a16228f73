"""Searches for more like some images: experiments that `vlmine like` keeps beside those of `vlmine.yaml`."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.settings.mining import ExperimentSettings, LikeSettings

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import Project, ProjectSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_SLUG = 32


def with_searches(settings: "ProjectSettings", folder: Path) -> "ProjectSettings":
    """Return settings whose experiments are followed by the searches of a folder.

    Raises:
        ConfigError: a file is not a search.
    """
    found = {}
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        if file.stem in settings.experiments:
            continue  # that of vlmine.yaml was written later: keep_search refuses a name that is taken
        try:
            found[file.stem] = ExperimentSettings.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
            raise ConfigError(f"{file} is not a search of `vlmine like`: {error}. Delete the file.") from error
    return settings.model_copy(update={"experiments": {**settings.experiments, **found}}) if found else settings


def search_name(like: LikeSettings) -> str:
    """Return the name of a search, the same for the same one.

    Examples:
        >>> search_name(LikeSettings(text="an overturned lorry"))
        'like-an-overturned-lorry-ada5'
    """
    about = like.text or like.images[0].rpartition("/")[2]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", about).strip("-")[:_MOST_SLUG].strip("-").lower()
    digest = hashlib.sha256(repr((sorted(like.images), like.text)).encode("utf-8", "surrogatepass")).hexdigest()[:4]
    return "-".join(filter(None, ["like", slug, digest]))


def keep_search(project: "Project", name: str, search: ExperimentSettings) -> None:
    """Keep a search: from now on it is one of the project's experiments, for whoever loads the project.

    Raises:
        ConfigError: the name cannot be one, or is that of another experiment.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a search: use letters, digits, _ and -, at most 64.")
    known = project.settings.experiments.get(name)
    if known is not None and known.like is None:
        raise ConfigError(f"{name!r} is an experiment of {project.file.name}. Choose another name.")
    folder = project.state_folder(project.searches_folder.name)
    content = yaml.safe_dump(search.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)
    write_whole(folder / f"{name}.yaml", content)


def drop_search(project: "Project", name: str) -> None:
    """Forget a search; its list and its MLflow run stay.

    Raises:
        ConfigError: there is no such search.
    """
    file = project.searches_folder / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not file.exists():
        known = ", ".join(one for one, arm in project.settings.experiments.items() if arm.like is not None)
        raise ConfigError(f"there is no search {name!r}. There are: {known or 'none'}.")
    file.unlink()
