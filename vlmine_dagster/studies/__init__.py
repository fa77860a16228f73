"""Studies: questions about mining, each one command, one Dagster job, and one MLflow run with its arms nested."""

from vlmine_dagster.studies import correlation, draws, keyworders, orthogonality, pooling
from vlmine_dagster.studies.study import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY for module in (draws, correlation, orthogonality, pooling, keyworders)
}
