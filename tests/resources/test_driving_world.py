"""The generated world: the same for the same seed, with truth that its sensors agree with."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vlmine_dagster.geometry.camera import projected_points
from vlmine_dagster.geometry.lidar import in_box, points_of_range_image
from vlmine_dagster.resources.driving.kinds import KINDS, RARE_KINDS
from vlmine_dagster.resources.driving.sensed import sensed
from vlmine_dagster.resources.driving.sweep import EGO_FROM_LIDAR, inclinations, sweep
from vlmine_dagster.resources.driving.view import cameras, pictures
from vlmine_dagster.resources.driving.world import Actor, Drive, Road, WorldSize, drives

SIZE = WorldSize(segments=3, frames=2, picture_width=160, beams=24, columns=360)
CAR = next(kind for kind in KINDS if kind.name == "car")


def alone(*actors: Actor, time_of_day: str = "Day") -> Drive:
    """A straight empty road with these on it."""
    return Drive("drive", Road(0.0), 0.0, actors, (), "sunny", time_of_day, "here", SIZE, 1_000_000)


def car(name: str, ahead: float, *, size=(4.5, 1.9, 1.6), colour=(220, 20, 20)) -> Actor:
    return Actor(name, CAR, size, colour, ahead, -1.75, 0.0, is_turned=False)


def test_the_same_seed_makes_the_same_world_and_another_seed_another():
    first, again = (list(drives(SIZE, random_seed=5)) for _ in range(2))
    assert [drive.actors for drive in first] == [drive.actors for drive in again]
    assert next(drives(replace(SIZE, segments=1), random_seed=5)).actors == first[0].actors
    assert next(drives(SIZE, random_seed=6)).actors != first[0].actors


def test_rare_kinds_are_rare_and_there():
    kinds = [
        actor.kind.name for drive in drives(WorldSize(segments=60, frames=1), random_seed=0) for actor in drive.actors
    ]
    shares = {name: kinds.count(name) / len(kinds) for name in {*RARE_KINDS, "car"}}
    assert all(0 < shares[name] < 0.04 for name in RARE_KINDS)
    assert shares["car"] > 0.2


def test_nobody_drives_through_anybody():
    for drive in drives(replace(SIZE, frames=40), random_seed=2):
        rows = {}
        for actor in drive.actors:
            rows.setdefault(actor.beside, []).append(actor)
        for actors in rows.values():
            assert len({actor.speed for actor in actors}) == 1
            spans = sorted((actor.start - actor.size[0] / 2, actor.start + actor.size[0] / 2) for actor in actors)
            assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_points_of_the_sweep_lie_on_what_they_hit():
    frame = next(drives(SIZE, random_seed=3)).frame(1)
    scan = sweep(frame, random_seed=0)
    points = points_of_range_image(scan.ranges, inclinations(SIZE), EGO_FROM_LIDAR)
    owners = scan.owner[scan.ranges > 0]
    hit = [place for place in range(len(frame.boxes)) if (owners == place).any()]
    assert len(hit) > 4
    for place in hit:
        grown = frame.boxes[place] + [0, 0, 0, 0.3, 0.3, 0.3, 0]
        assert in_box(points[owners == place], grown).all()


def test_a_lorry_hides_the_car_behind_it():
    lorry = car("lorry", 15, size=(8.0, 2.5, 3.4))
    behind = car("hidden", 30)
    seen = sweep(alone(lorry, behind).frame(0), random_seed=0).owner
    assert (seen == 0).sum() > 100 and (seen == 1).sum() == 0
    assert (sweep(alone(behind).frame(0), random_seed=0).owner == 0).sum() > 10


def test_light_falls_off_with_distance():
    # A wall as wide as high, so that the rays that meet it fall by the square of the distance, and returns by more.
    counts = [
        (sweep(alone(car("wall", x, size=(0.5, 12, 8))).frame(0), random_seed=0).owner == 0).sum() for x in (15, 60)
    ]
    assert counts[1] < counts[0] / 16 * 0.75


def test_a_red_car_is_red_where_its_box_projects():
    drive = alone(car("red", 12))
    frame = drive.frame(0)
    name, camera, data = next(pictures(frame))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    across, down, _ = projected_points(frame.boxes[:1, :3] - [0, 0, 0.3], camera)[0]
    red, green, blue = pixels[int(down), int(across)].astype(int)
    assert name == "FRONT" and red > 2 * green and red > 2 * blue
    dark = np.asarray(Image.open(io.BytesIO(next(pictures(alone(time_of_day="Night").frame(0)))[2])))
    assert dark.mean() < 0.6 * np.asarray(Image.open(io.BytesIO(next(pictures(alone().frame(0)))[2]))).mean()


def test_cameras_have_the_shape_of_waymos():
    sizes = {name: camera.size for name, camera in cameras(480).items()}
    assert sizes["FRONT"] == (480, 320) and sizes["SIDE_LEFT"] == (480, 222)


def test_annotated_is_what_the_lidar_hits():
    drive = alone(car("near", 12), car("beyond reach", 300))
    record = next(sensed(drive, random_seed=0, has_pictures=False))
    assert [actor.name for actor in record.actors] == ["near"]
    assert record.point_counts.tolist() == [(record.sweep.owner == 0).sum()]
    with_views = next(sensed(drive, random_seed=0))
    in_view = {view.name for view in with_views.views if np.isfinite(view.rectangles).all()}
    assert in_view == {"FRONT"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_parts_within_its_box_and_colours(kind):
    assert kind.parts and kind.colours and kind.share > 0
    assert all(part.centre[2] + part.size[2] / 2 <= 1.05 for part in kind.parts)
