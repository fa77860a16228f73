"""Whether a model got the pictures of the whole pool: answers that images of many shards share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vlmine_dagster.describing.unseen import Features, SeenAnswer, unseen_together
from vlmine_dagster.domain.errors import UnseenPicturesError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.resources.describers import ModelDescriber
from vlmine_dagster.resources.intake import by_shard
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.settings import settings_hash

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import Project

_SHOWN_SHARDS = 5
_SHOWN_LETTERS = 80


class _Answered(Protocol):
    @property
    def image_id(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def text(self) -> str: ...


class SharedAnswer(Protocol):
    """An answer that many images share."""

    @property
    def text(self) -> str:
        """The answer."""
        ...

    @property
    def images(self) -> Sequence[_Answered]:
        """The images that have it, with unlike bytes."""
        ...

    @property
    def others(self) -> Sequence[_Answered]:
        """Some images that have another answer."""
        ...


def refuse_unseen(
    shared: Sequence[SharedAnswer],
    describer: ModelDescriber,
    features: Features,
    *,
    project: "Project",
    shards: Sequence[str],
) -> None:
    """Refuse a pool in which images that are unlike each other share an answer: the model did not get their pictures.

    Their answers are marked in the cache, and their shards become stale: made again, the rows have the outcome
    `not_seen`, without a call.

    Args:
        shared: Answers that many images share.
        describer: Who gave them.
        features: Looks at images, to tell how alike they are.
        project: The project.
        shards: The shards of the pool.

    Raises:
        UnseenPicturesError: there are such answers.
    """
    blind: dict[str, str] = {}
    contents: dict[str, str] = {}
    texts = []
    for answer in shared:
        group, others = _seen(answer.images), _seen(answer.others)
        found = unseen_together(group, others, describer, features)
        if found:
            texts.append(answer.text)
            blind |= found
            contents |= {one.content: found[one.image_id] for one in group if one.image_id in found}
    if not blind:
        return
    describer.mark_unseen(contents)
    touched = sorted(by_shard(list(blind), shards))
    for shard in touched:
        write_whole(_mark_file(project, describer, shard), _next_mark(project, describer, shard))
    shown_answer = shown_line(texts[0])
    shown_answer = shown_answer if len(shown_answer) <= _SHOWN_LETTERS else f"{shown_answer[:_SHOWN_LETTERS]}..."
    more = f" and {len(touched) - _SHOWN_SHARDS} more" if len(touched) > _SHOWN_SHARDS else ""
    raise UnseenPicturesError(
        f"vocab_counts: {len(blind):,} images of {len(touched):,} shards that are unlike each other got the same "
        f"answer, '{shown_answer}': the model did not get these pictures. Let the server pass them on (`vlmine doctor` "
        f"asks with one). `vlmine run` makes the shards again without a call, so that these images count as not_seen, "
        f"and `vlmine run --retry-failed` then asks about them again. "
        f"Shards: {', '.join(touched[:_SHOWN_SHARDS])}{more}."
    )


def unseen_mark(project: "Project", describer: ModelDescriber, shard: str) -> str:
    """Return what changes when answers of a shard are found to be blind; "" where none ever were."""
    file = _mark_file(project, describer, shard)
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _next_mark(project: "Project", describer: ModelDescriber, shard: str) -> str:
    return str(int(unseen_mark(project, describer, shard) or "0") + 1)


def _mark_file(project: "Project", describer: ModelDescriber, shard: str) -> Path:
    return project.state_folder("unseen") / settings_hash(describer.fingerprint, shard)


def _seen(answers: Sequence[_Answered]) -> list[SeenAnswer]:
    return [SeenAnswer(one.image_id, one.content, one.text, 0) for one in answers]
