"""Asking a second describer whether a keyword is in a picture: answers kept, billed and limited like all others."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import TooManyFailuresError
from vlmine_dagster.domain.tables import GROUNDED_KEYWORDS, Outcome
from vlmine_dagster.mining.grounding import YES, Question
from vlmine_dagster.resources.describers import Load
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.replies import Asker, ReplyModel, Request, Usage
from vlmine_dagster.resources.rows import Bill, answer_row

if TYPE_CHECKING:
    import pyarrow as pa

KEYWORD = "{keyword}"
"""Where the keyword goes in the prompt."""


@dataclass(frozen=True)
class KeywordCheck(Usage):
    """An answer to a question; only `ok` ones confirm or deny.

    Attributes:
        image_id: The image.
        keyword: The keyword.
        is_confirmed: Whether the picture shows it; None where that is not known.
        text: What was said, None where nothing was.
        outcome: What became of the call.
        failure: Why the outcome is not ok.
    """

    image_id: str
    keyword: str
    is_confirmed: bool | None
    text: str | None
    outcome: Outcome
    failure: str | None


class Grounder:
    """Asks a model whether keywords are in pictures, once about the same bytes and keyword.

    Args:
        asker: Who is asked what; its prompt holds `{keyword}` where the keyword goes.
    """

    def __init__(self, asker: Asker):
        self._asker = asker

    @property
    def model(self) -> ReplyModel:
        """Who is asked."""
        return self._asker.model

    @property
    def fingerprint(self) -> str:
        """Changes with the model's fingerprint and with how answers are read."""
        return self._asker.fingerprint

    def worst_cost_usd(self) -> float:
        """Return what a question may cost at the most."""
        return self.model.worst_cost_usd(Request("", self._asker.prompt, b""))

    def check(
        self, questions: Mapping[str, Question], load: Load, *, is_failure_retried: bool = False
    ) -> Iterator[KeywordCheck]:
        """Yield one answer per question as it comes, from the cache first.

        Args:
            questions: Questions by image id.
            load: Reads pictures.
            is_failure_retried: Ask again where the kept answer is a failure.

        Raises:
            BudgetExceededError: the project's limit is reached.
            ModelError: the model or its endpoint cannot be used.
        """
        contents = {name: one.content for name, one in questions.items()}

        def requests(wanted: Mapping[str, str]) -> Iterator[Request]:
            for image in load(list(wanted.values())):
                one = questions[image.image_id]
                yield Request(one.content, self._asker.prompt.replace(KEYWORD, one.keyword), image.data)

        left = dict.fromkeys(questions)
        for name, reply, words in self._asker.ask(contents, requests, is_failure_retried=is_failure_retried):
            del left[name]
            is_confirmed = words == (YES,) if reply.outcome is Outcome.OK else None
            keyword = questions[name].keyword
            yield KeywordCheck(name, keyword, is_confirmed, reply.text, reply.outcome, reply.failure, **reply.usage)
        for name in left:
            reason = "the image is no longer in the dataset: materialize images again"
            yield KeywordCheck(name, questions[name].keyword, None, None, Outcome.CORRUPT, reason)


FirstOnes = Callable[[frozenset[str]], Sequence[Question]]
"""Returns what is asked about the first places of a list from which some images have sunk."""


def ground(
    first_ones: FirstOnes,
    grounder: Grounder,
    load: Load,
    *,
    most: int,
    progress: Progress,
    where: str,
    is_failure_retried: bool = False,
) -> "tuple[pa.Table, Bill]":
    """Ask about the first places of a list, and about what comes up where images sink; return answers and their cost.

    Args:
        first_ones: The list.
        grounder: Who is asked.
        load: Reads pictures.
        most: Questions at the most.
        progress: Counts answers.
        where: Table and experiment, for messages.
        is_failure_retried: Whether to ask again where the kept answer is a failure.

    Raises:
        TooManyFailuresError: no question has an answer.
        BudgetExceededError: the project's limit is reached.
    """
    import pyarrow as pa

    rows: dict[str, dict[str, object]] = {}
    bill, denied = Bill(), set[str]()
    while wanted := [one for one in first_ones(frozenset(denied)) if one.image_id not in rows][: most - len(rows)]:
        questions = {one.image_id: one for one in wanted}
        for answer in grounder.check(questions, load, is_failure_retried=is_failure_retried):
            rows[answer.image_id] = _row(answer, questions[answer.image_id], grounder.fingerprint)
            bill.add(answer)
            denied |= {answer.image_id} if answer.is_confirmed is False else set()
            progress.add(1, str(bill), failed=bill.failed, cost_usd=bill.cost_usd)
    _refuse_silence([str(row["failure"]) for row in rows.values() if row["is_confirmed"] is None], len(rows), where)
    return pa.Table.from_pylist(list(rows.values()), GROUNDED_KEYWORDS.schema).sort_by("list_rank"), bill


def _row(answer: KeywordCheck, question: Question, fingerprint: str) -> dict[str, object]:
    own = {"keyword": answer.keyword, "list_rank": question.list_rank, "is_confirmed": answer.is_confirmed}
    return {**answer_row(answer, fingerprint), **own, "answer": answer.text}


def _refuse_silence(failures: Sequence[str], count: int, where: str) -> None:
    """Refuse answers that say nothing: a list is not confirmed by a model that answers no question."""
    if count and len(failures) == count:
        ((commonest, number),) = Counter(failures).most_common(1)
        raise TooManyFailuresError(
            f"{where}: none of {count:,} questions whether a keyword is in a picture has an answer. {number:,} x "
            f"{commonest.rstrip('.')}. Look at grounding.describer with `vlmine doctor`, then `vlmine run "
            f"--retry-failed`; or take grounding out of vlmine.yaml."
        )
