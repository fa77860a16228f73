"""The pool of bursts: frames that differ by a small shift, moments that are counted once."""

import io
from types import SimpleNamespace

import numpy as np
from conftest import jpeg
from PIL import Image

from benchmarks.bursts import BUDGETS, LONGEST, SIGNALS, WAYS, burst, moments_among, table


def test_a_burst_is_one_photo_shifted_by_a_few_pixels():
    frames = [np.asarray(Image.open(io.BytesIO(data))) for data in burst(jpeg("coffee", 0), np.random.default_rng(3))]
    again = list(burst(jpeg("coffee", 0), np.random.default_rng(3)))

    assert 2 < len(frames) == len(again) <= LONGEST
    assert {frame.shape for frame in frames} == {(140, 180, 3)}
    assert len({frame.tobytes() for frame in frames}) > 1
    inner = [frame[10:-10, 10:-10].mean() for frame in frames]
    assert np.ptp(inner) < 5


def test_frames_of_one_photo_of_a_few_shot_class_are_one_moment():
    ids = ["s/m1_00", "s/m1_01", "s/m2_00", "s/m3_00", "s/m4_00"]
    draw = SimpleNamespace(ids=ids, truth=np.array(["comet", "comet", "comet", "road", "comet"]))

    assert moments_among(draw, np.array([0, 1, 2, 3]), {"comet": 3, "road": 90}, few=10) == 2


def test_the_table_tells_how_often_more_than_the_plain_list():
    ways = [way for ways in WAYS.values() for way in ways]
    found = {
        (name, way, b): [4 * (1 + place), 4 * (1 + place)]
        for name in SIGNALS
        for place, way in enumerate(ways)
        for b in BUDGETS
    }

    lines = table(found).splitlines()

    assert "| novelty_min, plain | 4.0 ± 0.0 | 4.0 ± 0.0 | 4.0 ± 0.0 |  |" in lines
    assert "| fused, gap_s, by sequence | 12.0 ± 0.0 | 12.0 ± 0.0 | 12.0 ± 0.0 | 3.000 [3.000, 3.000] |" in lines
