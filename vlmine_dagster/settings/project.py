"""`vlmine.yaml` as typed, bounded settings, and the paths that follow from them."""

import os
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator, model_validator

from vlmine_dagster.domain.counting import CountedUnit, counted_unit
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.hints import asked_back
from vlmine_dagster.domain.items import KINDS, ItemKind, UnitName
from vlmine_dagster.domain.signals import SIGNALS, signals_of
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.settings import (
    AnyDataset,
    AnyDescriber,
    AnyKeyworder,
    AnyRetraining,
    AnyTaskModel,
    Budget,
    CountedBudget,
    DatasetSettings,
    EncoderSettings,
    ExperimentSettings,
    FeatureSettings,
    PriceSettings,
    Settings,
    TextEncoderSettings,
    VariantSettings,
    default_experiments,
    usual_describer,
    usual_keyworder,
    usual_retraining,
    usual_task_model,
)
from vlmine_dagster.settings.automation import AutomationSettings
from vlmine_dagster.settings.compute import ComputeSettings, Needs
from vlmine_dagster.settings.grounding import GroundingSettings
from vlmine_dagster.settings.junk import why_no_junk_lane
from vlmine_dagster.settings.objects import ObjectSettings
from vlmine_dagster.settings.plain_paths import plain_path, refuse_undecodable
from vlmine_dagster.settings.problems import explain_problems
from vlmine_dagster.settings.searches import with_searches
from vlmine_dagster.settings.slices import SliceSettings

SETTINGS_FILE = "vlmine.yaml"
VOCABULARY_FILE = "vocabulary.csv"
HOME_LAYOUT = "1"


def _dedupe(given: Any) -> Any:
    return "off" if given is False else given  # what YAML makes of a bare `off`


class ReviewSettings(Settings):
    """What people's time and labels cost: from it follow dollars per confirmed rare image."""

    hourly_usd: Annotated[float, Field(ge=0)] = 0.0
    """Cost of an hour of a reviewer, in US dollars."""
    seconds_per_verdict: Annotated[float, Field(gt=0)] | None = None
    """Seconds that a verdict takes; measured on the review page if left out."""
    usd_per_label: Annotated[float, Field(ge=0)] = 0.0
    """Cost of a label of a confirmed item, in US dollars: a class of an image, a box and class of an object."""


class DuckDBSettings(Settings):
    """DuckDB, which counts, scores and joins."""

    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory that a query takes before it spills to disk; 80% of the machine's if left out."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of a query; one per core if left out."""


def _is_labelled(dataset: DatasetSettings | None) -> bool:
    return dataset is not None and dataset.labels is not None


class ProjectSettings(Settings):
    """The whole of `vlmine.yaml`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name of the project, and of its MLflow experiment."""
    dataset: AnyDataset
    """The images."""
    unit: UnitName = "image"
    """What is mined: whole images, or the objects in them, each as its own crop (docs/objects.md)."""
    objects: ObjectSettings | None = None
    """The objects in the images, as given by boxes."""
    encoder: EncoderSettings = EncoderSettings()
    """Features and tags from pixels."""
    features: FeatureSettings | None = None
    """Features of your own in place of the encoder's (docs/models.md)."""
    describer: AnyDescriber = Field(default_factory=usual_describer)
    """Who describes an image."""
    keyworder: AnyKeyworder = Field(default_factory=usual_keyworder)
    """Who turns a description into keywords."""
    variants: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")], VariantSettings] = Field(
        default_factory=dict
    )
    """Other ways to describe, by name, beside the default one."""
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    """The project stops calling paid models before it has spent more than this; what was paid for is kept."""
    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    """Prices by model, instead of those that come with vlmine (`vlmine forecast` shows them with their date)."""
    task_model: AnyTaskModel = Field(default_factory=usual_task_model)
    """The downstream model."""
    retraining: AnyRetraining = Field(default_factory=usual_retraining)
    """How mined sets are evaluated."""
    automation: AutomationSettings = AutomationSettings()
    """What runs automatically."""
    owners: tuple[Annotated[str, Field(pattern=r"^(team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")], ...] = ()
    """Owners of the assets, shown in Dagster: e-mail addresses, or teams such as team:perception."""
    review: ReviewSettings = ReviewSettings()
    """What people's time and labels cost."""
    duckdb: DuckDBSettings = DuckDBSettings()
    """Memory and threads of queries."""
    compute: dict[str, ComputeSettings] = Field(default_factory=dict)
    """What stages need from a node if several machines are used, by stage, such as descriptions: {num_gpus: 1}."""
    count_by: Literal["object", "image", "track", "sequence"] | None = None
    """What a keyword is counted by; if left out, what is mined; images, tracks or sequences, so that what 300 frames of
    one recording show counts once."""
    neighbour_search: Literal["auto", "exact", "index"] = "auto"
    """Neighbours of images by tags and features: `exact` compares all pairs, `index` finds most of the nearest in less
    time, `auto` is exact up to 50,000 images."""
    dedupe: Annotated[Literal["off", "bytes", "near"], BeforeValidator(_dedupe)] = "bytes"
    """Which images are one in counts and lists: those of the same `bytes`, or `near` ones too, which show the same
    picture resized, cropped a little, mirrored or brightened, so that models that describe are asked about one of them
    (docs/duplicates.md); `off`: every file counts."""
    text_encoder: TextEncoderSettings | None = None
    """A model by which `vlmine like --text` finds keywords that mean the text (docs/like.md)."""
    grounding: GroundingSettings | None = None
    """A second check of whether the rare keywords that decide the first places of lists are in the pictures at all
    (docs/grounding.md)."""
    junk: Literal["lane", "keep"] = "lane"
    """What happens to images that are blurred, black, of one colour or nearly empty: `lane` lists them separately,
    after all others, `keep` leaves them in the lists (docs/junk.md)."""
    out_of_domain: tuple[
        Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1)], ...
    ] = ()
    """Keywords of pictures that do not belong in this pool, such as [web site, comic book]: images with any of them go
    to the junk lane too (docs/junk.md)."""
    budget: Budget = 0.1
    """Share of the pool (at most 1) or number of images (above 1) that an experiment selects."""
    whole_list_up_to: Annotated[int, Field(ge=1)] = 20_000_000
    """Largest pool whose list names every image; the list of a larger one ends at twice the budget (docs/scale.md)."""
    slices: SliceSettings | None = None
    """Parts of the pool that share each experiment's budget, and have results of their own (docs/slices.md)."""
    experiments: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], ExperimentSettings] = Field(
        default_factory=lambda known: default_experiments(labelled=_is_labelled(known.get("dataset")))
    )
    """Mining strategies by name; each is one partition and one MLflow run. If left out: the eight usual ones, or
    without labels those that need none."""

    @property
    def items(self) -> ItemKind:
        """What is mined, as a value."""
        return KINDS[self.unit]

    @field_validator("compute")
    @classmethod
    def _stages_exist(cls, compute: dict[str, ComputeSettings]) -> dict[str, ComputeSettings]:
        for name in compute.keys() - TABLES.keys():
            raise ValueError(f"there is no stage {name!r}.{asked_back(name, TABLES)}")
        return compute

    def needs(self, stages: Iterable[str]) -> Needs | None:
        """Return what is enough for each of some stages; None where no setting says what any of them needs."""
        asked = [self.compute[name].needs for name in stages if name in self.compute]
        return reduce(Needs.most, asked) if asked else None

    @property
    def most_needs(self) -> Needs:
        """What is enough for any stage."""
        return self.needs(self.compute) or Needs()

    @model_validator(mode="after")
    def _objects_have_boxes(self) -> "ProjectSettings":
        if self.unit == "object" and self.objects is None:
            raise ValueError("unit: objects are mined by their boxes; say in `objects` where these are (boxes: FILE)")
        if self.objects is not None and self.objects.from_dataset and not self.dataset.capabilities.knows_objects:
            raise ValueError(
                f"objects.from_dataset: kind {self.dataset.kind} has no objects of its own; set objects.boxes"
            )
        if self.unit == "image" and self.dataset.labels is not None and self.dataset.labels.boxes:
            raise ValueError("dataset.labels.boxes: classes of boxes are labels of objects; set `unit: object` too")
        return self

    @model_validator(mode="after")
    def _has_junk_lane(self) -> "ProjectSettings":
        why = why_no_junk_lane(self) if self.out_of_domain else None
        if why:
            raise ValueError(f"out_of_domain: the lists have no junk lane: {why}")
        return self

    @model_validator(mode="after")
    def _variants_exist(self) -> "ProjectSettings":
        self.variant()  # is checked as a whole
        if "default" in self.variants:
            raise ValueError(
                "variants: 'default' is the name of the describer and keyworder at the top; choose another"
            )
        for name in self.variants.keys() & TABLES.keys():  # a variant's tables lie in a folder of its name
            raise ValueError(f"variants: {name!r} is the name of a table; choose another, such as {name}_2")
        for name, experiment in self.experiments.items():
            if experiment.variant not in self.variant_names:
                known = ", ".join(self.variant_names)
                raise ValueError(f"experiment {name!r} uses unknown variant {experiment.variant!r}. Known: {known}")
        return self

    @model_validator(mode="after")
    def _signals_can_be_had(self) -> "ProjectSettings":
        labels, model = self.dataset.labels, self.task_model
        lacking = {
            "labels": None
            if labels is not None or not model.capabilities.trains_on_labels
            else "needs labels: set dataset.labels, or a task_model of your own",
            "oracle": None
            if labels is not None and labels.oracle
            else "reads the true classes of the pool, which only a benchmark shows: set dataset.labels.oracle to true",
            "passes": None
            if model.dropout_passes
            else "needs passes: set task_model.dropout_passes (probe, cnn, transformers)",
            "members": None if model.members > 1 else "needs an ensemble: set task_model.members (probe, cnn)",
        }
        for name, experiment in self.experiments.items():
            for signal in experiment.signals:
                problem = lacking.get(SIGNALS[signal].needs)
                if problem is not None:
                    raise ValueError(f"experiment {name!r}: signal {signal} {problem}, or take the signal out")
        return self

    @model_validator(mode="after")
    def _sequences_are_there(self) -> "ProjectSettings":
        if self.count_by == "sequence" and not self.dataset.has_sequences:
            raise ValueError("count_by: sequence needs sequences; set dataset.sequences")
        if self.count_by in ("object", "track") and self.unit == "image":
            raise ValueError(f"count_by: {self.count_by} needs objects; set `unit: object`")
        for name, experiment in self.experiments.items():
            if self.unit == "image" and (experiment.deliver or isinstance(experiment.budget, CountedBudget)):
                raise ValueError(
                    f"experiment {name!r}: deliver, and budgets by images, objects or boxes, need `unit: object`"
                )
            if self.unit == "image" and experiment.gap_of == "track":
                raise ValueError(f"experiment {name!r}: gap_of: track needs objects; set `unit: object`")
            if experiment.skips_frames and not self.dataset.has_sequences:
                raise ValueError(
                    f"experiment {name!r}: per_sequence, gap_s and gap_frames need sequences; set dataset.sequences"
                )
        return self

    @model_validator(mode="after")
    def _slices_fit_budgets(self) -> "ProjectSettings":
        for name, experiment in self.experiments.items():
            slices = self.slices_of(name)
            if slices is not None and slices.has_floor and isinstance(experiment.budget, CountedBudget):
                raise ValueError(
                    f"experiment {name!r}: slices.floor needs a budget that is a share or a number, not {{boxes: n}}"
                )
        return self

    def slices_of(self, experiment: str) -> SliceSettings | None:
        """Return what splits the budget of an experiment; searches for more like some images have the project's not."""
        one = self.experiments.get(experiment)  # a study ranks by names of its own
        return None if one is None else one.slices or (None if one.like is not None else self.slices)

    def another_budget(self, experiment: str) -> str:
        """Return why a smaller budget need not select a part of what a larger one does, "" where it always does."""
        one, slices = self.experiments.get(experiment), self.slices_of(experiment)
        has_floors, has_picks = slices is not None and slices.has_floor, one is not None and one.diversity is not None
        causes = [("each slice has a floor", has_floors), ("the list is picked to differ", has_picks)]
        why = " and ".join(cause for cause, is_so in causes if is_so)
        if not why:
            return ""
        return (
            f"{why[0].upper()}{why[1:]}, so what a smaller budget selects is not always part of what a larger one does."
        )

    @property
    def needs_attributes(self) -> bool:
        """Whether slices of the project or of an experiment go by columns."""
        return any(slices.needs_attributes for name in self.experiments if (slices := self.slices_of(name)) is not None)

    @property
    def strategies(self) -> dict[str, ExperimentSettings]:
        """The experiments that say what is rare, without those that look for more like some images."""
        return {name: one for name, one in self.experiments.items() if one.like is None}

    @property
    def counts_every_file(self) -> list[str]:
        """What tables depend on where copies count each, empty where they do not: no table is made again for that."""
        return ["every file"] if self.dedupe == "off" else []

    @property
    def ends_lists(self) -> list[int]:
        """What lists depend on where they end at another size than usual, empty where they do not."""
        usual = type(self).model_fields["whole_list_up_to"].default
        return [] if self.whole_list_up_to == usual else [self.whole_list_up_to]

    @property
    def describes_once(self) -> bool:
        """Whether some model is asked about one image of each group of near-duplicates, and not about the others."""
        return self.dedupe == "near" and any(self.asks_models(name) for name in self.variant_names)

    def asks_models(self, variant: str) -> bool:
        """Whether the describer or the keyworder of a variant asks a model."""
        parts = self.variant(variant)
        return parts.describer.capabilities.asks_model or parts.keyworder.capabilities.asks_model

    @property
    def counted(self) -> CountedUnit:
        """What keywords are counted by."""
        return counted_unit(self.count_by or self.unit, item=self.unit)

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
        file: The settings file.
        home: `VLMINE_HOME`, by default `.vlmine` beside `vlmine.yaml`; a path or an fsspec URL.
    """

    def __init__(self, settings: ProjectSettings, folder: Path, home: str | None = None, *, file: Path | None = None):
        self.settings = settings
        self.folder = folder.resolve()
        self.file = file or self.folder / SETTINGS_FILE
        self.home = home or os.environ.get("VLMINE_HOME") or str(self.folder / ".vlmine")

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Project":
        """Read `vlmine.yaml`.

        Args:
            path: The file; without it `VLMINE_PROJECT`, else `vlmine.yaml` in the working folder.

        Raises:
            ConfigError: the file is missing, is not YAML, or a setting is wrong; the message names each.
        """
        file = Path(path or os.environ.get("VLMINE_PROJECT") or SETTINGS_FILE)
        if not file.is_file():
            raise ConfigError(
                f"no {file} here ({Path.cwd()}). Make one with `vlmine init FOLDER`, or try `vlmine demo`."
            )
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not YAML: {error}") from error
        project = cls(parse_settings(content, where=str(file)), file.parent, file=file)
        project.check_home()
        project.settings = with_searches(project.settings, project.searches_folder)
        return project

    @property
    def vocabulary_file(self) -> Path:
        """The merges of keywords that people edit; it may be missing."""
        return self.folder / VOCABULARY_FILE

    @property
    def has_vocabulary(self) -> bool:
        """Whether keywords are counted through a vocabulary."""
        return self.vocabulary_file.is_file()

    @property
    def searches_folder(self) -> Path:
        """Where `vlmine like` keeps its searches, a file each; it may be missing."""
        return self._home_folder / "searches"

    def check_home(self) -> None:
        """Refuse a home that another version of vlmine has laid out; a new one is marked with ours.

        Tables whose contract changed need no mark: their stage's version is part of what they are made from.

        Raises:
            ConfigError: the home's layout is older or newer than ours, or its path is not UTF-8.
        """
        refuse_undecodable(self._home_folder)
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
        """Return a path or URL of the settings as an absolute one.

        A file that is a link keeps its name, whose ending says what it is: a Hugging Face cache links to files without.
        """
        if "://" in location:
            return location
        path = self.folder / location if (self.folder / location).exists() else self.folder / user_path(location)
        return str(path.parent.resolve() / path.name if path.is_file() else path.resolve())

    @property
    def has_labels(self) -> bool:
        """Whether there is a label file."""
        return self.settings.dataset.labels is not None

    @property
    def dagster_home(self) -> Path:
        """Folder of the Dagster instance: DAGSTER_HOME if set, which may be missing, else `dagster` under the home."""
        given = os.environ.get("DAGSTER_HOME")
        if not given:
            return self.plain_folder("dagster")
        home = Path(given).expanduser().resolve()
        return plain_path(home) if home.is_dir() else home

    def state_folder(self, name: str) -> Path:
        """Return a local folder under the home (`mlflow`, `dagster`, `models`, ...), made if it is missing.

        Where the home is a URL, programs that need a real disk keep theirs under `.vlmine` beside `vlmine.yaml`.
        """
        folder = self._home_folder / name
        folder.mkdir(parents=True, exist_ok=True)
        mark = self._home_folder / "layout"
        if not mark.exists():
            write_whole(mark, HOME_LAYOUT)  # another process that finds it empty would refuse the home
        return folder

    def plain_folder(self, name: str) -> Path:
        """Return a folder under the home by a path that programs cannot misread (see `plain_path`).

        Raises:
            ConfigError: there is no such path, or this user may not write there.
        """
        folder = self.state_folder(name)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{folder} is not writable by this user. Grant write access, or set VLMINE_HOME to a folder of your "
                f"own."
            )
        return plain_path(folder)

    @property
    def _home_folder(self) -> Path:
        base = Path(self.home).expanduser() if "://" not in self.home else self.folder / ".vlmine"
        return base if base.is_absolute() else self.folder / base


def user_path(location: str) -> Path:
    """Return a path in which a leading `~` is the home of the user, or of a user who is named.

    Examples:
        >>> user_path("pool/~"), user_path("~nobody of that name/pool")
        (PosixPath('pool/~'), PosixPath('~nobody of that name/pool'))
    """
    try:
        return Path(location).expanduser()
    except RuntimeError:  # there is no such user
        return Path(location)


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
        raise ConfigError(f"{where}: {explain_problems(error, ProjectSettings, content)}") from error
