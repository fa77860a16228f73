"""Whether a keyword is in a picture: what a second model answered, and how often the first one made it up."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.advice import wilson

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Question:
    """Whether an image shows a keyword.

    Attributes:
        image_id: The image.
        sha256: Hash of its bytes.
        keyword: The keyword.
        list_rank: Rank of the image on the list as it is without answers.
    """

    image_id: str
    sha256: str
    keyword: str
    list_rank: int

    @property
    def content(self) -> str:
        """What its answer is kept by."""
        return hashlib.sha256(f"{self.sha256} {self.keyword}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Confirmations:
    """How many keywords of the first places of a list a second model saw.

    Attributes:
        asked: Keywords that it was asked about, those of images that came up in place of others too.
        answered: Those among the first places of the list as it was without it, with yes or no as the answer.
        denied: Those of them with no.
        failed: Questions without an answer, anywhere.
        sunk: Images that sank, anywhere.
        left: Places among the first whose keyword nobody was asked about, since the most questions were reached.
    """

    asked: int
    answered: int
    denied: int
    failed: int
    sunk: int
    left: int = 0

    @property
    def rate(self) -> float | None:
        """Share of the answered keywords that the second model did not see; None where nothing was answered."""
        return self.denied / self.answered if self.answered else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% interval of the rate (Wilson 1927), None where nothing was answered."""
        return wilson(self.denied, self.answered) if self.answered else None

    def metrics(self) -> dict[str, float]:
        """Return the numbers for a tracker."""
        found = {
            "keywords_checked": float(self.asked),
            "keywords_unanswered": float(self.failed),
            "images_sunk": float(self.sunk),
        }
        if self.rate is not None and self.interval is not None:
            low, high = self.interval
            found |= {"hallucination_rate": self.rate, "hallucination_rate_low": low, "hallucination_rate_high": high}
        return found

    def __str__(self) -> str:
        """Say it for people."""
        if self.rate is None or self.interval is None:
            return f"no keyword is confirmed or denied: {self.failed:,} of {self.asked:,} questions have no answer"
        low, high = self.interval
        sank = f"{counted(self.sunk, 'image')} sank"
        text = (
            f"{self.denied:,} of the first {self.answered:,} keywords were not seen by the second model: hallucination "
            f"rate {self.rate:.1%} [{low:.1%}, {high:.1%}], {sank}"
        )
        failed = f", {counted(self.failed, 'question has', 'questions have')} no answer" if self.failed else ""
        left = f", {counted(self.left, 'place was', 'places were')} not asked about" if self.left else ""
        return text + failed + left


def confirmations(rows: Iterable[tuple[int, str, bool | None]], *, first: int) -> Confirmations:
    """Count what a second model said.

    Only the first places of the list as it was without it make the rate: how many more are asked about depends on the
    answers.

    Args:
        rows: Rank on that list, outcome, and whether the keyword is confirmed, of each question.
        first: Places that make the rate.

    Examples:
        >>> found = confirmations([(1, "ok", True), (2, "ok", False), (3, "refused", None), (4, "ok", False)], first=3)
        >>> found.answered, found.denied, found.failed, found.sunk
        (2, 1, 1, 2)
    """
    known = list(rows)
    answered = [is_confirmed for rank, _, is_confirmed in known if rank <= first and is_confirmed is not None]
    return Confirmations(
        asked=len(known),
        answered=len(answered),
        denied=answered.count(False),
        failed=sum(is_confirmed is None for _, _, is_confirmed in known),
        sunk=sum(is_confirmed is False for _, _, is_confirmed in known),
    )
