"""What every terminal can show: narrow ones, others than UTF-8, without colour, and pipes."""

import errno
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import Made
from PIL import Image

from vlmine_dagster.cli.group import ErrorReportingGroup
from vlmine_dagster.cli.main import main
from vlmine_dagster.cli.terminal import console, prepare_streams, print_table, short_name, table_of
from vlmine_dagster.cli.top import print_top
from vlmine_dagster.settings.project import Project

LONG = f"shard-000/{'L' * 240}.jpg"
ROWS = [
    {"rank": 1, "image_id": LONG, "reason": "rarest keyword 'unicycle' in 1 image"},
    {"rank": 1234, "image_id": "shard-000/b.jpg", "reason": "14th least similar to the rest · unlike any class"},
]


@pytest.mark.parametrize("columns", ["1", "40", "80", "120"])
def test_a_long_name_is_shortened_and_rank_and_reason_stay(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)

    print_top(ROWS, "mine")

    shown = capsys.readouterr().out
    assert all(word in shown for word in ("rank", "image", "why", "1234", "unicycle", "14th"))
    assert "L" * 100 not in shown
    assert "LLL.jpg" in shown  # the end, by which `vlmine explain` finds it
    assert "`vlmine top --json` prints them in full" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= max(80, int(columns))


def test_a_pipe_gets_every_name_whole_and_a_line_for_each_row(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)

    print_top(ROWS, "mine")

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert LONG in lines[2]
    assert "shortened" not in lines[-1]


def test_short_names_keep_both_ends_and_the_limit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    assert short_name("a" * 40) == "a" * 40
    assert short_name("a" * 30 + "b" * 30) == "a" * 13 + "…" + "b" * 26


@pytest.mark.parametrize("columns", [1, 30, 41, 60, 79, 100, 200])
def test_no_width_breaks_a_number_or_loses_a_column(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    numbers = ("12,345,678", "0.41 [dim]0.30-0.52[/]", "0.56 -> 1.00")
    table = table_of({"name": "left", "few-shot": "right", "recall": "right", "accuracy": "right", "state": "left"})
    table.add_row("variation_ratio", *numbers, "3 missing: pool/a, pool/b, pool/c and more of them, far too many")

    print_table(table)

    lines = capsys.readouterr().out.splitlines()
    for word in ("variation_ratio", "12,345,678", "0.41 0.30-0.52", "0.56 -> 1.00", "few-shot", "accuracy"):
        assert any(word in line for line in lines), word
    assert "far too many" in " ".join(" ".join(lines).split())


def test_no_line_of_a_table_ends_in_spaces(monkeypatch, capsys):
    """A note of 200 characters made each row of a log 200 wide, and its viewer wrapped them into empty lines."""
    monkeypatch.delenv("COLUMNS", raising=False)
    table = table_of({"name": "left", "note": "left"})
    table.add_row("images", "fresh")
    table.add_row("verdicts", "x" * 200)

    print_table(table)

    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert [line.split() for line in lines] == [["name", "note"], ["images", "fresh"], ["verdicts", "x" * 200]]


def test_a_terminal_that_does_not_tell_its_size_has_eighty_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    near, far = os.openpty()  # of 0 rows and columns, as those of containers are
    with os.fdopen(far, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(sys, "__stdout__", terminal)

        assert console().width == 80
    os.close(near)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "köln … 猫 a · b ± 1"),
        ("latin-1", "köln ... \\u732b a · b ± 1"),
        ("ascii", "k\\xf6ln ... \\u732b a - b +- 1"),
    ],
)
def test_what_an_encoding_lacks_is_spelled_out(encoding, shown, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)

    prepare_streams()
    stream.write("köln … 猫 a · b ± 1 \udce9")
    stream.flush()

    assert stream.buffer.getvalue().decode(encoding) == f"{shown} \\udce9"


@pytest.fixture
def inside(finished: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(finished.folder)
    return finished


COMMANDS = (["status"], ["top"], ["explain", "rocket-0"], ["compare"], ["study"], ["settings"], ["cache"], ["--help"])
TERMINALS = (
    {"COLUMNS": "1"},
    {"COLUMNS": "40", "TERM": "dumb"},
    {"COLUMNS": "80", "NO_COLOR": "1"},
    {"COLUMNS": "x", "LINES": "0"},
)


def test_every_command_prints_in_every_terminal_and_encoding(inside: Made):
    for words, terminal, charset in itertools.product(COMMANDS, TERMINALS, ("utf-8", "latin-1", "ascii")):
        done = CliRunner(charset=charset).invoke(main, words, env={**terminal, "PYTHONIOENCODING": charset})

        assert done.exit_code == 0, (words, terminal, charset, done.output, done.exception)


def test_an_error_has_no_colour_where_none_is_wanted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value, is_coloured in (("NO_COLOR", "1", False), ("TERM", "dumb", False), ("TERM", "xterm", True)):
        done = CliRunner().invoke(main, ["status"], color=True, env={name: value})

        assert ("\x1b[31m" in done.stderr) == is_coloured, (name, value)
        assert done.exit_code == 1


def test_a_reader_who_has_seen_enough_ends_the_command_without_a_traceback(inside: Made):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for words in (["settings"], ["status"], ["explain", "rocket-0"]):
        with subprocess.Popen(
            [sys.executable, "-m", "vlmine_dagster", *words],
            cwd=inside.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            process.stdout.close()
            told = process.stderr.read().decode()

        assert told == ""


@pytest.mark.parametrize(
    ("output", "code", "told"),
    [(">/dev/full", 1, "cannot be written: No space left on device"), (">&-", 0, ""), ("2>&-", 0, "")],
    ids=["a full disk", "closed output", "closed errors"],
)
def test_an_output_that_cannot_be_written_is_one_line_and_a_closed_one_is_nothing(output, code, told):
    command = f'"{sys.executable}" -m vlmine_dagster settings {output}'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == code
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == bool(told)


@pytest.mark.parametrize(("given", "most", "expected"), [(64, 100, 100), (64, 5000, 4096), (4500, 5000, 4500)])
def test_a_command_opens_up_to_4096_files_where_a_shell_begins_with_fewer(given, most, expected):
    code = (
        "import resource as r; from vlmine_dagster.__main__ import _open_more_files as more; more(); "
        "print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    command = f'ulimit -S -n {given} && ulimit -H -n {most} && "{sys.executable}" -c "{code}"'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(expected), str(most)]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (
            errno.EACCES,
            "/data/caf\\xe9/vlmine.yaml: Permission denied. Give this user the right to it, or work in another",
        ),
        (errno.EROFS, "/data/caf\\xe9/vlmine.yaml: Read-only file system. Give this user the right to it"),
        (errno.ENOSPC, "/data/caf\\xe9/vlmine.yaml: No space left on device. Make room, or set VLMINE_HOME"),
    ],
)
def test_a_disk_that_may_not_be_written_or_is_full_ends_a_command_with_one_line(number, told):
    @click.group(cls=ErrorReportingGroup)
    def commands() -> None: ...

    @commands.command()
    def write() -> None:
        raise OSError(number, os.strerror(number), os.fsdecode(b"/data/caf\xe9/vlmine.yaml"))

    done = CliRunner().invoke(commands, ["write"])

    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert f"vlmine: {told}" in " ".join(done.output.split())


def test_a_home_sign_in_quotation_marks_is_the_home_and_a_folder_of_that_name_is_a_folder(tmp_path, monkeypatch):
    (tmp_path / "home" / "pool").mkdir(parents=True)
    (tmp_path / "~nobody of that name").mkdir()
    for folder in (tmp_path / "home" / "pool", tmp_path / "~nobody of that name"):
        Image.new("RGB", (9, 6)).save(folder / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for given, root in (("~/pool", tmp_path / "home" / "pool"), ("~nobody of that name",) * 2):
        done = CliRunner().invoke(main, ["init", "--force", given])
        assert done.exit_code == 0, done.output
        project = Project.load()
        assert project.resolve(project.settings.dataset.root) == str(tmp_path / root)
