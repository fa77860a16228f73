"""What tokens cost: a dated table that comes with vlmine, overridden by `prices` in vlmine.yaml."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from vlmine_dagster.settings import PriceSettings
from vlmine_dagster.settings.project import Project

BATCH_DISCOUNT = 0.5
"""The Batch API charges half."""


@dataclass(frozen=True)
class Price:
    """What a model costs.

    Attributes:
        input: US dollars per million tokens read.
        output: US dollars per million tokens written.
        source: Where the price comes from, for people.
    """

    input: float
    output: float
    source: str

    def of(self, prompt_tokens: int, output_tokens: int) -> float:
        """Return the price of a call in US dollars."""
        return (prompt_tokens * self.input + output_tokens * self.output) / 1e6


def price_of(project: Project, model: str, *, is_batch: bool = False) -> Price | None:
    """Return a model's price; None if it is unknown."""
    own = project.settings.prices.get(model)
    date, table = _shipped()
    found = own or table.get(model)
    if found is None:
        return None
    share = BATCH_DISCOUNT if is_batch else 1.0
    source = "vlmine.yaml" if own else f"list price of {date}"
    return Price(found.input * share, found.output * share, f"{source}, half for batches" if is_batch else source)


@cache
def _shipped() -> tuple[str, dict[str, PriceSettings]]:
    content = yaml.safe_load(files("vlmine_dagster.resources").joinpath("data/prices.yaml").read_text(encoding="utf-8"))
    return str(content["date"]), {name: PriceSettings(**price) for name, price in content["models"].items()}
