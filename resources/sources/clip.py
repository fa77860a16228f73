"""Frames of one video, found by their times: decoded by PyAV, by seeking to the keyframe before them."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ConfigError, PictureError

if TYPE_CHECKING:
    from PIL import Image

# FFmpeg would also read playlists, which name files and addresses elsewhere.
_CONTAINERS = "mov,matroska,avi"
_SAME_S = 0.0006  # two times are one if they agree in milliseconds
_NEAR_S = 5.0  # without an index, a frame that is nearer is decoded to rather than sought
_BACK_S = (0.0, 2.0, 10.0)  # indexes hold decoding times, so that a search may end behind the frame
_TAIL_S = 0.5  # the last frame of a whole video may stand this long after its end
_MOST_DAMAGED = 1000  # packets in a row: a demultiplexer that cannot go on may say the same for ever
_ATTACHED = 0x400  # FFmpeg's mark of a cover picture


@dataclass(frozen=True)
class Shown:
    """What a video shows at a time.

    Attributes:
        time_s: When the frame appears, in seconds from the first frame on; of a failure, the time that was asked for.
        frame: PyAV's frame; None where there is none.
        failure: Why there is none.
    """

    time_s: float
    frame: Any = None
    failure: str | None = None


class Clip:
    """One open video.

    Args:
        container: PyAV's container.
        stream: Its video stream.

    Attributes:
        length_s: How long it says that it is, None where it does not say.
    """

    def __init__(self, container: Any, stream: Any):
        self._container, self._stream = container, stream
        self._base = float(stream.time_base)
        self._start = float((stream.start_time or 0) * stream.time_base)
        rate = stream.average_rate or stream.guessed_rate
        self._frame_s = 1 / float(rate) if rate else 0.04
        self.length_s = self._length()
        self._keyframes = sorted(
            entry.timestamp * self._base - self._start for entry in stream.index_entries if entry.is_keyframe
        )
        self._packets: Iterator[Any] = iter(())
        self._queue: deque[tuple[float, Any]] = deque()
        self._now: tuple[float, Any] | None = None
        self._error: str | None = None
        self._damaged = 0
        self._restart()

    def _length(self) -> float | None:
        """Return the longest of what the container says: a file that was cut may count only what is left of it."""
        stream, container = self._stream, self._container
        lengths = [
            float(stream.duration * stream.time_base) if stream.duration else 0.0,
            container.duration / 1_000_000 if container.duration else 0.0,
            stream.frames * self._frame_s,
        ]
        return max(lengths) or None

    @property
    def pixel_shape(self) -> Fraction | None:
        """Width of a pixel by its height; None where nobody says."""
        shape: Fraction | None = self._stream.sample_aspect_ratio
        return shape

    @property
    def pixel_count(self) -> int:
        """Pixels of a frame, as the container says."""
        return int(self._stream.codec_context.width * self._stream.codec_context.height)

    def at(self, times: Iterable[float]) -> Iterator[Shown]:
        """Yield what the video shows at rising times, each frame once, until it ends.

        Args:
            times: Rising without end. Frames may follow where the video says that it has ended; they are shown too.

        Yields:
            The frame that is on the screen at each time, unless it was yielded before; a failure where the video is
            damaged or breaks off.
        """
        last = None
        for time in times:
            shown = self._at(time)
            if self._has_ended(time):
                return
            if shown.failure is not None or shown.time_s != last:
                yield shown
            last = shown.time_s

    def _has_ended(self, time: float) -> bool:
        """Whether nothing is on the screen any more, and nothing should be."""
        if self._queue or not self._is_over or (self.length_s is not None and time < self.length_s - _SAME_S):
            return False
        return self._now is None or time >= self._now[0] + self._held(self._now[1]) - _SAME_S

    def _held(self, frame: Any) -> float:
        """Return how long a frame stays on the screen."""
        return max(float(frame.duration or 0) * self._base, self._frame_s)

    def exactly(self, times: Iterable[float]) -> Iterator[Shown]:
        """Yield the frames that appear at rising times, given in milliseconds; what is not there is left out."""
        for time in times:
            shown = self._at(time + _SAME_S)
            if shown.failure is None and abs(shown.time_s - time) <= _SAME_S:
                yield Shown(time, shown.frame)

    def frame_times(self) -> list[float]:
        """Return when each frame of a video that was just opened appears, in that order; none is decoded.

        So players number frames, and annotation tools with them; those that the container discards have no number.
        """
        ticks = (one.dts if one.pts is None else one.pts for one in self._packets if one.size and not one.is_discard)
        return sorted(one * self._base - self._start for one in ticks if one is not None)

    def all(self) -> Iterator[Shown]:
        """Yield every frame, then a failure if the video breaks off."""
        while self._queue or not self._is_over:
            if self._queue:
                time, frame = self._queue.popleft()
                self._now = (time, frame)
                yield Shown(time, frame)
            else:
                self._decode()
        end = 0.0 if self._now is None else self._now[0] + self._frame_s
        if self.length_s is not None and end + max(_TAIL_S, 3 * self._frame_s) < self.length_s:
            yield Shown(end, failure=self._broken_off())

    def _at(self, time: float) -> Shown:
        if self._is_far(time):
            self._seek(time)
        while True:
            while self._queue and self._queue[0][0] <= time + _SAME_S:
                self._now, self._error = self._queue.popleft(), None
            if self._queue or self._is_over:
                break
            self._decode()
        if self._now is None and self._queue:  # the first frame appears later
            self._now = self._queue.popleft()
        return self._judged(time)

    def _judged(self, time: float) -> Shown:
        if self._now is None:
            return Shown(time, failure=self._error or self._broken_off())
        at, frame = self._now
        held = self._held(frame)
        if self._error is not None and time - at > 2 * held:
            return Shown(time, failure=self._error)
        if self._is_over and not self._queue and time > at + held + max(_TAIL_S, 3 * self._frame_s):
            return Shown(time, failure=self._broken_off())
        if frame.is_corrupt:
            return Shown(time, failure="the video is damaged here. Fetch it again; frames elsewhere are used")
        return Shown(at, frame)

    def _broken_off(self) -> str:
        end = 0.0 if self._now is None else self._now[0] + self._frame_s
        length = "" if self.length_s is None else f" of {self.length_s:.3f} s"
        return f"the video ends early at {end:.3f} s{length}. Fetch it again; what comes before is used"

    def _restart(self) -> None:
        self._packets = self._container.demux(self._stream)
        self._queue.clear()
        self._now = self._error = None
        self._last = 0.0
        self._is_over = False

    def _is_far(self, time: float) -> bool:
        """Whether it is less work to seek than to decode all frames between."""
        at = self._queue[-1][0] if self._queue else self._last
        if time - at <= self._frame_s:
            return False
        if len(self._keyframes) > 1:
            before = [key for key in self._keyframes if key <= time]
            return bool(before) and before[-1] > at + self._frame_s
        return time - at > _NEAR_S

    def _seek(self, time: float) -> None:
        """Go to the keyframe before a time; to the beginning where that is found nowhere."""
        for back in _BACK_S:
            self._go(max(time - back, 0.0))
            if self._queue and self._queue[0][0] <= time + _SAME_S:
                return
        self._go(0.0)

    def _go(self, time: float) -> None:
        import av

        try:
            self._container.seek(round((time + self._start) / self._base), stream=self._stream)
        except av.FFmpegError as error:
            self._error = f"nothing can be read at {time:.3f} s ({error.strerror}). Fetch the video again"
        self._restart()
        while not self._queue and not self._is_over:
            self._decode()

    def _decode(self) -> None:
        """Decode one packet; a damaged one is remembered until a frame comes."""
        import av

        try:
            packet = next(self._packets)
            frames = packet.decode()
        except (StopIteration, av.EOFError):
            self._is_over = True
            return
        except av.FFmpegError as error:
            self._error = f"the video is damaged here ({error.strerror}). Fetch it again; frames elsewhere are used"
            self._damaged += 1
            self._is_over = self._damaged > _MOST_DAMAGED
            return
        self._damaged = 0
        for frame in frames:
            ticks = frame.pts if frame.pts is not None else frame.dts
            self._last = self._last + self._frame_s if ticks is None else ticks * self._base - self._start
            self._queue.append((self._last, frame))


@contextmanager
def open_clip(file: Any) -> Iterator[Clip]:
    """Open a video.

    Args:
        file: Where its bytes are read from: an object with `read`, `seek` and `tell`.

    Raises:
        PictureError: it is not a video of a format that is read, or holds no pictures.
        ConfigError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            "videos are decoded by PyAV, which is not installed: pip install 'vlmine-dagster[video]'"
        ) from error
    try:
        container = av.open(file, options={"format_whitelist": _CONTAINERS})
    except (av.FFmpegError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise PictureError(
            f"not a readable video ({said}): fetch it again, or leave it out by dataset.exclude"
        ) from error
    with container:
        streams = [one for one in container.streams.video if not one.disposition & _ATTACHED]
        if not streams or not streams[0].codec_context.width:
            raise PictureError("it contains no pictures, perhaps only sound: leave it out by dataset.exclude")
        yield Clip(container, streams[0])


def upright(frame: Any, shape: Fraction | None = None) -> "Image.Image":
    """Return a frame as people see it: RGB, turned as the camera was held, with square pixels.

    Args:
        frame: PyAV's frame.
        shape: Width of a pixel by its height; None means square ones.
    """
    from PIL import Image

    picture: Image.Image = frame.to_image()
    if shape and shape != 1:
        picture = picture.resize((max(1, round(picture.width * shape)), picture.height))
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    way = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[turns]
    return picture if way is None else picture.transpose(way)
