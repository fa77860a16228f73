"""`vlmine review`: the local page on which people judge a mined list."""

import getpass
from pathlib import Path

import click

from vlmine_dagster.cli.mined import experiment_of, shown_experiment
from vlmine_dagster.cli.session import open_bench


@click.command()
@click.option("--experiment", help="List to review. Default: that of `vlmine top`.")
@click.option("--reviewer", default=None, help="Your name beside your verdicts. Default: your user name.")
@click.option(
    "--port", default=3131, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("-n", "count", default=100_000, show_default=True, type=click.IntRange(1, 100_000), help="Items to load.")
@click.option("--open/--no-open", "is_opened", default=True, help="Open the page in the browser.")
def review(experiment: str | None, reviewer: str | None, port: int, count: int, is_opened: bool) -> None:
    """Look through a mined list and judge it, on a page that only this machine can open."""
    from vlmine_dagster.review.desk import Desk
    from vlmine_dagster.review.server import serve

    bench = open_bench()
    name = experiment or shown_experiment(bench)
    experiment_of(bench, name)
    desk = Desk(bench, most=count)
    found = desk.listing(name)

    def say(address: str) -> None:
        click.echo(f"{found.count:,} of {found.total:,} {found.unit}s of {name}: {address}")
        click.echo("Whoever knows this address can open the page, from this machine. Ctrl-C ends it.")
        if is_opened:
            _open(address, bench.project.state_folder("ui") / "review.html")

    serve(desk, experiment=name, port=port, reviewer=reviewer or _user(), say=say)


def _open(address: str, file: Path) -> None:
    """Open the page in the browser, by a file that only this user may read: command lines are for all to see."""
    import webbrowser

    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">', encoding="utf-8")
    webbrowser.open(file.as_uri())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no user of that number, as in containers
        return "me"
