"""VLMine as a Dagster pipeline: describe images, count keywords, mine the rare ones, retrain, judge."""

import os

# No telemetry, no chatter of MLflow in the terminal, and threads of OpenMP that sleep while they wait: beside one busy
# core, a thread that spins takes the core that it waits for (fits of probes: 3 to 6 times the CPU time). These are read
# by the libraries when they are imported. A value that the user set stays.
for _name, _value in {
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}.items():
    os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
