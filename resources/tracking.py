"""MLflow: one run a mining experiment, its retraining as a child, everything by id and nothing by global state."""

import json
import math
import os
import re
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from vlmine_dagster.domain.errors import TrackingError
from vlmine_dagster.domain.secrets import masked, masked_values
from vlmine_dagster.resources.addresses import DAGSTER_VARIABLE, MLFLOW_VARIABLE, web_address
from vlmine_dagster.resources.sqlite_files import keep_open, write_ahead
from vlmine_dagster.settings.project import Project

EXPERIMENT_TAG = "vlmine.experiment"
ASSET_TAG = "vlmine.asset"
INPUTS_TAG = "vlmine.inputs"
COLOUR_TAG = "mlflow.runColor"
_COLOURS = (
    "#6b665e",
    "#4c5fa8",
    "#2f8fb8",
    "#8a6d00",
    "#a3386c",
    "#5b8c2a",
    "#c2571a",
    "#0b6b63",
    "#7a4fa3",
    "#b33a3a",
)
_MOST_PARAM_LETTERS = 500
_MOST_REASON_CHARACTERS = 300
_POINTS_A_CALL = 1000  # MLflow takes no more
_MOST_RUNS = 50_000  # MLflow gives no more
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # else the UI opens the view for chat traces
_NOTES = {
    "": "One run per mining experiment, with its retraining as a child run. Curves are drawn over the images mined.",
    "studies": "One run per study with its verdict, plots and rows; each arm is a child run.",
}
_RUN_TAGS = {"mlflow.source.name": "vlmine", "mlflow.source.type": "JOB"}
_PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class Source:
    """The dataset of a run: its name, where it is, and a digest that changes with what was used of it."""

    name: str
    location: str
    digest: str
    row_count: int


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of a mining experiment's asset.

    Attributes:
        run_id: MLflow's id.
        experiment: The mining experiment.
        parent_run_id: The run that it is a child of, empty where it is of none.
        round: How many rounds of labels had come back, where the run tells it.
    """

    run_id: str
    experiment: str
    parent_run_id: str
    round: int


class TrackedRun:
    """An MLflow run that is being written.

    Attributes:
        run_id: MLflow's id.
        url: Its page in the MLflow UI.
    """

    def __init__(self, client: Any, run_id: str, url: str):
        self._client = client
        self.run_id = run_id
        self.url = url

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; long values are cut."""
        from mlflow.entities import Param

        params = [Param(name, masked(str(value))[:_MOST_PARAM_LETTERS]) for name, value in values.items()]
        self._client.log_batch(self.run_id, params=params)

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Log metrics at a step; NaN is left out, since it means unknown."""
        self.curves([(name, step, value) for name, value in values.items()])

    def curves(self, points: Iterable[tuple[str, int, float]]) -> None:
        """Log (metric, step, value) points in few calls; NaN is left out, since it means unknown."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, step, value in points if not math.isnan(value)]
        for start in range(0, len(metrics), _POINTS_A_CALL):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + _POINTS_A_CALL])

    def artifact(self, name: str, content: bytes) -> None:
        """Log a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(content)
            parent = str(Path(name).parent)
            self._client.log_artifact(self.run_id, str(path), None if parent == "." else parent)

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, name, masked(value))

    def note(self, text: str) -> None:
        """Set the description that the UI shows on the run's page, as Markdown."""
        self._client.set_tag(self.run_id, "mlflow.note.content", masked(text))

    def dataset(self, source: Source) -> None:
        """Log the images that were mined as the run's input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(
            name=source.name,
            digest=source.digest[:36],
            source_type="local" if "://" not in source.location else "http",
            source=json.dumps({"uri": source.location}),
            profile=json.dumps({"num_rows": source.row_count}),
        )
        self._client.log_inputs(self.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "mining")])])


class Tracking:
    """The MLflow server of a project: `MLFLOW_TRACKING_URI`, or SQLite and files under the home.

    Args:
        project: The project; its name is the MLflow experiment.
        part: What else of the project is recorded, in an experiment of its own: `studies`.
    """

    def __init__(self, project: Project, *, part: str = ""):
        self._project = project
        self._name = f"{project.settings.name} {part}".strip()
        self._tags = {**_EXPERIMENT_TAGS, "mlflow.note.content": _NOTES[part], "vlmine.project": project.settings.name}
        self.uri = _given_uri() or f"sqlite:///{self._folder / 'mlflow.db'}"

    @property
    def _folder(self) -> Path:
        return self._project.plain_folder("mlflow")

    @property
    def artifacts_folder(self) -> Path:
        """Where artifacts lie, if the server is our own SQLite file."""
        return self._folder / "artifacts"

    @property
    def is_local(self) -> bool:
        """Whether the server is our own SQLite file."""
        return not _given_uri()

    @property
    def shown_uri(self) -> str:
        """The server's address as it may be seen: without user and password."""
        return _without_password(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether a server answers at the address; a database (SQLite, PostgreSQL) needs one for people to look at."""
        return self.uri.startswith("http")

    def check_address(self) -> None:
        """Refuse an address that MLflow will not take later either; a server that does not answer may do so in time.

        Raises:
            TrackingError: it is neither a server nor a database that can be opened.
        """
        if not self.is_local and not self.is_server:
            self.connect()

    def connect(self) -> None:
        """Reach the server and make the experiment.

        Raises:
            TrackingError: it cannot be reached.
        """
        _ = self.experiment_id

    @cached_property
    def client(self) -> Any:
        """The MLflow client."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # else it writes into --json
        if not self.is_local:  # a server that is gone must say so before work starts, not after minutes of retries
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        else:
            write_ahead(self._folder / "mlflow.db")
            keep_open(self._folder)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """Id of the MLflow experiment, made if it is not there."""
        # Fresh SQLite files are migrated when they are first opened, and two processes would both try.
        with FileLock(self._folder / "start.lock"), _translated(self.uri):
            found = self.client.get_experiment_by_name(self._name)
            if found is not None:
                return str(found.experiment_id)
            # A server knows where its artifacts lie; a database does not, and would take the working folder.
            location = None if self.uri.startswith("http") else self.artifacts_folder.as_uri()
            return str(self.client.create_experiment(self._name, artifact_location=location, tags=self._tags))

    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str], parent_run_id: str | None = None) -> Iterator[TrackedRun]:
        """Open a run and close it again: FINISHED, or FAILED with an exception.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        family = {} if parent_run_id is None else {_PARENT_TAG: parent_run_id}
        with _translated(self.uri):
            all_tags = masked_values({**_RUN_TAGS, **tags, **family})
            made = self.client.create_run(self.experiment_id, run_name=name, tags=all_tags)
            run_id = str(made.info.run_id)
            try:
                yield TrackedRun(self.client, run_id, self.url(run_id))
            except BaseException:
                self.client.set_terminated(run_id, "FAILED")
                raise
            self.client.set_terminated(run_id, "FINISHED")

    @contextmanager
    def reopened(self, run_id: str) -> Iterator[TrackedRun]:
        """Add to a finished run without changing its state."""
        with _translated(self.uri):
            yield TrackedRun(self.client, run_id, self.url(run_id))

    def latest(self, *, experiment: str, asset: str, inputs: str | None = None) -> str | None:
        """Return the id of the newest finished run of an experiment's asset.

        Args:
            experiment: Mining experiment.
            asset: Its asset.
            inputs: Hash of what the asset was made from; a run of the same goes first, whatever the clocks said.
        """
        text = f"tags.`{EXPERIMENT_TAG}` = '{experiment}' and tags.`{ASSET_TAG}` = '{asset}' and status = 'FINISHED'"
        for more in ([] if inputs is None else [f" and tags.`{INPUTS_TAG}` = '{inputs}'"]) + [""]:
            with _translated(self.uri):
                found = self.client.search_runs(
                    [self.experiment_id], text + more, order_by=["start_time DESC"], max_results=1
                )
            if found:
                return str(found[0].info.run_id)
        return None

    def finished(self, asset: str) -> list[FinishedRun]:
        """Return the finished runs of an asset, the newest first; of very many the newest 50,000."""
        text = f"tags.`{ASSET_TAG}` = '{asset}' and status = 'FINISHED'"
        with _translated(self.uri):
            found = self.client.search_runs(
                [self.experiment_id], text, order_by=["start_time DESC"], max_results=_MOST_RUNS
            )
        return [
            FinishedRun(
                run.info.run_id,
                run.data.tags[EXPERIMENT_TAG],
                run.data.tags.get(_PARENT_TAG, ""),
                int(run.data.params.get("round", 0)),
            )
            for run in found
        ]

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
        """Return (step, value) pairs of a run's metrics, by step; metrics that it has not are left out."""
        with _translated(self.uri):
            points = {name: self.client.get_metric_history(run_id, name) for name in metrics}
        return {name: sorted((int(p.step), float(p.value)) for p in found) for name, found in points.items() if found}

    @property
    def runs_url(self) -> str:
        """Address of the project's runs in the MLflow UI, whose own first page is about chat traces."""
        return f"{self._base}/#/experiments/{self.experiment_id}/runs?workflowType=machine_learning"

    def url(self, run_id: str) -> str:
        """Return the address of a run in the MLflow UI."""
        return f"{self._base}/#/experiments/{self.experiment_id}/runs/{run_id}"

    def curves_url(self, run_ids: Sequence[str]) -> str:
        """Return the address at which the MLflow UI lays the curves of some runs over each other, and of no others."""
        wanted = quote(f"attributes.run_id IN ({','.join(repr(name) for name in run_ids)})")
        return f"{self._base}/#/experiments/{self.experiment_id}/runs?searchFilter={wanted}&compareRunsMode=CHART"

    def comparison_url(self, run_ids: Sequence[str]) -> str:
        """Return the address at which the MLflow UI compares some runs."""
        runs, experiments = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (run_ids, [self.experiment_id]))
        return f"{self._base}/#/compare-runs?runs={runs}&experiments={experiments}"

    @property
    def _base(self) -> str:
        if self.is_server and not os.environ.get(MLFLOW_VARIABLE):
            return self.shown_uri.rstrip("/")
        return web_address(self._project, MLFLOW_VARIABLE)


def dagster_url(project: Project, run_id: str) -> str:
    """Return the address of a run in the Dagster UI."""
    return f"{web_address(project, DAGSTER_VARIABLE)}/runs/{run_id}"


def run_colour(place: int) -> str:
    """Return the colour of the n-th arm in every chart of the MLflow UI, which else may paint two arms alike."""
    return _COLOURS[place % len(_COLOURS)]


def _given_uri() -> str:
    """Return the address that the environment names, without what was pasted around it; empty without one."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip().strip("\"'").strip()


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, ImportError) as error:
        reason = textwrap.shorten(_without_password(str(error)), _MOST_REASON_CHARACTERS, placeholder=" ...")
        raise TrackingError(f"MLflow at {_without_password(uri)}: {reason} {_what_to_do(uri, error)}") from error


def _what_to_do(uri: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return "Install the database's driver (pip install 'vlmine-dagster[postgres]'), and name it in the address."
    if uri.startswith("sqlite"):
        return "Check the file and the disk."
    if "://" not in uri or uri.startswith("file:"):
        return (
            "Set MLFLOW_TRACKING_URI to a server (http://...) or a database (sqlite:////path/mlflow.db), or unset it: "
            "runs are then kept with the project."
        )
    return "Check MLFLOW_TRACKING_URI."


def _without_password(text: str) -> str:
    """Take user and password out of every address in a text."""
    return re.sub(r"//[^/\s]+@", "//", text)
