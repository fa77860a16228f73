"""The parts of `vlmine.yaml` that can be read without the others."""

from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.settings.base import Budget, CountedBudget, PublicLocation, Settings, settings_hash
from vlmine_dagster.settings.dataset import AnyDataset, DatasetSettings, LabelSettings
from vlmine_dagster.settings.describing import (
    AnyDescriber,
    AnyKeyworder,
    EncoderSettings,
    EndpointSettings,
    FeatureSettings,
    PriceSettings,
    TextEncoderSettings,
    VariantSettings,
    usual_describer,
    usual_keyworder,
)
from vlmine_dagster.settings.learning import (
    AnyRetraining,
    AnyTaskModel,
    RetrainingSettings,
    TaskModelSettings,
    usual_retraining,
    usual_task_model,
)
from vlmine_dagster.settings.mining import (
    DiversitySettings,
    ExperimentSettings,
    LikeSettings,
    default_experiment,
    default_experiments,
)
from vlmine_dagster.settings.providers import DescriberSettings, KeyworderSettings

__all__ = [
    "DEFAULT_VARIANT",
    "AnyDataset",
    "AnyDescriber",
    "AnyKeyworder",
    "AnyRetraining",
    "AnyTaskModel",
    "Budget",
    "CountedBudget",
    "DatasetSettings",
    "DescriberSettings",
    "DiversitySettings",
    "EncoderSettings",
    "EndpointSettings",
    "ExperimentSettings",
    "FeatureSettings",
    "KeyworderSettings",
    "LabelSettings",
    "LikeSettings",
    "PriceSettings",
    "PublicLocation",
    "RetrainingSettings",
    "Settings",
    "TaskModelSettings",
    "TextEncoderSettings",
    "VariantSettings",
    "default_experiment",
    "default_experiments",
    "settings_hash",
    "usual_describer",
    "usual_keyworder",
    "usual_retraining",
    "usual_task_model",
]
