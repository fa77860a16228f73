"""The page on which a person calls images rare or not: one file, works offline, keeps verdicts in the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

VERDICTS = ("rare", "common", "broken")


@dataclass(frozen=True)
class Picture:
    """An image to judge: its id, and a thumbnail as a data URL."""

    image_id: str
    thumbnail: str


def render_verification(pictures: Sequence[Picture], *, project: str, digest: str) -> str:
    """Return the page.

    Args:
        pictures: The images, in the order in which they are shown.
        project: Name of the project.
        digest: Hex digits that tell this list of images from another; verdicts are kept under it.
    """
    return str(_template().render(pictures=pictures, project=project, digest=digest))


@cache
def _template() -> Any:
    import jinja2

    text = files("vlmine_dagster.reporting").joinpath("data", "verify.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text)
