"""From what was said about an image to its keywords."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

import regex

from vlmine_dagster.domain.errors import ConfigError

LONGEST_KEYWORD = 64
"""Letters; longer tokens are noise, not names."""
MOST_WORDS = 2000
"""Words of a description that are read; an answer that runs away stays cheap."""

# A letter or digit with its combining marks: without those, Hindi and decomposed Latin words fall to pieces.
_WORD = r"(?:[\p{L}\p{N}][\p{M}\u200c\u200d]*)+"
_TOKEN = regex.compile(rf"{_WORD}(?:['\u2019\-]{_WORD})*")
_CONTRACTION = re.compile(r"'(?:s|re|ve|ll|d|m)$")
_ENDS_PHRASE = re.compile(r"[.,;:!?()\[\]{}\"/\n|]")

# Function words of English, and the words with which one talks about a picture rather than about what is in it.
STOP_WORDS = frozenset(
    """
    a an the this that these those some any no each every either neither both all such other another same
    own i me my mine we us our ours you your yours he him his she her hers it its they them their theirs
    who whom whose which what where when why how there here and or but nor so yet if then than because
    while although though whether as until unless since at by for from in into of off on onto out over to
    up upon with within without under above below between among through during before after against along
    around behind beside besides beyond down inside near outside past per toward towards across about via
    be am is are was were been being do does did doing done have has had having can could may might must
    shall should will would not very too also just only even still again more most much many few less least
    several quite rather almost one two three photo photograph picture image scene shot view close-up
    closeup background foreground appears appear seem seems show shows showing shown depict depicts
    depicting depicted feature features featuring visible likely possibly perhaps contain contains
    containing see seen
    """.split()  # noqa: SIM905 - two hundred quoted words read worse
)


def extract_keywords(text: str, *, language: str = "en", max_words: int = 1) -> list[str]:
    """Return the keywords of a description by rules.

    The text is normalized (NFKC, lower case), cut into words, freed of stop words and numbers, and lemmatized by
    simplemma. With `max_words` of n, runs of up to n neighbouring content words are keywords too; a stop word or a
    punctuation mark ends a run.

    Args:
        text: What was said. Only the first 2,000 words are read.
        language: Language code of the text, for the lemmatizer. The stop words are English ones.
        max_words: Longest phrase, in words, >= 1.

    Returns:
        Keywords without repeats, in the order of their first word, shorter ones first.

    Raises:
        ConfigError: the lemmatizer does not know the language.

    Examples:
        >>> extract_keywords("Two dogs are chasing a red frisbee, and dogs bark.")
        ['dog', 'chase', 'red', 'frisbee', 'bark']
        >>> extract_keywords("a school bus", max_words=2)
        ['school', 'school bus', 'bus']
        >>> extract_keywords("")
        []
    """
    if max_words < 1:
        raise ConfigError(f"extract_keywords: max_words is {max_words}, expected at least 1.")
    found: dict[str, None] = {}
    for run in _runs(unicodedata.normalize("NFKC", text).lower(), language):
        for start in range(len(run)):
            for size in range(1, min(max_words, len(run) - start) + 1):
                phrase = " ".join(run[start : start + size])
                if len(phrase) <= LONGEST_KEYWORD:
                    found.setdefault(phrase)
    return list(found)


def tag_keywords(tags: Iterable[str]) -> list[str]:
    """Return a describer's own tags as keywords: whole phrases, lower case, single spaces, no repeats.

    Tags longer than 64 characters are left out.

    Examples:
        >>> tag_keywords(["Egyptian  cat", "tabby", "egyptian cat", " "])
        ['egyptian cat', 'tabby']
    """
    cleaned = (" ".join(_printable(unicodedata.normalize("NFKC", tag)).lower().split()) for tag in tags)
    return list(dict.fromkeys(tag for tag in cleaned if tag and len(tag) <= LONGEST_KEYWORD))


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)


def _runs(text: str, language: str) -> Iterator[list[str]]:
    """Yield runs of neighbouring content words, lemmatized."""
    run: list[str] = []
    end = 0
    for place, token in enumerate(_TOKEN.finditer(text)):
        if place >= MOST_WORDS:
            break
        word = _CONTRACTION.sub("", token.group().replace("\u2019", "'"))
        if run and _ENDS_PHRASE.search(text, end, token.start()):
            yield run
            run = []
        end = token.end()
        if not 2 <= len(word) <= LONGEST_KEYWORD or word.isnumeric() or word in STOP_WORDS or word.endswith("n't"):
            if run:
                yield run
            run = []
            continue
        run.append(lemma_of(word, language))
    if run:
        yield run


@lru_cache(maxsize=100_000)
def lemma_of(word: str, language: str) -> str:
    """Return the lemma of a word in lower case.

    Raises:
        ConfigError: the lemmatizer does not know the language.

    Examples:
        >>> lemma_of("dogs", "en")
        'dog'
    """
    import simplemma

    try:
        return str(simplemma.lemmatize(word, lang=language)).lower()
    except ValueError as error:
        raise ConfigError(
            f"extract_keywords: the lemmatizer does not know language {language!r}. It knows en, de, fr, es, it, pt, "
            f"nl, pl, sv and about forty more, by their ISO 639-1 codes."
        ) from error
