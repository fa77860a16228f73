"""Settings of the models that learn: the one whose uncertainty is mined, and the one that judges mined images."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.settings.providers import Part, Provider, ProviderSettings, S


@dataclass(frozen=True)
class TaskModelCapabilities:
    """What a task model needs.

    Attributes:
        trains_on_labels: It is trained on the project's labelled set; else it comes trained.
        reads: What it is given of an image: the encoder's `features`, the `pixels`, or its id alone.
    """

    trains_on_labels: bool = False
    reads: Literal["features", "pixels", "ids"] = "pixels"


class TaskModelSettings(ProviderSettings):
    """The downstream model whose uncertainty is mined."""

    default_kind: ClassVar[str | None] = "probe"
    needs_path: ClassVar[bool] = False
    has_members: ClassVar[bool] = True
    has_passes: ClassVar[bool] = True

    kind: str = "probe"
    """Name of the plug-in."""
    path: str | None = None
    """`predictions`: Parquet with image_id and one column per class; `transformers`: folder of the checkpoint."""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    """`cnn`: pixels per side."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """`cnn`: passes over the labelled images."""
    members: Annotated[int, Field(ge=1, le=50)] = 1
    """`probe`, `cnn`: models in the ensemble; its signals (ensemble_variation_ratio, ...) need at least 2."""
    dropout_passes: Annotated[int, Field(ge=0, le=200)] = 0
    """`probe`, `cnn`, `transformers`: Monte Carlo dropout passes, 0 or at least 2; dropout_variation_ratio and
    dropout_bald need them."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] | None = None
    """`probe`: share of features dropped in a pass, 0.2 if left out; `cnn`: in training and in a pass, 0.2 if left out
    and there are passes, else none. `transformers`: share for all dropout layers of the checkpoint in a pass; left out,
    each keeps its own."""

    @model_validator(mode="after")
    def _kind_has_what_is_asked(self) -> "TaskModelSettings":
        if self.needs_path and not self.path:
            raise ValueError(f"kind {self.kind} needs `path`")
        if self.members > 1 and not self.has_members:
            raise ValueError(f"members: kind {self.kind} is one model; an ensemble needs kind probe or cnn")
        if self.dropout_passes and not self.has_passes:
            raise ValueError(
                f"dropout_passes: kind {self.kind} has no dropout layers; take kind probe, cnn or transformers"
            )
        own_rate = self.capabilities.trains_on_labels
        if self.dropout_passes == 1 or (self.dropout_passes and own_rate and self.dropout == 0):
            raise ValueError("dropout_passes: passes that cannot differ; take 2 or more, with dropout above 0")
        return self

    @property
    def capabilities(self) -> TaskModelCapabilities:
        """What the task model needs under these settings."""
        return TaskModelCapabilities(trains_on_labels=True, reads="features")

    @property
    def dropout_share(self) -> float:
        """Share of the features that is dropped by a probe or a cnn."""
        return self.dropout if self.dropout is not None else (0.2 if self.dropout_passes else 0.0)


AnyTaskModel = Annotated[TaskModelSettings, SerializeAsAny(), BeforeValidator(TaskModelSettings.of_kind)]
"""The settings of any kind of task model."""


def usual_task_model() -> TaskModelSettings:
    """Return the settings of the task model where none is chosen: a linear probe."""
    return TaskModelSettings.settings_of("probe")(kind="probe")


@dataclass(frozen=True)
class TaskModelPlugin(Provider[S, Part]):
    """A kind of task model, for the entry-point group `vlmine.task_models`.

    `make` returns a `scoring.task_model.AskedModel`. It gets None for the workbench: a task model is handed a reader
    and the pictures when it is prepared and asked.
    """

    base = TaskModelSettings


TaskModelSettings.plugins = Registry("vlmine.task_models", TaskModelPlugin, noun="task model", named_by="kind")


class RetrainingSettings(ProviderSettings):
    """How mined sets are judged by retraining."""

    default_kind: ClassVar[str | None] = "probe"
    needs_path: ClassVar[bool] = False
    reads_features: ClassVar[bool] = False
    """Whether it learns from the encoder's features instead of pixels."""
    usual_learning_rate: ClassVar[float] = 0.003
    """The highest learning rate of the cycle where none is set."""

    kind: str = "probe"
    """Name of the plug-in."""
    path: str | None = None
    """`transformers`: folder of the image-classification checkpoint."""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    """Networks: pixels per side to which pictures are resized."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Networks: at most this many passes over the training images."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Networks: the highest of its cycle; left out, 0.003, and 0.0001 for `transformers`."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Networks: numbers multiplied in training; bfloat16 is faster on accelerators and on CPUs with AMX."""
    class_balance: Literal["none", "effective_number", "inverse_frequency"] = "none"
    """Weigh classes in the loss: by the effective number of images (Cui et al. 2019), by 1 / images, or not."""
    patience: Annotated[int, Field(ge=0, le=1000)] = 0
    """Networks: stop after this many epochs without a lower loss on validation images, and keep the best; 0 never
    stops. Validation images are those of the label file's split `val`, else some of the training images, never of
    `test`."""
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """With `patience` and without a split `val`: share of each class's training images, rounded down."""
    budgets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.02, 0.05, 0.1, 0.2)
    """Mined shares of the pool, each evaluated."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2)
    """Training seeds, the same for every experiment."""

    @field_validator("budgets")
    @classmethod
    def _budgets_rise(cls, budgets: tuple[float, ...]) -> tuple[float, ...]:
        if not budgets or list(budgets) != sorted(set(budgets)):
            raise ValueError("budgets must rise and not repeat")
        return budgets

    @model_validator(mode="after")
    def _path_where_needed(self) -> "RetrainingSettings":
        if self.needs_path and not self.path:
            raise ValueError(f"kind {self.kind} needs `path`")
        return self


AnyRetraining = Annotated[RetrainingSettings, SerializeAsAny(), BeforeValidator(RetrainingSettings.of_kind)]
"""The settings of retraining whatever model."""


def usual_retraining() -> RetrainingSettings:
    """Return the settings of retraining where none are chosen: a linear probe."""
    return RetrainingSettings.settings_of("probe")(kind="probe")


@dataclass(frozen=True)
class RetrainedModelPlugin(Provider[S, Part]):
    """A kind of model that mined sets are judged with, for the entry-point group `vlmine.retrained_models`.

    `make` gets the project and returns a `learning.retraining.Learner`.
    """

    base = RetrainingSettings


RetrainingSettings.plugins = Registry(
    "vlmine.retrained_models", RetrainedModelPlugin, noun="retrained model", named_by="kind"
)
