"""Texts from outside as one short line."""

from vlmine_dagster.domain.secrets import masked

_LONGEST = 300


def shown_line(text: str) -> str:
    """Return a text from outside in one short line, free of secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in masked(text)).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
