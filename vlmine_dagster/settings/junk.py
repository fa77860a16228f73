"""Whether the lists of a project have a junk lane."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import ProjectSettings


def why_no_junk_lane(settings: "ProjectSettings") -> str | None:
    """Return why the lists of a project have no junk lane, None where they have one."""
    medium = settings.dataset.medium
    if settings.junk == "keep":
        return "junk: keep (vlmine.yaml) leaves junk in the lists"
    if not medium.is_photographed:
        return f"only photos can be blurred or black by mistake; the medium is {medium.kind}"
    return "only whole images are checked for junk, and objects are mined" if settings.unit == "object" else None
