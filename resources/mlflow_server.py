"""MLflow's web server for one project, in one process: `python -m vlmine_dagster.resources.mlflow_server`.

`mlflow server` starts a second interpreter for uvicorn and keeps the first waiting, and beside them a runner with
seven workers for jobs that language-model features submit: 2 GB for what a tracking server never uses.
"""

import os
import sys
from pathlib import Path

from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.settings.project import Project


def serve(tracking: Tracking, host: str, port: int) -> None:
    """Serve a database's experiments, and the artifacts beside them, until a signal comes.

    Args:
        tracking: The project's database and artifacts.
        host: Address to listen on.
        port: Port to listen on.
    """
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: tracking.uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: tracking.uri,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: tracking.artifacts_folder.as_uri(),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    import uvicorn
    from mlflow.server.fastapi_app import app

    uvicorn.run(app, host=host, port=port)


def main() -> None:
    """Reach the project's MLflow, write the address of its runs into a file, and serve it if no server does.

    Arguments: host, port, file.
    """
    host, port, file = sys.argv[1:]
    tracking = Tracking(Project.load())
    Path(file).write_text(tracking.runs_url, encoding="utf-8")
    if not tracking.is_server:
        serve(tracking, host, int(port))


if __name__ == "__main__":
    main()
