"""Plug-ins: parts that this package and others offer by entry points, found by name and loaded when asked for.

A group holds the plug-ins of one sort, such as `vlmine.describers`. An entry point offers one (`package.module:NAME`),
all of a folder (`package.folder`: each module that assigns PLUGIN is one, by the module's name), or all of a module
(`package.module`: each constant that is made of the group's type is one, by the constant's name).

Names cost next to nothing: a plug-in's module is imported when that plug-in is asked for. One that cannot be loaded is
named where it is asked for and in `vlmine doctor`, and takes no other down.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import did_you_mean

OURS = "vlmine-dagster"
"""The distribution whose plug-ins come with vlmine; of two plug-ins of one name, ours wins."""

Plugin = TypeVar("Plugin")


@dataclass(frozen=True)
class BrokenPlugin:
    """A plug-in that cannot be used.

    Attributes:
        group: Its group, such as vlmine.describers.
        name: Its name there.
        package: The distribution that offers it.
        reason: What went wrong, in one line.
    """

    group: str
    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"{self.group} {self.name!r} of package {self.package}: {self.reason}"


@dataclass(frozen=True)
class Offer:
    """An entry point and the distribution that declares it."""

    package: str
    entry: EntryPoint

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return self.entry.name


class Registry(Generic[Plugin]):
    """The plug-ins of one group.

    Args:
        group: The entry-point group.
        of_type: What every plug-in of the group must be an instance of.
        noun: What one is called in messages, such as describer.
        plural: What several are called, where an s is not enough.
        named_by: Attribute of a plug-in that repeats its name.
        dash: What stands in names for the underscore of a module's name.
    """

    def __init__(
        self, group: str, of_type: type[Plugin], *, noun: str, plural: str = "", named_by: str = "name", dash: str = "_"
    ):
        self.group = group
        self.noun = noun
        self.plural = plural or f"{noun}s"
        self._type = of_type
        self._named_by = named_by
        self._dash = dash
        self._loaded: dict[str, Plugin | BrokenPlugin] = {}

    @cached_property
    def _offers(self) -> dict[str, Offer]:
        """What is offered, by name: ours first. Of two offers of one name, the first counts."""
        offers: dict[str, Offer] = {}
        for offer in self._all_offers():
            offers.setdefault(offer.name, offer)
        return offers

    def _all_offers(self) -> list[Offer]:
        return [one for offer in _offers(self.group) for one in self._single(offer)]

    def _single(self, offer: Offer) -> list[Offer]:
        """Return what an entry point offers, one by one; itself where it offers one, or cannot be looked into."""
        if ":" in offer.entry.value:
            return [offer]
        try:
            spec = find_spec(offer.entry.value)
        except Exception:  # it imports the parent, somebody else's code; loading the offer says what is wrong
            return [offer]
        if spec is None or spec.origin is None:
            return [offer]
        if spec.submodule_search_locations is None:
            text = Path(spec.origin).read_text(encoding="utf-8")
            names = re.findall(rf"^([A-Z]\w*) = {self._type.__name__}\(", text, re.MULTILINE)
            return [self._at(offer, name.lower(), f"{offer.entry.value}:{name}") for name in names]
        modules = (file for at in spec.submodule_search_locations for file in sorted(Path(at).glob("[a-z]*.py")))
        return [
            self._at(offer, file.stem.replace("_", self._dash), f"{offer.entry.value}.{file.stem}:PLUGIN")
            for file in modules
            if re.search(r"^PLUGIN\b", file.read_text(encoding="utf-8"), re.MULTILINE)
        ]

    def _at(self, offer: Offer, name: str, value: str) -> Offer:
        return Offer(offer.package, EntryPoint(name, value, self.group))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all plug-ins, those that come with vlmine first, broken ones included; imports none of them."""
        return tuple(self._offers)

    def get(self, name: str) -> Plugin:
        """Return a plug-in, importing its module at the first call.

        Raises:
            ConfigError: there is none of that name, or it is broken.
        """
        found = self._load(name)
        if isinstance(found, BrokenPlugin):
            raise ConfigError(f"the plug-in {found}. Fix or uninstall {found.package}; the others work.")
        return found

    def all(self) -> dict[str, Plugin]:
        """Return every plug-in that works, by name; imports all of them."""
        loaded = {name: self._load(name) for name in self.names}
        return {name: found for name, found in loaded.items() if not isinstance(found, BrokenPlugin)}

    def broken(self) -> list[BrokenPlugin]:
        """Return the plug-ins that cannot be loaded or whose name is taken; imports all of them."""
        failed = [found for name in self.names if isinstance(found := self._load(name), BrokenPlugin)]
        return failed + [
            BrokenPlugin(self.group, offer.name, offer.package, f"package {first.package} has one of this name")
            for offer in self._all_offers()
            if (first := self._offers[offer.name]) != offer
        ]

    def package_of(self, name: str) -> str:
        """Return the distribution that offers a plug-in."""
        return self._offers[name].package

    def module_of(self, name: str) -> str:
        """Return the module that holds a plug-in."""
        return self._offers[name].entry.module

    def _load(self, name: str) -> Plugin | BrokenPlugin:
        if name not in self._offers:
            raise ConfigError(f"there is no {self.noun} {name!r}{did_you_mean(name, self.names)}")
        if name not in self._loaded:
            self._loaded[name] = self._imported(name)
        return self._loaded[name]

    def _imported(self, name: str) -> Plugin | BrokenPlugin:
        offer = self._offers[name]
        try:
            plugin = offer.entry.load()
            problem = self._problem(plugin, name)
        except Exception as error:  # whatever someone else's module does when it is imported
            problem = f"{offer.entry.value} cannot be loaded ({type(error).__name__}: {_first_line(error)})"
        return plugin if problem is None else BrokenPlugin(self.group, name, offer.package, problem)

    def _problem(self, plugin: Any, name: str) -> str | None:
        if not isinstance(plugin, self._type):
            return f"expected a {self._type.__name__}, got {type(plugin).__name__}"
        own = getattr(plugin, self._named_by)
        return None if own == name else f"it is offered as {name!r} and calls itself {own!r}"


@cache
def _offers(group: str) -> tuple[Offer, ...]:
    """Return all offers of a group: ours, then those of other packages by name and package.

    In a working tree its pyproject.toml says what is ours: installed metadata lags behind it.
    """
    named = _installed(tuple(sys.path))(group=group)
    found = [Offer(one.dist.name if one.dist is not None else "unknown", one) for one in named]
    declared = [Offer(OURS, EntryPoint(name, value, group)) for name, value in _declared().get(group, {}).items()]
    ours = declared or [offer for offer in found if offer.package == OURS]
    others = [offer for offer in found if offer.package != OURS]
    return (*ours, *sorted(others, key=lambda offer: (offer.name, offer.package)))


@cache
def _installed(_path: tuple[str, ...]) -> Callable[..., EntryPoints]:
    """Return what selects from the entry points of all packages; looking for them is slow, so once for all groups."""
    return entry_points().select


@cache
def _declared() -> Mapping[str, Mapping[str, str]]:
    file = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not file.is_file():
        return {}
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return dict(project.get("entry-points", {})) if project.get("name") == OURS else {}


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else "no message"
