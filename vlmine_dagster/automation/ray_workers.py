"""Shards at once on a Ray cluster: actors on its nodes, each of which makes one run after the other.

Dagster plans and keeps the history, Ray says where there is room. An actor lives as long as the command, so that the
weights of a local model load once per actor. Nodes share the home, the answer cache and Dagster's history with the
machine that asks: a shared disk, or an object store and PostgreSQL.
"""

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import dagster as dg

from vlmine_dagster.automation.dead_runs import fail_runs_of
from vlmine_dagster.automation.execution import Maker, Report, Watcher, Work
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.dagster_internals import free_slots_of_ended_runs
from vlmine_dagster.engine.stage import WORKER_TAG
from vlmine_dagster.resources.progress import Step
from vlmine_dagster.settings.compute import Needs

_LOOK_EVERY_S = 0.3
_SLOTS_EVERY_S = 5.0
_PATIENCE_S = 10.0
_TRIES = 3
_SHARED = ("VLMINE_HOME", "DAGSTER_HOME", "VLMINE_DAGSTER_URL", "VLMINE_MLFLOW_URL")


class Actor:
    """Makes runs on a node of the cluster.

    Args:
        settings_file: `vlmine.yaml`, by a path that the node has too.
        environment: Where home and history are; secrets are those of the node.
        name: What its runs are tagged with.
    """

    def __init__(self, settings_file: str, environment: Mapping[str, str], name: str):
        from vlmine_dagster.automation.history import open_instance, quiet_libraries
        from vlmine_dagster.domain import secrets
        from vlmine_dagster.settings.project import Project

        secrets.install()
        os.environ.update(environment)
        self._name = name
        self._step: Step | None = None
        self._open = ExitStack()
        self._open.enter_context(quiet_libraries())
        project = Project.load(settings_file)
        instance = self._open.enter_context(open_instance(project))
        self._maker = Maker(project, settings_file, instance)

    def make(self, work: Work) -> Report:
        """Make a run."""
        from vlmine_dagster.resources.progress import listening

        self._step = None
        with listening(self._listen):
            return self._maker.make(work, tags={WORKER_TAG: self._name})

    def _listen(self, step: Step) -> None:
        self._step = step

    def step(self) -> Step | None:
        """Return how far the run at work has come, None where nobody knows."""
        return self._step


@dataclass
class _Place:
    """An actor and what it is making.

    Attributes:
        actor: Ray's handle.
        name: What its runs are tagged with.
        needs: What it holds of a node.
        work: What it is making, None while it waits.
        made: Ray's promise of the report.
        step: Ray's promise of how far it has come.
        tries: How many actors have begun that work.
        is_alive: Whether it has answered; until then it may wait for room on a node.
    """

    actor: Any
    name: str
    needs: Needs
    work: Work | None = None
    made: Any = None
    step: Any = None
    tries: int = 1
    is_alive: bool = False


class RayWorkers:
    """Makes as many runs at once as there are actors.

    An actor holds what the stages of its runs need (`compute` in vlmine.yaml). One whose node is gone is replaced
    where there is room, and its run is made again.

    Args:
        settings_file: `vlmine.yaml`.
        count: Actors; None takes as many as the cluster has room for.
        needs: What the stages of the project need at the most, to see how many actors that is.
        instance: Dagster's instance; the actors open the same one.
        watcher: Who is told what happens.
    """

    def __init__(
        self, settings_file: str, count: int | None, *, needs: Needs, instance: dg.DagsterInstance, watcher: Watcher
    ):
        self.places = count or 0
        self._most_needs = needs
        self._settings_file = settings_file
        self._instance = instance
        self._watcher = watcher
        self._found: dict[int, _Place] = {}
        self._is_ours = False
        self._slots_looked_at_s = time.monotonic()

    def __enter__(self) -> Self:
        ray = _ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=True)
            self._is_ours = True
        self.places = self.places or _room(ray.nodes(), self._most_needs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._found):
            self._drop(number)
        if self._is_ours:
            _ray().shutdown()
            self._is_ours = False

    def start(self, work: Work) -> None:
        """Give a run to an actor that waits for one and holds what it needs; begin one if there is none."""
        self._give(work, tries=1)

    def _give(self, work: Work, *, tries: int) -> None:
        needs = work.needs or Needs()
        idle = {number: place for number, place in self._found.items() if place.work is None}
        number = next((number for number, place in idle.items() if place.needs.cover(needs)), None)
        if number is None:
            number = next(iter(idle), None)
            if number is not None:
                self._drop(number)
            else:
                number = next(number for number in range(self.places) if number not in self._found)
            self._found[number] = self._begun(needs)
        place = self._found[number]
        place.work, place.tries, place.step = work, tries, None
        place.made = place.actor.make.remote(work)
        self._watcher.on_run(work.names, work.where, number)

    def _begun(self, needs: Needs) -> _Place:
        name = f"ray:{uuid.uuid4().hex[:12]}"
        environment = {key: os.environ[key] for key in _SHARED if key in os.environ}
        options = {"num_cpus": needs.num_cpus, "num_gpus": needs.num_gpus, "max_concurrency": 2, "max_restarts": 0}
        if needs.memory_gb is not None:
            options["memory"] = int(needs.memory_gb * 1e9)
        actor = _ray().remote(Actor).options(**options).remote(self._settings_file, environment, name)
        return _Place(actor, name, needs)

    def _drop(self, number: int) -> None:
        place = self._found.pop(number)
        with suppress(Exception):  # it may be gone, or the cluster
            _ray().kill(place.actor)

    def wait(self) -> tuple[Work, Report]:
        """Ask how far runs have come until one ends."""
        ray = _ray()
        while True:
            self._relieve()
            self._free_slots()
            busy = {place.made: number for number, place in self._found.items() if place.work is not None}
            ended, _ = ray.wait(list(busy), timeout=_LOOK_EVERY_S)
            for promise in ended:
                found = self._ended(busy[promise], promise)
                if found is not None:
                    return found
            for number in busy.values():
                self._look(number)

    def _free_slots(self) -> None:
        """Give back slots of pools that ended runs hold: what is killed may claim one in its last moments."""
        if time.monotonic() - self._slots_looked_at_s > _SLOTS_EVERY_S:
            free_slots_of_ended_runs(self._instance)
            self._slots_looked_at_s = time.monotonic()

    def _relieve(self) -> None:
        """Give work of an actor that waits for room, as after the loss of a node, to one that has nothing to do.

        One that has too little for it makes room.
        """
        for number, place in list(self._found.items()):
            if place.work is None or place.is_alive:
                continue
            idle = [other for other, one in self._found.items() if one.work is None]
            able = [other for other in idle if self._found[other].needs.cover(place.needs)]
            if able:
                work, tries = place.work, place.tries
                self._watcher.on_done(number)
                self._drop(number)
                self._give(work, tries=tries)
            elif idle:
                self._drop(idle[0])

    def _ended(self, number: int, promise: Any) -> tuple[Work, Report] | None:
        ray, place = _ray(), self._found[number]
        work, place.work, place.is_alive = place.work, None, True
        if work is None:
            raise RuntimeError("an actor reports work that it was not given")
        self._watcher.on_done(number)
        try:
            return work, ray.get(promise)
        except ray.exceptions.RayActorError as error:
            return self._lost(number, work, error)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None

    def _lost(self, number: int, work: Work, error: Exception) -> tuple[Work, Report] | None:
        """Begin the work of an actor that is gone once more, or report it as failed."""
        place = self._found[number]
        made = fail_runs_of(self._instance, place.name, "The Ray actor that made this is gone.")
        self._drop(number)
        cause = getattr(error, "cause", None)
        if isinstance(cause, ConfigError):
            raise cause
        if place.tries < _TRIES:
            self._give(work, tries=place.tries + 1)
            return None
        reason = f"{work.names}[{work.where}]: the Ray actor that made this was gone {_TRIES} times: {error}"
        return work, Report(materialized=made, failures=[(work.assets[0], reason)])

    def _look(self, number: int) -> None:
        """Pass on how far a run has come, once its actor has said so; ask again."""
        ray, place = _ray(), self._found.get(number)
        if place is None or place.work is None:
            return
        if place.step is not None and ray.wait([place.step], timeout=0)[0]:
            with suppress(ray.exceptions.RayError):
                step = ray.get(place.step)
                place.is_alive = True
                if step is not None:
                    self._watcher.on_step(step, number)
            place.step = None
        if place.step is None:
            place.step = place.actor.step.remote()

    def stop(self) -> list[tuple[Work, Report]]:
        """Kill every actor that is at work; what it was making publishes nothing more."""
        ray, at_work = _ray(), {number: place for number, place in self._found.items() if place.work is not None}
        for number in at_work:
            self._drop(number)
        if at_work:  # until they are gone they claim slots and write to the history
            with suppress(ray.exceptions.RayError):
                ray.wait([place.made for place in at_work.values()], num_returns=len(at_work), timeout=_PATIENCE_S)
        found = []
        for place in at_work.values():
            made = fail_runs_of(self._instance, place.name, "`vlmine run` was stopped.")
            if place.work is not None:
                found.append((place.work, Report(materialized=made, is_interrupted=True)))
        return found


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError("--on ray needs Ray: pip install 'vlmine-dagster[ray]'") from error
    return ray


def _room(nodes: list[dict[str, Any]], needs: Needs) -> int:
    """Return how many actors a cluster has room for, node by node; at least one."""
    wanted = {"CPU": needs.num_cpus, "GPU": needs.num_gpus, "memory": (needs.memory_gb or 0.0) * 1e9}
    count = 0
    for node in (node for node in nodes if node["Alive"]):
        count += min(int(node["Resources"].get(name, 0.0) / much) for name, much in wanted.items() if much)
    return max(1, count)
