"""Great Expectations' suite of each table, worked out once per process instead of at each validation.

Great Expectations builds the configurations of a suite, and the graph of the metrics that it needs, anew for every
batch: three quarters of the time that it takes for the few rows that decide for a table. Both depend on the suite
alone. What it computes of the rows, and what it makes of that, is as it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Any

_RUNTIME = {"result_format": "BASIC"}
DATA_SOURCE = "lake"
PLACE = "place"
"""Under this each result carries its place in the contract along: Great Expectations returns them in its own order."""

_kept: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("kept configurations", default=None)


@contextmanager
def configurations_kept(kept: dict[int, tuple[Any, Any]] | None = None) -> Iterator[None]:
    """Let each expectation make its configuration once: Great Expectations asks for it forty times.

    Args:
        kept: Configurations that were made before; those that are made now are added.
    """
    _keep_configurations()
    before = _kept.set({} if kept is None else kept)
    try:
        yield
    finally:
        _kept.reset(before)


@cache
def _keep_configurations() -> None:
    from great_expectations.expectations.expectation import Expectation

    made = Expectation.configuration.fget

    def configuration(expectation: Any) -> Any:
        kept = _kept.get()
        if kept is None:
            return made(expectation)
        if id(expectation) not in kept:
            kept[id(expectation)] = expectation, made(expectation)
        return kept[id(expectation)][1]

    Expectation.configuration = property(configuration)


@dataclass(frozen=True)
class _Need:
    """An expectation, and the metrics that its verdict is made of."""

    expectation: Any
    metrics: Mapping[str, Any]
    result_format: Any


class Suite:
    """The suite of a table.

    Args:
        table: Name of the table and of the suite.
        rules: (check, expectation) in the order of the contract.

    Attributes:
        table: Name of the table and of the suite.
        rules: (check, expectation) in the order of the contract.
    """

    def __init__(self, table: str, rules: Sequence[tuple[str, Any]]):
        self.table, self.rules = table, tuple(rules)
        self._kept: dict[int, tuple[Any, Any]] = {}

    @property
    def expectations(self) -> tuple[Any, ...]:
        """Its expectations, in the order of the contract."""
        return tuple(expectation for _, expectation in self.rules)

    def evaluate(self, frame: Any) -> Any | None:
        """Return Great Expectations' result for some rows, None where a metric cannot be computed.

        Args:
            frame: The rows, as pandas.
        """
        from great_expectations.execution_engine import PandasExecutionEngine
        from great_expectations.validator.validation_graph import ValidationGraph

        with configurations_kept(self._kept):
            needs, edges = self._prepared
            engine = PandasExecutionEngine(batch_data_dict={self._batch_id: frame})
            graph = ValidationGraph(execution_engine=engine, edges=list(edges))
            metrics, failed = graph.resolve(runtime_configuration=_RUNTIME, show_progress_bars=False)
            if failed:
                return None
            return self._result([self._judged(need, metrics, engine) for need in needs])

    @property
    def _batch_id(self) -> str:
        return f"{DATA_SOURCE}-{self.table}"

    @staticmethod
    def _judged(need: _Need, metrics: Mapping[Any, Any], engine: Any) -> Any:
        answer = need.expectation._validate(
            metrics={name: metrics[metric.id] for name, metric in need.metrics.items()},
            runtime_configuration={"result_format": need.result_format},
            execution_engine=engine,
        )
        return need.expectation._build_evr(raw_response=answer)

    def _result(self, results: list[Any]) -> Any:
        import great_expectations as gx
        from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
        from great_expectations.validator.validator import calc_validation_statistics

        statistics = calc_validation_statistics(results)
        counts = ("evaluated_expectations", "successful_expectations", "unsuccessful_expectations", "success_percent")
        where = {"datasource_name": DATA_SOURCE, "data_connector_name": "fluent", "data_asset_name": self.table}
        return ExpectationSuiteValidationResult(
            results=results,
            success=statistics.success,
            suite_name=self.table,
            statistics={name: getattr(statistics, name) for name in counts},
            meta={
                "great_expectations_version": gx.__version__,
                "active_batch_definition": {**where, "batch_identifiers": {"dataframe": "<DATAFRAME>"}},
            },
            batch_id=self._batch_id,
        )

    @cached_property
    def _prepared(self) -> tuple[list[_Need], tuple[Any, ...]]:
        """What each expectation needs, in the order of Great Expectations' results, and the graph of all metrics."""
        from great_expectations.execution_engine import PandasExecutionEngine
        from great_expectations.validator.metrics_calculator import MetricsCalculator

        engine = PandasExecutionEngine()
        calculator = MetricsCalculator(execution_engine=engine)
        needs, edges = [], {}
        for place, expectation in self._by_column():
            configuration = expectation.configuration
            configuration.kwargs["batch_id"] = self._batch_id
            configuration.meta = {PLACE: place}
            bound = configuration.to_domain_obj()
            found = bound.get_validation_dependencies(execution_engine=engine, runtime_configuration=_RUNTIME)
            needs.append(_Need(bound, dict(found.metric_configurations), found.result_format))
            graph = calculator.build_metric_dependency_graph(
                metric_configurations=found.get_metric_configurations(), runtime_configuration=_RUNTIME
            )
            edges.update({edge.id: edge for edge in graph.edges})
        return needs, tuple(edges.values())

    def _by_column(self) -> list[tuple[int, Any]]:
        """Return places and expectations by column, as Great Expectations orders them; those without are a group."""
        groups: dict[str, list[tuple[int, Any]]] = {}
        for place, expectation in enumerate(self.expectations):
            groups.setdefault(getattr(expectation, "column", ""), []).append((place, expectation))
        return list(chain.from_iterable(groups.values()))
