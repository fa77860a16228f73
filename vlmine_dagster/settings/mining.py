"""Settings of mining strategies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import asked_back, nearest
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.domain.signals import REGISTRY, SIGNALS, reads_of, tables_of
from vlmine_dagster.domain.variants import DEFAULT_VARIANT
from vlmine_dagster.settings.base import AnyBudget, Settings
from vlmine_dagster.settings.providers import Part, Provider, ProviderSettings, S
from vlmine_dagster.settings.slices import SliceSettings


class DiversitySettings(ProviderSettings):
    """Pick images that differ from the top of the ranking, instead of its top itself."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Columns that picking reads, by table."""
    because: ClassVar[str] = ""
    """What the reason under a picture says about a pick."""

    kind: str
    """Name of the plug-in."""
    pool_factor: Annotated[float, Field(ge=1, le=1000)] = 3.0
    """The choice is among the first pool_factor x budget images of the ranking, at most 50,000."""


AnyDiversity = Annotated[DiversitySettings, SerializeAsAny(), BeforeValidator(DiversitySettings.of_kind)]
"""The settings of any way to pick images that differ."""


@dataclass(frozen=True)
class DiversityPlugin(Provider[S, Part]):
    """A way to pick images that differ, for the entry-point group `vlmine.diversities`.

    `make` gets None for the workbench, and returns a `scoring.diversity.Pick`.
    """

    base = DiversitySettings


DiversitySettings.plugins = Registry(
    "vlmine.diversities", DiversityPlugin, noun="diversity", plural="diversities", named_by="kind"
)


class LikeSettings(Settings):
    """More like these: what a list resembles (docs/like.md). `vlmine like` writes it."""

    images: tuple[str, ...] = ()
    """Ids of the example images."""
    text: str = ""
    """What the images show, in words; compared with the keywords of the pool."""

    @model_validator(mode="after")
    def _says_something(self) -> "LikeSettings":
        if not self.images and not self.text.strip():
            raise ValueError("like: name example images, or say in `text` what they show")
        return self


def _is_written(name: str | None, value: Any) -> bool:
    """Whether a setting of an experiment is part of its text: rules about frames and images are where they are set."""
    if name == "learns_from_verdicts":
        return value is False
    return value is not None or name not in (
        "like",
        "deliver",
        "slices",
        "per_sequence",
        "gap_s",
        "gap_frames",
        "gap_of",
    )


class ExperimentSettings(Settings):
    """One mining strategy: a list of signals and how they are joined."""

    signals: Annotated[tuple[str, ...], Field(min_length=1)]
    """Signals to join (docs/signals.md lists them); each is oriented so that higher is more worth mining."""
    fusion: Literal["pareto", "rank_sum", "reciprocal_rank", "fisher"] = "pareto"
    """Non-dominated fronts, or the sum of ranks, of 1 / (60 + rank), or of their logarithms (Fisher). One signal is a
    plain ranking."""
    weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(default_factory=dict)
    """Weight of a signal in a sum, such as {class_rank_rarity: 3}; 1 if left out."""
    budget: AnyBudget | None = None
    """Share of the pool (at most 1) or number of images (above 1) to select; the project's budget if left out. For
    objects also {images: n} or {boxes: n}, by the work of labelling them."""
    deliver: Literal["image", "object"] | None = None
    """With `unit: object` and `image`: each image is listed once, where its rarest object ranks."""
    like: LikeSettings | None = None
    """The examples of the signal `likeness`."""
    diversity: AnyDiversity | None = None
    """A second step that picks images that differ; left out, the ranking itself is mined."""
    per_sequence: Annotated[int, Field(ge=1)] | None = None
    """At most this many images of a sequence in the list; those skipped come after all others."""
    gap_s: Annotated[float, Field(ge=0.000001)] | None = None
    """At least this many seconds between images of a sequence: frames that are closer to a better one show the same
    moment."""
    gap_frames: Annotated[int, Field(ge=1)] | None = None
    """The same in frames, if their times are unknown."""
    gap_of: Literal["sequence", "track"] | None = None
    """What the gap applies to: `sequence`, the default, or with `unit: object` between objects of one `track`, so
    that two things in one frame are both listed. An object without a track is never skipped because of its moment."""
    slices: SliceSettings | None = None
    """What splits its budget; the project's slices if left out."""
    variant: str = DEFAULT_VARIANT
    """Extraction variant whose novelty is used."""
    learns_from_verdicts: bool = True
    """Whether verdicts of finished reviews change the order (docs/review.md), except that of random and oracle."""

    @field_validator("signals")
    @classmethod
    def _signals_are_known(cls, signals: tuple[str, ...]) -> tuple[str, ...]:
        for signal in signals:
            if signal in REGISTRY.names and signal not in SIGNALS:
                raise ValueError(_broken(signal))
            if signal not in SIGNALS:
                longer = next((name for name in SIGNALS if signal in name), signal)
                hint = asked_back(nearest(signal, SIGNALS) or longer, SIGNALS)
                raise ValueError(f"there is no signal {signal!r}.{hint} There are: {', '.join(SIGNALS)}")
        if len(set(signals)) != len(signals):
            raise ValueError(f"signals repeat: {', '.join(signals)}")
        return signals

    @field_validator("weights")
    @classmethod
    def _weights_follow_signals(cls, weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        """Return them in the order of the signals: how they were written changes no fingerprint."""
        return {signal: weights[signal] for signal in (*info.data.get("signals", ()), *weights) if signal in weights}

    @model_validator(mode="after")
    def _weights_belong(self) -> "ExperimentSettings":
        strange = sorted(set(self.weights) - set(self.signals))
        if strange:
            raise ValueError(f"weights: {strange[0]!r} is not one of the signals {', '.join(self.signals)}")
        if self.weights and self.fusion == "pareto":
            raise ValueError("weights: fronts have no weights; take fusion rank_sum or fisher")
        return self

    @model_validator(mode="after")
    def _examples_have_a_signal(self) -> "ExperimentSettings":
        is_asked = any(SIGNALS[signal].needs == "examples" for signal in self.signals)
        if is_asked and self.like is None:
            raise ValueError("signal likeness needs examples: set like, or run `vlmine like IMAGE_ID`")
        if self.like is not None and not is_asked:
            raise ValueError("like: the examples belong to the signal likeness; add it to signals")
        return self

    @model_validator(mode="after")
    def _one_gap(self) -> "ExperimentSettings":
        if self.gap_s is not None and self.gap_frames is not None:
            raise ValueError("set gap_s or gap_frames, not both")
        if self.gap_of is not None and self.gap_s is None and self.gap_frames is None:
            raise ValueError("gap_of says between what a gap is kept; set gap_s or gap_frames too")
        return self

    @model_validator(mode="after")
    def _slices_can_be_had(self) -> "ExperimentSettings":
        if self.slices is not None and self.slices.within and not self.counts_keywords:
            raise ValueError("slices.within counts keywords; add novelty_min or novelty_mean to signals")
        return self

    @property
    def counts_keywords(self) -> bool:
        """Whether a signal is made of how many images share a keyword."""
        return bool({"novelty_min", "novelty_mean"} & set(self.signals))

    @model_serializer(mode="wrap")
    def _without_absent_rules(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out rules about frames that are not set: an experiment without them keeps its fingerprints."""
        whole: dict[str, Any] = written(self)
        return {name: value for name, value in whole.items() if _is_written(name, value)}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return what the text of an experiment shows, of which fingerprints are made too."""
        return [(name, value) for name, value in super().__repr_args__() if _is_written(name, value)]

    @property
    def skips_frames(self) -> bool:
        """Whether the list skips frames of sequences that it has shown."""
        return bool(self.per_sequence or self.gap_s or self.gap_frames)

    @property
    def frame_columns(self) -> tuple[str, ...]:
        """The columns of `images` that say which frames are skipped."""
        if not self.skips_frames:
            return ()
        position = ["timestamp_s"] if self.gap_s else ["frame_index"] if self.gap_frames else []
        return ("sequence_id", *position, *(["track_id"] if self.gap_of == "track" else []))

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that hold the signals; a fused list tells its rarest keyword too, so it reads novelty as well."""
        tables = tables_of(self.signals)
        has_keywords = "rarity_scores" in tables and "novelty_scores" not in tables
        return ("novelty_scores", *tables) if has_keywords else tuple(tables)

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """The columns that finding the images to mine, making their signals and picking among them read, by table."""
        items = ("image_id", "sha256", "split", "outcome", *self.frame_columns)
        reads = {ITEMS: items, "keyword_answers": ("image_id", "outcome")}
        picked = {} if self.diversity is None else self.diversity.reads
        for table, columns in (*reads_of(self.signals, tables=self.tables).items(), *picked.items()):
            reads[table] = tuple(dict.fromkeys((*reads.get(table, ()), *columns)))
        return reads

    @property
    def signal_versions(self) -> dict[str, int]:
        """The versions of signals whose values have changed since they were first declared."""
        return {name: SIGNALS[name].version for name in self.signals if SIGNALS[name].version > 1}

    @property
    def needs_keywords(self) -> bool:
        """Whether the list depends on how images were described."""
        return "novelty_scores" in self.tables or self.like is not None or self._covers_keywords

    @property
    def is_decided_by_keywords(self) -> bool:
        """Whether a signal is how rare an image's keywords are."""
        return any(SIGNALS[name].table == "novelty_scores" for name in self.signals)

    @property
    def _covers_keywords(self) -> bool:
        return self.diversity is not None and "keywords" in self.diversity.reads

    @property
    def needs_labels(self) -> bool:
        """Whether any signal comes from labels, by the task model or by the seed itself."""
        return any(SIGNALS[signal].needs not in ("nothing", "examples") for signal in self.signals)

    @property
    def can_learn_from_verdicts(self) -> bool:
        """Whether its order may follow verdicts; searches, and what others are compared with, stay as they are."""
        is_compared_with = set(self.signals) <= {"random", "oracle"}
        return self.learns_from_verdicts and self.like is None and not is_compared_with

    @property
    def uses_oracle(self) -> bool:
        """Whether any signal sees the true classes of the pool."""
        return any(SIGNALS[signal].needs == "oracle" for signal in self.signals)


def _broken(signal: str) -> str:
    """Return what is wrong with a plug-in that cannot be loaded."""
    try:
        REGISTRY.get(signal)
    except ConfigError as error:
        return str(error)
    return f"signal {signal!r} cannot be used"


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
            signals=("class_rank_rarity", "chosen_sparsity", "chosen_isolation"),
            fusion="fisher",
            weights={"class_rank_rarity": 8.0, "chosen_isolation": 2.0},
        )
        if labelled
        else ExperimentSettings(signals=("unlabelled_rarity",)),
    }
    return {name: arm for name, arm in arms.items() if labelled or not arm.needs_labels}


def default_experiment(names: Iterable[str]) -> str:
    """Return the experiment that is meant when none is named.

    Examples:
        >>> default_experiment(["random", "pareto", "fused"]), default_experiment(["random", "mine"])
        ('fused', 'mine')
    """
    known = list(names)
    usual = [name for name in ("fused", "pareto") if name in known]
    return next(iter([*usual, *(name for name in known if name != "random"), *known]))
