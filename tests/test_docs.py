"""What the documents say is true: commands exist, files exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from vlmine_dagster.cli import main
from vlmine_dagster.starter import sample_settings, starter_yaml

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> list[list[str]]:
    """Return every `vlmine ...` command of a document, in code blocks and in code spans."""
    spans = re.findall(r"`(vlmine [^`\n]+)`", text)
    blocks = re.findall(r"```(?:bash|console|sh)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").split(" #")[0] for block in blocks for line in block.splitlines()]
    lines = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(line) for line in [*spans, *lines] if line.startswith("vlmine ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_documented_command_and_option_exists(document):
    for words in commands(document.read_text(encoding="utf-8")):
        options = {name for p in main.params for name in p.opts}
        rest = [word for word in words[1:] if word not in options]
        if not rest or rest[0].startswith("-"):
            continue
        command = main.commands.get(rest[0])
        assert command is not None, words
        if isinstance(command, click.Group) and len(rest) > 1 and rest[1] in command.commands:
            command = command.commands[rest[1]]
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word for word in rest[1:] if word.startswith("-")} <= known, words


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    missing = [name for name in main.commands if f"vlmine {name}" not in text]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_the_vlmine_yaml_of_the_checkout_is_what_the_demo_writes():
    assert (ROOT / "vlmine.yaml").read_text(encoding="utf-8") == starter_yaml(sample_settings())


def test_every_command_has_help():
    for name, command in main.commands.items():
        assert isinstance(command, click.Command)
        assert command.help, name
