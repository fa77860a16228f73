"""What the documents say is true: commands exist, files exist."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain import errors
from vlmine_dagster.settings.starter import sample_settings, starter_yaml

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> list[list[str]]:
    """Return every `vlmine ...` command of a document, in code blocks and in code spans."""
    spans = re.findall(r"`(vlmine [^`\n]+)`", text)
    blocks = re.findall(r"```(?:bash|console|sh)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").split(" #")[0] for block in blocks for line in block.splitlines()]
    lines = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(line) for line in [*spans, *lines] if line.startswith("vlmine ")]


ELSEWHERE = {
    "tar": "tests/cli/test_cli_paid.py",
    "export DAGSTER_HOME": "tests/settings/test_homes.py",
    "export DAGSTER_PG_URL": "a PostgreSQL; tried by hand, as the page says",
    "export MLFLOW_TRACKING_URI": "tests/automation/test_faults.py",
    "export VLMINE_CACHE_URL": "tests/resources/test_shared_cache.py",
    "export VLMINE_HOME": "tests/settings/test_homes.py",
    "export AWS_": "an S3 server; tried by hand, as the page says",
    "export VLMINE_DAGSTER_URL": "tests/settings/test_homes.py",
    "export VLMINE_MLFLOW_URL": "tests/test_security.py",
    "dagster instance concurrency set": "tests/test_limits.py",
    "useradd": "root; the unit itself is checked by tests/test_deploy.py",
    "python3 -m venv": "root; the unit itself is checked by tests/test_deploy.py",
    "/opt/vlmine/bin/pip install": "root; the unit itself is checked by tests/test_deploy.py",
    "cp deploy/vlmine.service": "root; the unit itself is checked by tests/test_deploy.py",
    "systemctl": "root; the unit itself is checked by tests/test_deploy.py",
    "sudo -u vlmine": "root; the unit itself is checked by tests/test_deploy.py",
    "pip install": "a package index",
}
"""Commands of the operator's page that are not ours: the file that tests them, or what they need."""


def test_every_other_command_of_the_operators_page_is_tested_or_needs_a_service():
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:bash|console|sh)\n(.*?)```", text, re.DOTALL)
    lines = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    spans = re.findall(r"`((?:dagster|pip|sudo|systemctl) [^`\n]+)`", text)
    foreign = [line for line in [*lines, *spans] if line and not line.startswith("vlmine ")]

    assert [line for line in foreign if not line.startswith(tuple(ELSEWHERE))] == []
    assert [start for start in ELSEWHERE if not any(line.startswith(start) for line in foreign)] == []
    files = [ROOT / file for where in ELSEWHERE.values() for file in re.findall(r"tests/\S+\.py", where)]
    assert [file for file in files if not file.exists()] == []


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


MESSAGES = (ROOT / "docs/messages.md").read_text(encoding="utf-8")
PROGRAMMERS = (
    "vlmine_dagster/mining",
    "vlmine_dagster/learning/training",
    "vlmine_dagster/learning/examples",
    "vlmine_dagster/reporting/report_page",
    "vlmine_dagster/reporting/charts",
    "vlmine_dagster/reporting/figures",
)
"""Where a ContractError is told to who calls a function; the page has one row for all of them."""


def raised() -> dict[str, tuple[str, str]]:
    """Return class and text, with `...` for values, of every error of ours that is raised with a text, by place."""
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)} | {"ValueError"}
    found = {}
    for part in ("vlmine_dagster", "assets", "resources"):
        for file in sorted((ROOT / part).rglob("*.py")):
            place = file.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                    name, text = ast.unparse(node.exc.func), literal(node.exc.args[0])
                    is_told = name in ours and not (name == "ContractError" and place.startswith(PROGRAMMERS))
                    if is_told and len(text.replace("...", "").strip(" :.")) > 3:
                        found[f"{place}:{node.lineno}"] = (name, text)
    return found


def literal(text: ast.expr) -> str:
    """Return what a message always says."""
    if isinstance(text, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in text.values)
    return str(text.value) if isinstance(text, ast.Constant) else ""


def test_every_failure_message_is_explained():
    phrases = {
        part: [phrase.strip(". ") for phrase in re.findall(r"`([^`]+)`", part)] for part in MESSAGES.split("\n## ")
    }
    unexplained = []
    for place, (name, text) in raised().items():
        sections = [part for part in phrases if name == "ValueError" or name in part.partition("\n")[0]]
        if not any(phrase in text for part in sections for phrase in phrases[part] if len(phrase) > 4):
            unexplained.append(f"{place} {name}: {text}")

    assert unexplained == [], "add a phrase of each to the section of its class in docs/messages.md, and what to do"


def test_every_class_of_error_has_its_section_and_stands_in_the_tree():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)} - {"VlmineError"}
    headings = " ".join(line for line in MESSAGES.splitlines() if line.startswith("## "))

    assert {name for name in classes if name not in headings} == set()
    assert {name for name in classes if name not in str(errors.__doc__)} == set()
