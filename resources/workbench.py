"""The one Dagster resource through which assets reach the project: settings, lake, images, models."""

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    from vlmine_dagster.resources.boxes.store import BoxStore
    from vlmine_dagster.resources.cache import ReplyCache
    from vlmine_dagster.resources.detectors.contract import Detector
    from vlmine_dagster.resources.drives.own_boxes import OwnBoxes
    from vlmine_dagster.resources.encoder import Encoder
    from vlmine_dagster.resources.features import Features
    from vlmine_dagster.resources.labels import Labels
    from vlmine_dagster.resources.media.contract import Medium
    from vlmine_dagster.resources.merged_keywords import MergedLake
    from vlmine_dagster.resources.sources import ImageSource
    from vlmine_dagster.resources.tracking import Tracking


class Workbench(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Settings, lake, images and models of one project; each is made when it is first asked for.

    Attributes:
        settings_file: `vlmine.yaml`; empty means `VLMINE_PROJECT`, else the one in the working folder.
    """

    settings_file: str = ""

    @cached_property
    def project(self) -> Project:
        """The project."""
        return Project.load(self.settings_file or None)

    @cached_property
    def lake(self) -> "MergedLake":
        """The lake."""
        from vlmine_dagster.resources.merged_keywords import MergedLake

        home = self.project.home
        root = f"{home.rstrip('/')}/lake" if "://" in home else str(self.project.state_folder("lake"))
        limits = self.project.settings.duckdb
        lake = MergedLake(
            root,
            scratch=self.project.state_folder("scratch"),
            memory_gb=limits.memory_gb,
            threads=limits.threads,
            kind=self.project.settings.items,
        )
        lake.is_merged = self.project.has_vocabulary
        return lake

    @cached_property
    def source(self) -> "ImageSource":
        """The dataset's items, as they are in its files."""
        from vlmine_dagster.resources.sources import open_source

        return open_source(self.project)

    @cached_property
    def medium(self) -> "Medium":
        """What the dataset's items are."""
        settings = self.project.settings.dataset.medium
        made: Medium = settings.plugins.get(settings.kind).make(self, settings)
        return made

    @cached_property
    def frames(self) -> "ImageSource":
        """The pictures of the dataset's items."""
        return self._rendered(self.medium.picture)

    @cached_property
    def pictures(self) -> "ImageSource":
        """The pictures of what is mined, for people: those of images, or the crops of objects."""
        return self._crops or self.frames

    @cached_property
    def encoder_inputs(self) -> "ImageSource":
        """The pictures of what is mined that the encoder and task models read."""
        return self._crops or self._rendered(self.medium.encoder_input)

    @cached_property
    def requests(self) -> "ImageSource":
        """What describers are sent of what is mined."""
        return self._crops or self._rendered(self.medium.request)

    @cached_property
    def _crops(self) -> "ImageSource | None":
        settings = self.project.settings
        if settings.unit == "image" or settings.objects is None:
            return None
        from vlmine_dagster.resources.crops import CropSource

        context, pixels = settings.objects.context, settings.dataset.max_pixels
        return CropSource(self.frames, self.lake, context=context, max_pixels=pixels)

    def _rendered(self, render: Callable[[bytes], bytes]) -> "ImageSource":
        from vlmine_dagster.resources.media.contract import RenderedSource

        return self.source if self.medium.shows_itself else RenderedSource(self.source, render)

    @cached_property
    def labels(self) -> "Labels | None":
        """The labels, None where the project has none."""
        from vlmine_dagster.resources.labels import load_labels

        return load_labels(self.project, self.lake, self.boxes)

    @cached_property
    def boxes(self) -> "BoxStore | OwnBoxes | None":
        """The boxes of objects, of files or of the dataset itself; None where a detector finds them."""
        from vlmine_dagster.resources.drives.own_boxes import KnowsObjects, OwnBoxes

        objects, source = self.project.settings.objects, self.source
        if objects is not None and objects.from_dataset and isinstance(source, KnowsObjects):
            return OwnBoxes(source)
        from vlmine_dagster.resources.boxes.contract import KnowsFrames
        from vlmine_dagster.resources.boxes.store import open_boxes

        return open_boxes(self.project, self.lake, videos=source if isinstance(source, KnowsFrames) else None)

    @cached_property
    def detector(self) -> "Detector | None":
        """The detector of objects, None where the project has none."""
        objects = self.project.settings.objects
        if objects is None or objects.detector is None:
            return None
        found: Detector = objects.detector.plugins.get(objects.detector.kind).make(self, objects.detector)
        return found

    @cached_property
    def encoder(self) -> "Encoder":
        """The image encoder."""
        from vlmine_dagster.resources.encoder import Encoder

        settings = self.project.settings.encoder
        return Encoder(self.models_folder, batch_size=settings.batch_size, threads=settings.threads)

    @cached_property
    def features(self) -> "Features | None":
        """Features in place of the encoder's, None where the project has none of its own."""
        from vlmine_dagster.resources.features import features_of

        return features_of(self.project)

    @cached_property
    def tracking(self) -> "Tracking":
        """MLflow."""
        from vlmine_dagster.resources.tracking import Tracking

        return Tracking(self.project)

    @property
    def models_folder(self) -> Path:
        """Folder of exported and trained models."""
        return self.project.state_folder("models")

    @cached_property
    def cache(self) -> "ReplyCache":
        """Answers of models that were paid for."""
        from vlmine_dagster.resources.cache import ReplyCache
        from vlmine_dagster.resources.shared_cache import CACHE_VARIABLE, SharedCache

        if url := os.environ.get(CACHE_VARIABLE):
            return SharedCache(url, self.project.settings.name)
        return ReplyCache(self.project.state_folder("cache"))

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Describers and keyworders made so far (see `vlmine_dagster.describing.providers`)."""
        return {}
