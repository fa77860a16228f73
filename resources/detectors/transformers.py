"""Detector `transformers`: a local detection checkpoint."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.settings.objects import DetectorPlugin, DetectorSettings
from vlmine_dagster.settings.providers import Finding

if TYPE_CHECKING:
    from vlmine_dagster.resources.detectors.local_detector import LocalDetector
    from vlmine_dagster.resources.workbench import Workbench


class TransformersDetectorSettings(DetectorSettings):
    """Find objects by a detection checkpoint of transformers."""

    TUNING = frozenset({"batch_size", "device"})

    kind: Literal["transformers"]
    """Any object-detection or zero-shot-object-detection checkpoint of transformers, by its own processor."""
    model: str
    """Hub id such as facebook/detr-resnet-50, or a local folder. Code from the hub is never run."""
    revision: str | None = None
    """Commit of a hub id. Left out, the newest one is taken once and kept in the home."""
    prompts: tuple[str, ...] = ()
    """What a zero-shot model looks for, such as [fire engine, wheelchair]; other models have classes of their own."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Objects with a lower score are left out; zero-shot models need 0.1 or less."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 8
    """Images a step; halved when memory runs out."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """`auto`: bfloat16 on an accelerator, float32 elsewhere."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one; else a torch device such as cuda:1 or cpu."""


def _make(bench: "Workbench", settings: TransformersDetectorSettings) -> "LocalDetector":
    from vlmine_dagster.resources.detectors.local_detector import LocalDetector

    folder = bench.project.folder / settings.model  # else it is a hub id
    model = settings.model_copy(update={"model": str(folder)}) if folder.is_dir() else settings
    max_pixels = bench.project.settings.dataset.max_pixels
    return LocalDetector(model, name=settings.model, folder=bench.models_folder, max_pixels=max_pixels)


def _look(bench: "Workbench", settings: TransformersDetectorSettings) -> Finding:
    return Finding("ok", f"{settings.model}, {_make(bench, settings).kind}")


PLUGIN = DetectorPlugin(TransformersDetectorSettings, _make, _look)
