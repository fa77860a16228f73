"""Settings of what runs automatically."""

from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, field_validator

from vlmine_dagster.domain.hints import asked_back
from vlmine_dagster.settings.base import Settings


def _mode(given: Any) -> Any:
    return "continuous" if given == "declarative" else given  # the name of earlier versions


class AutomationSettings(Settings):
    """What runs automatically while the Dagster daemon runs."""

    mode: Annotated[Literal["schedules", "continuous"], BeforeValidator(_mode)] = "schedules"
    """Schedules that make what is not fresh at fixed times, or a sensor that makes it as soon as its inputs change."""
    is_on: bool = False
    """Whether schedules and the sensor are on from the start; if off, they wait to be switched on in the UI, and where
    an endpoint, which may cost money, describes or extracts keywords, no run of new shards is requested."""
    nightly_cron: str = "0 2 * * *"
    """When shards that are missing, stale or failed are made."""
    refresh_cron: str = "0 6 * * *"
    """When pool and experiments are made again, if a shard has changed since."""
    timezone: str = "UTC"
    """Time zone of both schedules."""
    max_shards_per_night: Annotated[int, Field(ge=1, le=5000)] = 200
    """At most this many shards per night, those registered first before others."""

    @field_validator("nightly_cron", "refresh_cron")
    @classmethod
    def _cron_is_valid(cls, cron: str) -> str:
        import dagster as dg

        try:  # Dagster's own rule: what it refuses here would otherwise end every command that loads the definitions
            dg.ScheduleDefinition(name="cron", job_name="cron", cron_schedule=cron)
        except dg.DagsterInvalidDefinitionError as error:
            raise ValueError(
                f"{cron!r} is not a cron expression of five fields that ever matches a time, such as '0 2 * * *'"
            ) from error
        return cron

    @field_validator("timezone")
    @classmethod
    def _time_zone_exists(cls, timezone: str) -> str:
        if timezone not in available_timezones():
            hint = asked_back(timezone, available_timezones())
            raise ValueError(f"there is no time zone {timezone!r}, such as 'UTC' or 'Europe/Berlin'.{hint}")
        return timezone
