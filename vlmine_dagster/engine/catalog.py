"""The catalog of stages, in pipeline order: what each publishes, reads, depends on and looks for.

Declarations only. The modules that compute are imported when a stage first runs, for they bring numpy, Arrow and DuckDB
along: whoever only loads the definitions (code server, daemon, the start of every step) does not wait for them.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from vlmine_dagster.domain.signals import SIGNALS, reads_of, signals_of
from vlmine_dagster.engine.checks import VARIANT_CHECK
from vlmine_dagster.engine.stages import (
    ACCELERATOR_POOL,
    CORES_POOL,
    MiningConfig,
    ModelConfig,
    Product,
    Reads,
    Stage,
    StageRun,
    Unit,
)
from vlmine_dagster.mining.limits import MOST_DRIFT, MOST_JACCARD, MOST_SPEARMAN
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

AGREEMENT_CHECK = "signals_differ"
LUCK_CHECK = "better_than_random"
DESCRIPTION_COLUMNS = ("image_id", "description", "tags", "outcome", "variant_hash")
DESCRIBED_COLUMNS = ("image_id", "sha256", "outcome", "split")

_FEATURES = Reads("embeddings", ("image_id", "embedding"))
_TAGS = Reads("embeddings", ("image_id", "tag_probabilities"))
_LABELS = Reads("images", ("image_id", "label", "split", "outcome"))
_POOL = Reads("images", ("image_id", "split", "outcome"))
_BYTES = Reads("images", ("image_id", "sha256", "split", "outcome"))
_WORDS = Reads("keywords", ("image_id", "keyword"))
_COUNTS = Reads("vocab_counts", ("keyword", "image_count"))


def computed_by(module: str) -> Callable[[StageRun], Product]:
    """Return the function `compute` of a module of this package; it is imported when it first runs."""

    def compute(run: StageRun) -> Product:
        product: Product = import_module(f"vlmine_dagster.assets.{module}").compute(run)
        return product

    return compute


def _cores(_project: Project, _variant: str) -> str:
    return CORES_POOL


def _accelerator(_project: Project, _variant: str) -> str:
    return ACCELERATOR_POOL


def _image_source(bench: Workbench, partition: str) -> list[Any]:
    dataset = bench.project.settings.dataset
    bounds = [dataset.max_pixels, dataset.max_bytes]
    return [bench.source.fingerprint(partition), *bounds, dataset.own_settings]


def _image_settings(bench: Workbench, partition: str, _variant: str) -> list[Any]:
    labels = bench.labels
    return [*_image_source(bench, partition), None if labels is None else labels.fingerprint]


IMAGES = Stage(
    table="images",
    description="""
    Every image found in a shard, readable or not.

    A row is an image: where it lies, the hash of its bytes, its size, its label if the miner may know it, and what
    became of it when it was opened. Bad images are rows with an outcome and a reason; they never go further.
    """,
    group="ingest",
    kinds=frozenset({"python", "parquet", "greatexpectations"}),
    compute=computed_by("images"),
    settings=_image_settings,
    source=_image_source,
    joined=("label", "split"),
)


def _encoder_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    return [bench.encoder.fingerprint]


EMBEDDINGS = Stage(
    table="embeddings",
    description="""
    The image encoder's features and class probabilities of every readable image of a shard.

    A row is an image. Reads the pixels once; the tagger and the probe both live on what is written here.
    """,
    group="describe",
    kinds=frozenset({"python", "onnx", "parquet"}),
    compute=computed_by("embeddings"),
    reads=(Reads("images", ("image_id", "sha256", "outcome")),),
    settings=_encoder_settings,
    pool=_cores,
)


def _describer_reads(project: Project, _partition: str, variant: str) -> tuple[Reads, ...]:
    images, capabilities = Reads("images", DESCRIBED_COLUMNS), project.settings.variant(variant).describer.capabilities
    return (images, _TAGS) if capabilities.reads == "encodings" else (images,)


def _describer_settings(bench: Workbench, _partition: str, variant: str) -> list[Any]:
    from vlmine_dagster.describing.providers import describer_of

    return [describer_of(bench, variant).fingerprint]


def _describer_pool(project: Project, variant: str) -> str | None:
    return project.settings.variant(variant).describer.capabilities.pool


DESCRIPTIONS = Stage(
    table="descriptions",
    description="""
    One model answer about each readable image of a shard; images that judge models (splits val, test) are left out.

    A row is an answer with its outcome, tokens, latency and price. Only `ok` answers go on.
    """,
    group="describe",
    kinds=frozenset({"python", "parquet", "ai"}),
    compute=computed_by("descriptions"),
    reads=(Reads("images", DESCRIBED_COLUMNS), _TAGS),
    reads_of=_describer_reads,
    settings=_describer_settings,
    is_variant=True,
    pool=_describer_pool,
    config=ModelConfig,
)


def _keyworder_settings(bench: Workbench, _partition: str, variant: str) -> list[Any]:
    from vlmine_dagster.describing.providers import keyworder_of

    return [keyworder_of(bench, variant).fingerprint]


def _keyworder_pool(project: Project, variant: str) -> str | None:
    return project.settings.variant(variant).keyworder.capabilities.pool


KEYWORDS = Stage(
    table="keywords",
    companions=("keyword_answers",),
    description="""
    The keywords of each described image of a shard, each once an image.

    A row is one (image, keyword). Images whose description yields nothing have no row: they are unknown, not rare. What
    became of each, with tokens and price, stands in the table `keyword_answers`.
    """,
    group="describe",
    kinds=frozenset({"python", "parquet"}),
    compute=computed_by("keywords"),
    reads=(Reads("descriptions", DESCRIPTION_COLUMNS),),
    settings=_keyworder_settings,
    version=2,
    is_variant=True,
    pool=_keyworder_pool,
    config=ModelConfig,
)

VOCAB_COUNTS = Stage(
    table="vocab_counts",
    description="""
    How many images of the whole pool yield each keyword, counted exactly by DuckDB over all shards.

    A row is a keyword. Refuses a pool whose shards were described or keyworded in different ways.
    """,
    group="score",
    kinds=frozenset({"duckdb", "parquet"}),
    compute=computed_by("vocabulary"),
    reads=(
        Reads("keywords", ("image_id", "keyword", "variant_hash")),
        Reads("keyword_answers", ("image_id", "outcome")),
        _BYTES,
    ),
    is_variant=True,
    advice={
        "keywords_capture_the_pool": "Most images have several keywords, no keyword stands for most images, and not "
        "nearly all keywords are seen once: else rarity says little.",
        "no_drift": f"No shard's keywords differ from the others' by more than chance and {MOST_DRIFT:.0%}.",
        VARIANT_CHECK: "All shards were described and keyworded in the same way; a mixed pool is not counted.",
    },
)

NOVELTY_SCORES = Stage(
    table="novelty_scores",
    description="""
    The rarity of each image's keywords over the whole pool: 1 / min and 1 / mean of their image counts.

    A row is an image with keywords; higher is rarer. Images without keywords have no row: unknown is not rare.
    """,
    group="score",
    kinds=frozenset({"duckdb", "parquet"}),
    compute=computed_by("novelty"),
    reads=(_WORDS, _COUNTS),
    is_variant=True,
    is_one_run=True,
)


def _rarity_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    settings, labels = bench.project.settings.dataset.labels, bench.labels
    few_under = None if settings is None else settings.few_under
    return [few_under, None if labels is None else labels.fingerprint, bench.project.settings.neighbour_search]


def _unless_asked(table: str) -> Callable[[Project, str], str | None]:
    """Return what tells why a table of signals is not made: no experiment asks for any of them."""

    def skipped(project: Project, variant: str) -> str | None:
        if project.settings.asked_signals(table, variant=variant):
            return None
        return f"no experiment of vlmine.yaml uses any of {', '.join(signals_of(SIGNALS, table))}"

    return skipped


RARITY_SCORES = Stage(
    table="rarity_scores",
    description="""
    How rare each image of the pool may be, by more than its rarest keyword.

    A row is an image that can be mined. From the labelled seed and the names of classes: the probability that it is of
    a few-shot class, its place in the lists of rare classes, the class whose list it tops, and the value of its
    keywords; without labels these are empty. From the tags: how few images look like it, and how rare what is seen in
    it is. Higher is rarer in every number.
    """,
    group="score",
    kinds=frozenset({"pytorch", "duckdb", "parquet"}),
    compute=computed_by("rarity"),
    reads=(
        _LABELS,
        Reads("embeddings", ("image_id", "embedding", "tag_probabilities")),
        _WORDS,
        Reads("keyword_answers", ("image_id", "outcome")),
        _COUNTS,
    ),
    settings=_rarity_settings,
    skipped=_unless_asked("rarity_scores"),
    is_on_demand=True,
    is_variant=True,
    pool=_accelerator,
    version=4,
)


def _neighbour_reads(project: Project, _partition: str, variant: str) -> tuple[Reads, ...]:
    asked = project.settings.asked_signals("neighbour_scores", variant=variant)
    return (_LABELS, _FEATURES, _WORDS) if "keyword_sparsity" in asked else (_LABELS, _FEATURES)


def _neighbour_settings(bench: Workbench, _partition: str, variant: str) -> list[Any]:
    settings = bench.project.settings
    return [settings.asked_signals("neighbour_scores", variant=variant), settings.neighbour_search]


NEIGHBOUR_SCORES = Stage(
    table="neighbour_scores",
    description="""
    How few images of seed and pool are like an image, and how far it is from the labelled seed.

    A row is an image that can be mined. Neighbours are sought over the encoder's features and over keywords, block by
    block. Only the signals that an experiment asks for are made, the columns of the others are empty.
    """,
    group="score",
    kinds=frozenset({"python", "parquet"}),
    compute=computed_by("neighbours"),
    reads=(_LABELS, _FEATURES, _WORDS),
    reads_of=_neighbour_reads,
    settings=_neighbour_settings,
    skipped=_unless_asked("neighbour_scores"),
    is_on_demand=True,
    is_variant=True,
    pool=_cores,
)


def _task_model_reads(project: Project, _partition: str, _variant: str) -> tuple[Reads, ...]:
    capabilities = project.settings.task_model.capabilities
    if not capabilities.trains_on_labels:
        return (_POOL,) if capabilities.reads == "ids" else ()
    return (_LABELS, _FEATURES) if capabilities.reads == "features" else (_LABELS,)


def _checkpoint_digest(bench: Workbench, path: str | None) -> list[str]:
    if path is None:
        return []
    from vlmine_dagster.resources.digests import path_digest

    return [path_digest(bench.project.resolve(path))]


def _task_model_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    settings = bench.project.settings.task_model
    return [settings, *_checkpoint_digest(bench, settings.path)]


def _why_no_task_model(project: Project, _variant: str) -> str | None:
    if project.settings.task_model.capabilities.trains_on_labels and not project.has_labels:
        return "the project has no labels to train a task model on (dataset.labels in vlmine.yaml)"
    return None


TASK_MODEL = Stage(
    table="task_model",
    description="""
    The task model, trained on the labelled seed; it never sees a label of the pool, nor a test image.

    The one row says where the model lies, what it is, and how well it does on seed images that it was not trained on.
    A user's own predictions or checkpoint are only looked at, not trained.
    """,
    group="score",
    kinds=frozenset({"pytorch", "parquet"}),
    compute=computed_by("task_model"),
    reads=(_LABELS, _FEATURES),
    reads_of=_task_model_reads,
    settings=_task_model_settings,
    skipped=_why_no_task_model,
    version=2,
    pool=_accelerator,
)

_JUDGED = (Reads("images", ("image_id", "sha256", "split", "outcome")), Reads("task_model", ("kind", "sha256")))


def _uncertainty_reads(project: Project, _partition: str, _variant: str) -> tuple[Reads, ...]:
    return (*_JUDGED, _FEATURES) if project.settings.task_model.capabilities.reads == "features" else _JUDGED


def _uncertainty_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    model = bench.project.settings.task_model
    return [model.dropout_passes, model.dropout] if model.dropout_passes else []


UNCERTAINTY_SCORES = Stage(
    table="uncertainty_scores",
    description="""
    Predictive entropy, variation ratio and margin of the task model for each readable image of a shard.

    A row is an image of seed or pool; images that judge models are left out. Entropy is in nats. An ensemble is asked
    as one, by the mean of its members; how much they, or Monte Carlo dropout passes, disagree stands in columns that
    are empty where the task model has neither.
    """,
    group="score",
    kinds=frozenset({"pytorch", "parquet"}),
    compute=computed_by("uncertainty"),
    reads=(*_JUDGED, _FEATURES),
    reads_of=_uncertainty_reads,
    settings=_uncertainty_settings,
    skipped=_why_no_task_model,
    version=2,
    is_one_run=True,
    pool=_accelerator,
)

_DIVERSITY = {"k_center": (_LABELS, _FEATURES), "coverage": (_WORDS, _COUNTS)}


def _mining_reads(project: Project, partition: str, _variant: str) -> tuple[Reads, ...]:
    experiment = project.settings.experiments[partition]
    signals = (Reads(table, columns) for table, columns in experiment.reads.items())
    return (*signals, *(() if experiment.diversity is None else _DIVERSITY[experiment.diversity.kind]))


def _mining_settings(bench: Workbench, partition: str, _variant: str) -> list[Any]:
    experiment, labels = bench.project.settings.experiments[partition], bench.labels
    told = [labels.fingerprint] if experiment.uses_oracle and labels is not None else []
    bins = bench.project.settings.dataset.labels
    if told and bins is not None and bins.shots_by == "seed":
        told.append(bins.shots_by)
    versions = [experiment.signal_versions] if experiment.signal_versions else []
    return [experiment, bench.project.settings.budget, *told, *versions]


PARETO_SET = Stage(
    table="pareto_set",
    description="""
    The images of the pool in mining order, by the experiment's signals.

    A row is a ranked image: its rank, its non-dominated front, one column a signal (higher is more worth mining),
    whether the budget reaches it, and why. Failed images and images that lack a signal never enter.
    """,
    group="mine",
    kinds=frozenset({"duckdb", "mlflow", "parquet"}),
    compute=computed_by("pareto"),
    reads=(
        Reads("images", ("image_id", "label", "sha256", "split", "outcome")),
        *(Reads(table, columns) for table, columns in reads_of(SIGNALS).items()),
        _FEATURES,
        _WORDS,
        _COUNTS,
    ),
    reads_of=_mining_reads,
    settings=_mining_settings,
    is_tracked=True,
    version=2,
    config=MiningConfig,
    advice={
        AGREEMENT_CHECK: f"No two signals say the same: Spearman up to {MOST_SPEARMAN}, overlap at the budget up to "
        f"{MOST_JACCARD} (Jaccard); else joining them adds nothing."
    },
)

_RANKED = Reads("pareto_set", ("image_id", "rank"))


def _retraining_reads(project: Project, _partition: str, _variant: str) -> tuple[Reads, ...]:
    reads = (_RANKED, _LABELS)
    return (*reads, _FEATURES) if project.settings.retraining.reads_features else reads


def _retraining_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    labels, settings = bench.labels, bench.project.settings
    bins = settings.dataset.labels
    return [
        settings.retraining,
        *_checkpoint_digest(bench, settings.retraining.path),
        None if labels is None else labels.fingerprint,
        None if bins is None else [bins.many_over, bins.few_under, bins.shots_by],
    ]


RETRAIN_METRICS = Stage(
    table="retrain_metrics",
    description="""
    How much of the tail an experiment found at each budget, and how a model retrained with it does.

    A row is a metric at a budget: recall, precision, lift and coverage of the few-shot classes of the mined images
    (seed -1), and many/medium/few/all accuracy on the test split after retraining on the seed and the oracle's
    labels, a row a training seed. Budgets and seeds are the same for every experiment. Where nobody knows classes of
    the pool, the accuracy of what is labelled so far is all there is. Without labels it is skipped.
    """,
    group="evaluate",
    kinds=frozenset({"pytorch", "mlflow", "parquet"}),
    compute=computed_by("retraining"),
    reads=(_RANKED, _LABELS, _FEATURES),
    reads_of=_retraining_reads,
    settings=_retraining_settings,
    version=4,
    is_tracked=True,
    pool=_accelerator,
    advice={
        LUCK_CHECK: "More of the known few-shot classes at the budget than by chance (hypergeometric, p at most 0.05); "
        "passes where too few are known to tell."
    },
)

_SHOWN = (
    Reads("pareto_set", ("image_id", "rank", "front", "selected", "reason")),
    Reads("retrain_metrics", ("budget", "seed", "metric", "value")),
    Reads("images", ("image_id", "outcome", "split")),
)
_KEYWORDS_SHOWN = (
    Reads("novelty_scores", ("image_id", "rarest_keyword", "min_count")),
    _COUNTS,
)


def _report_reads(project: Project, partition: str, _variant: str) -> tuple[Reads, ...]:
    needs_keywords = project.settings.experiments[partition].needs_keywords
    return (*_SHOWN, *_KEYWORDS_SHOWN) if needs_keywords else _SHOWN


def _report_settings(bench: Workbench, _partition: str, _variant: str) -> list[Any]:
    labels = bench.labels
    return [bench.project.settings.name, None if labels is None else labels.fingerprint]


MINING_REPORT = Stage(
    table="mining_report",
    description="""
    The contact sheet of an experiment: a self-contained HTML page, to be opened without a server.

    Each picture stands with its driving keyword and that keyword's count, its signals with ranks, its front, and its
    class where that is known; beneath are the histogram of keyword counts, the fronts, and recall over budget. The
    one row says where the page lies.
    """,
    group="evaluate",
    kinds=frozenset({"html", "mlflow"}),
    compute=computed_by("report"),
    reads=(*_SHOWN, *_KEYWORDS_SHOWN),
    reads_of=_report_reads,
    settings=_report_settings,
    is_tracked=True,
    version=3,
)

STAGES: tuple[Stage, ...] = (
    IMAGES,
    EMBEDDINGS,
    DESCRIPTIONS,
    KEYWORDS,
    VOCAB_COUNTS,
    NOVELTY_SCORES,
    RARITY_SCORES,
    NEIGHBOUR_SCORES,
    TASK_MODEL,
    UNCERTAINTY_SCORES,
    PARETO_SET,
    RETRAIN_METRICS,
    MINING_REPORT,
)


def all_units(project: Project) -> list[Unit]:
    """Return all stages with their extraction variants, those that a project skips too, in pipeline order."""
    return [Unit(stage, variant) for stage in STAGES for variant in stage.variants(project)]


def applicable(project: Project) -> list[Unit]:
    """Return what a project has: without labels there is no task model, and nothing that nobody asks for."""
    return [unit for unit in all_units(project) if unit.stage.skipped(project, unit.variant) is None]
