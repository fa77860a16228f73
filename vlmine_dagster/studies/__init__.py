"""Studies: questions about mining, each one command, one Dagster job, and one MLflow run with its arms nested."""

from vlmine_dagster.studies import draws, keyworders
from vlmine_dagster.studies.study import Study

STUDIES: dict[str, Study] = {study.name: study for study in (draws.STUDY, keyworders.STUDY)}
