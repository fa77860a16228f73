"""Runs whose process is gone end, and give back what they held; those that are alive are let alone."""

import json
import signal
import socket
import subprocess
import sys

import dagster as dg
import pytest

from vlmine_dagster.automation.dead_runs import (
    fail_dead_runs,
    fail_dead_runs_of,
    lock_of_run,
    place_of,
    run_of_this_process,
)
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import GLOBAL_JOB
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.engine.stage import COMMAND_TAG, PROCESS_TAG

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def history(make_project):
    """A history on disk, and how a run comes into it that seems to be at work."""
    made = make_project({"pool/a": {}})
    job = build_definitions(made.project, settings_file=str(made.file)).resolve_job_def(GLOBAL_JOB)
    with open_instance(made.project) as instance:
        yield instance, lambda **tags: instance.create_run_for_job(job, status=STARTED, tags=tags).run_id


def of_server(**address):
    return {".dagster/grpc_info": json.dumps({"host": "localhost", **address})}


def test_a_run_of_a_server_that_is_gone_ends_and_gives_its_slot_back(history, tmp_path):
    instance, start = history
    dead = start(**of_server(socket=str(tmp_path / "gone")))
    instance.event_log_storage.set_concurrency_slots("accelerator", 1)
    assert instance.event_log_storage.claim_concurrency_slot("accelerator", dead, "task_model").is_claimed

    assert fail_dead_runs(instance) == [dead]

    assert instance.get_run_by_id(dead).status is dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_run_ids() == set()
    assert fail_dead_runs(instance) == []


def test_a_run_of_a_server_that_answers_goes_on(history, tmp_path):
    instance, start = history
    with socket.socket(socket.AF_UNIX) as file, socket.create_server(("127.0.0.1", 0)) as port:
        file.bind(str(tmp_path / "s"))
        file.listen()
        start(**of_server(socket=str(tmp_path / "s")))
        start(**of_server(port=port.getsockname()[1]))

        assert fail_dead_runs(instance, locked="here") == []


def test_what_a_killed_server_leaves_of_its_socket_does_not_answer(history, tmp_path):
    instance, start = history
    with socket.socket(socket.AF_UNIX) as file:
        file.bind(str(tmp_path / "s"))
    dead = start(**of_server(socket=str(tmp_path / "s")))

    assert fail_dead_runs(instance) == [dead]


def test_only_who_holds_the_lock_ends_runs_of_the_command(history):
    instance, start = history
    run = start(**{COMMAND_TAG: "here"})
    of_somebody = start()

    assert fail_dead_runs(instance) == []
    assert fail_dead_runs(instance, locked="here") == [run]
    assert instance.get_run_by_id(of_somebody).status is STARTED


def test_in_a_history_that_is_no_file_only_runs_of_this_place_end(make_project, tmp_path):
    made = make_project({"pool/a": {}})
    job = build_definitions(made.project, settings_file=str(made.file)).resolve_job_def(GLOBAL_JOB)
    places = [{COMMAND_TAG: "here"}, {COMMAND_TAG: "there"}, of_server(socket=str(tmp_path / "on another machine"))]
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [instance.create_run_for_job(job, status=STARTED, tags=tags).run_id for tags in places]

        assert fail_dead_runs(instance, locked="here") == runs[:1]

        assert {instance.get_run_by_id(run).status for run in runs[1:]} == {STARTED}


def test_other_commands_end_runs_of_a_killed_command_but_none_while_one_is_at_work(make_project):
    made = make_project({"pool/a": {}})
    job = build_definitions(made.project, settings_file=str(made.file)).resolve_job_def(GLOBAL_JOB)
    with open_instance(made.project) as instance:
        run = instance.create_run_for_job(job, status=STARTED, tags={COMMAND_TAG: place_of(made.project)}).run_id
        with lock_of_run(made.project):
            assert fail_dead_runs_of(made.project, instance) == []

        assert fail_dead_runs_of(made.project, instance) == [run]


HOLDING = """
import sys, time
from pathlib import Path
from vlmine_dagster.automation.dead_runs import run_of_this_process
from vlmine_dagster.settings.project import Project
with run_of_this_process(Project.load(Path(sys.argv[1]))) as tags:
    print(tags["vlmine/process"], flush=True)
    time.sleep(600)
"""


def test_a_study_whose_process_was_killed_is_ended_and_one_at_work_is_not(make_project):
    made = make_project({"pool/a": {}})
    job = build_definitions(made.project, settings_file=str(made.file)).resolve_job_def(GLOBAL_JOB)
    with open_instance(made.project) as instance, run_of_this_process(made.project) as alive:
        instance.create_run_for_job(job, status=STARTED, tags=alive)
        elsewhere = {PROCESS_TAG: f"another-machine:{made.folder / 'gone.lock'}"}
        instance.create_run_for_job(job, status=STARTED, tags=elsewhere)
        with subprocess.Popen([sys.executable, "-c", HOLDING, str(made.file)], stdout=subprocess.PIPE) as process:
            place = process.stdout.readline().decode().strip()
            killed = instance.create_run_for_job(job, status=STARTED, tags={PROCESS_TAG: place}).run_id
            assert fail_dead_runs(instance) == []
            process.send_signal(signal.SIGKILL)

        assert fail_dead_runs(instance) == [killed]
        assert [file.name for file in made.project.state_folder("locks").glob("*.lock")] == [
            alive[PROCESS_TAG].rpartition("/")[2]
        ]
