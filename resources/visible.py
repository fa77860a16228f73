"""Text of unknown origin, made harmless: nothing in it is invisible or reorders what stands around it."""

import unicodedata

_HARMLESS_FORMATS = "\u00ad\u200c\u200d"  # soft hyphen and the joiners that Indic scripts and emoji need
_SPELLED_OUT = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible_text(text: str) -> str:
    r"""Spell out characters that cannot be seen or that reorder the text around them; letters of any script stay.

    Examples:
        >>> visible_text("gpj.\u202eexe")
        'gpj.\\u202eexe'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{ord(letter):04x}" if _is_hidden(letter) else letter for letter in text)


def clip(text: str, limit: int) -> str:
    """Cut long text, saying how long it was.

    Examples:
        >>> clip("unicycle" * 3, 10)
        'unicycleun… (24 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit].rstrip()}… ({len(text):,} characters)"


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in _SPELLED_OUT and letter not in _HARMLESS_FORMATS and letter not in "\n\t"
