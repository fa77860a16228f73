"""What `vlmine run --on dagster` says of a run that a launcher could not start."""

from types import SimpleNamespace

import dagster as dg

from vlmine_dagster.automation.launched import _last_words


def test_the_reason_is_what_the_launcher_said_and_not_that_the_run_was_marked_as_failed():
    @dg.job
    def nothing() -> None:
        pass

    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(nothing)
        instance.report_run_failed(run, "marked as failed")
        records = instance.get_records_for_run(run.run_id).records
    marked = [record.event_log_entry.dagster_event for record in records]
    error = SimpleNamespace(message="AuthenticationError: no token for the cluster\n", cause=None)
    refused = SimpleNamespace(event_specific_data=SimpleNamespace(error=error))

    assert _last_words(marked) == "marked as failed"
    assert _last_words([refused, *marked]) == "AuthenticationError: no token for the cluster"
