"""What all studies share: steps that are kept as they come, a verdict in words, plots, and nested MLflow runs."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import WHOLE_POOL, partition_of
from vlmine_dagster.mining.verdicts import rules_text
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.tracking import COLOUR_TAG, Tracking, run_colour
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, settings_hash
from vlmine_dagster.studies.pool import Draw, Pool
from vlmine_dagster.studies.reading import variant_of

Row = dict[str, Any]
Table = Sequence[Mapping[str, str]]
STUDY_TAG = "vlmine.study"
DRAWN_FROM = ("embeddings", "keywords", "keyword_answers", "vocab_counts", "novelty_scores")
"""Tables from which the signals of a draw are made."""
_REDONE = ("task_model", "uncertainty_scores", "rarity_scores")
"""Stages whose work a draw does anew; the others show in the tables that are read."""


@dataclass(frozen=True)
class Arm:
    """A line of a study, as a nested MLflow run.

    Attributes:
        name: Name of the run.
        params: What sets it apart from the others: few and short. MLflow's plots show ten characters of a value and
            take values that agree in these for the same, so `signals` are left out.
        metrics: Headline values.
        curves: (metric, step, value).
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[tuple[str, int, float]] = ()


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        words: What is shown, and what is not, a sentence each.
        tables: The numbers, by title: one mapping of column to text a row, all of the same columns.
        arms: Nested MLflow runs.
        files: Plots and pages, by file name.
    """

    words: Sequence[str]
    tables: Mapping[str, Table]
    arms: Sequence[Arm] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A question, asked in steps.

    Attributes:
        name: Name of the command's argument and of the job (`study_<name>`).
        question: What it asks.
        reads: Tables that it reads; they must be there for every shard.
        steps: The steps, by name; each is kept as soon as it is done.
        work: Does a step; returns its rows.
        conclude: Makes findings of the rows of all steps.
        settings: What else its rows depend on.
        draws: Draws of the seed unless told otherwise; 0 where it draws none.
        signals: Signals that a draw makes for it, beside those that experiments name and those that cost nothing.
        version: Raised when the code changes what a step returns.
    """

    name: str
    question: str
    reads: tuple[str, ...]
    steps: Callable[["StudyRun"], Sequence[str]]
    work: Callable[["StudyRun", str], list[Row]]
    conclude: Callable[["StudyRun", Sequence[Row]], Findings]
    settings: Callable[[Workbench], Any] = lambda _bench: None
    draws: int = 0
    signals: Sequence[str] = ()
    version: int = 1


@dataclass(frozen=True)
class Report:
    """A finished study, as the command and the Dagster job tell it."""

    study: str
    question: str
    words: list[str]
    tables: dict[str, list[dict[str, str]]]
    folder: str
    mlflow_run_id: str
    mlflow_url: str

    @property
    def markdown(self) -> str:
        """The report as Markdown."""
        return f"# {self.study}: {self.question}\n\n{verdict_markdown(self.words, self.tables)}"


class StudyRun:
    """A study at work on a project.

    Attributes:
        study: The study.
        bench: Resources.
        draws: Draws of the seed.
        log: Dagster's logger, or None.
        memory: What a study wants to read or compute once.
    """

    def __init__(self, study: Study, bench: Workbench, *, draws: int = 0, log: Any = None):
        self.study = study
        self.bench = bench
        self.draws = draws or study.draws
        self.log = log
        self.memory: dict[Any, Any] = {}
        self._pools: dict[str, Pool] = {}
        self._drawn: Draw | None = None

    def pool(self, variant: str = "default") -> Pool:
        """Return the pool of an extraction variant, read once."""
        if variant not in self._pools:
            kept = self.bench.project.state_folder("studies") / "signals" / self._hash(DRAWN_FROM, variant)
            self._pools[variant] = Pool(self.bench, variant=variant, kept=kept, signals=self.study.signals)
        return self._pools[variant]

    def draw(self, step: str) -> Draw:
        """Return the draw that a step `draw-7` names; the last one is kept."""
        number = int(step.removeprefix("draw-"))
        if self._drawn is None or self._drawn.number != number:
            self._drawn = self.pool().draw(number)
        return self._drawn

    @property
    def class_words(self) -> str:
        """How many classes are many-, medium- and few-shot by both rules in use."""
        return rules_text(self.pool().class_counts.values())

    @cached_property
    def folder(self) -> Path:
        """Where the study's report and plots lie."""
        folder = self.bench.project.state_folder("studies") / self.study.name
        folder.mkdir(exist_ok=True)
        return folder

    @cached_property
    def inputs(self) -> str:
        """Hash of everything that its rows depend on.

        Raises:
            MissingInputError: a table is not there for every shard.
        """
        version = [self.study.name, self.study.version, self.study.settings(self.bench)]
        return settings_hash(*version, self._hash(self.study.reads))

    def _hash(self, tables: Sequence[str], variant: str = DEFAULT_VARIANT) -> str:
        """Return a hash of the tables of the whole pool, the labels, and the versions of the stages done anew."""
        settings, labels = self.bench.project.settings, self.bench.labels
        parts: list[Any] = [[(stage.table, stage.version) for stage in GRAPH.stages if stage.table in _REDONE]]
        if settings.dataset.labels is not None and labels is not None:
            parts.append([labels.content, settings.dataset.labels.model_copy(update={"draw": 0}).model_dump()])
        parts.append(settings.neighbour_search)
        shards = self.bench.source.shards()
        frames = (ITEMS,) if settings.dataset.has_sequences else ()
        for table in dict.fromkeys((*tables, *frames)):
            for partition in shards if partition_of(table) == "shard" else [WHOLE_POOL]:
                stamp = self.bench.lake.stamp(table, partition, variant=variant_of(table, variant))
                if stamp is None:
                    raise MissingInputError(
                        f"study {self.study.name}: {table} of {partition} is not there. Run `vlmine run` first."
                    )
                parts.append([self.bench.lake.kind.stored(table), partition, stamp.version()])
        return settings_hash(*parts)

    def kept(self, step: str) -> list[Row] | None:
        """Return the rows of a step that was done before on the same inputs."""
        file = self._file(step)
        return None if not file.exists() else json.loads(file.read_text(encoding="utf-8"))

    def rows(self) -> list[Row]:
        """Do the steps that are not kept, and return the rows of all."""
        steps = list(self.study.steps(self))
        missing = [step for step in steps if self.kept(step) is None]
        progress = Progress(f"study {self.study.name}", log=self.log, total=len(missing), unit="steps")
        for step in missing:
            self._keep(step, self.study.work(self, step))
            progress.add(1, f"{len(steps) - len(missing)} kept" if len(missing) < len(steps) else "")
        return [row for step in steps for row in self.kept(step) or []]

    def _file(self, step: str) -> Path:
        return self.folder / "steps" / self.inputs / f"{step}.json"

    def _keep(self, step: str, rows: list[Row]) -> None:
        write_whole(self._file(step), json.dumps([{"step": step, **row} for row in rows]))


def draw_steps(run: StudyRun) -> list[str]:
    """Return one step per draw of the labelled set."""
    return [f"draw-{number}" for number in range(run.draws)]


def conduct(
    study: Study, bench: Workbench, *, draws: int = 0, log: Any = None, run_id: str = "", warning: str = ""
) -> Report:
    """Do what is left of a study, tell MLflow, and write its report.

    Args:
        study: The study.
        bench: A project that was run.
        draws: Draws of the seed; the study's own number if left out.
        log: Dagster's logger, or None.
        run_id: Dagster's run, for MLflow.
        warning: What a reader must know first.

    Raises:
        ConfigError, MissingInputError: the project has not what the study needs.
        TrackingError: MLflow cannot be reached.
    """
    run = StudyRun(study, bench, draws=draws, log=log)
    tracking = Tracking(bench.project, part="studies")
    tracking.connect()
    rows = run.rows()
    found = study.conclude(run, rows)
    if warning:
        found = replace(found, words=[warning, *found.words])
    run_id, url = _record(run, tracking, rows, found, dagster_run_id=run_id)
    report = Report(
        study=study.name,
        question=study.question,
        words=list(found.words),
        tables={title: [dict(row) for row in table] for title, table in found.tables.items()},
        folder=str(run.folder),
        mlflow_run_id=run_id,
        mlflow_url=url,
    )
    files: dict[str, str | bytes] = {
        **found.files,
        "report.md": report.markdown,
        "rows.csv": rows_csv(rows),
        "report.json": json.dumps(asdict(report), indent=1),
    }
    for name, content in files.items():
        write_whole(run.folder / name, content)
    return report


def _record(
    run: StudyRun, tracking: Tracking, rows: Sequence[Row], found: Findings, *, dagster_run_id: str
) -> tuple[str, str]:
    tags = {STUDY_TAG: run.study.name, **({"dagster.run_id": dagster_run_id} if dagster_run_id else {})}
    nested_ids: list[str] = []
    with tracking.run(run.study.name, tags=tags) as top:
        top.params({"study": run.study.name, **({"draws": run.draws} if run.draws else {})})
        for place, arm in enumerate(found.arms):
            own = {"vlmine.arm": arm.name, COLOUR_TAG: run_colour(place)}
            with tracking.run(arm.name, tags=tags | own, parent_run_id=top.run_id) as nested:
                nested_ids.append(nested.run_id)
                nested.params(arm.params)
                nested.metrics(arm.metrics)
                nested.curves(arm.curves)
        for name, content in {**found.files, "rows.csv": rows_csv(rows)}.items():
            top.artifact(name, content)
        top.artifact("verdict.md", verdict_markdown(found.words, found.tables).encode())
        top.note(f"{run.study.question}\n\n{bullets(found.words)}")
    # The page of overlaid curves folds nested runs away, whatever is searched for; the compare view takes them.
    return top.run_id, tracking.comparison_url(nested_ids) if nested_ids else top.url


def bullets(words: Sequence[str]) -> str:
    """Return sentences as a Markdown list."""
    return "".join(f"- {sentence}\n" for sentence in words)


def verdict_markdown(words: Sequence[str], tables: Mapping[str, Table]) -> str:
    """Return sentences and tables as Markdown."""
    return "\n".join([bullets(words), *(f"{title}\n\n{markdown_table(table)}" for title, table in tables.items())])


def markdown_table(rows: Table) -> str:
    """Return rows as a Markdown table.

    Examples:
        >>> print(markdown_table([{"arm": "fused", "10%": "0.54"}]))
        | arm | 10% |
        | --- | --- |
        | fused | 0.54 |
        <BLANKLINE>
    """
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |\n" for line in lines)


def rows_csv(rows: Sequence[Row]) -> bytes:
    """Return rows as CSV with the columns of all."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
