"""How long `vlmine ui` takes until both web UIs answer, and what its processes hold.

    python -m benchmarks.web_uis --project path/to/vlmine.yaml
    python -m benchmarks.web_uis --shards 1000 --experiments 30 --rounds 1 --after 0 --asset descriptions

Wall-clock seconds from the command to the first page, and resident memory in sum, once both have answered and a minute
later. Without a project a synthetic one is made. Of each `--asset` the page of its partitions is opened three times in
headless Chromium (`pip install 'vlmine-dagster[browser]'`), until it has listed them; the first time is with an empty
cache of the browser.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import click
import yaml

from benchmarks.measuring import Resident, machine, print_table, process_tree
from benchmarks.synthetic_pool import SyntheticPool

_PATIENCE_S = 300.0
_CHROMIUM = "/usr/bin/chromium"
_OPENED = 3


@click.command()
@click.option("--project", "file", type=click.Path(exists=True, path_type=Path), help="vlmine.yaml of a project.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Starts.")
@click.option("--after", default=60.0, show_default=True, help="Seconds until memory is read again.")
@click.option("--shards", default=4, show_default=True, help="Of the synthetic project.")
@click.option("--experiments", default=1, show_default=True, help="Of the synthetic project.")
@click.option("--asset", "assets", multiple=True, help="Time the page of this asset's partitions too.")
def main(
    *, file: Path | None, rounds: int, after: float, shards: int, experiments: int, assets: tuple[str, ...]
) -> None:
    """Print seconds, processes and memory of each start."""
    with tempfile.TemporaryDirectory() as name:
        pool = SyntheticPool(Path(name) / "pool", shards, 10)
        if file is None:
            pool.make()
            _give_experiments(pool.file, experiments)
        folder = pool.folder if file is None else file.parent
        rows = [measure(folder, after=after, assets=assets) for _ in range(rounds)]
    print(f"{machine('dagster', 'mlflow')}\n")
    columns = ["start", "Dagster answers, s", "MLflow answers, s", "processes", "MB", f"MB after {after:.0f} s"]
    pages = [f"partitions of {asset}, s" for asset in assets]
    print_table([*columns, *pages], [[place, *row] for place, row in enumerate(rows, start=1)])


def _give_experiments(file: Path, count: int) -> None:
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["experiments"] = {f"e{number:02}": {"signals": ["novelty_min", "entropy"]} for number in range(count)}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def measure(folder: Path, *, after: float, assets: tuple[str, ...] = ()) -> list[str]:
    """Start the web UIs of a project once; return what the table says of it."""
    dagster_port, mlflow_port = free_port(), free_port()
    command = [sys.executable, "-m", "vlmine_dagster", "ui", "--port", str(dagster_port)]
    started = time.monotonic()
    with subprocess.Popen([*command, "--mlflow-port", str(mlflow_port)], cwd=folder, stdout=subprocess.PIPE) as process:
        try:
            left, answered = {dagster_port, mlflow_port}, dict[int, float]()
            while left:
                now = time.monotonic() - started
                if process.poll() is not None or now > _PATIENCE_S:
                    raise SystemExit(f"vlmine ui: no answer from port {sorted(left)} after {now:.0f} s")
                answered |= {port: now for port in left if is_up(port)}
                left -= answered.keys()
                time.sleep(0.1)
            before = process_tree(process.pid)
            time.sleep(after)
            later = process_tree(process.pid)
            pages = [opening_s(f"http://127.0.0.1:{dagster_port}/assets/{asset}?view=partitions") for asset in assets]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    seconds = [f"{answered[port]:.1f}" for port in (dagster_port, mlflow_port)]
    return [*seconds, str(len(later)), _total(before), _total(later), *pages]


def opening_s(url: str) -> str:
    """Return the seconds until a page of partitions has listed them, each time that it is opened."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for _ in range(_OPENED):
            started = time.monotonic()
            page.goto(url)
            page.get_by_text(re.compile(r"\d Partitions? Selected")).first.wait_for(timeout=1000 * _PATIENCE_S)
            found.append(f"{time.monotonic() - started:.1f}")
        browser.close()
    return ", ".join(found)


def is_up(port: int) -> bool:
    """Say whether a page is served at a port."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as page:
        return bool(page.status == 200)
    return False


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _total(processes: list[Resident]) -> str:
    return f"{sum(one.mb for one in processes):,.0f}"


if __name__ == "__main__":
    main()
