"""Partition definitions: shards come and go, experiments are the entries of `vlmine.yaml`."""

import dagster as dg

SHARDS = "shards"

shards = dg.DynamicPartitionsDefinition(name=SHARDS)


def experiments(names: list[str]) -> dg.StaticPartitionsDefinition:
    """One partition per experiment, in the order of `vlmine.yaml`."""
    return dg.StaticPartitionsDefinition(names)
