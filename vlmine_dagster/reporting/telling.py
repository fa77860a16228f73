"""Which signals of a list have anything to say."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def telling(ranked: pa.Table, signals: Sequence[str]) -> tuple[str, ...]:
    """Return the signals that tell images apart; all of them where none does.

    Args:
        ranked: The list, with a column per signal.
        signals: Names of signals.

    Examples:
        >>> telling(pa.table({"entropy": [0.1, 0.2], "chosen_sparsity": [0.0, 0.0]}), ["entropy", "chosen_sparsity"])
        ('entropy',)
    """
    ranges = {name: pc.min_max(ranked.column(name)).as_py() for name in signals}
    return tuple(name for name, one in ranges.items() if one["min"] != one["max"]) or tuple(signals)
