"""The parts of `vlmine.yaml` that can be read without the others."""

from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.settings.base import Budget, PublicLocation, Settings, settings_hash
from vlmine_dagster.settings.dataset import DatasetSettings, LabelSettings
from vlmine_dagster.settings.describing import (
    DescriberSettings,
    EncoderSettings,
    EndpointSettings,
    KeyworderSettings,
    OpenAIDescriberSettings,
    OpenAIKeyworderSettings,
    PriceSettings,
    RulesSettings,
    TaggerSettings,
    TagsSettings,
    TransformersSettings,
    VariantSettings,
)
from vlmine_dagster.settings.learning import RetrainingSettings, TaskModelSettings
from vlmine_dagster.settings.mining import (
    DiversitySettings,
    ExperimentSettings,
    default_experiment,
    default_experiments,
)

__all__ = [
    "DEFAULT_VARIANT",
    "Budget",
    "DatasetSettings",
    "DescriberSettings",
    "DiversitySettings",
    "EncoderSettings",
    "EndpointSettings",
    "ExperimentSettings",
    "KeyworderSettings",
    "LabelSettings",
    "OpenAIDescriberSettings",
    "OpenAIKeyworderSettings",
    "PriceSettings",
    "PublicLocation",
    "RetrainingSettings",
    "RulesSettings",
    "Settings",
    "TaggerSettings",
    "TagsSettings",
    "TaskModelSettings",
    "TransformersSettings",
    "VariantSettings",
    "default_experiment",
    "default_experiments",
    "settings_hash",
]
