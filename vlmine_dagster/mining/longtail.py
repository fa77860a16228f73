"""Many-, medium- and few-shot classes, and how well a mined set covers the few."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, ContractError

SHOTS = ("many", "medium", "few")
LAWS = ("exponential", "pareto")


def shot_bins(class_counts: Mapping[str, int], *, many_over: int = 100, few_under: int = 20) -> dict[str, str]:
    """Put each class into a bin by its number of images.

    Args:
        class_counts: Images by class.
        many_over: A class is many-shot with more images than this.
        few_under: A class is few-shot with fewer images than this; between the two it is medium-shot.

    Examples:
        >>> shot_bins({"brick": 500, "moon": 100, "coin": 20, "rocket": 3})
        {'brick': 'many', 'moon': 'medium', 'coin': 'medium', 'rocket': 'few'}

    References:
        Liu et al. 2019, arXiv 1904.05160.
    """
    return {
        name: "many" if count > many_over else "few" if count < few_under else "medium"
        for name, count in class_counts.items()
    }


def long_tail_sizes(class_count: int, *, largest: int, imbalance: float, law: str = "exponential") -> list[int]:
    """Return class sizes that fall from the largest to largest / imbalance.

    For rank r = 0 ... C - 1: exponential n_r = largest * imbalance^(-r / (C - 1)); pareto (a power law of the rank)
    n_r = largest * (r + 1)^(-p) with p = ln(imbalance) / ln(C), whose head is thinner and whose tail is longer.

    Args:
        class_count: C >= 1.
        largest: Images of the first class, >= 1.
        imbalance: Largest over smallest size, >= 1.
        law: "exponential" or "pareto".

    Returns:
        C sizes, falling, each at least 1.

    Raises:
        ConfigError: the law is unknown, or a number is too small.

    Examples:
        >>> long_tail_sizes(3, largest=100, imbalance=100)
        [100, 10, 1]
        >>> long_tail_sizes(4, largest=100, imbalance=16, law="pareto")
        [100, 25, 11, 6]

    References:
        Cui et al. 2019, arXiv 1901.05555 (exponential); Liu et al. 2019, arXiv 1904.05160 (Pareto).
    """
    if law not in LAWS or class_count < 1 or largest < 1 or imbalance < 1:
        raise ConfigError(
            f"long_tail_sizes: law {law!r}, {class_count} classes, largest {largest}, imbalance {imbalance:g}. "
            f"Expected {' or '.join(LAWS)}, and 1 or more of each."
        )
    if class_count == 1:
        return [largest]
    ranks = np.arange(class_count)
    shares = (
        imbalance ** (-ranks / (class_count - 1))
        if law == "exponential"
        else (ranks + 1.0) ** (-np.log(imbalance) / np.log(class_count))
    )
    return [max(1, int(size)) for size in np.floor(largest * shares + 0.5)]


def true_rarity(labels: Sequence[str | None], class_counts: Mapping[str, int]) -> npt.NDArray[np.float64]:
    """Score images by how rare their true class is: 1 / its number of images. Only an oracle knows; it is the ceiling.

    Args:
        labels: N true classes, None if unknown.
        class_counts: Images by class, as they make classes many-, medium- or few-shot; 0 counts as 1.

    Returns:
        Shape (N,), float64, in (0, 1], higher is rarer; NaN where the class is unknown.

    Examples:
        >>> true_rarity(["cat", "rocket", None], {"cat": 4, "rocket": 1})
        array([0.25, 1.  ,  nan])
    """
    return np.array(
        [np.nan if label is None else 1 / max(class_counts[label], 1) for label in labels], dtype=np.float64
    )


def mining_metrics(mined: Sequence[str], pool: Sequence[str], *, bins: Mapping[str, str]) -> dict[str, float]:
    """Judge a mined set S from a pool U by the true classes; T are the images of few-shot classes.

    - few_images = |T and U|
    - few_recall = |S and T| / |T and U|, likewise medium_recall and many_recall
    - few_precision = |S and T| / |S|
    - few_lift = few_precision / (|T and U| / |U|); a random draw has 1 on average
    - few_coverage = share of the few-shot classes of U with at least one mined image; class_coverage over all classes
    - class_balance = H(class histogram of S) / ln(classes of U); 1 is perfectly even

    Args:
        mined: Classes of the mined images.
        pool: Classes of all images that could have been mined, the mined ones too.
        bins: many, medium or few, by class.

    Returns:
        The metrics by name; NaN where there is nothing to divide by.

    Raises:
        ContractError: a class has no bin, or more of its images are mined than the pool has.

    Examples:
        >>> metrics = mining_metrics(["cat", "rocket"], ["cat", "cat", "rocket", "moon"],
        ...                          bins={"cat": "many", "rocket": "few", "moon": "few"})
        >>> metrics["few_recall"], metrics["few_precision"], metrics["few_lift"], metrics["few_coverage"]
        (0.5, 0.5, 1.0, 0.5)
    """
    unknown = sorted({*mined, *pool} - bins.keys())
    if unknown:
        classes = counted(len(unknown), "class", "classes")
        raise ContractError(f"mining_metrics: no bin for {classes}, such as {unknown[0]!r}.")
    in_mined, in_pool = Counter(mined), Counter(pool)
    surplus = in_mined - in_pool
    if surplus:
        name, count = next(iter(surplus.items()))
        limit = in_mined[name] - count
        raise ContractError(
            f"mining_metrics: {in_mined[name]} images of class {name!r} are mined, but the pool has {limit}."
        )
    found = {shot: _count(in_mined, shot, bins) for shot in SHOTS}
    there = {shot: _count(in_pool, shot, bins) for shot in SHOTS}
    precision = _ratio(found["few"], len(mined))
    few_classes = [name for name in in_pool if bins[name] == "few"]
    return {
        "few_images": float(there["few"]),
        **{f"{shot}_recall": _ratio(found[shot], there[shot]) for shot in reversed(SHOTS)},
        "few_precision": precision,
        "few_lift": _ratio(precision, _ratio(there["few"], len(pool))),
        "few_coverage": _ratio(sum(name in in_mined for name in few_classes), len(few_classes)),
        "class_coverage": _ratio(len(in_mined), len(in_pool)),
        "class_balance": _balance(in_mined, len(in_pool)),
    }


def shot_accuracy(truth: Sequence[str], predicted: Sequence[str], *, bins: Mapping[str, str]) -> dict[str, float]:
    """Return the mean of the per-class accuracies, over all classes and over each bin.

    On a balanced test split this is plain accuracy; an unbalanced one does not let common classes decide.

    Args:
        truth: Classes of N test images.
        predicted: What the model said.
        bins: many, medium or few, by class; classes without one count only in all_accuracy.

    Returns:
        all_accuracy, many_accuracy, medium_accuracy, few_accuracy in [0, 1]; NaN for a bin without test images.

    Raises:
        ContractError: lengths differ.

    Examples:
        >>> shot_accuracy(["cat", "cat", "moon"], ["cat", "moon", "moon"], bins={"cat": "many", "moon": "few"})
        {'all_accuracy': 0.75, 'many_accuracy': 0.5, 'medium_accuracy': nan, 'few_accuracy': 1.0}
    """
    if len(truth) != len(predicted):
        raise ContractError(f"shot_accuracy: {len(truth)} true classes and {len(predicted)} predicted ones.")
    total = Counter(truth)
    right = Counter(true for true, guess in zip(truth, predicted, strict=True) if true == guess)
    by_class = {name: right[name] / count for name, count in total.items()}
    by_shot = {shot: [share for name, share in by_class.items() if bins.get(name) == shot] for shot in SHOTS}
    return {
        "all_accuracy": _mean(list(by_class.values())),
        **{f"{shot}_accuracy": _mean(shares) for shot, shares in by_shot.items()},
    }


def _count(counts: Mapping[str, int], shot: str, bins: Mapping[str, str]) -> int:
    return sum(count for name, count in counts.items() if bins[name] == shot)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _balance(counts: Mapping[str, int], class_count: int) -> float:
    if class_count < 2 or not counts:
        return float("nan")
    shares = np.array(list(counts.values()), dtype=np.float64)
    shares /= shares.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(class_count)) + 0.0
