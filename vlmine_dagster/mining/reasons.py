"""Why an image was mined, in one line for the person who labels it."""

from collections.abc import Mapping

from vlmine_dagster.domain.counting import COUNTED, CountedUnit
from vlmine_dagster.domain.signals import SIGNALS

_CHOSEN = ("chosen_sparsity", "chosen_isolation")
"""Signals that are 0 for every image where the labelled set chooses another."""


def selection_reason(
    signals: Mapping[str, tuple[float, float]],
    *,
    front: int | None = None,
    keyword: str | None = None,
    keyword_count: int | None = None,
    predicted_label: str | None = None,
    rare_class: str | None = None,
    are_tags_meaningful: bool = True,
    counted: CountedUnit = COUNTED["image"],
) -> str:
    """Say why an image has its rank.

    Args:
        signals: Value as its table holds it and mid-rank by signal, in the order of the experiment.
        front: Non-dominated front; None where signals are joined in another way.
        keyword: Its rarest keyword.
        keyword_count: Number of images, or of what else is counted, with that keyword.
        predicted_label: The task model's most probable class.
        rare_class: The rare class on whose list it ranks highest; None: the list of images unlike any labelled class,
            or no list at all where its class-rank rarity is 0.
        are_tags_meaningful: Whether keywords and tags name what this pool shows; otherwise the reason names none.
        counted: What keywords are counted by.

    Examples:
        >>> values = {"novelty_min": (0.25, 3.0), "entropy": (2.306, 17.5)}
        >>> print(selection_reason(values, front=1, keyword="rocket", keyword_count=4))
        keyword "rocket" in 4 images · 18th least certain prediction · front 1
        >>> print(selection_reason({"class_rank_rarity": (3.5, 4.0), "sparsity": (-49.0, 14.0)}))
        unlike any labelled class · 14th least similar to the rest
        >>> print(selection_reason({"chosen_sparsity": (0.0, 14.0), "chosen_isolation": (3.5, 4.0)}))
        4th most isolated in appearance
        >>> print(selection_reason(values, keyword="rocket", keyword_count=4, are_tags_meaningful=False))
        3rd rarest content · 18th least certain prediction
        >>> selection_reason({"novelty_min": (0.5, 1)}, keyword="rocket", keyword_count=2, counted=COUNTED["sequence"])
        'keyword "rocket" in 2 sequences'
        >>> selection_reason({"random": (0.9, 1.0)}, front=1)
        'chosen at random'
    """
    if list(signals) == ["random"]:
        return SIGNALS["random"].reason
    is_searched = signals.get("class_rank_rarity", (1.0, 0.0))[0] > 0
    words = {
        "keyword": keyword,
        "images": counted.of(keyword_count),
        "units": counted.plural,
        "rarest": "" if keyword is None or not are_tags_meaningful else f', rarest "{keyword}"',
        "best": "its best guess" if predicted_label is None else f'"{predicted_label}"',
        "guess": "" if predicted_label is None else f', perhaps "{predicted_label}"',
        "rare_class": _rare(rare_class, is_searched=is_searched),
    }
    parts = []
    for name, (value, rank) in signals.items():
        if name in _CHOSEN and not value:
            continue
        text = SIGNALS[name].reason if are_tags_meaningful else SIGNALS[name].untagged or SIGNALS[name].reason
        numbers = {"value": value, "inverse": 1 / value if value else 0.0, "complement": 1 - value, "negated": -value}
        parts.append(text.format(nth=_nth(rank), **numbers, **words))
    return " · ".join(parts if front is None or len(signals) == 1 else [*parts, f"front {front:,}"])


def _nth(rank: float) -> str:
    """Return a rank as an ordinal before a superlative: nothing for the first, half ranks of ties rounded up.

    Examples:
        >>> [_nth(rank) for rank in (1.0, 2.0, 3.0, 17.5, 1022.0)]
        ['', '2nd ', '3rd ', '18th ', '1,022nd ']
        >>> [_nth(rank) for rank in (11.0, 112.0, 13.0, 121.0)]
        ['11th ', '112th ', '13th ', '121st ']
    """
    place = int(rank + 0.5)
    if place == 1:
        return ""
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{ending} "


def _rare(name: str | None, *, is_searched: bool) -> str:
    if name is not None:
        return f'perhaps rare class "{name}"'
    return "unlike any labelled class" if is_searched else "no class is known to be rare"
