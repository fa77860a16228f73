"""What was probably meant by a name that is not there."""

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that a given one resembles most; None where it resembles none.

    Examples:
        >>> nearest("taggr", ["tagger", "openai"]), nearest("x", ["tagger"])
        ('tagger', None)
    """
    return next(iter(difflib.get_close_matches(given, list(known), n=1)), None)


def close_to(given: str, known: Iterable[str]) -> str:
    """Return what was meant, in brackets, where a name is close to a known one.

    Examples:
        >>> close_to("taggr", ["tagger", "openai"]), close_to("x", ["tagger"])
        (" (did you mean 'tagger'?)", '')
    """
    near = nearest(given, known)
    return f" (did you mean {near!r}?)" if near else ""


def asked_back(given: str, known: Iterable[str]) -> str:
    """Return what was meant, as a sentence after another one, where a name is close to a known one.

    Examples:
        >>> asked_back("wether", ["camera", "weather"]), asked_back("x", ["camera"])
        (" Did you mean 'weather'?", '')
    """
    near = nearest(given, known)
    return f" Did you mean {near!r}?" if near else ""


def did_you_mean(given: str, known: Iterable[str], *, shown: int = 20) -> str:
    """Return the end of a message about a name that is not there: what was meant, perhaps, and what there is.

    Examples:
        >>> did_you_mean("wether", ["weather", "camera"])
        ". Did you mean 'weather'? There are: camera, weather."
    """
    names = sorted(known)
    more = "" if len(names) <= shown else f", and {len(names) - shown:,} more"
    return f".{asked_back(given, names)} There are: {', '.join(names[:shown]) or 'none'}{more}."
