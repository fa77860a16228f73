"""Checks for the known ways in which mining fails silently, each with its number and what to do about it."""

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.limits import (
    FEWEST_BITS,
    FEWEST_EXPECTED,
    FEWEST_IMAGES,
    FEWEST_KEYWORDS,
    MOST_DRIFT,
    MOST_JACCARD,
    MOST_SEEN_ONCE,
    MOST_SPEARMAN,
    MOST_TOP_KEYWORD,
    MOST_WITHOUT_KEYWORDS,
)
from vlmine_dagster.mining.vocabulary import VocabularyHealth

_Z95 = 1.959964

Facts = dict[str, float | int | str]


@dataclass(frozen=True)
class Advice:
    """The result of a check.

    Attributes:
        is_met: Whether all is well, or too little is known to tell.
        text: The finding in words, and what to do if it is bad.
        facts: The numbers behind it.
    """

    is_met: bool
    text: str
    facts: Mapping[str, float | int | str] = field(default_factory=dict)


def listed_advice(found: Sequence[str], *, one: str, several: str, good: str, advice: str = "") -> Advice:
    """Return the result of a check that lists what it found: their number, what they are, and the first three.

    Args:
        found: What is wrong, one text for each.
        one: What is said after the number 1, without a full stop.
        several: What is said after any other number.
        good: What is said where nothing was found.
        advice: What to do about it, in sentences.

    Examples:
        >>> words = {"one": "image is not listed", "several": "images are not listed", "good": "all are"}
        >>> listed_advice(["a.jpg", "b.jpg"], **words).text
        '2 images are not listed. Such as: a.jpg; b.jpg'
        >>> listed_advice(["a.jpg"], **words, advice="Add it.").text
        '1 image is not listed. Add it. Such as: a.jpg'
    """
    if not found:
        return Advice(True, good, {"found": 0})
    text = f"{counted(len(found), one, several)}.{advice and f' {advice}'} Such as: {'; '.join(found[:3])}"
    return Advice(False, text, {"found": len(found)})


def keyword_advice(health: VocabularyHealth) -> Advice:
    """Check whether keywords describe a pool: if they do not, rarity by keywords means nothing.

    In a pool of fewer than 100 images most keywords occur once, so their share is not checked there.

    Examples:
        >>> from vlmine_dagster.mining.vocabulary import vocabulary_health
        >>> advice = keyword_advice(vocabulary_health({"photo": 9, "cat": 1}, image_count=10, images_with_keywords=9))
        >>> advice.is_met
        False
        >>> print(advice.text.split(";")[0].split(": ")[1])
        `vlmine vocabulary --leave-out photo` leaves it out
    """
    problems = []
    if health.without_keywords_share > MOST_WITHOUT_KEYWORDS:
        problems.append(
            f"{health.without_keywords_share:.0%} of the images have no keyword: check their descriptions and the "
            f"keyworder's language"
        )
    if health.image_count >= FEWEST_IMAGES and health.seen_once_share > MOST_SEEN_ONCE:
        problems.append(
            f"{health.seen_once_share:.0%} of the keywords occur in only one image, so nearly every image looks "
            f"rare: ask for simpler words or a list of tags"
        )
    problems += _too_common({word: share for word, share in health.commonest if share > MOST_TOP_KEYWORD})
    if health.keywords_per_image < FEWEST_KEYWORDS:
        problems.append(
            f"an image has {health.keywords_per_image:.1f} keywords on average: ask for longer descriptions or for "
            f"more tags"
        )
    if not health.tells_images_apart:
        problems.append(
            f"the keywords hardly tell images apart ({health.information_bits:.1f} bits, expected {FEWEST_BITS:.0f} or "
            f"more): mine by features (`local_isolation`, `unlabelled_rarity`), or describe with another model"
        )
    return Advice(not problems, "; ".join(problems) or "the keywords describe the pool", health.facts)


def _too_common(shares: Mapping[str, float]) -> list[str]:
    if not shares:
        return []
    asked = " ".join(f"--leave-out {shlex.quote(word)}" for word in shares)
    if len(shares) == 1:
        [(word, share)] = shares.items()
        found = f"keyword {word!r} occurs in {share:.0%} of the images and distinguishes nothing"
        return [f"{found}: `vlmine vocabulary {asked}` leaves it out"]
    words = ", ".join(f"{word!r} ({share:.0%})" for word, share in shares.items())
    found = f"{len(shares)} keywords occur in most images and distinguish nothing, {words}"
    return [f"{found}: `vlmine vocabulary {asked}` leaves them out"]


def drift_advice(
    counts: npt.ArrayLike, shards: Sequence[str], keywords: Sequence[str], image_counts: npt.ArrayLike
) -> Advice:
    """Check whether a shard's keywords differ from those of all others by more than chance.

    The drift of a shard is the total variation distance between its keyword shares and those of the rest, less what
    two random samples of these sizes would show.

    Args:
        counts: Shape (S, K), images of each shard that yield each keyword.
        shards: S names.
        keywords: K keywords, usually the most common ones of the pool.
        image_counts: Shape (S,), images with keywords of each shard.

    Returns:
        Advice that names the shard and the keyword that differ most; met if there is a single shard.

    Raises:
        ContractError: the shapes do not fit.

    Examples:
        >>> counts = [[900, 100], [900, 100], [0, 1000]]
        >>> advice = drift_advice(counts, ["a", "b", "c"], ["day", "night"], [1000] * 3)
        >>> advice.is_met, round(advice.facts["drift"], 1)
        (False, 0.9)
    """
    table, sizes = np.asarray(counts, dtype=np.float64), np.asarray(image_counts, dtype=np.float64)
    if table.shape != (len(shards), len(keywords)) or sizes.shape != (len(shards),):
        raise ContractError(f"drift_advice: counts {table.shape}, images {sizes.shape}, {len(shards)} shards.")
    used = np.flatnonzero(table.sum(axis=1) > 0)
    if len(used) < 2:
        return Advice(True, "a single shard cannot be compared with others")
    drifts = np.full(len(shards), -np.inf)
    for place in used:
        mine, rest = table[place], table.sum(axis=0) - table[place]
        shares, others = mine / mine.sum(), rest / rest.sum()
        # An image has a keyword or not, so it is images that vary, and a share is of several keywords per image.
        yielding = np.minimum((mine + rest) / sizes[used].sum(), 1.0)
        keywords_each = (mine.sum() + rest.sum()) / sizes[used].sum()
        spread = 1 / sizes[place] + 1 / (sizes[used].sum() - sizes[place])
        variance = yielding * (1 - yielding) * spread / keywords_each**2
        by_chance = 0.5 * np.sqrt(2 * variance / math.pi).sum()
        drifts[place] = 0.5 * np.abs(shares - others).sum() - by_chance
    worst = int(drifts.argmax())
    mine, rest = table[worst], table.sum(axis=0) - table[worst]
    most = int(np.abs(mine / mine.sum() - rest / rest.sum()).argmax())
    share, other = mine[most] / sizes[worst], rest[most] / (sizes[used].sum() - sizes[worst])
    count = int((drifts > MOST_DRIFT).sum())
    text = (
        f"shard {shards[worst]} differs most, by {max(drifts[worst], 0):.2f} of its keywords beyond chance: "
        f"{keywords[most]!r} occurs in {share:.0%} of its images and in {other:.0%} of the others"
    )
    if count:
        text += (
            f". {count} of {len(used)} shards differ by more than {MOST_DRIFT}. If they show the same kind of images, "
            f"they were described differently; if not, what is common in them looks rare: consider separate pools"
        )
    facts: Facts = {"drift": float(max(drifts[worst], 0)), "shard": shards[worst], "shards that drift": count}
    return Advice(count == 0, text, facts)


def agreement_advice(signals: Mapping[str, npt.ArrayLike], *, mined_count: int) -> Advice:
    """Check whether an experiment's signals measure different things; if they do not, joining them adds nothing.

    Args:
        signals: Shape (N,) each, higher is more worth mining; images where one is NaN are left out.
        mined_count: Images within the budget.

    Returns:
        Advice with Spearman's rho and the Jaccard overlap of the two top lists, with 95% intervals (Fisher's z with
        the variance of Bonett and Wright 2000; Wilson), for the pair that agrees most; a pair that ranks images alike
        by either number comes first.

    Examples:
        >>> order = np.arange(1000.0)
        >>> agreement_advice({"a": order, "b": order**3}, mined_count=100).is_met
        False
        >>> agreement_advice({"a": order, "b": order * 7919 % 1000}, mined_count=100).is_met
        True
    """
    from scipy.stats import rankdata

    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in signals.items()}
    if len(arrays) < 2:
        return Advice(True, "a single signal cannot be compared with others")
    is_known = ~np.any([np.isnan(values) for values in arrays.values()], axis=0)
    ranks = {name: rankdata(values[is_known]) for name, values in arrays.items()}
    count = int(is_known.sum())
    if count < FEWEST_IMAGES or any(np.ptp(values) == 0 for values in ranks.values()):
        return Advice(True, f"{counted(count, 'image')} with values that differ: too few to tell")
    mined = min(max(mined_count, 1), count)
    tops = {name: set(np.argsort(-values, kind="stable")[:mined].tolist()) for name, values in ranks.items()}
    found = []
    for one, other in itertools.combinations(ranks, 2):
        rho = float(np.corrcoef(ranks[one], ranks[other])[0, 1])
        both, either = len(tops[one] & tops[other]), len(tops[one] | tops[other])
        has_one_list = mined < count / 2 and wilson(both, either)[0] > MOST_JACCARD
        is_same = _spearman_interval(rho, count)[0] > MOST_SPEARMAN or has_one_list
        found.append((is_same, rho, both, either, one, other))
    is_same, rho, both, either, one, other = max(found)
    rho_low, rho_high = _spearman_interval(rho, count)
    overlap = both / either
    low, high = wilson(both, either)
    text = (
        f"{one} and {other}: Spearman {rho:.2f} [{rho_low:.2f}, {rho_high:.2f}], overlap of the first {mined:,} "
        f"{overlap:.2f} [{low:.2f}, {high:.2f}] (Jaccard)"
    )
    if is_same:
        text += ". They rank images alike: drop one, or add a signal that measures something else"
    facts: Facts = {"Spearman": rho, "Spearman from": rho_low, "Jaccard": overlap, "Jaccard from": low}
    return Advice(not is_same, text, facts)


def luck_advice(found: int, *, mined_count: int, tail_count: int, pool_size: int) -> Advice:
    """Check whether mining found more images of the known rare classes than random picks would.

    Args:
        found: Mined images of rare classes.
        mined_count: Images mined.
        tail_count: Images of rare classes in the pool.
        pool_size: Images in the pool.

    Returns:
        Advice with the p-value P(X >= found), X hypergeometric. It is met if fewer than 5 are expected by chance:
        too few to tell.

    Examples:
        >>> luck_advice(60, mined_count=1000, tail_count=200, pool_size=10_000).is_met
        True
        >>> luck_advice(21, mined_count=1000, tail_count=200, pool_size=10_000).is_met
        False
    """
    from scipy.stats import hypergeom

    expected = mined_count * tail_count / pool_size if pool_size else 0.0
    facts: Facts = {"found": found, "by chance": round(expected, 2)}
    text = f"{counted(found, 'rare image')} found, {expected:.1f} expected by chance"
    if expected < FEWEST_EXPECTED or mined_count >= pool_size:
        return Advice(True, f"{text}: too few to tell", facts)
    p = float(hypergeom.sf(found - 1, pool_size, tail_count, mined_count))
    facts["p"] = p
    ratio = f"{found / expected:.2f} times as many, p = {p:.2g}"
    text = f"{text} ({ratio})"
    if p <= 0.05:
        return Advice(True, text, facts)
    return Advice(
        False,
        f"{text}: not significantly better than random. Check whether the descriptions name what makes these classes "
        f"rare, compare with the experiments `random` and `entropy`, and label some images for `fused`",
        facts,
    )


def wilson(found: int, count: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of the share `found` of `count`; (0, 1) where there is nothing to count.

    Examples:
        >>> [round(limit, 3) for limit in wilson(50, 100)]
        [0.404, 0.596]
    """
    from scipy.stats import binomtest

    if count == 0:
        return 0.0, 1.0
    low, high = binomtest(found, count).proportion_ci(method="wilson")
    return float(low), float(high)


def _spearman_interval(rho: float, count: int) -> tuple[float, float]:
    bounded = min(max(rho, -1 + 1e-12), 1 - 1e-12)
    half = _Z95 * math.sqrt((1 + bounded**2 / 2) / (count - 3))
    return math.tanh(math.atanh(bounded) - half), math.tanh(math.atanh(bounded) + half)
