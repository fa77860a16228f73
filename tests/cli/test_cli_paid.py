"""The commands that have to do with money, against a scripted endpoint."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from conftest import Made, members
from scripted_endpoint import Answer, ScriptedEndpoint

from vlmine_dagster.cli.main import main

POOL = {"pool/a": members({"coffee": 5, "rocket": 1}, start=0), "pool/b": members({"coffee": 4, "rocket": 1}, start=10)}


@pytest.fixture
def endpoint():
    with ScriptedEndpoint(lambda call: f"A cup of coffee, number {call.digest[:6]}.") as served:
        yield served


@pytest.fixture
def inside(endpoint, make_project, monkeypatch) -> Made:
    describer = {"kind": "openai", "model": "gpt-4o-mini", "base_url": endpoint.url, "max_attempts": 1}
    made = make_project(
        POOL, describer=describer, keyworder={"kind": "rules"}, experiments={"rare": {"signals": ["novelty_min"]}}
    )
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    return made


def vlmine(*words: str):
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def test_the_forecast_names_calls_money_and_where_the_price_comes_from(inside, endpoint):
    found = vlmine("forecast", "--sample", "4")

    assert found.exit_code == 0
    assert "gpt-4o-mini" in " ".join(found.output.split())
    assert "4 real calls" in " ".join(found.output.split())
    assert "list price of 2025-06-30" in " ".join(found.output.split())
    assert len(endpoint.calls) == 4
    told = json.loads(vlmine("forecast", "--sample", "2", "--json").output)
    assert (told["stages"][0]["left"], told["max_cost_usd"]) == (5, None)


def test_a_forecast_beyond_the_limit_says_so(inside, endpoint):
    endpoint.script = lambda _call: Answer("A cup of coffee.", tokens=(1500, 90))
    inside.settings(max_cost_usd=0.001)

    found = vlmine("forecast", "--sample", "2")

    assert "That is more than max_cost_usd" in " ".join(found.output.split())


def test_a_forecast_to_which_nobody_answered_says_so_and_names_the_commonest_cause(inside, endpoint):
    endpoint.script = lambda _call: Answer("overloaded", status=500)

    found = vlmine("forecast", "--sample", "3")

    assert found.exit_code == 1
    assert "descriptions: all 3 sample calls failed, so nothing could be measured. 3 x" in found.output
    assert "To pay" not in found.output


def test_a_forecast_of_refusals_that_were_paid_for_is_one(inside, endpoint):
    endpoint.script = lambda _call: Answer(None, refusal="I will not", tokens=(100, 5))

    found = vlmine("forecast", "--sample", "3", "--json")

    assert found.exit_code == 0
    (stage,) = json.loads(found.output)["stages"]
    assert (stage["failed"], stage["sampled"]) == (3, 3)
    assert stage["cost_usd"] > 0


def test_an_address_without_http_is_refused_with_the_settings(inside):
    inside.settings(describer={"kind": "openai", "model": "any", "base_url": "localhost:8000/v1"})

    found = vlmine("run")

    assert found.exit_code == 1
    assert "describer.base_url: expected an address that begins with http:// or https://, got 'localhost" in (
        found.output
    )


def test_a_project_without_paid_models_has_nothing_to_forecast(inside):
    inside.settings(describer={"kind": "tagger"}, keyworder={"kind": "tags"})

    assert "Nothing to estimate: this project asks no model" in vlmine("forecast").output
    assert "No answers yet" in vlmine("cache").output


def test_the_cache_is_shown_and_pruned_and_what_was_spent_stays(inside, endpoint):
    assert vlmine("run").exit_code == 0
    shown = json.loads(vlmine("cache", "--json").output)
    (row,) = shown["variants"]
    assert (row["reply_count"], row["is_used"], row["label"]) == (11, True, "openai gpt-4o-mini, describe-general-v1")
    assert "in use" in vlmine("cache").output

    assert "name a variant with --variant" in vlmine("cache", "prune", "--yes").output
    assert "deleted: 0 answers of 0 variants" in vlmine("cache", "prune", "--unused", "--yes").output
    assert "deleted: 11 answers of 1 variant" in vlmine("cache", "prune", "--variant", row["variant"], "--yes").output
    assert json.loads(vlmine("cache", "--json").output)["variants"][0]["cost_usd"] == row["cost_usd"] > 0


def test_only_failures_are_asked_about_again_even_when_the_cache_was_pruned(inside, endpoint):
    good = endpoint.script
    bad = set()

    def script(call):
        bad.add(call.digest) if not bad else None
        return Answer("no", status=500) if call.digest in bad else good(call)

    endpoint.script = script
    assert vlmine("run").exit_code == 0
    rows = {row["table"]: row for row in json.loads(vlmine("status", "--json").output)}
    assert rows["descriptions"]["outcomes"] == {"ok": 10, "timed_out": 1}
    (row,) = json.loads(vlmine("cache", "--json").output)["variants"]
    vlmine("cache", "prune", "--variant", row["variant"], "--yes")
    calls = len(endpoint.calls)

    endpoint.script = good
    assert vlmine("run", "--retry-failed").exit_code == 0

    assert [call.digest for call in endpoint.calls[calls:]] == list(bad)
    assert json.loads(vlmine("status", "--json").output)[2]["outcomes"] == {"ok": 11}


def run_apart(made: Made) -> dict:
    """`vlmine run --json` in a process of its own, which holds no database of the old home open."""
    command = [sys.executable, "-m", "vlmine_dagster", "run", "--json"]
    done = subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_backup_that_is_restored_is_whole_and_the_cache_alone_costs_no_call(inside, endpoint):
    assert vlmine("run").exit_code == 0
    calls = len(endpoint.calls)
    home = inside.folder / ".vlmine"
    shutil.copytree(home / "models", home / "own")  # a link that another test makes to a file changes it for tar
    shutil.rmtree(home / "models")
    (home / "own").rename(home / "models")
    subprocess.run(["tar", "-czf", "vlmine-backup.tar.gz", "vlmine.yaml", ".vlmine"], cwd=inside.folder, check=True)
    shutil.rmtree(home)

    subprocess.run(["tar", "-xzf", "vlmine-backup.tar.gz"], cwd=inside.folder, check=True)
    restored = run_apart(inside)
    assert (restored["materialized"], restored["failures"]) == ([], [])

    kept = ("cache", "models")
    for folder in (path for path in home.iterdir() if path.is_dir() and path.name not in kept):
        shutil.rmtree(folder)
    again = run_apart(inside)
    assert ["descriptions", "pool/a"] in again["materialized"]
    assert len(endpoint.calls) == calls


def advice() -> dict[str, dict[str, str]]:
    return {row["subject"]: row for row in json.loads(vlmine("doctor", "--json").output)}


def test_doctor_asks_endpoints_for_their_models_and_one_question_as_a_run_would(inside, endpoint, monkeypatch):
    judge = {"kind": "openai", "model": "gpt-9", "base_url": endpoint.url}
    inside.settings(variants={"judged": {"keyworder": judge}})

    silent = advice()
    endpoint.models = ["gpt-4o-mini", "gpt-3.5-turbo"]
    listed = advice()
    monkeypatch.delenv("OPENAI_API_KEY")
    keyless = advice()

    assert silent["describer"]["state"] == "ok"
    assert "it lists no models, so gpt-4o-mini may be there or not" in silent["describer"]["found"]
    assert (listed["describer"]["state"], listed["describer"]["found"]) == ("ok", f"gpt-4o-mini at {endpoint.url}")
    assert listed["judged/keyworder"]["state"] == "warn"
    assert listed["judged/keyworder"]["found"] == f"{endpoint.url} lists no gpt-9"
    assert listed["judged/keyworder"]["advice"] == "It has: gpt-4o-mini, gpt-3.5-turbo."
    assert keyless["describer"]["state"] == "fail"
    assert "OPENAI_API_KEY is not set, and the endpoint requires a key" in keyless["describer"]["found"]
    assert silent["describer answer"]["state"] == "ok"
    assert "describes a test picture in" in silent["describer answer"]["found"]
    assert "describer answer" not in keyless
    assert len(endpoint.calls) == 4
    assert [call.image is not None for call in endpoint.calls] == [True, False] * 2
    assert endpoint.calls[0].body["max_tokens"] == 96


def test_doctor_names_a_dead_address_a_missing_key_and_files_that_are_no_models(inside, monkeypatch):
    dead = {"kind": "openai", "model": "any", "base_url": "http://127.0.0.1:9/v1"}
    (inside.folder / "checkpoint").mkdir()
    (inside.folder / "predictions.parquet").write_text("image_id,cat,dog")
    inside.settings(
        describer=dead,
        task_model={"kind": "predictions", "path": "predictions.parquet"},
        retraining={"kind": "transformers", "path": "checkpoint"},
    )

    found = advice()
    inside.settings(
        describer={"kind": "openai", "model": "any"}, task_model={"kind": "predictions", "path": "gone.parquet"}
    )
    monkeypatch.delenv("OPENAI_API_KEY")
    other = advice()

    assert found["describer"]["state"] == "fail"
    assert "nobody answers at http://127.0.0.1:9/v1: [Errno 111]" in found["describer"]["found"]
    assert "cannot be read as Parquet" in found["task_model.path"]["found"]
    assert "is not a local image-classification checkpoint" in found["retraining.path"]["found"]
    assert "Set the environment variable OPENAI_API_KEY" in other["describer"]["found"]
    assert other["task_model.path"]["state"] == "fail"
    assert other["task_model.path"]["advice"] == "Correct task_model.path in vlmine.yaml."


def test_ctrl_c_ends_the_run_and_the_next_one_pays_for_nothing_twice(inside, endpoint):
    good = endpoint.script
    endpoint.script = lambda call: os.kill(os.getpid(), signal.SIGINT) or good(call) if call.number == 3 else good(call)
    settings = {"kind": "openai", "model": "gpt-4o-mini", "base_url": endpoint.url, "concurrency": 1}
    inside.settings(describer=settings)

    stopped = vlmine("run", "--json")
    endpoint.script = good
    asked = len(endpoint.calls)
    failures = [row.get("failures") for row in json.loads(vlmine("status", "--json").output)]
    again = vlmine("run", "--json")

    assert stopped.exit_code == 130
    told = json.loads(stopped.output)
    assert (told["stopped"], told["failures"], told["is_interrupted"]) == ("interrupted", [], True)
    assert told["materialized"][0] == ["images", "pool/a"]
    assert not any(table == "descriptions" for table, _ in told["materialized"])
    assert asked in (4, 5)  # the next call may be on its way when the signal comes
    assert not any(failures)
    assert again.exit_code == 0
    assert len({call.digest for call in endpoint.calls[:3]} & {call.digest for call in endpoint.calls[4:]}) == 0


def test_ctrl_c_between_two_steps_is_told_in_words(inside, monkeypatch):
    monkeypatch.setattr("vlmine_dagster.cli.progress.RunDisplay.on_run", lambda *_: os.kill(os.getpid(), signal.SIGINT))

    stopped = vlmine("run")

    assert stopped.exit_code == 130
    assert "`vlmine run` continues from here. 0 made, 0 already fresh" in " ".join(stopped.output.split())


def test_a_run_without_a_key_says_where_it_belongs(inside, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    inside.settings(describer={"kind": "openai", "model": "gpt-4o-mini"})

    found = vlmine("run")

    assert found.exit_code == 1
    assert "Set the environment variable OPENAI_API_KEY" in " ".join(found.output.split())


def test_an_address_that_mlflow_refuses_is_named_before_a_model_is_paid(inside, endpoint, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")

    for words in (["run"], ["run", "--json"], ["forecast"]):
        refused = vlmine(*words)

        assert refused.exit_code == 1
        assert refused.stderr.startswith("vlmine: MLflow at ./mlruns: The filesystem tracking backend")
        assert "or unset it: runs are then kept with the project." in refused.stderr
        assert not re.search(r"http\S*\.\.\. ", refused.stderr)  # no address is cut in the middle
    assert endpoint.calls == []
