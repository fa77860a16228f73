"""`vlmine ui`: the Dagster and the MLflow web UI on one history."""

import sys

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Port of the MLflow UI.")
def ui(host: str, port: int, mlflow_port: int) -> None:
    """Open the Dagster and the MLflow web UI on one history, and print their addresses."""
    from vlmine_dagster.cli.servers import serve
    from vlmine_dagster.settings.project import Project

    sys.exit(serve(Project.load(), host=host, port=port, mlflow_port=mlflow_port, say=click.echo))
