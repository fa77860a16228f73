"""Plug-ins of other packages are found, named when they are broken, and never take each other down."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.plugins import OURS, Registry


@dataclass(frozen=True)
class Colour:
    name: str


def install(folder, package, group, plugins, **modules):
    """Put a package with entry points on a folder of the path, as an installer would."""
    about = folder / f"{package.replace('-', '_')}-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    lines = "".join(f"{name} = {value}\n" for name, value in plugins.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of a group with one good, one misnamed, one foreign and one crashing plug-in."""
    group = f"test.{tmp_path.name}"
    module = f"colours_{tmp_path.name}"
    code = f"from {__name__} import Colour\nred = Colour('red')\npink = Colour('rose')\nblue = 'blue'\n"
    offers = {"red": f"{module}:red", "pink": f"{module}:pink", "blue": f"{module}:blue", "grey": f"no_{module}:grey"}
    install(tmp_path, "paint", group, offers, **{module: code})
    install(tmp_path, "varnish", group, {"red": f"{module}:red"})
    monkeypatch.syspath_prepend(tmp_path)
    return Registry(group, Colour, noun="colour")


def test_names_come_from_metadata_and_a_plugin_is_imported_when_it_is_asked_for(registry, tmp_path):
    module = f"colours_{tmp_path.name}"

    assert registry.names == ("blue", "grey", "pink", "red")
    assert module not in sys.modules
    assert registry.get("red") == Colour("red")
    assert registry.package_of("red") == "paint"
    assert module in sys.modules


def test_an_entry_point_may_offer_a_folder_or_a_module_of_plugins(tmp_path, monkeypatch):
    group, folder = f"test.{tmp_path.name}", tmp_path / f"folder_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "dark_red.py").write_text(f"from {__name__} import Colour\nPLUGIN = Colour('dark-red')\n")
    (folder / "shades.py").write_text("raise RuntimeError('no plug-in, and never imported')\n")
    module = f"shades_{tmp_path.name}"
    code = f"from {__name__} import Colour\nLIGHT = Colour('light')\nDARK = Colour('dark')\nother = 1\n"
    offers = {"mine": folder.name, "more": module, "gone": f"gone_{tmp_path.name}"}
    install(tmp_path, "paint", group, offers, **{module: code})
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(group, Colour, noun="colour", dash="-")

    assert registry.names == ("gone", "dark-red", "light", "dark")
    assert module not in sys.modules
    assert list(registry.all().values()) == [Colour("dark-red"), Colour("light"), Colour("dark")]
    assert [(broken.name, broken.package) for broken in registry.broken()] == [("gone", "paint")]


def test_broken_plugins_are_named_with_their_package_and_reason_and_the_others_work(registry):
    assert list(registry.all()) == ["red"]
    assert [(broken.name, broken.package) for broken in registry.broken()] == [
        ("blue", "paint"), ("grey", "paint"), ("pink", "paint"), ("red", "varnish"),
    ]  # fmt: skip
    told = [broken.reason for broken in registry.broken()]
    assert told[0] == "expected a Colour, got str"
    assert "cannot be loaded (ModuleNotFoundError: No module named" in told[1]
    assert told[2] == "it is offered as 'pink' and calls itself 'rose'"
    assert told[3] == "package paint has one of this name"


def test_asking_for_a_broken_plugin_says_whose_it_is_and_what_to_do(registry):
    with pytest.raises(ConfigError, match=r"'blue' of package paint: expected a Colour.* Fix or uninstall paint"):
        registry.get("blue")


def test_an_unknown_name_lists_what_exists_and_what_was_meant(registry):
    with pytest.raises(
        ConfigError, match=r"there is no colour 'reed'\. Did you mean 'red'\? There are: blue, grey, pink, red\."
    ):
        registry.get("reed")


def test_a_working_tree_knows_its_own_plugins_whatever_is_installed(tmp_path):
    code = f"""
import vlmine_dagster.domain.plugins as plugins, pathlib
plugins.__file__ = {str(tmp_path / "package" / "domain" / "plugins.py")!r}
plugins._declared.cache_clear()
assert plugins.Registry("vlmine.new", object, noun="x").names == ("one",)
assert plugins.Registry("vlmine.new", object, noun="x").package_of("one") == {OURS!r}
"""
    lines = [f'name = "{OURS}"', '[project.entry-points."vlmine.new"]', 'one = "json:loads"']
    (tmp_path / "pyproject.toml").write_text("[project]\n" + "\n".join(lines))

    subprocess.run([sys.executable, "-c", code], check=True)
