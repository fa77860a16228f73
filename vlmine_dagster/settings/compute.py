"""What a stage needs of the machine that makes it, where several machines do."""

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from vlmine_dagster.settings.base import Settings


class ComputeSettings(Settings):
    """What one stage needs of a node, on Ray or Kubernetes; on this machine alone nobody asks."""

    num_cpus: Annotated[float, Field(gt=0, le=1024)] = 1.0
    """Processor cores."""
    num_gpus: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Accelerators; on Ray a share such as 0.5 lets two workers take turns at one."""
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory to reserve; nothing if left out."""

    @property
    def needs(self) -> "Needs":
        """The same as a value."""
        return Needs(self.num_cpus, self.num_gpus, self.memory_gb)


@dataclass(frozen=True)
class Needs:
    """What a run needs of a node.

    Attributes:
        num_cpus: Processor cores.
        num_gpus: Accelerators.
        memory_gb: Memory to reserve, None for nothing.

    Examples:
        >>> Needs(4).most(Needs(1, 0.5, 16))
        Needs(num_cpus=4, num_gpus=0.5, memory_gb=16)
        >>> Needs(4, 1).cover(Needs(2)), Needs(4, 1).cover(Needs(2, memory_gb=8))
        (True, False)
    """

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory_gb: float | None = None

    def most(self, other: "Needs") -> "Needs":
        """Return what is enough for both, one after the other."""
        memory = max(self.memory_gb or 0.0, other.memory_gb or 0.0)
        return Needs(max(self.num_cpus, other.num_cpus), max(self.num_gpus, other.num_gpus), memory or None)

    def cover(self, other: "Needs") -> bool:
        """Whether who has this has what another needs."""
        return self.most(other) == self

    @property
    def run_tags(self) -> dict[str, str]:
        """The same tags as a run has them, as text."""
        return {name: json.dumps(value) for name, value in self.tags.items()}

    @property
    def tags(self) -> dict[str, Any]:
        """The tags by which dagster-ray and dagster-k8s reserve it, of a step."""
        ray: dict[str, Any] = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}
        requests: dict[str, str] = {"cpu": f"{self.num_cpus:g}"}
        limits: dict[str, str] = {}
        if self.memory_gb is not None:
            ray["memory"] = int(self.memory_gb * 1e9)
            requests["memory"] = limits["memory"] = f"{int(self.memory_gb * 1e9)}"
        if self.num_gpus:
            limits["nvidia.com/gpu"] = f"{math.ceil(self.num_gpus)}"
        resources = {"requests": requests, **({"limits": limits} if limits else {})}
        return {"dagster-ray/config": ray, "dagster-k8s/config": {"container_config": {"resources": resources}}}
