"""What `vlmine run --on dagster` says of a run that a launcher could not start."""

from types import SimpleNamespace

from conftest import events_of_unstarted_run

from vlmine_dagster.automation.launched import _last_words


def test_the_reason_is_what_the_launcher_said_and_not_that_the_run_was_marked_as_failed():
    marked = events_of_unstarted_run("marked as failed")
    error = SimpleNamespace(message="AuthenticationError: no token for the cluster\n", cause=None)
    refused = SimpleNamespace(event_specific_data=SimpleNamespace(error=error))

    assert _last_words(marked) == "marked as failed"
    assert _last_words([refused, *marked]) == "AuthenticationError: no token for the cluster"
