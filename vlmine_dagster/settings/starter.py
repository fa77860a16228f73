"""A fresh `vlmine.yaml`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.objects import ObjectSettings
from vlmine_dagster.settings.plain_paths import refuse_undecodable
from vlmine_dagster.settings.project import SETTINGS_FILE, ProjectSettings, parse_settings

SAMPLE_FOLDER = ".vlmine/sample-pool"
SCENES_FOLDER = ".vlmine/sample-scenes"
DRIVES_FOLDER = ".vlmine/sample-drives"

_HEAD = """\
# A vlmine project: which images, who describes them, how they are mined.
# Every setting that is left out has its default; `vlmine settings` lists them all with what they mean.
"""
_NOTES = {
    "dataset": "The images. Shards are the unit of work and of failure.",
    "objects": "Where the objects in the images are: box files, in any format of docs/objects.md.",
    "describer": "Who describes an image: the ImageNet tagger runs anywhere.",
    "keyworder": "Who turns a description into keywords.",
    "task_model": "The model whose uncertainty is mined, trained on the labelled seed.",
    "retraining": "How mined sets are evaluated: budgets are shares of the pool.",
    "budget": "What an experiment selects: a share of the pool (up to 1) or a number of images.",
    "experiments": "Mining strategies, one MLflow run each. Signals (docs/signals.md) are joined by fronts or ranks.",
}


def sample_settings() -> ProjectSettings:
    """Return the settings of `vlmine demo`: the sample pool, 15% of it labelled as the seed."""
    labels = LabelSettings(
        file=f"{SAMPLE_FOLDER}/labels.csv", classes=f"{SAMPLE_FOLDER}/classes.csv", oracle=True, seed_fraction=0.15
    )
    return ProjectSettings(name="sample", dataset=DatasetSettings(kind="webdataset", root=SAMPLE_FOLDER, labels=labels))


def scene_settings(*, has_clip: bool) -> ProjectSettings:
    """Return the settings of `vlmine demo --objects`: the sample scenes, the objects in 15% of them labelled.

    Args:
        has_clip: Whether a short video is among them; an object that stays in sight then counts once.
    """
    labels = LabelSettings(boxes=True, oracle=True, seed_fraction=0.15, few_under=10)
    video = {"kind": "video", "images": True, "every_s": 0.5}
    kind = video if has_clip else {"kind": "folder"}
    scenes = {**kind, "root": f"{SCENES_FOLDER}/scenes", "labels": labels, "shard_count": 2}
    files = ("boxes.json", "clip-boxes.json") if has_clip else ("boxes.json",)
    return ProjectSettings(
        name="scenes",
        dataset=DatasetSettings.of_kind(scenes),
        unit="object",
        objects=ObjectSettings(boxes=tuple(f"{SCENES_FOLDER}/{file}" for file in files)),
        count_by="track" if has_clip else None,
    )


def drive_settings() -> ProjectSettings:
    """Return the settings of `vlmine demo --driving`: the sample drives, 20% of them labelled, counted by track."""
    labels = LabelSettings(boxes=True, oracle=True, seed_fraction=0.2, few_under=30)
    drives = {"kind": "waymo", "root": f"{DRIVES_FOLDER}/waymo", "kinds": f"{DRIVES_FOLDER}/kinds.parquet"}
    return ProjectSettings(
        name="drives",
        dataset=DatasetSettings.of_kind({**drives, "labels": labels}),
        unit="object",
        objects=ObjectSettings(from_dataset=True),
        count_by="track",
    )


def settings_for(dataset: DatasetSettings, *, name: str, boxes: Sequence[str] = ()) -> ProjectSettings:
    """Return default settings for a dataset; without labels only experiments that need none.

    Args:
        dataset: The images.
        name: Name of the project.
        boxes: Box files or folders: objects are mined. Without any, those that the dataset itself knows, else images.
    """
    if not boxes and dataset.capabilities.knows_objects:
        own = ObjectSettings(from_dataset=True)
        return ProjectSettings(name=name, dataset=dataset, unit="object", objects=own, count_by="track")
    if not boxes:
        return ProjectSettings(name=name, dataset=dataset)
    return ProjectSettings(name=name, dataset=dataset, unit="object", objects=ObjectSettings(boxes=tuple(boxes)))


def starter_yaml(settings: ProjectSettings) -> str:
    """Write settings as YAML with a line of explanation for each part."""
    content = _plain(settings)
    parts = []
    for key, value in content.items():
        note = f"\n# {_NOTES[key]}\n" if key in _NOTES else ""
        parts.append(note + yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=110))
    return _HEAD + "".join(parts)


def write_starter(folder: Path, settings: ProjectSettings, *, is_forced: bool = False) -> Path:
    """Write `vlmine.yaml` into a folder.

    Raises:
        ConfigError: there is one already, with other content, or no home can be beside it.
    """
    if "VLMINE_HOME" not in os.environ:
        refuse_undecodable(folder)
    file = folder / SETTINGS_FILE
    text = starter_yaml(settings)
    if file.exists() and not is_forced and file.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{file} already exists. Work in another folder, or pass --force to overwrite it.")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    parse_settings(yaml.safe_load(text), where=str(file))
    return file


def _plain(settings: ProjectSettings) -> dict[str, Any]:
    """Return what a reader should see: the dataset as given, and the parts that people change, with their values."""
    full = settings.model_dump(mode="json")
    dataset = {"kind": settings.dataset.kind, **settings.dataset.model_dump(mode="json", exclude_defaults=True)}
    dataset |= {name: getattr(settings.dataset, name) for name in settings.dataset.fixed_at_init}
    experiments = {
        name: arm.model_dump(mode="json", exclude_defaults=True) for name, arm in settings.experiments.items()
    }
    parts = (
        ["describer", "keyworder"]
        if settings.dataset.labels is None
        else ["describer", "keyworder", "task_model", "retraining"]
    )
    shown = {part: full[part] for part in parts}
    if "task_model" in shown:
        shown["task_model"] = {"kind": full["task_model"]["kind"]}
        shown["retraining"] = {name: full["retraining"][name] for name in ("kind", "budgets", "seeds")}
    return {
        "name": settings.name,
        "dataset": dataset,
        **({} if settings.unit == "image" else {"unit": settings.unit}),
        **({} if settings.count_by in (None, settings.unit) else {"count_by": settings.count_by}),
        **(
            {}
            if settings.objects is None
            else {"objects": settings.objects.model_dump(mode="json", exclude_defaults=True)}
        ),
        **shown,
        "budget": settings.budget,
        "experiments": experiments,
    }
