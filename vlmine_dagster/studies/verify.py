"""Study `verify`: mined images beside random ones, blind, for a person to call rare or not."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.advice import wilson
from vlmine_dagster.mining.selection import random_signal
from vlmine_dagster.reporting.verification_page import VERDICTS, Picture, render_verification
from vlmine_dagster.resources.intake import load_pictures
from vlmine_dagster.resources.pictures import thumbnail_data_url
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import default_experiment, settings_hash
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.study import Arm, Findings, Row, Study, StudyRun

ARMS = ("mined", "random")
PAGE = "verify.html"
_EACH = 50
_THUMBNAIL_SIDE = 220
_STEP = "sample"
_SEED = 17
_SHOWN_AT = 0.025


def sample(run: StudyRun, _step: str) -> list[Row]:
    """Take the first images of the experiment and as many at random from the rest of its list, in mixed order."""
    experiment = default_experiment(run.bench.project.settings.experiments)
    ranked = run.bench.lake.read("pareto_set", experiment, columns=["image_id", "rank"]).sort_by("rank")
    names = ranked.column("image_id").to_pylist()
    count = min(_EACH, len(names) // 2)
    rest = names[count:]
    controls = [rest[place] for place in np.argsort(random_signal(rest, random_seed=_SEED))[:count]]
    chosen = [("mined", name) for name in names[:count]] + [("random", name) for name in controls]
    order = np.argsort(random_signal([name for _, name in chosen], random_seed=_SEED + 1))
    return [{"arm": chosen[k][0], "image_id": chosen[k][1], "experiment": experiment} for k in order]


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Lay the images out on a page that works offline, and count the verdicts that came back."""
    digest = settings_hash([row["image_id"] for row in rows])
    files = {PAGE: _page(run, rows, digest)}
    given = read_verdicts(verdict_folder(run.bench))
    arm_of = {row["image_id"]: row["arm"] for row in rows}
    counted = Counter((arm_of[name], verdict) for name, verdict in given.items() if name in arm_of)
    seen = {arm: counted[arm, "rare"] + counted[arm, "common"] for arm in ARMS}
    table = [
        {
            "images": f"{rows[0]['experiment']}, first {_EACH}" if arm == "mined" else "drawn at random",
            **{verdict: str(counted[arm, verdict]) for verdict in VERDICTS},
            "rare": _share(counted[arm, "rare"], seen[arm]),
        }
        for arm in ARMS
    ]
    arms = [
        Arm(arm, {"images": arm}, {"rare_share": counted[arm, "rare"] / seen[arm]} if seen[arm] else {}) for arm in ARMS
    ]
    words = _words(counted, seen, page=str(run.folder / PAGE))
    return Findings(words, {"What a person says": table}, arms, files)


def _words(counted: Mapping[tuple[str, str], int], seen: Mapping[str, int], *, page: str) -> list[str]:
    from scipy.stats import fisher_exact

    if not all(seen.values()):
        return [
            f"nobody has looked yet: open {page}, judge, save, and give the file to "
            f"`vlmine study verify --verdicts FILE`"
        ]
    rare = {arm: counted[arm, "rare"] for arm in ARMS}
    p_value = float(fisher_exact(np.array([[rare[arm], seen[arm] - rare[arm]] for arm in ARMS])).pvalue)
    shares = ", ".join(f"{_share(rare[arm], seen[arm])} of the {arm} images" for arm in ARMS)
    more = rare["mined"] / seen["mined"] > rare["random"] / seen["random"]
    verdict = (
        f"a person calls {'more' if more else 'fewer'} of the mined images rare than of random ones"
        if p_value < _SHOWN_AT
        else "nothing is shown between mined and random images"
    )
    return [f"{verdict}: {shares} (95% Wilson intervals), p = {p_value:.2g} by Fisher's exact test"]


def _share(count: int, total: int) -> str:
    if not total:
        return "0 of 0"
    low, high = wilson(count, total)
    return f"{count} of {total}, {count / total:.0%} [{low:.0%}, {high:.0%}]"


def _page(run: StudyRun, rows: Sequence[Row], digest: str) -> bytes:
    names = [row["image_id"] for row in rows]
    pixels = run.bench.project.settings.dataset.max_pixels
    pictures = load_pictures(run.bench.pictures, names, max_pixels=pixels, smallest_side=_THUMBNAIL_SIDE)
    thumbnails = {name: thumbnail_data_url(picture, _THUMBNAIL_SIDE) for name, picture in pictures}
    shown = [Picture(name, thumbnails[name]) for name in names if name in thumbnails]
    return render_verification(shown, project=run.bench.project.settings.name, digest=digest).encode()


def verdict_folder(bench: Workbench) -> Path:
    """Return where verdicts are kept, a file a person."""
    folder = bench.project.state_folder("studies") / "verify" / "verdicts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_verdicts(bench: Workbench, file: Path) -> int:
    """Keep a file of verdicts that the page saved; one of the same name is replaced.

    Raises:
        SourceError: it is no such file; the message says what is wrong.
    """
    found = parse_verdicts(file.read_bytes(), where=str(file))
    if not found:
        raise SourceError(f"{file} contains no verdict. Judge at least one image on the page before it is saved.")
    write_whole(verdict_folder(bench) / f"{file.stem}.json", json.dumps({"verdicts": found}))
    return len(found)


def read_verdicts(folder: Path) -> dict[str, str]:
    """Return the verdict on each image; where people differ, the later file in name order has the last word."""
    given: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        given |= parse_verdicts(file.read_bytes(), where=str(file))
    return given


def parse_verdicts(content: bytes, *, where: str) -> dict[str, str]:
    """Return verdict by image id from the page's JSON or CSV.

    Raises:
        SourceError: it is neither, or holds a verdict that the page does not give.

    Examples:
        >>> parse_verdicts(b'{"verdicts": {"a/1": "rare"}}', where="verdicts.json")
        {'a/1': 'rare'}
    """
    try:
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            found = dict(json.loads(text)["verdicts"])
        else:
            found = {row["image_id"]: row["verdict"] for row in csv.DictReader(io.StringIO(text))}
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{where}: no verdicts of the page ({error}). Expected its JSON, or CSV with image_id, verdict."
        ) from error
    unknown = sorted({str(verdict) for verdict in found.values()} - set(VERDICTS))
    if unknown:
        raise SourceError(f"{where}: unknown verdict {unknown[0]!r}. Expected {', '.join(VERDICTS)}.")
    return found


def _settings(bench: Workbench) -> str:
    experiment = default_experiment(bench.project.settings.experiments)
    stamp = bench.lake.stamp("pareto_set", experiment)
    if stamp is None:
        raise ConfigError(f"study verify: experiment {experiment} was not run yet. Run `vlmine run` first.")
    return stamp.version(["image_id", "rank"])


STUDY = Study(
    name="verify",
    question=QUESTIONS["verify"],
    reads=(ITEMS,),
    steps=lambda _run: [_STEP],
    work=sample,
    conclude=conclude,
    settings=_settings,
)
