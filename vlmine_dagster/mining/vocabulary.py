"""How often keywords occur over a pool, and whether the vocabulary is a healthy one."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.limits import FEWEST_BITS, FEWEST_IMAGES

_COMMONEST = 10


@dataclass(frozen=True)
class VocabularyHealth:
    """What a vocabulary looks like. Rarity means something where most images have several keywords of many.

    Attributes:
        image_count: Images described.
        without_keywords_share: Share of them that yield no keyword.
        keyword_count: Different keywords.
        seen_once_share: Share of the keywords that a single image yields.
        commonest: Up to ten of the commonest keywords, with the share of the images with keywords that yields each.
        keywords_per_image: Mean over the images with keywords.
        effective_keyword_count: exp(H) with H the Shannon entropy of the keywords' shares of all mentions, in nats:
            the number of equally common keywords that would be as diverse.
        information_bits: The most that the keywords can tell about which image it is, in bits: the sum over keywords of
            H(share), H(p) = -p log2 p - (1 - p) log2 (1 - p), as if they were independent. Infinite: not measured.
    """

    image_count: int
    without_keywords_share: float
    keyword_count: int
    seen_once_share: float
    commonest: tuple[tuple[str, float], ...]
    keywords_per_image: float
    effective_keyword_count: float
    information_bits: float = math.inf

    @property
    def facts(self) -> dict[str, int | float | str]:
        """What was measured, by name, as far as it was; of the keywords the commonest one alone."""
        found = {name: value for name, value in vars(self).items() if name != "commonest" and value != math.inf}
        for word, share in self.commonest[:1]:
            found |= {"top_keyword": word, "top_keyword_share": share}
        return found

    @property
    def tells_images_apart(self) -> bool:
        """Whether keywords say what differs between images; in a pool of fewer than 100 nobody can tell."""
        return self.image_count < FEWEST_IMAGES or self.information_bits >= FEWEST_BITS


def count_images(keywords: Sequence[Sequence[str]]) -> dict[str, int]:
    """Count in how many images each keyword occurs; repeats within an image count once.

    Args:
        keywords: N lists of keywords, one per image.

    Examples:
        >>> count_images([["car", "road", "car"], ["road"], []])
        {'car': 1, 'road': 2}
    """
    return dict(Counter(word for words in keywords for word in dict.fromkeys(words)))


def vocabulary_health(
    image_counts: Mapping[str, int], *, image_count: int, images_with_keywords: int
) -> VocabularyHealth:
    """Describe a vocabulary.

    Args:
        image_counts: Images per keyword, each >= 1.
        image_count: Images described.
        images_with_keywords: Those that yield at least one keyword.

    Returns:
        The shares, in [0, 1], and the counts; zeros where the vocabulary is empty.

    Raises:
        ContractError: a count is below 1, or the three arguments cannot come from one pool.

    Examples:
        >>> health = vocabulary_health({"road": 3, "unicycle": 1}, image_count=4, images_with_keywords=3)
        >>> health.seen_once_share, health.commonest[0], health.without_keywords_share
        (0.5, ('road', 1.0), 0.25)
        >>> round(health.effective_keyword_count, 3), round(health.information_bits, 3)
        (1.755, 0.918)
    """
    counts = np.fromiter(image_counts.values(), dtype=np.float64, count=len(image_counts))
    _check_pool(image_counts, counts, image_count, images_with_keywords)
    mentions = int(counts.sum())
    shares = counts / max(mentions, 1)
    top = nlargest(_COMMONEST, image_counts.items(), key=lambda pair: (pair[1], pair[0]))
    return VocabularyHealth(
        image_count=image_count,
        without_keywords_share=1 - images_with_keywords / image_count if image_count else 0.0,
        keyword_count=len(counts),
        seen_once_share=float((counts == 1).mean()) if len(counts) else 0.0,
        commonest=tuple((word, count / max(images_with_keywords, 1)) for word, count in top),
        keywords_per_image=mentions / max(images_with_keywords, 1),
        effective_keyword_count=float(np.exp(-np.sum(shares * np.log(shares)))) if len(counts) else 0.0,
        information_bits=_bits(counts / max(images_with_keywords, 1)),
    )


def _bits(shares: npt.NDArray[np.float64]) -> float:
    """Return the sum of the entropies of keywords that such shares of the images yield, in bits."""
    positive = (p[p > 0] for p in (shares, 1 - shares))
    return -float(sum(np.sum(p * np.log2(p)) for p in positive))


def _check_pool(
    image_counts: Mapping[str, int], counts: npt.NDArray[np.float64], image_count: int, images_with_keywords: int
) -> None:
    if not 0 <= images_with_keywords <= image_count:
        raise ContractError(
            f"vocabulary_health: {images_with_keywords} images with keywords of {image_count} described ones. Count "
            f"both over the same pool."
        )
    is_wrong = (counts < 1) | (counts > images_with_keywords)
    if is_wrong.any():
        word, count = list(image_counts.items())[int(is_wrong.argmax())]
        raise ContractError(
            f"vocabulary_health: keyword {word!r} has a count of {count}, expected 1 to "
            f"{images_with_keywords}, the images with keywords ({is_wrong.sum()} of {len(counts)} keywords are "
            f"wrong). The counts come from another pool: materialize vocab_counts again."
        )
