"""What paired draws show and do not show, in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.significance import Comparison, Interval

FEWEST_UNTRAINED = 30
"""Draws that a claim about mined sets needs; rankings cost seconds per draw."""
FEWEST_TRAINED = 10
"""Draws that a claim about retrained models needs."""
ONE_DRAW = "one draw only: says nothing about other seeds"
_MORE, _LESS = "finds more of the tail than", "finds less of the tail than"


def comparison_sentence(
    found: Comparison,
    *,
    where: str,
    more: str = _MORE,
    less: str = _LESS,
    of: tuple[str, str] = ("draw", "draws"),
) -> str:
    """Say what one comparison shows.

    Args:
        found: The comparison.
        where: At what it was made, such as `at 10%`.
        more: What the arm does if its values are higher.
        less: What it does if they are lower.
        of: What is paired, one and several.

    Examples:
        >>> gap = Interval(mean=0.19, low=0.18, high=0.2, n=30)
        >>> comparison_sentence(Comparison("fused", "mean", gap, 1e-8, 30), where="at 10%")
        'fused finds more of the tail than mean at 10%: +0.190 [+0.180, +0.200], 30 paired draws, p = 1e-08 after Holm'
        >>> comparison_sentence(Comparison("a", "b", Interval(0.01, -0.01, 0.02, 30), 0.6, 30), where="at 10%")
        'nothing is shown between a and b at 10%: +0.010 [-0.010, +0.020], 30 paired draws, p = 0.60 after Holm'
        >>> comparison_sentence(Comparison("a", "b", Interval(0.3, 0.3, 0.3, 1), 1.0, 30), where="at 10%")
        'nothing is shown between a and b at 10%: one draw only: says nothing about other seeds'
        >>> comparison_sentence(Comparison("a", "b", Interval(0.3, 0.2, 0.4, 5), 0.06, 30), where="at 10%")
        'nothing is shown between a and b at 10%: 5 draws only, 30 are needed'
    """
    gap = found.difference
    nothing = f"nothing is shown between {found.arm} and {found.reference} {where}"
    if gap.n == 1 and of[0] == "draw":
        return f"{nothing}: {ONE_DRAW}"
    if gap.n < found.fewest:
        return f"{nothing}: {counted(gap.n, *of)} only, {found.fewest} are needed"
    numbers = f"{interval_text(gap, signed=True)}, {gap.n} paired {of[1]}, {_p_text(found.p_value)} after Holm"
    if not found.is_shown:
        return f"{nothing}: {numbers}"
    return f"{found.arm} {more if gap.mean > 0 else less} {found.reference} {where}: {numbers}"


def comparison_sentences(found: Iterable[Comparison], *, where: str, more: str = _MORE, less: str = _LESS) -> list[str]:
    """Say what comparisons show, a sentence each; those with too few draws are named together.

    Args:
        found: The comparisons.
        where: At what they were made.
        more: What an arm does if its values are higher.
        less: What it does if they are lower.

    Examples:
        >>> few = Interval(0.3, 0.2, 0.4, 5)
        >>> comparison_sentences([Comparison(arm, "c", few, 0.06, 30) for arm in "ab"], where="at 10%")
        ['nothing is shown between a, b and c at 10%: 5 draws only, 30 are needed']
    """
    sentences: list[str] = []
    too_few: dict[tuple[str, int, int], list[Comparison]] = {}
    for one in found:
        if one.difference.n < one.fewest:
            too_few.setdefault((one.reference, one.difference.n, one.fewest), []).append(one)
        else:
            sentences.append(comparison_sentence(one, where=where, more=more, less=less))
    together = (replace(some[0], arm=", ".join(one.arm for one in some)) for some in too_few.values())
    return sentences + [comparison_sentence(one, where=where) for one in together]


def spread_text(values: Sequence[float]) -> str:
    """Return mean and standard deviation over draws; the mean alone where there is one draw.

    Examples:
        >>> spread_text([0.5, 0.7]), spread_text([0.5])
        ('0.600 ± 0.141', '0.500')
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.3f}"
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.3f} ± {deviation:.3f}"


def interval_text(found: Interval, *, signed: bool = False) -> str:
    """Return a mean with its interval.

    Examples:
        >>> interval_text(Interval(0.5, 0.4, 0.6, 30)), interval_text(Interval(0.5, 0.4, 0.6, 30), signed=True)
        ('0.500 [0.400, 0.600]', '+0.500 [+0.400, +0.600]')
    """
    sign = "+" if signed else ""
    return f"{found.mean:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def rules_text(counts: Iterable[int]) -> str:
    """Return how many classes are many-, medium- and few-shot, by both rules in use.

    Args:
        counts: Images of each class.

    Examples:
        >>> rules_text([500, 100, 60, 20, 5])
        'many/medium/few classes: 1/3/1 by >100 / 20-100 / <20, 2/1/2 by >=100 / 21-99 / <=20'

    References:
        Liu et al. 2019, arXiv 1904.05160, whose text and code differ in the edges.
    """
    given = list(counts)
    rules = []
    for name, many_over, few_under in ((">100 / 20-100 / <20", 100, 20), (">=100 / 21-99 / <=20", 99, 21)):
        many = sum(count > many_over for count in given)
        few = sum(count < few_under for count in given)
        rules.append(f"{many}/{len(given) - many - few}/{few} by {name}")
    return f"many/medium/few classes: {', '.join(rules)}"


def common_tail_sentence(bins: Mapping[str, str], pool_counts: Mapping[str, int], *, few_under: int) -> str:
    """Warn where classes that are few-shot are not rare among the images that can be mined; empty where they are.

    They are not where half of them have twice as many images there as the bound of few-shot, or more.

    Args:
        bins: many, medium or few, by class.
        pool_counts: Images that can be mined, by class.
        few_under: A class is few-shot with fewer images than this.

    Examples:
        >>> common_tail_sentence({"kite": "few"}, {"kite": 12}, few_under=20)
        ''
        >>> common_tail_sentence({"kite": "few"}, {"kite": 900}, few_under=20)[:64]
        'the tail is common in this pool: half of the 1 few-shot classes '
    """
    there = sorted(pool_counts.get(name, 0) for name, shot in bins.items() if shot == "few")
    median = there[len(there) // 2] if there else 0
    if median < 2 * few_under:
        return ""
    return (
        f"the tail is common in this pool: half of the {len(there)} few-shot classes have {median:,} images or more "
        f"that can be mined, so rarity cannot find them; expect it to be no better than chance, and mine by uncertainty"
    )


def _p_text(p_value: float) -> str:
    return f"p = {p_value:.2f}" if p_value >= 0.01 else f"p = {p_value:.0e}"
