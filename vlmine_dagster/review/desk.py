"""What the page works on: lists, the verdicts about their items, and their pictures."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.verdicts import MEANINGS, Verdict
from vlmine_dagster.review.listing import MOST_ITEMS, Filter, Listing, View, load_listing, shown
from vlmine_dagster.review.thumbnails import LARGE_SIDE, SMALL_SIDE, Thumbnails

if TYPE_CHECKING:
    from vlmine_dagster.resources.verdicts import Judgement
    from vlmine_dagster.resources.workbench import Workbench

STATES = ("", "none", "any", "mine", "disputed", *(verdict.value for verdict in Verdict))
"""What the page may ask of verdicts: all items, those without one, with any, by this reviewer, in dispute, or one."""

_MOST_NAME = 80


class Desk:
    """The lists of a project with what reviewers said of their items.

    Args:
        bench: The project's resources.
        most: Items to load of a list.
    """

    def __init__(self, bench: "Workbench", *, most: int = MOST_ITEMS):
        self.bench = bench
        self._most = most
        self._lists: dict[str, Listing] = {}
        self._lock = threading.Lock()
        self._mining = threading.Lock()
        self._known = -1
        self._by_item: dict[str, list[Judgement]] = {}

    @cached_property
    def log(self) -> Any:
        """The log of verdicts."""
        from vlmine_dagster.resources.verdicts import verdict_log

        return verdict_log(self.bench.project)

    def listing(self, experiment: str, digest: str | None = None) -> Listing:
        """Return the list of an experiment; without a digest that of now, read again if it was mined again.

        Raises:
            ContractError: the list of that digest is no longer the one that is held.
        """
        with self._lock:
            held = self._lists.get(experiment)
            if digest is None and (held is None or self._is_old(held)):
                held = self._lists[experiment] = load_listing(self.bench, experiment, most=self._most)
        if held is None or (digest is not None and held.digest != digest):
            raise ContractError(f"review: the list of {experiment} was mined again. Load the page again.")
        return held

    def _is_old(self, held: Listing) -> bool:
        from vlmine_dagster.review.listing import digest_of

        return digest_of(self.bench.lake, held.experiment) != held.digest

    def facts(self, experiment: str) -> dict[str, Any]:
        """Return what the page needs to know once about a list."""
        found = self.listing(experiment)
        labels = self.bench.labels
        made = [name for name in self.experiments if self.bench.lake.path("pareto_set", name).exists()]
        return {
            "project": self.bench.project.settings.name,
            "key": hashlib.sha256(str(self.log.file.resolve()).encode()).hexdigest()[:16],
            "experiment": experiment,
            "experiments": made,
            "list": found.digest,
            "unit": found.unit,
            "count": found.count,
            "total": found.total,
            "selected": int(sum(found.rows.column("selected").to_pylist())),
            "fronts": max(found.rows.column("front").to_pylist(), default=0),
            "signals": [{"name": name, "meaning": SIGNALS[name].meaning} for name in found.signals],
            "verdicts": [{"name": verdict.value, "meaning": MEANINGS[verdict]} for verdict in Verdict],
            "keywords": [{"name": name, "count": count} for name, count in found.common_words()],
            "classes": found.classes(),
            "class_choices": [] if labels is None else sorted(labels.announced or labels.class_names),
            "has_closed_classes": labels is not None and bool(labels.announced),
            "junk": found.rows.num_rows - found.rows.column("junk").null_count,
            "slices": [{"name": name, "count": count} for name, count in found.slices()],
            "has_moments": any(found.rows.column("more_frames").to_pylist()),
        }

    @property
    def experiments(self) -> list[str]:
        """Names of all experiments."""
        return list(self.bench.project.settings.experiments)

    def view(self, listing: Listing, chosen: Filter, *, state: str = "", reviewer: str = "") -> View:
        """Return the positions that pass a filter and whose verdicts are as asked.

        Raises:
            ConfigError: there is no such state or signal.
        """
        if state not in STATES:
            raise ConfigError(f"review: no verdict {state!r}. There are: {', '.join(filter(None, STATES))}.")
        if not state:
            return listing.view(chosen)
        by_item = self.by_item()
        among = tuple(
            place for name, place in listing.places.items() if _has(by_item.get(name, []), state, reviewer=reviewer)
        )
        return listing.view(replace(chosen, among=among))

    def items(self, listing: Listing, view: View, start: int, count: int) -> list[dict[str, Any]]:
        """Return some items of a view with all that the page shows of them."""
        positions = view.positions[start : start + count]
        words = listing.words_of(positions.tolist())
        by_item = self.by_item()
        rows = listing.rows.take(positions).to_pylist()
        return [
            {
                **shown(row, listing.signals, words[row["position"]]),
                "verdicts": shown_verdicts(by_item.get(row["image_id"], [])),
            }
            for row in rows
        ]

    def by_item(self) -> "Mapping[str, list[Judgement]]":
        """Return the standing verdicts by item, also those that another window or process gave."""
        with self._lock:
            newest = self.log.last_number()
            if newest != self._known:
                found: dict[str, list[Judgement]] = {}
                for judgement in self.log.standing():
                    found.setdefault(judgement.image_id, []).append(judgement)
                self._by_item, self._known = found, newest
            return self._by_item

    def judge(self, given: Mapping[str, Any]) -> tuple[int, str]:
        """Write down a verdict about an item of a list; return its number, and the item.

        It counts too if the list was mined again after the page was loaded, with the rank that the page says.

        Raises:
            ConfigError: the verdict, the reviewer or the class cannot be.
            ContractError: the list holds no such item now.
        """
        from vlmine_dagster.resources.verdicts import Judgement

        name = str(given.get("verdict", ""))
        if name not in set(Verdict):
            raise ConfigError(f"review: no verdict {name!r}. There are: {', '.join(Verdict)}.")
        experiment, image_id = str(given.get("experiment", "")), str(given.get("image_id", ""))
        judgement = Judgement(
            image_id=image_id,
            reviewer=reviewer_name(given.get("reviewer")),
            verdict=Verdict(name),
            class_name=self._class_name(given.get("class_name")),
            seconds=float(given.get("seconds") or 0.0),
            experiment=experiment,
            rank=self._rank(experiment, image_id, given),
        )
        return int(self.log.add(judgement, token=str(given.get("token") or "")[:_MOST_NAME])), image_id

    def _rank(self, experiment: str, image_id: str, given: Mapping[str, Any]) -> int:
        """Return the rank of an item on the list that the page shows."""
        digest = str(given.get("list") or "")
        held = self._lists.get(experiment)
        listing = held if held is not None and held.digest == digest else self.listing(experiment)
        if image_id not in listing.places:
            raise ContractError(f"review: {image_id!r} is not on the list of {experiment}. Load the page again.")
        rank = int(listing.row(listing.places[image_id])["rank"])
        return rank if listing.digest == digest else max(1, int(given.get("rank") or rank))

    def undo(self, given: Mapping[str, Any]) -> str:
        """Take back the verdict that came with a token; return its item.

        Raises:
            ContractError: this reviewer gave no such verdict in the open round.
        """
        reviewer, token = reviewer_name(given.get("reviewer")), str(given.get("token") or "")[:_MOST_NAME]
        number = self.log.number_of(str(given.get("undoes") or "")[:_MOST_NAME])
        self.log.undo(number, reviewer=reviewer, token=token)
        return str(given.get("image_id", ""))

    def more_like(self, listing: Listing, position: int) -> str:
        """Mine a list of items that are like one; return the name of its experiment.

        Raises:
            MissingInputError: it cannot be mined; the message says why.
            ConfigError: a run is at work.
        """
        from vlmine_dagster.automation.history import open_instance
        from vlmine_dagster.automation.searches import search
        from vlmine_dagster.resources.workbench import Workbench

        image_id = listing.image_id(position)
        with self._mining, open_instance(self.bench.project) as instance:
            name = search(self.bench.project, instance, images=[image_id])
            self.bench = Workbench(settings_file=str(self.bench.project.file))
        return name

    def _class_name(self, given: Any) -> str | None:
        from vlmine_dagster.resources.rounds import no_such_class

        name = " ".join(str(given or "").split())[:200]
        labels = self.bench.labels
        class_names = () if labels is None else labels.announced
        if name and class_names and name not in class_names:
            raise ConfigError(f"review: {no_such_class(name, class_names)} Then start `vlmine review` again.")
        return name or None

    @cached_property
    def _shards(self) -> frozenset[str]:
        return frozenset(self.bench.lake.partitions("images"))

    def _shard_of(self, image_id: str) -> str:
        from vlmine_dagster.resources.sources import shard_of

        return shard_of(image_id, self._shards)

    @cached_property
    def _thumbnails(self) -> dict[str, Thumbnails]:
        bench, folder = self.bench, self.bench.project.state_folder("thumbnails")
        pixels = bench.project.settings.dataset.max_pixels

        def made(pictures: Any, side: int) -> Thumbnails:
            return Thumbnails(pictures, folder, shard_of=self._shard_of, max_pixels=pixels, side=side)

        return {
            "small": made(bench.pictures, SMALL_SIDE),
            "large": made(bench.pictures, LARGE_SIDE),
            "scene": made(bench.source, LARGE_SIDE),
        }

    def prepare(self, listing: Listing, positions: Sequence[int]) -> int:
        """Make the small pictures of some items, those of a shard together; return how many were not there."""
        rows = [listing.row(position) for position in positions]
        return self._thumbnails["small"].prepare((row["image_id"], row["sha256"]) for row in rows)

    def picture(self, listing: Listing, position: int, kind: str) -> Path:
        """Return the file of a picture of an item: small, large, or the scene that an object is in.

        Raises:
            ConfigError: there is no such kind of picture.
            PictureError: it cannot be read any more.
        """
        if kind not in self._thumbnails:
            raise ConfigError(f"review: no pictures of kind {kind!r}.")
        row = listing.row(position)
        if kind == "scene" and "parent_id" in row:
            return self._thumbnails[kind].file(row["parent_id"], row["scene_sha256"])
        return self._thumbnails[kind].file(row["image_id"], row["sha256"])


def reviewer_name(given: Any) -> str:
    """Return a reviewer's name as it is kept.

    Raises:
        ConfigError: it is empty.
    """
    name = " ".join(str(given or "").split())[:_MOST_NAME]
    if not name:
        raise ConfigError("review: a verdict needs the name of its reviewer.")
    return name


def shown_verdicts(judgements: "list[Judgement]") -> list[dict[str, Any]]:
    """Return what the page shows of the verdicts about an item."""
    return [
        {
            "number": one.number,
            "reviewer": one.reviewer,
            "verdict": one.verdict.value,
            "class_name": one.class_name,
            "round": one.round,
        }
        for one in judgements
    ]


def _has(judgements: "list[Judgement]", state: str, *, reviewer: str) -> bool:
    """Return whether the verdicts about an item are as asked."""
    found = {one.verdict for one in judgements}
    if state == "none":
        return not found
    if state == "any":
        return bool(found)
    if state == "mine":
        return any(one.reviewer == reviewer for one in judgements)
    if state == "disputed":
        return len(found - {Verdict.UNSURE}) > 1
    return Verdict(state) in found
