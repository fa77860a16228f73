"""Whether a model got the pictures of the pool: shards that it did not see, and answers that many images share.

One answer for many images, or nearly one, tells nothing within a shard where each shard has a few of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import UnseenPicturesError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.mining.blindness import has_same_answer, is_telling
from vlmine_dagster.scoring.reading import Reader

if TYPE_CHECKING:
    import duckdb

_LEAST_IMAGES = 8
_LEAST_SHARE = 0.001
_MOST_GROUPS = 10
_OTHERS = 64
_SAMPLE = 2000  # answers among which others are looked for
_SHOWN = 5

# A sketch of an answer is the three smallest hashes of its words: texts that share nine of ten words mostly share it,
# and texts that share it by chance are distinguished by their words afterwards.
_SKETCHED = """
SELECT image_id, outcome, description, hash(list_sort(list_transform(words, lambda word: hash(word)))[1:3]) AS sketch
FROM (SELECT *, string_split_regex(lower(description), '[^\\p{{L}}\\p{{M}}\\p{{N}}]+') AS parts,
             list_distinct(list_filter(parts, lambda word: word <> '')) AS words
      FROM {answers} WHERE outcome IN ('ok', 'not_seen') AND description IS NOT NULL)
"""
# Cutting texts into words is what costs: it is done twice for all answers where some are shared, otherwise once.
_SKETCHES = f"CREATE TEMP VIEW sketches AS {_SKETCHED.format(answers='descriptions')}"
_COMMON = """
SELECT sketch, count(*) AS image_count FROM sketches GROUP BY sketch
HAVING count(*) >= greatest($least, $share * (SELECT count(*) FROM descriptions WHERE outcome = 'ok'))
   AND count(*) FILTER (outcome = 'ok') > 0
ORDER BY image_count DESC, sketch LIMIT $most
"""
_SHARED = "CREATE TEMP TABLE shared AS SELECT * FROM sketches WHERE sketch IN (SELECT unnest($sketches))"
_SAMPLED = f"""
CREATE TEMP TABLE sampled AS
WITH chosen AS (SELECT * FROM descriptions WHERE outcome = 'ok' ORDER BY hash(image_id) LIMIT $most)
{_SKETCHED.format(answers="chosen")}
"""  # noqa: S608 - our own text
_MEMBERS = """
SELECT image_id, sha256, description, shared.outcome = 'ok'
FROM shared JOIN items USING (image_id) WHERE sketch = $sketch ORDER BY image_id
"""
_APART = """
SELECT image_id, sha256, description FROM sampled JOIN items USING (image_id)
WHERE sketch <> $sketch ORDER BY hash(image_id) LIMIT $most
"""


@dataclass(frozen=True)
class AnsweredImage:
    """An image and what was said of it.

    Attributes:
        image_id: Its id.
        content: SHA-256 of its bytes.
        text: The answer.
    """

    image_id: str
    content: str
    text: str


@dataclass(frozen=True)
class SharedAnswer:
    """An answer that many images share.

    Attributes:
        text: The answer, as most of them have it.
        images: Those that have it, or nearly, each content once.
        others: Some images that have another answer.
    """

    text: str
    images: Sequence[AnsweredImage]
    others: Sequence[AnsweredImage]


def shared_answers(reader: Reader) -> list[SharedAnswer]:
    """Return the answers that at least 8 images and 0.1% of the pool share, the commonest first, at most 10.

    Answers that were found blind before count too, as long as one of the same kind is taken for a description.

    Args:
        reader: Reads `descriptions` (image_id, description, outcome) and `items` (image_id, sha256).
    """
    with reader.connect("descriptions", ITEMS) as connection:
        connection.execute(_SKETCHES)
        limits = {"least": _LEAST_IMAGES, "share": _LEAST_SHARE, "most": _MOST_GROUPS}
        sketches = [row[0] for row in connection.execute(_COMMON, limits).fetchall()]
        if not sketches:
            return []
        connection.execute(_SHARED, {"sketches": sketches})
        connection.execute(_SAMPLED, {"most": _SAMPLE})
        found = [_shared(connection, sketch) for sketch in sketches]
    return [answer for answer in found if answer is not None]


def refuse_unseen_shards(reader: Reader, *, max_share: float) -> None:
    """Refuse a pool with shards of which too many pictures were not seen.

    Args:
        reader: Reads `descriptions` (outcome).
        max_share: Share of a shard that may not be seen.

    Raises:
        UnseenPicturesError: there are such shards.
    """
    odd = []
    for shard in reader.shards:
        outcomes = reader.read("descriptions", ["outcome"], partitions=[shard]).column("outcome")
        count = pc.sum(pc.equal(outcomes, Outcome.NOT_SEEN.value)).as_py() or 0
        if count > max_share * len(outcomes):
            odd.append(f"{shard} ({count} of {len(outcomes)})")
    if odd:
        more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        raise UnseenPicturesError(
            f"vocab_counts: the model did not get the pictures of {counted(len(odd), 'shard')}: "
            f"{', '.join(odd[:_SHOWN])}{more}. "
            f"More of them count as not_seen than max_failure_share {max_share:g}. Let the server pass them on "
            f"(`vlmine doctor` asks with one), then `vlmine run --retry-failed`."
        )


def _shared(connection: "duckdb.DuckDBPyConnection", sketch: int) -> SharedAnswer | None:
    rows = connection.execute(_MEMBERS, {"sketch": sketch}).fetchall()
    counts = Counter(row[2] for row in rows)
    head = min(counts, key=lambda text: (-counts[text], text))
    if not is_telling(head):
        return None
    same = {text for text in counts if text == head or has_same_answer(text, head)}
    kept = {content: (name, text, is_new) for name, content, text, is_new in rows if text in same}
    if len(kept) < _LEAST_IMAGES or not any(is_new for _, _, is_new in kept.values()):
        return None
    others = connection.execute(_APART, {"sketch": sketch, "most": _OTHERS}).fetchall()
    images = [AnsweredImage(name, content, text) for content, (name, text, _) in kept.items()]
    return SharedAnswer(head, images, [AnsweredImage(*row) for row in others])
