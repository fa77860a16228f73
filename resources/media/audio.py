"""Medium `audio`: a sound, seen as its mel spectrogram, and played in the report."""

import io
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.resources.samples import read_samples
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

_FRAME_S, _STEP_S = 0.025, 0.010
_FLOOR_DB = 80.0
_ROW_PX = 3


class AudioSettings(MediumSettings):
    """A sound."""

    endings = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff")
    prompts: ClassVar = {
        "describe-general-v1": "Listen, or look at this spectrogram: time to the right, pitch up, loud is bright. "
        "Say in two or three plain sentences what makes this sound, as specifically as you can.",
    }

    kind: Literal["audio"]
    """A sound in a file: wav, flac, mp3, ogg, opus, aiff. A dataset of kind `audio` cuts long ones into windows."""
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    """Samples per second at which a sound is read; half of it is the highest pitch."""
    mels: Annotated[int, Field(ge=8, le=512)] = 64
    """Rows of the spectrogram, at equal steps of the mel scale."""
    longest_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Only this much of a sound is used and sent, from its start."""
    send: Literal["spectrogram", "sound"] = "spectrogram"
    """What describers are sent; `sound` needs an endpoint that takes `input_audio` parts, or an audio-text-to-text
    checkpoint of transformers."""


class Audio(Medium):
    """A sound."""

    noun = "sound"
    is_playable = True

    def picture(self, item: bytes) -> bytes:
        """Return the mel spectrogram of a sound; it is 80 dB from black to white.

        Raises:
            PictureError: it cannot be read, or has no samples.
        """
        import numpy as np
        from PIL import Image

        from vlmine_dagster.resources.pictures import ppm

        samples = self._samples(item)
        power = mel_power(samples, self.settings.sample_rate, self.settings.mels)
        decibels = 10 * np.log10(np.maximum(power, 1e-10))
        level = np.clip((decibels - decibels.max()) / _FLOOR_DB + 1, 0, 1)
        rows = np.repeat(level[::-1], _ROW_PX, axis=0)
        # Black, violet, orange, white: the eye, and encoders of photos, tell colours better than greys.
        stops = np.array([[0, 0, 0], [95, 20, 120], [240, 110, 30], [255, 255, 235]], np.float64)
        channels = [np.interp(rows * 3, range(4), stops[:, channel]) for channel in range(3)]
        return ppm(Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)))

    def request(self, item: bytes) -> bytes:
        """Return the sound as WAV, or its spectrogram."""
        return self.recording(item) if self.settings.send == "sound" else self.picture(item)

    def recording(self, item: bytes) -> bytes:
        """Return the sound as WAV of 16 bits, with one channel."""
        return wave_bytes(self._samples(item), self.settings.sample_rate)

    def example(self) -> bytes:
        """Return what `vlmine doctor` sends to a describer: a tone that rises for a second, where sounds are sent."""
        return self._made(lambda time: 220 * 2 ** (2 * time)) if self.settings.send == "sound" else super().example()

    def blank(self) -> bytes:
        """Return what a describer is sent to tell whether it hears anything: silence, where sounds are sent."""
        return self._made(lambda time: 0 * time) if self.settings.send == "sound" else super().blank()

    def _made(self, pitch: "Callable[[Any], Any]") -> bytes:
        """Return a second of a tone of a pitch in hertz by time, as WAV."""
        import numpy as np

        rate = self.settings.sample_rate
        phase = np.cumsum(pitch(np.arange(rate) / rate)) / rate
        return wave_bytes(0.5 * np.sin(2 * np.pi * phase), rate)

    def _samples(self, item: bytes) -> "npt.NDArray[np.float32]":
        """Return the samples of a sound's mean channel at the settings' rate."""
        return read_samples(item, longest_s=self.settings.longest_s).at_rate(self.settings.sample_rate)


def wave_bytes(samples: Any, sample_rate: int) -> bytes:
    """Return samples from -1 to 1 as WAV of 16 bits."""
    import wave

    import numpy as np

    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(np.nan_to_num(samples), -1, 1) * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def mel_power(samples: Any, sample_rate: int, mels: int) -> Any:
    """Return the power of a sound by mel band and time, shape (mels, frames).

    Frames of 25 ms, 10 ms apart, under Hann's window; bands are triangles at equal steps of 2595 log10(1 + f / 700).
    A sound shorter than a frame is one frame.
    """
    import numpy as np

    frame, step = round(_FRAME_S * sample_rate), round(_STEP_S * sample_rate)
    padded = np.pad(samples, (0, max(0, frame - len(samples))))
    views = np.lib.stride_tricks.sliding_window_view(padded, frame)[::step]
    power = np.abs(np.fft.rfft(views * np.hanning(frame), axis=1)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + sample_rate / 1400), mels + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(frame, 1 / sample_rate)
    rising = (bins - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], 1e-9)[:, None]
    falling = (edges[2:, None] - bins) / np.maximum(edges[2:] - edges[1:-1], 1e-9)[:, None]
    bands = np.maximum(0, np.minimum(rising, falling))
    empty = bands.sum(axis=1) == 0  # bands narrower than a bin take the nearest one
    bands[empty, np.abs(bins[None] - edges[1:-1][empty, None]).argmin(axis=1)] = 1
    return bands @ power.T


PLUGIN = MediumPlugin(AudioSettings, lambda _bench, settings: Audio(settings))
