"""Videos as a source: frames by time and by scene, found by seeking, upright, with what is damaged told."""

import io
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg, photo
from PIL import Image

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.boxes.files import BoxFiles
from vlmine_dagster.resources.boxes.store import BoxStore
from vlmine_dagster.resources.datasets.video import VideoSettings
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.sources import detect, survey
from vlmine_dagster.resources.sources.clip import open_clip
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.video import VideoSource
from vlmine_dagster.settings.objects import ObjectSettings

av = pytest.importorskip("av")

CONTAINERS = [("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")]


def grey(number: int) -> np.ndarray:
    """A frame that tells its number by its brightness, with a mark in its upper left corner; not square."""
    frame = np.full((48, 64, 3), 40 + number % 200, np.uint8)
    frame[:12, :16] = (250, 0, 0)
    return frame


def write_video(file, frames, *, codec="libx264", rate=25, pts=None, gop=12, rotation=None, options=None) -> Path:
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.codec_context.gop_size = gop
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (number if pts is None else pts[number]), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def source(folder, **settings) -> VideoSource:
    chosen = VideoSettings(kind="video", root=str(folder), **{"shard_count": 1, **settings})
    return VideoSource(FileTree(str(folder)), chosen, cache=FingerprintCache())


def read(folder, keys=None, **settings):
    return {raw.key: raw for raw in source(folder, **settings).read("shard-000", keys=keys)}


def png(pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def number_of(raw) -> int:
    """The number that a frame tells, at its lower right."""
    with Image.open(io.BytesIO(raw.data)) as picture:
        pixel = np.asarray(picture)[-8:, -8:].mean()
    return round(float(pixel)) - 40


@pytest.mark.parametrize(("ending", "codec"), CONTAINERS)
def test_frames_are_taken_at_the_rate_with_their_time_as_id(tmp_path, ending, codec):
    write_video(tmp_path / f"a/clip.{ending}", [grey(n) for n in range(100)], codec=codec)

    found = read(tmp_path, every_s=0.6)

    assert list(found) == [f"a/clip.{ending}@{k * 0.6:.3f}s" for k in range(7)]
    for k, raw in enumerate(found.values()):
        assert abs(number_of(raw) - 15 * k) <= 5  # what the codec loses; frames beside it are 15 away
        assert raw.uri.endswith(f"/a/clip.{ending}#t={k * 0.6:.3f}")
        assert (raw.moment.sequence, raw.moment.frame) == (f"a/clip.{ending}", k)
        assert raw.moment.time_s == pytest.approx(k * 0.6, abs=0.001)


@pytest.mark.parametrize(("ending", "codec"), CONTAINERS)
def test_some_frames_are_found_again_as_they_were(tmp_path, ending, codec):
    write_video(tmp_path / f"clip.{ending}", [grey(n) for n in range(200)], codec=codec, gop=50)
    whole = read(tmp_path, every_s=0.2)
    wanted = list(whole)[3::7]

    found = read(tmp_path, keys={*wanted, f"clip.{ending}@0.013s", "other.mp4@0.000s", "clip.mp4"}, every_s=1.0)

    assert list(found) == wanted
    assert all(found[key].data == whole[key].data for key in wanted)


def test_a_far_frame_is_sought_and_not_decoded_to(tmp_path):
    file = write_video(tmp_path / "clip.mp4", [grey(n) for n in range(1000)], gop=10)
    size = file.stat().st_size

    class Counting(io.BytesIO):
        count = 0

        def read(self, n=-1):
            data = super().read(n)
            Counting.count += len(data)
            return data

    with open_clip(Counting(file.read_bytes())) as clip:
        opened = Counting.count
        (shown,) = clip.exactly([38.4])
        decoded = clip._last - clip._keyframes[-5]

    assert shown.time_s == 38.4
    assert abs(int(shown.frame.to_ndarray(format="gray")[-1, -1]) - (40 + 960 % 200)) <= 3
    assert Counting.count - opened < size / 2
    assert decoded < 3


def test_a_frame_that_stands_long_is_one_image_and_keeps_its_id_at_any_rate(tmp_path):
    pts = [0, 1, 2, 50, 51, 100]  # frames of a screen that seldom changes, at 0, 0.04, 0.08, 2, 2.04 and 4 s
    write_video(tmp_path / "screen.mp4", [grey(20 * n) for n in range(6)], pts=pts)

    slow, fast = read(tmp_path, every_s=1.0), read(tmp_path, every_s=0.1)

    assert [key.partition("@")[2] for key in slow] == ["0.000s", "0.080s", "2.000s", "2.040s", "4.000s"]
    assert set(slow) == set(fast)
    assert [raw.failure for raw in fast.values()] == [None] * 5


@pytest.mark.parametrize(("ending", "codec"), CONTAINERS)
def test_a_frame_that_a_tool_numbers_is_the_one_that_is_shown_at_that_place(tmp_path, ending, codec):
    videos, name = tmp_path / "videos", f"a/clip.{ending}"
    write_video(videos / name, [grey(20 * n) for n in range(40)], codec=codec)
    write_video(videos / "b/other.mp4", [grey(n) for n in range(3)])
    (videos / "broken.mp4").write_bytes(b"no video")
    found = source(videos, every_s=0.04)

    keys = [found.frame_key(f"clip.{ending}", number) for number in range(41)]
    told = {raw.key: raw for raw in found.read("shard-000", keys={key for key in keys if key})}

    assert keys == [*(f"{name}@{n * 0.04:.3f}s" for n in range(40)), None]
    assert [round(number_of(told[key]) / 20) for key in keys[:-1]] == [n % 10 for n in range(40)]
    assert [found.frame_key(video, 0) for video in ("broken.mp4", "gone.mp4", "b/other", "clip.webm")] == [
        None, None, "b/other.mp4@0.000s", f"{name}@0.000s",
    ]  # fmt: skip


def test_frames_of_a_video_of_varying_rate_are_numbered_by_when_they_are_shown(tmp_path):
    pts = [0, 1, 2, 50, 51, 100]
    write_video(tmp_path / "screen.mp4", [grey(20 * n) for n in range(6)], pts=pts)

    keys = [source(tmp_path).frame_key("screen.mp4", number) for number in range(6)]

    assert keys == [f"screen.mp4@{at / 25:.3f}s" for at in pts]


@pytest.mark.parametrize(
    "meta", ["<task><name>t</name></task><source>clip.mp4</source>", "<task><name>clip</name></task>"]
)
def test_boxes_that_cvat_drew_in_a_video_are_those_of_its_frames(tmp_path, meta):
    write_video(tmp_path / "videos/day/clip.mp4", [grey(n) for n in range(60)])
    box = 'outside="0" occluded="0" keyframe="1" xtl="1" ytl="2" xbr="31" ybr="42"'
    track = "".join(f'<box frame="{number}" {box}/>' for number in (0, 25, 26))
    image = f'<image id="50" name="frame_000050" width="64" height="48"><box label="van" {box}/></image>'
    (tmp_path / "cvat.xml").write_text(
        f'<annotations><meta>{meta}</meta>{image}<track id="0" label="bus">{track}</track></annotations>'
    )
    videos = source(tmp_path / "videos")
    files = BoxFiles(
        ObjectSettings(boxes="cvat.xml"), lambda path: str(tmp_path / path), FingerprintCache(), videos=videos
    )
    store = BoxStore(files, tmp_path / "store", Lake(str(tmp_path / "lake"), scratch=tmp_path / "scratch"))
    ids = [f"shard-000/{raw.key}" for raw in videos.read("shard-000")]

    rows = store.of_images("shard-000", ids).rows.to_pylist()

    assert [(row["image_id"], row["label"], row["track_id"]) for row in rows] == [
        ("shard-000/day/clip.mp4@0.000s", "bus", "0"),
        ("shard-000/day/clip.mp4@1.000s", "bus", "0"),
        ("shard-000/day/clip.mp4@2.000s", "van", None),
    ]
    assert store.unmatched({"shard-000": ids}).column("name").to_pylist() == ["day/clip.mp4@1.040s"]


@pytest.mark.parametrize(("rotation", "corner"), [(90, (0, -1)), (-90, (-1, 0)), (180, (-1, -1)), (None, (0, 0))])
def test_frames_are_upright_as_the_camera_was_held(tmp_path, rotation, corner):
    """`corner` is where the mark of the upper left is seen: row and column."""
    write_video(tmp_path / "phone.mp4", [grey(0)] * 5, rotation=rotation)

    (raw,) = read(tmp_path).values()

    pixels = np.asarray(Image.open(io.BytesIO(raw.data))).astype(int)
    assert pixels.shape == ((64, 48, 3) if rotation in (90, -90) else (48, 64, 3))
    turned = np.rot90(grey(0).astype(int), 0 if rotation is None else rotation // 90)
    assert np.abs(pixels - turned).mean() < 6
    red = pixels[..., 0] - pixels[..., 1]
    row, column = np.unravel_index(red.argmax(), red.shape)
    places = (0 if row < red.shape[0] / 2 else -1, 0 if column < red.shape[1] / 2 else -1)
    expected = {(0, 0): (0, 0), (0, -1): (-1, 0), (-1, 0): (0, -1), (-1, -1): (-1, -1)}[corner]
    assert places == expected


@pytest.mark.parametrize(
    ("ending", "codec", "options"),
    [("mp4", "libx264", {"movflags": "faststart"}), ("mkv", "libx264", {}), ("avi", "mpeg4", {})],
)
def test_of_a_video_that_breaks_off_the_good_part_is_used_and_the_rest_are_rows(tmp_path, ending, codec, options):
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(200)]
    file = write_video(tmp_path / f"clip.{ending}", frames, codec=codec, options=options)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    rows = inspect_shard(source(tmp_path), "shard-000", labels=None, max_pixels=10**6).to_pylist()

    times = [float(row["image_id"].removeprefix(f"shard-000/clip.{ending}@").removesuffix("s")) for row in rows]
    assert times == pytest.approx(range(8), abs=0.1)  # the last good frame stands a little beyond its end
    outcomes = [row["outcome"] for row in rows]
    good = outcomes.count("ok")
    assert 3 <= good <= 5
    assert outcomes == ["ok"] * good + ["corrupt"] * (8 - good)
    assert {row["sequence_id"] for row in rows} == {f"clip.{ending}"}
    assert "the video ends early at" in rows[-1]["failure"]
    assert "of 8.000 s" in rows[-1]["failure"]


def test_damage_in_the_middle_loses_what_is_damaged_and_nothing_behind_it(tmp_path):
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(200)]
    file = write_video(tmp_path / "clip.mp4", frames)
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + len(data) // 8] = bytes(len(data) // 8)
    file.write_bytes(data)

    found = read(tmp_path, every_s=0.2)

    bad = [key for key, raw in found.items() if raw.failure is not None]
    assert 1 <= len(bad) <= 12
    assert all(key in list(found)[10:36] for key in bad)
    assert list(found.values())[-1].failure is None
    assert "damaged here" in found[bad[0]].failure


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a readable video"),
        (b"no video" * 100, "not a readable video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n", "not a readable video"),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", "not a readable video"),
    ],
)
def test_what_is_no_video_is_one_unreadable_image_and_a_playlist_opens_nothing(tmp_path, content, told):
    (tmp_path / "x.mp4").write_bytes(content)

    (raw,) = read(tmp_path).values()

    assert (raw.key, raw.data) == ("x.mp4", b"")
    assert told in raw.failure


def test_a_video_of_sound_alone_and_one_of_too_many_pixels_are_told(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    write_video(tmp_path / "wide.mp4", [grey(0)] * 3)

    sound, wide = read(tmp_path, max_pixels=1000).values()

    assert "perhaps only sound" in sound.failure
    assert wide.failure == "3,072 pixels, more than dataset.max_pixels (1,000)"


def test_scenes_give_a_frame_each(tmp_path):
    shown = {name: np.asarray(photo(name).resize((64, 48))) for name in ("coffee", "rocket", "chelsea")}
    frames = [np.roll(shown[name], n // 4, axis=1) for name in shown for n in range(30)]
    write_video(tmp_path / "clip.mp4", frames)

    found = read(tmp_path, frames="scenes")

    assert list(found) == ["clip.mp4@0.000s", "clip.mp4@1.200s", "clip.mp4@2.400s"]
    assert read(tmp_path, keys=set(found), frames="scenes").keys() == found.keys()


def test_a_video_lies_in_one_shard_and_its_change_changes_that_shard_alone(tmp_path):
    for number in range(12):
        write_video(tmp_path / f"v{number}.mp4", [grey(number)] * 3)
    (tmp_path / "notes.txt").write_text("x")
    first = source(tmp_path, shard_count=3)
    shards = {shard: [raw.key for raw in first.read(shard)] for shard in first.shards()}
    prints = {shard: first.fingerprint(shard) for shard in shards}

    write_video(tmp_path / "v7.mp4", [grey(99)] * 3)
    again = source(tmp_path, shard_count=3)

    assert sorted(key for keys in shards.values() for key in keys) == sorted(f"v{n}.mp4@0.000s" for n in range(12))
    changed = [shard for shard in shards if again.fingerprint(shard) != prints[shard]]
    assert changed == [shard for shard, keys in shards.items() if "v7.mp4@0.000s" in keys]
    assert again.ignored() == {".txt": 1}


def test_reading_holds_one_frame_at_a_time(tmp_path):
    write_video(tmp_path / "long.mp4", [np.full((240, 320, 3), n % 256, np.uint8) for n in range(300)])
    frames = source(tmp_path, every_s=0.04).read("shard-000")
    next(frames)
    tracemalloc.start()
    count = sum(1 for _ in frames)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 299
    assert peak < 20 * 240 * 320 * 3


def test_a_folder_of_videos_is_recognized_and_a_mixed_one_says_what_is_left_out(tmp_path):
    for number in range(3):
        write_video(tmp_path / f"v{number}.mkv", [grey(number)] * 3)

    found = survey(str(tmp_path))
    assert (found.settings.kind, found.settings.shard_count, found.contents) == ("video", 1, "videos: 3 .mkv")
    (tmp_path / "poster.jpg").write_bytes(jpeg("coffee", 0))
    mixed = survey(str(tmp_path))
    assert mixed.settings.kind == "video"
    assert mixed.notes[0].startswith("1 image beside the videos is not mined; kind: folder")
    assert "ignored: 1 .jpg" in mixed.notes[-1]
    for number in range(3):
        (tmp_path / f"p{number}.jpg").write_bytes(jpeg("coffee", number))
    photos = survey(str(tmp_path))
    assert photos.settings.kind == "folder"
    assert photos.notes[0].startswith("3 videos beside the images are not mined; kind: video")


def test_a_root_without_videos_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no video below .* looked for files that end in .mp4"):
        source(tmp_path).shards()
    with pytest.raises(SourceError, match=r"videos \(.mp4, .*\)"):
        detect(str(tmp_path))


def test_without_pyav_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    (tmp_path / "x.mp4").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'vlmine-dagster\[video\]'"):
        read(tmp_path)


def test_images_beside_videos_are_taken_if_asked_for_each_for_itself(tmp_path):
    write_video(tmp_path / "clip.mp4", [grey(number) for number in range(30)])
    (tmp_path / "still.png").write_bytes(png(grey(7)))
    (tmp_path / "large.png").write_bytes(png(grey(8)) + b" " * 5000)

    assert "still.png" not in read(tmp_path)
    found = read(tmp_path, images=True, max_bytes=4000)

    assert list(found) == ["clip.mp4@0.000s", "clip.mp4@1.000s", "large.png", "still.png"]
    assert found["still.png"].data == (tmp_path / "still.png").read_bytes()
    assert found["still.png"].moment is None
    assert "max_bytes" in found["large.png"].failure
    assert list(read(tmp_path, keys={"still.png"}, images=True)) == ["still.png"]
