"""Detector `transformers`: a local detection checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.checkpoints import placed
from vlmine_dagster.settings.base import Settings
from vlmine_dagster.settings.objects import DetectorPlugin, DetectorSettings
from vlmine_dagster.settings.project import SETTINGS_FILE
from vlmine_dagster.settings.providers import Finding

if TYPE_CHECKING:
    from vlmine_dagster.resources.detectors.local_detector import LocalDetector
    from vlmine_dagster.resources.workbench import Workbench


class RareKeywords(Settings):
    """The rare keywords of a project that mined whole images."""

    project: str
    """Folder of that project, or its `vlmine.yaml`."""
    count: Annotated[int, Field(ge=1, le=1000)] = 30
    """How many, the rarest first; equally rare ones in alphabetical order."""
    at_least: Annotated[int, Field(ge=1)] = 2
    """Keywords of fewer images are left out: many of these are mistakes of the describer."""


class TransformersDetectorSettings(DetectorSettings):
    """Find objects by a detection checkpoint of transformers."""

    TUNING = frozenset({"batch_size", "device"})

    kind: Literal["transformers"]
    """Any object-detection or zero-shot-object-detection checkpoint of transformers, by its own processor."""
    model: str
    """Hub id such as facebook/detr-resnet-50, or a local folder. Code from the hub is never run."""
    revision: str | None = None
    """Commit of a hub id. Left out, the newest one is taken once and kept in the home."""
    prompts: tuple[str, ...] | RareKeywords = ()
    """What a zero-shot model looks for: [fire engine, wheelchair], or the rare keywords of a project that mined whole
    images, {project: ../images, count: 30}. Other models have classes of their own."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Objects with a lower score are left out; zero-shot models need 0.1 or less."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 8
    """Images per step; halved when memory runs out."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """`auto`: bfloat16 on an accelerator, float32 elsewhere."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one; else a torch device such as cuda:1 or cpu."""


def _make(bench: "Workbench", settings: TransformersDetectorSettings) -> "LocalDetector":
    from vlmine_dagster.resources.detectors.local_detector import LocalDetector

    model = settings.model_copy(update={"model": placed(settings.model, bench.project.folder)})
    if isinstance(settings.prompts, RareKeywords):
        model = model.model_copy(update={"prompts": rare_keywords(settings.prompts, bench.project.folder)})
    max_pixels = bench.project.settings.dataset.max_pixels
    return LocalDetector(model, name=settings.model, folder=bench.models_folder, max_pixels=max_pixels)


def rare_keywords(wanted: RareKeywords, folder: Path) -> tuple[str, ...]:
    """Return the rare keywords of a project, the rarest first.

    Args:
        wanted: Which.
        folder: Where relative paths start.

    Raises:
        ConfigError: there is no such project, or it has no such keyword.
        MissingInputError: it was not run.
    """
    from vlmine_dagster.domain.tables import WHOLE_POOL
    from vlmine_dagster.resources.workbench import Workbench

    place = folder / wanted.project
    bench = Workbench(settings_file=str(place if place.is_file() else place / SETTINGS_FILE))
    rows = bench.lake.read("vocab_counts", WHOLE_POOL, columns=("keyword", "image_count")).to_pylist()
    often = [(row["image_count"], row["keyword"]) for row in rows if row["image_count"] >= wanted.at_least]
    if not often:
        raise ConfigError(
            f"objects.detector.prompts: no keyword of {place} is in {wanted.at_least} images or more. Lower at_least, "
            f"or write the prompts yourself."
        )
    return tuple(keyword for _, keyword in sorted(often)[: wanted.count])


def _look(bench: "Workbench", settings: TransformersDetectorSettings) -> Finding:
    return Finding("ok", f"{settings.model}, {_make(bench, settings).kind}")


PLUGIN = DetectorPlugin(TransformersDetectorSettings, _make, _look)
