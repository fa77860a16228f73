"""Why an image was mined, in a line for people."""

from collections.abc import Mapping

from vlmine_dagster.domain.signals import SIGNALS


def selection_reason(
    signals: Mapping[str, tuple[float, float]],
    *,
    front: int | None = None,
    pool_size: int,
    keyword: str | None = None,
    keyword_count: int | None = None,
    predicted_label: str | None = None,
    rare_class: str | None = None,
) -> str:
    """Say why an image stands where it does.

    Args:
        signals: Value as its table holds it and mid-rank by signal, in the order of the experiment.
        front: Non-dominated front; None where signals are joined in another way.
        pool_size: Ranked images.
        keyword: Its rarest keyword.
        keyword_count: Images that yield that keyword.
        predicted_label: What the task model takes it for.
        rare_class: The rare class whose list it stands highest on; None: that of classes with neither a label nor a
            name, or no list at all where its class-rank rarity is 0.

    Examples:
        >>> values = {"novelty_min": (0.25, 3.0), "entropy": (2.306, 17.5)}
        >>> print(selection_reason(values, front=1, pool_size=1567, keyword="rocket", keyword_count=4))
        keyword "rocket" in 4 images (rank 3 of 1,567) · entropy 2.31 nats (rank 17.5) · front 1
        >>> print(selection_reason({"class_rank_rarity": (3.5, 4.0), "sparsity": (-49.0, 66.0)}, pool_size=1567))
        strange, perhaps of a class with neither label nor name (rank 4 of 1,567) · few images like it (rank 66)
        >>> selection_reason({"random": (0.9, 1.0)}, front=1, pool_size=10)
        'drawn at random'
    """
    if list(signals) == ["random"]:
        return SIGNALS["random"].said
    words = {
        "keyword": keyword,
        "images": _images(keyword_count),
        "rarest": "" if keyword is None else f', rarest "{keyword}"',
        "guess": "" if predicted_label is None else f', perhaps "{predicted_label}"',
        "rare_class": _rare(rare_class, is_searched=signals.get("class_rank_rarity", (1.0, 0.0))[0] > 0),
    }
    parts = []
    for place, (name, (value, rank)) in enumerate(signals.items()):
        said = SIGNALS[name].said.format(value=value, inverse=1 / value if value else 0.0, negated=-value, **words)
        of = f" of {pool_size:,}" if place == 0 else ""
        parts.append(f"{said} (rank {rank:,g}{of})" if rank < 1e6 else f"{said} (rank {rank:,.0f}{of})")
    return " · ".join(parts if front is None or len(signals) == 1 else [*parts, f"front {front:,}"])


def _images(count: int | None) -> str:
    if count is None:
        return "an unknown number of images"
    return "1 image" if count == 1 else f"{count:,} images"


def _rare(name: str | None, *, is_searched: bool) -> str:
    if name is not None:
        return f'perhaps of rare class "{name}"'
    return "strange, perhaps of a class with neither label nor name" if is_searched else "no class is known to be rare"
