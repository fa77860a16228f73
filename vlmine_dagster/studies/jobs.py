"""One Dagster job per study, and `vlmine study`, which runs that job in its own process."""

from dataclasses import asdict
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
from pydantic import Field

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.dead_runs import fail_dead_runs_of, run_of_this_process
from vlmine_dagster.automation.execution import Unwatched, Watcher
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, VlmineError
from vlmine_dagster.domain.hints import did_you_mean
from vlmine_dagster.engine.dagster_internals import is_interrupted, make_waiting_polite, on_wait, step_failures
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import ACCELERATOR_POOL
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.studies import QUESTIONS

if TYPE_CHECKING:
    from vlmine_dagster.studies.study import Report, Study

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class StudyConfig(dg.Config):
    """Launchpad settings of a study."""

    draws: int = Field(default=0, description="Draws of the labelled seed; 0 takes the study's own number.")


def study_of(name: str) -> "Study":
    """Return a study by name."""
    study: Study = import_module(f"vlmine_dagster.studies.{name}").STUDY
    return study


def build_study_jobs() -> list[dg.JobDefinition]:
    """Return one job per study, `study_<name>`."""
    return [_job(name) for name in QUESTIONS]


def stale_shards(bench: Workbench) -> str:
    """Say which shards are not as the settings say, so that what is found in them may mix settings; "" for none."""
    shards = bench.source.shards()
    freshness = Freshness(GRAPH, bench, shards)
    described = GRAPH.leading_to("keywords", bench.project)
    units = [unit for unit in GRAPH.applicable(bench.project) if unit.stage in described]
    stale = {
        shard
        for unit in units
        for shard in set(shards).intersection(unit.stage.partitions(bench.project, shards))
        if freshness.state(unit, shard) != "fresh"
    }
    if not stale:
        return ""
    return (
        f"{counted(len(stale), 'shard is', 'shards are')} not fresh, so these results may mix settings: run "
        f"`vlmine run`, then the study again"
    )


def _op_name(study: str) -> str:
    return f"ask_{study}"  # the job's own name would be taken twice, and the UI would load nothing


def _job(name: str) -> dg.JobDefinition:
    @dg.op(name=_op_name(name), description=QUESTIONS[name], out=dg.Out(dict), pool=ACCELERATOR_POOL)
    def ask(context: dg.OpExecutionContext, config: StudyConfig, workbench: Workbench) -> dict[str, Any]:
        from vlmine_dagster.studies.study import conduct

        bench = Workbench(settings_file=workbench.settings_file)
        try:
            stale = stale_shards(bench)
            report = conduct(
                study_of(name), bench, draws=config.draws, log=context.log, run_id=context.run_id, warning=stale
            )
        except VlmineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        context.add_output_metadata(
            {"verdict": dg.MetadataValue.md(report.markdown), "MLflow run": dg.MetadataValue.url(report.mlflow_url)}
        )
        return asdict(report)

    @dg.job(name=f"study_{name}", description=QUESTIONS[name])
    def job() -> None:
        ask()

    return job


def run_study(
    name: str,
    instance: dg.DagsterInstance,
    *,
    settings_file: str = "",
    draws: int = 0,
    watcher: Watcher | None = None,
) -> "Report":
    """Run a study's job here, into the history that the UI shows; it waits for the accelerator as steps of runs do.

    Args:
        name: Of the study.
        instance: Dagster's instance.
        settings_file: `vlmine.yaml` of the project.
        draws: Draws of the labelled seed; 0 takes the study's own number.
        watcher: Told when it waits.

    Raises:
        ConfigError: there is no such study, or the project lacks what it needs; the message says what.
        KeyboardInterrupt: it was asked to end; what is done is kept.
    """
    from vlmine_dagster.studies.study import Report

    if name not in QUESTIONS:
        raise ConfigError(f"there is no study {name!r}{did_you_mean(name, QUESTIONS)}")
    bench = Workbench(settings_file=settings_file)
    fail_dead_runs_of(bench.project, instance)  # the study would wait for slots that they hold
    make_waiting_polite(partial(fail_dead_runs_of, bench.project))
    run_id = str(uuid4())
    on_wait(instance, run_id, (watcher or Unwatched()).on_wait)
    with run_of_this_process(bench.project) as tags:
        result = _job(name).execute_in_process(
            instance=instance,
            resources={"workbench": bench},
            run_config={**_QUIET, "ops": {_op_name(name): {"config": {"draws": draws}}}},
            raise_on_error=False,
            run_id=run_id,
            tags=tags,
        )
    if is_interrupted(result.all_events):
        raise KeyboardInterrupt
    for failure in step_failures(result.all_events):
        raise ConfigError(failure.text)
    return Report(**result.output_for_node(_op_name(name)))
