"""Software-defined assets, one module a stage: read, call downstairs, write, return facts."""

import gc

import dagster  # noqa: F401 - what it brings stays for good

gc.freeze()  # the collector would go through Dagster's objects again and again: a quarter of the time to start
