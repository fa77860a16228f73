"""Whether a model got the pictures of a shard: what its answers tell together, and a grey picture where that is odd."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.mining.blindness import (
    got_no_tokens,
    has_same_answer,
    is_blind_to_change,
    is_no_more_alike,
    repeated,
)
from vlmine_dagster.resources.describers import ModelDescriber
from vlmine_dagster.resources.intake import by_shard, read_bytes
from vlmine_dagster.resources.media.contract import grey_picture

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.encoder import Encoder
    from vlmine_dagster.resources.replies import Reply
    from vlmine_dagster.resources.sources import ImageSource

_GROUP = 3  # images that share an answer before anything is looked at
_LEAST_TO_COMPARE = 4  # images with one answer, and as many with others, before their likeness means anything
_SAMPLE = 16
_ROUTINE = 100  # answers of a shard that are worth one grey picture without any suspicion
_TOKENS_OF_A_PICTURE = 40  # fewer than any vision model takes for one
_BYTES_A_TOKEN = 3
_GREY_ANSWERS = 3
_LIKE_GREY = 0.8  # cosine to the grey picture's features: plain surfaces have 0.85 and more, photos under 0.6

GREY = ""
"""Name under which `Features` is asked for those of the grey picture."""

Features = Callable[[Sequence[str]], npt.NDArray[np.floating]]
"""Returns features of some images, shape (N, D), those that cannot be read left out."""


@dataclass(frozen=True)
class SeenAnswer:
    """An answer that was taken for a description.

    Attributes:
        image_id: The image.
        content: SHA-256 of its bytes.
        text: The answer.
        prompt_tokens: Tokens read, 0 if unknown.
    """

    image_id: str
    content: str
    text: str
    prompt_tokens: int


@dataclass
class _Look:
    """What is found in the answers of one shard."""

    describer: ModelDescriber
    features: Features
    answers: list[SeenAnswer]
    shard: str
    reasons: dict[str, str] = field(default_factory=dict)

    def note(self, answers: Sequence[SeenAnswer], reason: str) -> None:
        """Write down that some images were not seen."""
        for answer in answers:
            self.reasons.setdefault(answer.image_id, reason)

    def grey(self, number: int = 0) -> "Reply | None":
        """Return the answer to a grey picture, asked once per shard and number and then kept."""
        return self.describer.probe(f"grey {self.shard} {number}", self.describer.medium.blank())


def unseen(
    answers: Sequence[SeenAnswer], describer: ModelDescriber, features: Features, *, shard: str
) -> dict[str, str]:
    """Return why the model cannot have seen some images, by image id.

    Three signs count, the cheapest first; what is suspicious is settled by asking about a grey picture, or without any:
    the same answer for images that are unlike each other, or for a grey picture too; prompts that take no more tokens
    with a picture than without, while answers change no more than those to one grey picture do.

    Args:
        answers: The answers of a shard that were taken for descriptions.
        describer: Who gave them.
        features: Looks at images, to tell how alike they are.
        shard: The shard; its grey picture is asked about once.
    """
    one_each = list({answer.content: answer for answer in answers}.values())
    look = _Look(describer, features, one_each, shard)
    _by_repetition(look)
    _by_tokens(look)
    if len(one_each) >= _ROUTINE:
        _by_grey(look, [answer for answer in one_each if answer.image_id not in look.reasons])
    by_content = {a.content: look.reasons[a.image_id] for a in one_each if a.image_id in look.reasons}
    return {a.image_id: by_content[a.content] for a in answers if a.content in by_content}


def unseen_together(
    group: Sequence[SeenAnswer], others: Sequence[SeenAnswer], describer: ModelDescriber, features: Features
) -> dict[str, str]:
    """Return why the model cannot have seen images of the whole pool that share an answer, by image id; mostly nothing.

    Args:
        group: The images that share it, with unlike bytes.
        others: Some images that have another answer.
        describer: Who gave the answers.
        features: Looks at images, to tell how alike they are.
    """
    look = _Look(describer, features, [*group, *others], "of the pool")
    _by_likeness(look, group, others)
    return look.reasons


def answers_in(table: "pa.Table", contents: Mapping[str, str]) -> list[SeenAnswer]:
    """Return the answers of a table that were taken for descriptions.

    Args:
        table: Rows of `descriptions`.
        contents: SHA-256 by image id.
    """
    names = ("image_id", "description", "prompt_tokens", "outcome", "is_estimated")
    columns = (table.column(name).to_pylist() for name in names)
    return [
        SeenAnswer(name, contents[name], text, 0 if is_estimated else tokens)
        for name, text, tokens, outcome, is_estimated in zip(*columns, strict=True)
        if outcome == "ok" and text
    ]


def with_unseen(table: "pa.Table", reasons: Mapping[str, str]) -> "pa.Table":
    """Return the rows of `descriptions`, with outcome `not_seen` and the reason where there is one."""
    import pyarrow as pa

    if not reasons:
        return table
    names = table.column("image_id").to_pylist()
    for column, new in (("outcome", dict.fromkeys(reasons, Outcome.NOT_SEEN.value)), ("failure", reasons)):
        values = table.column(column).to_pylist()
        changed = [new.get(name, old) for name, old in zip(names, values, strict=True)]
        place = table.schema.get_field_index(column)
        table = table.set_column(place, table.schema.field(column), pa.array(changed, table.schema.field(column).type))
    return table


def _by_repetition(look: _Look) -> None:
    by_name = {answer.image_id: answer for answer in look.answers}
    for names in repeated({a.image_id: a.text for a in look.answers}, least=_GROUP):
        group = [by_name[name] for name in names]
        _by_likeness(look, group, [answer for answer in look.answers if answer.image_id not in set(names)])


def _by_likeness(look: _Look, group: Sequence[SeenAnswer], others: Sequence[SeenAnswer]) -> None:
    is_random = _is_random(look, group, others)
    if is_random:
        look.note(group, f"{len(group)} images that are unlike each other got this same answer")
    elif is_random is None:
        _by_grey(look, group)


def _is_random(look: _Look, group: Sequence[SeenAnswer], others: Sequence[SeenAnswer]) -> bool | None:
    """Return whether images with one answer are no more alike than others; None where too few tell."""
    if min(len(group), len(others)) < _LEAST_TO_COMPARE:
        return None
    inside = look.features([a.image_id for a in _spread(group)])
    outside = look.features([a.image_id for a in _spread(others)])
    if min(len(inside), len(outside)) < _LEAST_TO_COMPARE:
        return None
    return is_no_more_alike(inside, outside)


def _by_grey(look: _Look, answers: Sequence[SeenAnswer]) -> None:
    grey = look.grey()
    if grey is None or not grey.text:
        return
    same = [answer for answer in answers if has_same_answer(answer.text, grey.text)]
    if len(same) >= _GROUP and not _is_uniform(look, same):
        look.note(same, "a plain grey picture got this same answer")


def _is_uniform(look: _Look, answers: Sequence[SeenAnswer]) -> bool:
    """Return whether the images look like the grey picture itself: then they are rightly described alike."""
    images = look.features([answer.image_id for answer in _spread(answers)])
    plain = look.features([GREY])
    if not len(images) or not len(plain):
        return False
    alike = images.astype(np.float64) @ plain[0].astype(np.float64)
    lengths = np.linalg.norm(images.astype(np.float64), axis=1) * np.linalg.norm(plain[0].astype(np.float64))
    return float(np.median(alike / np.maximum(lengths, 1e-12))) > _LIKE_GREY


def _by_tokens(look: _Look) -> None:
    counted = [answer for answer in look.answers if answer.prompt_tokens]
    if not counted:
        return
    most = len(look.describer.prompt.encode()) // _BYTES_A_TOKEN + _TOKENS_OF_A_PICTURE
    few = [answer for answer in counted if answer.prompt_tokens <= most]
    if not few:
        return
    plain = look.describer.probe("no picture", None)
    if plain is None or plain.outcome is Outcome.CORRUPT or plain.is_estimated or not plain.prompt_tokens:
        return
    blind = [answer for answer in few if got_no_tokens(answer.prompt_tokens, plain.prompt_tokens)]
    is_part = (
        len(blind) < len(counted) and min(a.prompt_tokens for a in counted if a not in blind) > plain.prompt_tokens
    )
    if blind and (is_part or _changes_by_chance(look, blind)):
        reason = f"the prompt took {plain.prompt_tokens} tokens without a picture, and no more with this one"
        look.note(blind, reason)


def _changes_by_chance(look: _Look, answers: Sequence[SeenAnswer]) -> bool:
    """Return whether answers change no more from picture to picture than for one picture that stays the same."""
    grey = [reply.text for number in range(_GREY_ANSWERS) if (reply := look.grey(number)) is not None and reply.text]
    texts = [answer.text for answer in _spread(answers)]
    return len(grey) >= 2 and len(texts) >= 2 and is_blind_to_change(grey, texts)


def _spread(answers: Sequence[SeenAnswer]) -> list[SeenAnswer]:
    """Return at most 16 answers, evenly spread by the hash of their images: the same ones each time."""
    ordered = sorted(answers, key=lambda answer: answer.content)
    return ordered[:: max(1, -(-len(ordered) // _SAMPLE))]


def feature_reader(encoder: "Encoder", source: "ImageSource", shards: Sequence[str], *, max_pixels: int) -> Features:
    """Return what reads the encoder's features of some images of some shards, or of the grey picture.

    Args:
        encoder: The image encoder.
        source: The images.
        shards: Their shards.
        max_pixels: Larger pictures are refused.
    """

    def features(names: Sequence[str]) -> npt.NDArray[np.floating]:
        if list(names) == [GREY]:
            return encoder.encode([(GREY, grey_picture())], max_pixels=max_pixels).embeddings
        parts = by_shard(names, shards).items()
        images = chain.from_iterable(read_bytes(source, shard, some) for shard, some in parts)
        return encoder.encode(images, max_pixels=max_pixels).embeddings

    return features


def without_unseen(
    describer: ModelDescriber,
    rows: "pa.Table",
    wanted: Mapping[str, str],
    features: Features,
    *,
    shard: str,
    log: Any,
) -> "pa.Table":
    """Return rows of `descriptions`, those of images that the model cannot have seen with outcome `not_seen`.

    Args:
        describer: Who was asked; it remembers which answers were blind.
        rows: Its answers.
        wanted: SHA-256 by id of the images.
        features: Returns the encoder's features of images by their ids.
        shard: Their shard.
        log: Says how many were not seen.
    """
    reasons = unseen(answers_in(rows, wanted), describer, features, shard=shard)
    describer.mark_unseen({wanted[name]: why for name, why in reasons.items()})
    if reasons:
        log.warning(
            f"descriptions[{shard}]: {len(reasons):,} of {rows.num_rows:,} pictures were not seen, for example: "
            f"{next(iter(reasons.values()))}. Does the server pass them on? `vlmine doctor` asks with one."
        )
    return with_unseen(rows, reasons)


def failures_when_seen(rows: "pa.Table") -> "pa.Table":
    """Return the rows of `descriptions` without the reason why a picture was not seen.

    Pictures that the model did not get are not failures of the shard: `vocab_counts` looks at them over the pool.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    is_unseen = pc.equal(rows.column("outcome"), Outcome.NOT_SEEN.value)
    reasons = pc.if_else(is_unseen, pa.scalar(None, pa.string()), rows.column("failure"))
    return rows.set_column(rows.schema.get_field_index("failure"), rows.schema.field("failure"), reasons)
