"""What `vlmine run --on dagster` says of a run that a launcher could not start."""

from types import SimpleNamespace

import dagster as dg
import pytest
from conftest import events_of_unstarted_run
from dagster_graphql import DagsterGraphQLClientError

from vlmine_dagster.automation.execution import Unwatched, Work
from vlmine_dagster.automation.launched import Launched, _Followed, _last_words


@dg.op
def nothing() -> None: ...


@dg.job
def shard_job() -> None:
    nothing()


class Server:
    """A web server that refuses a given number of times to end a run, then ends it."""

    def __init__(self, instance: dg.DagsterInstance, refusals: dict[str, int]):
        self.instance, self.refusals = instance, refusals
        self.asked: list[str] = []

    def terminate_run(self, run_id: str) -> None:
        self.asked.append(run_id)
        if self.refusals[run_id] > 0:
            self.refusals[run_id] -= 1
            raise DagsterGraphQLClientError("TerminateRunFailure", "it is STARTING")
        self.instance.report_run_canceled(self.instance.get_run_by_id(run_id))


def test_a_run_that_is_only_starting_is_asked_to_end_until_it_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vlmine_dagster.automation.launched._LOOK_EVERY_S", 0.04)
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [instance.create_run_for_job(shard_job).run_id for _ in range(2)]
        server = Server(instance, {runs[0]: 0, runs[1]: 3})
        launched = Launched(2, url="http://127.0.0.1:3000", instance=instance, watcher=Unwatched())
        launched._client = server
        for number, run_id in enumerate(runs):
            shard = f"pool/{number}"
            launched._followed[number] = _Followed(Work("shard_job", ("images",), shard, shard), run_id)
        found = launched.stop()

    assert [report.is_interrupted for _, report in found] == [True, True]
    assert sorted(server.asked) == sorted([runs[0], *[runs[1]] * 4])


def test_the_reason_is_what_the_launcher_said_and_not_that_the_run_was_marked_as_failed():
    marked = events_of_unstarted_run("marked as failed")
    error = SimpleNamespace(message="AuthenticationError: no token for the cluster\n", cause=None)
    refused = SimpleNamespace(event_specific_data=SimpleNamespace(error=error))

    assert _last_words(marked) == "marked as failed"
    assert _last_words([refused, *marked]) == "AuthenticationError: no token for the cluster"
