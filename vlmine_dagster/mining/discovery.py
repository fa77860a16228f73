"""How much of a pool's kinds nobody has seen yet, and how many new ones more images would bring.

A kind is a class or a keyword. What is known are the counts of the kinds that a random draw showed.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.advice import Advice
from vlmine_dagster.mining.significance import Interval

_Z = 1.959964


def good_turing(counts: npt.ArrayLike) -> float:
    """Return the share of the pool that belongs to kinds without a count: f1 / n.

    Args:
        counts: Shape (K,), int >= 0, how often each kind was seen; f1 is the number of kinds seen once, n the sum.

    Returns:
        In [0, 1]; NaN where nothing was seen.

    Examples:
        >>> good_turing([5, 3, 1, 1])
        0.2

    References:
        Good 1953, Biometrika 40.
    """
    once, _, total = _frequencies(counts)
    return once / total if total else math.nan


def unseen_share(counts: npt.ArrayLike, *, drawn_share: float = 0.0, cluster: float = 1.0) -> Interval:
    """Return the share of what was not drawn that belongs to unseen kinds, with its 95% interval.

    With fk the kinds seen k times and n the sum of the counts, the estimate is that of Chao and Jost,
    f1 / n * (n - 1) f1 / ((n - 1) f1 + 2 f2), with f2 replaced by max(f2, 1) where no kind was seen twice. The interval
    is about Good and Turing's f1 / n, as Esty has it: z sqrt(v) / n,
    v = f1 (1 - f1 / n) / (1 - drawn_share) + 2 f2,
    in Wilson's form, so that it has a width where nothing was seen once.

    Args:
        counts: Shape (K,), int >= 0, how often a random draw showed each kind.
        drawn_share: Share of a finite pool that was drawn, in [0, 1); 0 where the pool is much larger.
        cluster: Factor of the variance where several counts come from one image: mean keywords per image that are seen
            once, among the images that have one (`cluster_factor`).

    Returns:
        Mean, low and high in [0, 1], n the sum of the counts. 1 with the interval 0 to 1 where nothing was seen.

    Raises:
        ContractError: a count is negative, or the share is outside [0, 1).

    Examples:
        >>> found = unseen_share([50, 30, 10, 6, 2, 1, 1])
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (0.02, 0.0, 0.083)

    References:
        Esty 1983, Annals of Statistics 11. Chao and Jost 2012, Ecology 93, equation 4a.
    """
    if not 0 <= drawn_share < 1:
        raise ContractError(f"unseen_share: drawn_share {drawn_share:g} must lie in [0, 1).")
    once, twice, total = _frequencies(counts)
    if not total:
        return Interval(1.0, 0.0, 1.0, 0)
    share = once / total
    chao = share * (total - 1) * once / ((total - 1) * once + 2 * max(twice, 1)) if once else 0.0
    variance = cluster * (once * (1 - share) / (1 - drawn_share) + 2 * twice)
    centre, half = (once + _Z**2 / 2) / total, _Z * math.sqrt(variance + _Z**2 / 4) / total
    return Interval(chao, max(0.0, min(centre - half, chao)), min(1.0, centre + half), total)


def cluster_factor(new_per_image: npt.ArrayLike) -> float:
    """Return by how much counts that come together inflate a variance: E[m^2] / E[m] over images, at least 1.

    Args:
        new_per_image: Shape (N,), int >= 0, keywords of each image that no other image has.

    Examples:
        >>> cluster_factor([1, 0, 1]), cluster_factor([3, 0, 1])
        (1.0, 2.5)
    """
    found = np.asarray(new_per_image, dtype=np.float64)
    return float(max(1.0, (found**2).sum() / found.sum())) if found.sum() else 1.0


def unseen_count(counts: npt.ArrayLike) -> float:
    """Return a lower bound of the number of kinds that nobody has seen: Chao1, (n - 1) / n * f1^2 / (2 f2).

    Without a kind seen twice it is (n - 1) / n * f1 (f1 - 1) / 2.

    Args:
        counts: Shape (K,), int >= 0, how often each kind was seen.

    Examples:
        >>> round(unseen_count([9, 4, 2, 2, 1, 1, 1]), 3)
        2.137

    References:
        Chao 1984, Scandinavian Journal of Statistics 11.
    """
    once, twice, total = _frequencies(counts)
    if not total:
        return 0.0
    bound = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    return (total - 1) / total * bound


def new_kinds(counts: npt.ArrayLike, more: float, *, drawn_share: float = 0.0) -> Interval:
    """Return how many new kinds another random draw would bring, with a 95% interval for that number.

    With F the unseen kinds by Chao1 and m more counts, F * (1 - (1 - f1 / (n F + f1))^m). As many are found of kinds as
    of independent rare events, so the number varies by its own mean; the estimate itself varies by about 4 / f1 of its
    square.

    Args:
        counts: Shape (K,), int >= 0, how often a random draw showed each kind.
        more: Counts that would be added: images, or mentions of keywords.
        drawn_share: Share of a finite pool that was drawn; what is left of it bounds `more`.

    Returns:
        Mean, low and high >= 0; n the sum of the counts.

    Raises:
        ContractError: more is negative.

    Examples:
        >>> found = new_kinds([50, 30, 10, 6, 2, 1, 1], 50)
        >>> round(found.mean, 2), found.low, round(found.high, 1)
        (0.78, 0.0, 3.6)

    References:
        Colwell et al. 2012, Journal of Plant Ecology 5, equation 9. Good and Toulmin 1956, Biometrika 43.
    """
    if more < 0:
        raise ContractError(f"new_kinds: more {more:g} must not be negative.")
    once, _, total = _frequencies(counts)
    if not total:
        return Interval(math.nan, 0.0, math.inf, 0)
    left = total * (1 - drawn_share) / drawn_share if drawn_share else math.inf
    draws, unseen = min(more, left), unseen_count(counts)
    rate = once / (total * unseen + once) if once and unseen else 0.0
    mean = unseen * (1 - (1 - rate) ** draws) if rate else once * draws / total
    spread = _Z * math.sqrt(mean + 4 * mean**2 / once) if mean else 0.0
    # Nothing seen once still allows a rate of 3 / n (the rule of three).
    high = mean + spread if mean else 3 * min(draws / total, 1.0)
    return Interval(mean, max(0.0, mean - spread), high, total)


@dataclass(frozen=True)
class Discovery:
    """What another draw of images would bring.

    Attributes:
        noun: Plural of what a kind is called: classes or keywords.
        seen: Kinds that the draw so far showed.
        images: Images drawn so far.
        more: Images that would be drawn.
        new: New kinds that these would bring, with a 95% interval.
        unseen: Share of what was not drawn that is of unseen kinds, with a 95% interval.
        unit: What is drawn: image or object.
    """

    noun: str
    seen: int
    images: int
    more: int
    new: Interval
    unseen: Interval
    unit: str = "image"

    @property
    def text(self) -> str:
        """What it brings, in words."""
        share = f"({self.unseen.low:.1%} to {self.unseen.high:.1%})"
        rest = (
            f"{self.unseen.mean:.1%} of what they say is not in the vocabulary {share}"
            if self.noun == "keywords"
            else f"{self.unseen.mean:.1%} of the rest is of unseen {self.noun} {share}"
        )
        return (
            f"New {self.noun} in another {self.more:,} random {self.unit}s: about {self.new.mean:,.0f} "
            f"({math.floor(self.new.low):,} to {math.ceil(self.new.high - 0.5):,}); {rest}."
        )

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers by name: the share of the rest that is of kinds already seen, and new kinds, with intervals."""
        kind = {"classes": "class"}.get(self.noun, self.noun.removesuffix("s"))
        coverage = {"": self.unseen.mean, "_low": self.unseen.high, "_high": self.unseen.low}
        new = {"": self.new.mean, "_low": self.new.low, "_high": self.new.high}
        found = {f"{kind}_sample_coverage{end}": 1 - share for end, share in coverage.items()}
        found |= {f"new_{self.noun}_in_{self.more}{end}": count for end, count in new.items()}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def discovery(
    counts: npt.ArrayLike,
    *,
    images: int,
    more: int,
    noun: str,
    drawn_share: float = 0.0,
    cluster: float = 1.0,
    unit: str = "image",
) -> Discovery:
    """Return what another draw would bring.

    Args:
        counts: Shape (K,), int >= 0, how often a random draw showed each kind.
        images: Images drawn.
        more: Images that would be drawn.
        noun: Plural of what a kind is called.
        drawn_share: Share of a finite pool that was drawn.
        cluster: `cluster_factor`, where several counts come from one image.
        unit: What is drawn: image or object.

    Examples:
        >>> found = discovery([50, 30, 10, 6, 2, 1, 1], images=100, more=50, noun="classes")
        >>> found.text.partition(" (0.")[0]
        'New classes in another 50 random images: about 1 (0 to 4); 2.0% of the rest is of unseen classes'
        >>> {name: round(value, 2) for name, value in found.metrics.items() if "low" in name}
        {'class_sample_coverage_low': 0.92, 'new_classes_in_50_low': 0.0}
    """
    given = np.asarray(counts, dtype=np.int64)
    return Discovery(
        noun,
        seen=int((given > 0).sum()),
        images=images,
        more=more,
        new=new_kinds(given, more * int(given.sum()) / max(images, 1), drawn_share=drawn_share),
        unseen=unseen_share(given, drawn_share=drawn_share, cluster=cluster),
        unit=unit,
    )


def enough_advice(found: Discovery | None) -> Advice:
    """Say whether more labels of random images would show new classes: not where the interval ends below one.

    Args:
        found: What they would bring; None where no class was drawn at random.

    Examples:
        >>> enough_advice(discovery([50, 30, 9, 8], images=97, more=20, noun="classes")).text.split(": ")[0]
        'Stop labelling at random for new classes'
        >>> enough_advice(discovery([50, 30, 9, 2, 1, 1], images=93, more=50, noun="classes")).is_met
        True
        >>> enough_advice(None).text
        'no image was labelled at random, so nobody can say what more labels would bring'
    """
    if found is None:
        return Advice(True, "no image was labelled at random, so nobody can say what more labels would bring")
    if found.new.high >= 1:
        return Advice(True, found.text, found.metrics)
    return Advice(False, f"Stop labelling at random for new classes: {found.text}", found.metrics)


def _frequencies(counts: npt.ArrayLike) -> tuple[int, int, int]:
    """Return the kinds seen once and twice, and the sum of the counts."""
    found = np.asarray(counts, dtype=np.int64)
    if (found < 0).any():
        raise ContractError(f"counts must be >= 0, the least is {found.min()}.")
    return int((found == 1).sum()), int((found == 2).sum()), int(found.sum())
