"""A person at the two web UIs, played by a headless chromium.

By hand, against a running `vlmine ui` one of whose shards is broken (saves a picture of each page):

    python tests/browse_ui.py http://127.0.0.1:3000 --broken pool/shard-0001 --mended good.tar --place bad.tar \
        --chosen pool/shard-0002 pool/shard-0003 --budget 40 --pictures docs/images
"""

import argparse
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE_MS = 480_000


@contextmanager
def open_browser() -> Iterator[Any]:
    """Open a page of a fresh chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


class Person:
    """What a person clicks.

    Args:
        page: A page of the browser.
        url: Address of the Dagster UI.
        pictures: Folder for a picture of each page, None for none.
    """

    def __init__(self, page: Any, url: str, *, pictures: Path | None = None):
        self._page, self._url, self._pictures = page, url.rstrip("/"), pictures

    def look_at_shard(self, asset: str, partition: str, *, expected: str, picture: str = "") -> str:
        """Open a partition of an asset, wait for a text, return all text of the page."""
        self._open(f"/assets/{asset}?view=partitions&partition={quote(partition, safe='')}")
        self._page.get_by_text(re.compile(expected)).first.wait_for()
        self._keep(picture)
        return str(self._page.inner_text("body"))

    def look_at_check(self, asset: str, check: str, *, expected: str, picture: str = "") -> None:
        """Open a check of an asset and wait for what it says."""
        self._open(f"/assets/{asset}?view=checks&checkDetail={check}")
        self._page.get_by_text(re.compile(expected)).first.wait_for()
        self._keep(picture)

    def rerun_failed(self) -> None:
        """Open the newest failed run and execute it again."""
        self._open("/runs?q%5B0%5D=status%3AFAILURE")
        self._page.locator("a[href^='/runs/']").filter(has_text=re.compile(r"^[0-9a-f]{8}$")).first.click()
        failed = self._page.url
        self._page.get_by_role("button", name=re.compile("Re-execute all")).click()
        self._page.wait_for_function("old => location.href.split('?')[0] !== old.split('?')[0]", arg=failed)
        self._wait_for_success()

    def backfill(self, asset: str, partitions: Sequence[str], *, picture: str = "") -> None:
        """Materialize chosen partitions of an asset, and wait until one more backfill has succeeded."""
        self._open("/runs?view=backfills")
        self._page.get_by_text(re.compile("Manually launched|No runs|no backfills", re.IGNORECASE)).first.wait_for()
        earlier = self._page.get_by_text("Success", exact=True).count()
        self._open(f"/assets/{asset}?view=partitions")
        self._page.get_by_role("button", name="Materialize").first.click()
        self._page.get_by_text("Select a partition").click()
        for name in partitions:
            self._page.get_by_role("menuitem").filter(has_text=name).click()
        self._page.keyboard.press("Escape")
        self._keep(picture)
        self._page.get_by_role("button", name=re.compile("Launch .*(backfill|runs?)$")).click()
        self._page.get_by_text("Launch runs to materialize").wait_for(state="hidden")
        self._open("/runs?view=backfills")
        self._page.get_by_text("Manually launched").nth(earlier).wait_for()
        self._page.get_by_text("Success", exact=True).nth(earlier).wait_for()

    def mine(self, experiment: str, *, budget: int, picture: str = "") -> None:
        """Run the mining_job of an experiment with another budget."""
        self._open("/locations/vlmine_dagster.definitions/jobs/mining_job/playground")
        self._page.get_by_placeholder("Partition").click()
        self._page.get_by_role("menuitem").filter(has_text=re.compile(f"^{experiment}$")).first.click()
        self._page.locator(".CodeMirror-line", has_text="budget:").click()
        for key in ("End", "Shift+Home"):
            self._page.keyboard.press(key)
        self._page.keyboard.type(f"budget: {budget}")
        self._page.keyboard.press("Escape")  # closes the editor's hints
        self._page.mouse.move(900, 550)
        self._page.wait_for_timeout(2000)  # what was typed is checked after a pause
        self._page.get_by_text("No errors").wait_for()
        self._keep(picture)
        self._page.get_by_role("button", name="Launch Run").click()
        self._page.wait_for_url(re.compile("/runs/"))
        self._wait_for_success()

    def open_mlflow_run(self, *, picture: str = "") -> str:
        """Follow the link of the materialization that is open; return what the MLflow page says."""
        link = self._page.locator("a[href*='/#/experiments/']").first
        self._page.goto(link.get_attribute("href"))
        self._page.get_by_text("budget", exact=True).first.wait_for()  # of the parameters, which come last
        self._keep(picture)
        return str(self._page.inner_text("body"))

    def _open(self, path: str) -> None:
        self._page.goto(f"{self._url}{path}")

    def _wait_for_success(self) -> None:
        self._page.get_by_text(re.compile(r"^(Success|Failure)$")).first.wait_for()
        assert self._page.get_by_text("Success", exact=True).count(), "the run failed"

    def _keep(self, name: str) -> None:
        if name and self._pictures is not None:
            self._page.wait_for_timeout(1500)  # pages fade in
            self._page.screenshot(path=self._pictures / f"{name}.png")


def play(
    person: Person, *, broken: str, mend: Callable[[], object], chosen: Sequence[str], experiment: str, budget: int
) -> tuple[str, str]:
    """Do what an operator does on a bad day; return what the shard's page and the MLflow page say at the end."""
    person.look_at_shard("images", broken, expected="failed, and did not materialize", picture="ui-failed-shard")
    person.look_at_check("images", "contract", expected="is not a tar", picture="ui-failed-check")
    mend()
    person.rerun_failed()
    person.look_at_check("images", "contract", expected="expectations hold")
    person.backfill("descriptions", chosen, picture="ui-backfill")
    shard = person.look_at_shard("descriptions", chosen[0], expected="cost_usd", picture="ui-shard")
    person.mine(experiment, budget=budget, picture="ui-launchpad")
    person.look_at_shard("pareto_set", experiment, expected="MLflow run", picture="ui-experiment")
    return shard, person.open_mlflow_run(picture="ui-mlflow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--broken", required=True)
    parser.add_argument("--mended", required=True, type=Path, help="A whole file of the broken shard.")
    parser.add_argument("--place", required=True, type=Path, help="Where the broken file lies.")
    parser.add_argument("--chosen", required=True, nargs="+")
    parser.add_argument("--experiment", default="pareto")
    parser.add_argument("--budget", default=40, type=int)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    with open_browser() as page:
        person = Person(page, given.url, pictures=given.pictures)
        told = play(
            person,
            broken=given.broken,
            mend=lambda: shutil.copy(given.mended, given.place),
            chosen=given.chosen,
            experiment=given.experiment,
            budget=given.budget,
        )
    print("\n\n".join(told))


if __name__ == "__main__":
    main()
