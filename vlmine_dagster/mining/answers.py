"""Reading what a language model answered: is it an answer at all, and which keywords does it name?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

from vlmine_dagster.mining.failures import failure_of, is_refusal, text_of_data
from vlmine_dagster.mining.keywords import LONGEST_KEYWORD, tag_keywords
from vlmine_dagster.mining.leftovers import without_courtesy
from vlmine_dagster.mining.thoughts import Answer, without_thought

__all__ = [
    "Judgement",
    "UnreadableAnswer",
    "is_in_language",
    "is_refusal",
    "judge_description",
    "judge_keywords",
    "parse_keywords",
]

MOST_KEYWORDS = 40
"""More keywords than this are no list of what is in a picture."""
MOST_KEYWORD_WORDS = 4
"""Longer entries are sentences, not names."""

LONGEST_ANSWER = 100_000
"""Letters. More than 4,096 tokens, the most that is asked for, can hold; judging 10 MB of commas took 27 s."""

_ORDER = regex.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|rule|previous|above|everything)"
    r"|\bsystem prompt\b|\byou (?:are|must|should)\b",
    regex.IGNORECASE,
)
# Letters and digits of any script with their marks; inside a name also spaces and - ' . & / +
_NAME = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N} '\u2019.&/+\u200c\u200d-]*")
_COMMENT = regex.compile(r"--|/\*|//")
_SQL = regex.compile(
    r"\b(?:drop|alter|truncate)\s+table\b|\b(?:insert into|delete from|union select)\b", regex.IGNORECASE
)
_FENCE = regex.compile(r"^\s*```\w*\s*|\s*```\s*$")
_BULLET = regex.compile(r"^\s*(?:[-*\u2022\u2013\u2014]|\d{1,2}[.)])\s+")
_WRAPPERS = " \t\"'\u201c\u201d*`"  # quotes and Markdown's emphasis
_AND = regex.compile(r"^and\s+", regex.IGNORECASE)
_LEAD = regex.compile(
    r"[\s*_#\"'\u201c]{0,10}(?:(?:sure|certainly|of course|okay|ok)\b[!,.]?\s+)?"
    r"(?:here\s+(?:are|is|you\s+(?:are|go))\b|(?:the\s+)?keywords\b)[\p{L}\p{N} '\u2019,-]{0,80}:\**",
    regex.IGNORECASE,
)
_GOODBYE = regex.compile(
    r"\s*(?:please\s+)?(?:let me know|feel free|i hope)\b[\p{L} ,'\u2019]{0,120}[.!?]?\s*", regex.IGNORECASE
)
_LEAST_WORDS_FOR_LANGUAGE = 5
_FEW_KEYWORDS = 4  # a sentence that was taken for a list has no more commas
_LEAST_KNOWN_SHARE = 0.5


@dataclass(frozen=True)
class Judgement:
    """What an answer is worth.

    Attributes:
        outcome: ok, or what is wrong with it: refused, not_seen, truncated, unparseable or empty.
        failure: Why it is not ok, for people.
        keywords: What it names, where it was asked for keywords.
        text: The answer itself, where something else stood around it; None where the text is all answer.
    """

    outcome: str = "ok"
    failure: str | None = None
    keywords: tuple[str, ...] = ()
    text: str | None = None


_LABEL = regex.compile(
    r"\W{0,4}(?:short|full|long|brief|detailed|alt)\s+(?:caption|description|text)\W{0,3}:\W{0,4}",
    regex.IGNORECASE,
)
_LEAST_LABELLED = 2  # words behind a label that may be a description


def judge_description(text: str, *, language: str | None = None) -> Judgement:
    """Judge an answer that should describe a picture.

    Examples:
        >>> judge_description("A zebra drinks from a river.", language="en").outcome
        'ok'
        >>> judge_description("Sorry, I cannot help with that.").outcome
        'refused'
    """
    if len(text) > LONGEST_ANSWER:
        return _endless(text)
    answer = without_thought(text)
    if not answer.text:
        return _only_thought(answer)
    description = _without_label(answer.text)
    found = failure_of(description)
    if found is not None:
        return Judgement(found.outcome, found.reason)
    description = without_courtesy(text_of_data(description))
    if language is not None and not is_in_language(description, language):
        return Judgement("unparseable", f"the answer is not in language {language}")
    return Judgement(text=description if description != text else None)


def _without_label(text: str) -> str:
    """Return a description without what some models write before it; a label alone stays, and is a placeholder.

    Examples:
        >>> _without_label("**Short caption:** A dog runs."), _without_label("Full caption: here")
        ('A dog runs.', 'Full caption: here')
    """
    found = _LABEL.match(text)
    rest = text[found.end() :].strip() if found else ""
    return rest if len(rest.split()) >= _LEAST_LABELLED else text


def judge_keywords(text: str) -> Judgement:
    """Judge an answer that should list keywords.

    Examples:
        >>> judge_keywords('["zebra"]').keywords
        ('zebra',)
        >>> judge_keywords("[]").outcome
        'empty'
    """
    if len(text) > LONGEST_ANSWER:
        return _endless(text)
    answer = without_thought(text)
    if answer.has_thought and not answer.text:
        return _only_thought(answer)
    try:
        keywords = tuple(parse_keywords(answer.text))
    except UnreadableAnswer as error:
        if is_refusal(answer.text):
            return Judgement("refused", "the model refused in words")
        return Judgement("unparseable", f"no list of keywords: {error}")
    return _judged_keywords(keywords)


def _judged_keywords(keywords: tuple[str, ...]) -> Judgement:
    if not keywords:
        return Judgement("empty", "the list of keywords is empty")
    if len(keywords) < _FEW_KEYWORDS and any(" " in word for word in keywords):
        found = failure_of(", ".join(keywords))
        if found is not None and found.outcome in ("refused", "not_seen"):
            return Judgement("refused", f"the list holds no keywords: {found.reason}")
    return Judgement(keywords=keywords)


def _only_thought(answer: Answer) -> Judgement:
    if answer.is_open:
        return Judgement("truncated", "the thought did not end, so there is no answer: raise max_output_tokens")
    return Judgement("empty", "there is nothing but thought" if answer.has_thought else "the answer is empty")


def _endless(text: str) -> Judgement:
    return Judgement("unparseable", f"the answer has {len(text):,} characters, more than {LONGEST_ANSWER:,}")


def is_in_language(text: str, language: str) -> bool:
    """Tell whether a text is written in a language; texts under five words are taken as they are.

    At least half of the words must be known to simplemma's dictionary of the language.

    Args:
        text: The text; its first 200 words are looked at.
        language: ISO 639-1 code. One that simplemma does not know lets every text pass.

    Examples:
        >>> is_in_language("A brown dog runs over the wet meadow.", "en")
        True
        >>> is_in_language("Ein brauner Hund l\u00e4uft \u00fcber die nasse Wiese.", "en")
        False
    """
    import simplemma

    words = regex.findall(r"[\p{L}\p{M}]+", text)[:200]
    if len(words) < _LEAST_WORDS_FOR_LANGUAGE:
        return True
    try:
        known = sum(bool(simplemma.is_known(word, lang=language)) for word in words)
    except ValueError:
        return True
    return known / len(words) >= _LEAST_KNOWN_SHARE


class UnreadableAnswer(ValueError):  # noqa: N818 - an outcome, not an error that anyone sees
    """An answer that is no list of keywords; the text says why."""


def parse_keywords(text: str) -> list[str]:
    r"""Return the keywords that an answer lists.

    Read are JSON (`{"keywords": [...]}` or a bare list, also inside a code fence or between sentences), and lists of
    lines, of commas or of both, with or without a word before ("Here are the keywords:") and after. Keywords are
    normalized like tags, without repeats. One entry that cannot be the name of something (markup, code, a sentence, an
    order to a model) makes the whole answer unreadable: who wrote that did not describe a picture.

    Args:
        text: The answer.

    Returns:
        1 to 40 keywords, each of at most 4 words and 64 characters; none where the answer is an empty list.

    Raises:
        UnreadableAnswer: it is no such list; the message says why.

    Examples:
        >>> parse_keywords('Here you are: {"keywords": ["School  bus", "traffic light"]}')
        ['school bus', 'traffic light']
        >>> parse_keywords("Here are the keywords:\n- zebra\n- grass, river")
        ['zebra', 'grass', 'river']
        >>> parse_keywords('{"keywords": ["<b>bus</b>"]}')
        Traceback (most recent call last):
        ...
        vlmine_dagster.mining.answers.UnreadableAnswer: '<b>bus</b>' is no name of a thing
    """
    entries = _entries(text)
    for entry in entries:
        _check_name(entry)
    keywords = tag_keywords(entries)
    if len(keywords) > MOST_KEYWORDS:
        raise UnreadableAnswer(f"{len(keywords)} keywords, more than {MOST_KEYWORDS}")
    return keywords


def _check_name(entry: str) -> None:
    if _NAME.fullmatch(entry.strip()) is None or _COMMENT.search(entry):
        raise UnreadableAnswer(f"{_shown(entry)} is no name of a thing")
    _refuse_orders(entry)
    if len(entry) > LONGEST_KEYWORD or len(entry.split()) > MOST_KEYWORD_WORDS:
        raise UnreadableAnswer(f"{_shown(entry)} is a sentence, not a keyword")


def _entries(text: str) -> list[str]:
    bare = _FENCE.sub("", text.strip()).strip()
    for found in _json_values(bare):
        listed = found.get("keywords") if isinstance(found, dict) else found
        if isinstance(listed, list) and all(isinstance(entry, str) for entry in listed):
            return [entry for entry in listed if entry.strip()]
    if any(bracket in bare for bracket in "{}[]"):
        raise UnreadableAnswer("it is broken JSON, or JSON without a list of keywords")
    return _listed(bare)


def _json_values(text: str) -> Iterator[Any]:
    """Yield the JSON objects and lists in a text, outermost first."""
    decoder = json.JSONDecoder()
    place = 0
    for _ in range(20):  # a text with more brackets than that is no answer
        starts = [start for start in (text.find("{", place), text.find("[", place)) if start >= 0]
        if not starts:
            return
        place = min(starts)
        try:
            value, place = decoder.raw_decode(text, place)
            yield value
        except (ValueError, RecursionError):
            place += 1


def _listed(text: str) -> list[str]:
    lines = [_BULLET.sub("", line) for line in _without_talk(text)]
    for line in lines:
        _refuse_orders(line)
    parts = [part.strip().rstrip(".;").strip(_WRAPPERS) for line in lines for part in line.split(",")]
    entries = [_AND.sub("", part) if place else part for place, part in enumerate(parts) if part]
    if not entries:
        raise UnreadableAnswer("it lists nothing")
    if len(entries) == 1 and len(entries[0].split()) > MOST_KEYWORD_WORDS:
        raise UnreadableAnswer("it is a sentence, not a list of keywords")
    return entries


def _without_talk(text: str) -> list[str]:
    """Return the lines of a text without the words that chat models put before and after a list."""
    lead = _LEAD.match(text)
    if lead is not None:
        _refuse_orders(lead.group())
        text = text[lead.end() :]
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[:-1] if len(lines) > 1 and _GOODBYE.fullmatch(lines[-1]) else lines


def _refuse_orders(text: str) -> None:
    if _ORDER.search(text) or _SQL.search(text):
        raise UnreadableAnswer(f"{_shown(text)} is no name of a thing")


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_KEYWORD else f"{text[:LONGEST_KEYWORD]}...")
