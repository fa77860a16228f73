"""Samples of sounds: read from files of any format that soundfile knows, at any rate."""

import io
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, BinaryIO

from vlmine_dagster.domain.errors import PictureError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Samples:
    """A sound with one channel.

    Attributes:
        values: Shape (N,), float32, from -1 to 1.
        rate: Samples per second.
    """

    values: "npt.NDArray[np.float32]"
    rate: int

    def at_rate(self, rate: int) -> "npt.NDArray[np.float32]":
        """Return the samples at another rate, by a polyphase filter."""
        import numpy as np
        from scipy.signal import resample_poly

        if rate == self.rate:
            return self.values
        shared = gcd(self.rate, rate)
        return np.asarray(resample_poly(self.values, rate // shared, self.rate // shared), np.float32)


def read_samples(item: bytes, *, longest_s: float | None = None) -> Samples:
    """Return the mean channel of an encoded sound.

    Args:
        item: The file's bytes.
        longest_s: Only this much of it is read, from its beginning.

    Raises:
        PictureError: it cannot be read, or has no samples.
    """
    import numpy as np

    with opened_sound(item) as sound:
        rate = sound.samplerate
        found = next_samples(sound, -1 if longest_s is None else round(longest_s * rate))
    if not len(found):
        raise PictureError("the sound has no samples")
    if not np.isfinite(found).any():
        raise PictureError("the samples of the sound are not numbers")
    return Samples(np.nan_to_num(found, posinf=1, neginf=-1), rate)


def next_samples(sound: Any, count: int) -> "npt.NDArray[np.float32]":
    """Return the mean channel of the next samples of an opened sound, all of them if -1; fewer at its end.

    Raises:
        PictureError: it is damaged.
    """
    import numpy as np
    import soundfile

    try:
        data = sound.read(count, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise PictureError(f"the sound is damaged: {_error_text(error)}") from error
    return np.asarray(data.mean(axis=1), np.float32)


def opened_sound(item: bytes | BinaryIO) -> Any:
    """Open an encoded sound for reading, from its bytes or a file.

    Raises:
        PictureError: it cannot be read, or soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise PictureError("sounds are read by soundfile: pip install 'vlmine-dagster[audio]'") from error
    try:
        return soundfile.SoundFile(io.BytesIO(item) if isinstance(item, bytes) else item)
    except (soundfile.SoundFileError, TypeError) as error:
        raise PictureError(f"no readable sound: {_error_text(error)}") from error


def _error_text(error: Exception) -> str:
    """Return what libsndfile says, without the name of a file in memory, which is another one each time."""
    return str(getattr(error, "error_string", error))
