"""Formats of encoded sounds, recognized by their first bytes."""

import base64

_MPEG_FRAMES = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


def sound_format(data: bytes) -> str | None:
    r"""Return the format of an encoded sound, as web addresses and chat models call it; None if it is none.

    Examples:
        >>> sound_format(b"RIFF....WAVEfmt "), sound_format(b"ID3..."), sound_format(b"\xff\xd8\xff")
        ('wav', 'mp3', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:3] == b"ID3" or data[:2] in _MPEG_FRAMES:
        return "mp3"
    return {b"OggS": "ogg", b"fLaC": "flac"}.get(data[:4])


def sound_data_url(data: bytes) -> str:
    """Return an encoded sound as a data URL; "" where the bytes are not a sound of a known format."""
    form = sound_format(data)
    return "" if form is None else f"data:audio/{form};base64,{base64.b64encode(data).decode('ascii')}"
