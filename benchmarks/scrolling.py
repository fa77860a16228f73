"""How smoothly the review page scrolls: frame times of a headless chromium over a long list.

    python -m benchmarks.scrolling --items 100000 --folder /tmp/scrolling

The list is made of a few drawn pictures, linked under as many names as there are items, so that each is a file and a
thumbnail of its own. The page is scrolled for some seconds at three speeds: slow (one row in five frames), fast (two
rows per frame) and by jumps to random places. It prints the median, the 95th and the 99th percentile of the time
between frames, and how long until the pictures of a screen were there after a jump.
"""

import argparse
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image, ImageDraw

from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.resources.sources.folder import FolderSource
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.review.app import review_app
from vlmine_dagster.review.desk import Desk
from vlmine_dagster.review.server import HOST, listening

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_TOKEN = "scrolling"  # noqa: S105 - of a server that lives for a minute
_PICTURES = 200
SHARDS = 100

FRAMES = """
({seconds, step}) => new Promise(done => {
  const grid = document.getElementById('grid'), times = [];
  const limit = performance.now() + 1000 * seconds;
  let last = performance.now();
  const frame = now => {
    times.push(now - last); last = now;
    if (step === 'jump') { if (times.length % 60 === 0) grid.scrollTop = Math.random() * grid.scrollHeight; }
    else grid.scrollTop += step;
    now < limit ? requestAnimationFrame(frame) : done(times.slice(2));
  };
  requestAnimationFrame(frame);
})
"""
ALL_SHOWN = """() => {
  const cells = [...document.querySelectorAll('.cell:not([hidden])')];
  return cells.length > 0 && cells.every(cell => cell.querySelector('img').dataset.state === 'shown');
}"""


def make_list(folder: Path, count: int) -> Path:
    """Make a project with a mined list of drawn pictures; return its settings file."""
    file = folder / "vlmine.yaml"
    if file.exists():
        return file
    data = folder / "data"
    data.mkdir(parents=True)
    drawn = [_picture(number) for number in range(min(_PICTURES, count))]
    names = [f"{number // 1000:03d}/{number:06d}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (data / name).parent.mkdir(exist_ok=True)
        first = data / names[number % len(drawn)]
        first.write_bytes(drawn[number]) if number < len(drawn) else os.link(first, data / name)
    settings = {
        "name": "scrolling",
        "dataset": {"kind": "folder", "root": "data", "shard_count": SHARDS},
        "experiments": {"rare": {"signals": ["novelty_min"]}},
    }
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    bench = Workbench(settings_file=str(file))
    ids = _publish_images(bench)
    novelty = np.linspace(1, 0, count, endpoint=False)
    reasons = [f'keyword "thing {number % 997}" in {1 + number // 100:,} images' for number in range(count)]
    columns: dict[str, Any] = {"image_id": ids, "rank": range(1, count + 1), "selected": [True] * count}
    _publish(bench, "pareto_set", "rare", **columns, reason=reasons, novelty_min=novelty)
    return file


def _publish_images(bench: Workbench) -> list[str]:
    """Publish `images` without opening any; return all ids."""
    found: list[str] = []
    source = bench.source
    if not isinstance(source, FolderSource):
        raise TypeError("the project made here is a folder of photos")
    for shard in source.shards():
        ids = [f"{shard}/{path}" for path in source.paths(shard)]
        contents = [hashlib.sha256(name.encode()).hexdigest() for name in ids]
        _publish(bench, "images", shard, image_id=ids, uri=ids, sha256=contents)
        found += ids
    return found


def _publish(bench: Workbench, table: str, partition: str, **columns: Any) -> None:
    """Publish rows: what is given, and the plainest value that the contract allows elsewhere."""
    contract, count = TABLES[table], len(columns["image_id"])
    given = {name: pa.array(values) for name, values in columns.items()}
    for column in contract.columns:
        plain = None if column.nullable else next(iter(column.allowed), column.minimum or 0)
        if column.name not in given:
            given[column.name] = pa.array([plain] * count, column.type)
    bench.lake.publish(table, partition, pa.table(given), inputs="benchmark")


def _picture(number: int) -> bytes:
    """Return a photo-sized JPEG that compresses as badly as a photo does."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).text((20, 20), str(number), fill="white", font_size=120)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


@contextmanager
def served(settings_file: Path, experiment: str) -> Iterator[str]:
    """Serve the page of a list from a thread; give its address."""
    import uvicorn

    desk = Desk(Workbench(settings_file=str(settings_file)))
    with listening(0) as listener:
        host = f"{HOST}:{listener.getsockname()[1]}"
        app = review_app(desk, experiment=experiment, token=_TOKEN, hosts=(host,), reviewer="benchmark")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://{host}/{_TOKEN}/"
        finally:
            server.should_exit = True
            thread.join(10)


def frame_times(address: str, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return percentiles of the time between frames, in milliseconds, by how the page was scrolled."""
    from playwright.sync_api import sync_playwright

    found: dict[str, dict[str, float]] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_function(ALL_SHOWN, timeout=60_000)
        height = page.evaluate("() => document.querySelector('.row').offsetHeight")
        for name, step in {"slow": height / 5, "fast": 2 * height, "jumps": "jump"}.items():
            times = np.array(page.evaluate(FRAMES, {"seconds": seconds, "step": step}))
            levels = {f"p{level}": round(float(np.percentile(times, level)), 1) for level in (50, 95, 99)}
            found[name] = {**levels, "frames": len(times)}
        waits = [_wait_after_jump(page, share) for share in (0.25, 0.55, 0.85)]
        found["pictures after a jump"] = {"median_ms": round(float(np.median(waits)))}
        browser.close()
    return found


def _wait_after_jump(page: Any, share: float) -> float:
    return float(
        page.evaluate(
            """async ([share, test]) => {
                const grid = document.getElementById('grid'), isShown = eval(test), start = performance.now();
                grid.scrollTop = share * grid.scrollHeight;
                await new Promise(requestAnimationFrame);
                while (!isShown() && performance.now() - start < 30000) await new Promise(done => setTimeout(done, 10));
                return performance.now() - start;
            }""".replace("eval(test)", f"({ALL_SHOWN})"),
            [share, ""],
        )
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, required=True, help="Where the list is made, or was made before.")
    parser.add_argument("--seconds", type=float, default=8.0)
    given = parser.parse_args()
    with served(make_list(given.folder, given.items), "rare") as address:
        for name, numbers in frame_times(address, seconds=given.seconds).items():
            print(f"{name}: {json.dumps(numbers)}")


if __name__ == "__main__":
    main()
