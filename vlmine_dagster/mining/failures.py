"""Answers that describe no picture: no picture came, a refusal, a server's error as text, a placeholder, a thought.

A description names things that can be seen; a failure speaks of the request. So the words of an answer are divided into
function words, words about the request (`meta_words`) and the rest, which name something. The share of the rest, the person
that speaks, and how the answer begins decide (`_WEIGHTS`, fitted on answers written for it); no single phrase does. What
is quoted is taken out before: signs, screens and writing in a picture may say anything.

The weights were fitted on answers of tests/data/answers that are not held out (benchmarks/answers.py), and the constant is
lower by 0.25: to lose a rare image costs more than to keep one bad answer.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from vlmine_dagster.mining.foreign_cues import CUES, NOTHING, QUESTION
from vlmine_dagster.mining.foreign_words import is_about_the_request
from vlmine_dagster.mining.leftovers import is_call, is_call_data, is_loop, without_code
from vlmine_dagster.mining.meta_words import FUNCTION_WORDS, META, THINGS

_LONGEST_LOOKED_AT = 3000  # characters; longer answers are judged by their beginning
_SHARE_OF_ENGLISH = 0.2  # English function words among the words of English text: 0.25 to 0.6; of another under 0.1
_SHARED = frozenset(
    "no a me i an in on as so was die war do to is de we he be or at of over under per via son main par pour mine men met had "  # noqa: SIM905
    "all also am hat will fine lies for von her er es den set al se si la le me ten far due sei non come sole come sorry plus".split()
)
"""English function words that are words of other languages too; they do not tell which it is."""
_QUOTED = regex.compile(
    r"\u201c[^\u201d]{1,300}\u201d|\"[^\"\n]{1,300}\"|\u00ab[^\u00bb]{1,300}\u00bb|\u201e[^\u201c\u201d]{1,300}[\u201c\u201d]"
    r"|(?<!\w)'[^'\n]{2,200}'(?!\w)|\u2018[^\u2019]{1,200}\u2019(?!\w)|\u300c[^\u300d]{1,300}\u300d|\u300e[^\u300f]{1,300}\u300f"
    r"|(?<=\b(?:says|reads|reading|saying|states|stating|titled|labelled|labeled|words?|text|caption|inscription)\s?[:,]\s?)[^.!?\n]{1,200}"
)
_WORD = regex.compile(r"[\p{L}][\p{L}\p{M}'-]*")

# ---------------------------------------------------------------- what is no sentence at all

_NOTHING = regex.compile(
    r"(?:none|null|nil|nan|n/?a|undefined|void|empty|blank|unknown|todo|tbd|tba|xxx+|fixme|[a-z]+(?:_[a-z]+)+|string|text|test|ok|okay|yes|no|true|false"
    r"|unavailable|not available|not applicable|no (?:output|answer|response|result|description|caption|content|text|data|image)"
    r"|(?:image|photo|picture|alt(?:ernative)?)[ _-]*(?:caption|description|text|placeholder)?"
    r"|caption|description|placeholder|answer|output|response|result|object object|insert.{0,40}|your .{0,30} here|.{0,40} goes here"
    r"|.{0,30}\bto be (?:added|filled|written|determined|supplied|provided|completed)\b.{0,30}|(?:image|picture|photo)[ _]?\d+)",
    regex.IGNORECASE,
)
_WRAPPED = regex.compile(r"[\[<({\u3010\uff08\u27e8].*[\]>)}\u3011\uff09\u27e9]", regex.DOTALL)
_SLOT = regex.compile(
    r"\[[\p{L} _/-]{2,40}\]|\{\{?[^{}\n]{1,60}\}\}?|\$\{[^}]{1,60}\}|<[A-Za-z][\w ]{1,30}>|__+\w*__+|%\(\w+\)s|%s"
)
_TEMPLATE = regex.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\$\{.*?\}|%\(\w+\)s|<image>|<\|image\|>|\[object Object\]", regex.IGNORECASE
)
_ONE_SIGN = regex.compile(r"([^\p{L}\s])\1{14,}|(\p{L})\2{14,}\W*\Z")  # letters repeat in laughter and shouts
_TURNS = regex.compile(
    r"^\W*(?:user|human|system|question|q)\s*:|\b(?:assistant|answer|a)\s*:\s*$", regex.IGNORECASE | regex.MULTILINE
)
_TAG = regex.compile(r"</?[a-z][^<>]{0,300}/?>|&#?\w{2,8};", regex.IGNORECASE)
_FILE_NAME = regex.compile(
    r"[\w./\\ -]{1,200}\.(?:txt|jpe?g|png|webp|gif|bmp|tiff?|json|md|html?|py|csv)", regex.IGNORECASE
)
_LOREM = regex.compile(r"\W*lorem ipsum\b", regex.IGNORECASE)
_DATA_URL = regex.compile(r"^\s*(?:data:\w+/|https?://\S+\s*$|[A-Za-z0-9+/]{80,}={0,2}\s*$)")

# ---------------------------------------------------------------- what machines write

_MARKUP = regex.compile(r"^\s*(?:<!doctype|<html|<\?xml|<head|<body|<error|<response)\b", regex.IGNORECASE)
_TRACE = regex.compile(
    r"^\W*(?:traceback \(most recent|panic:|fatal(?: error)?:|segmentation fault|goroutine \d|thread '.*' panicked|killed\b\W*$"
    r"|terminate called|assertion failed|core dumped|unhandled (?:exception|rejection)|uncaught )"
    r"|^\W*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Fault|Timeout|Interrupt|Warning)\b\s*(?:[:(]|$)"
    r"|^\W*(?:http/\d|http (?:error )?\d{3}|status(?: code)?\W{1,3}\d{3}|[45]\d\d\W+[A-Z]|error[ _-]?(?:code|no|num\w*)?\W{0,3}\d+)"
    r"|^\W*(?:error|exception|failure|err|warn(?:ing)?|critical)\s*(?:[:\]]|\W{1,3}\d)|\bat 0x[0-9a-f]{4,}|\(errno \d+\)|\[errno \d+\]"
    r"|^\s*File \"[^\"]+\", line \d+|\bret(?:urn(?:ed)?(?: code)?)? ?= ?-\d|\bexit (?:code|status) \d",
    regex.IGNORECASE | regex.MULTILINE,
)
_ERROR_KEYS = frozenset(
    [
        "error",
        "errors",
        "message",
        "msg",
        "detail",
        "details",
        "status",
        "code",
        "traceback",
        "exception",
        "statuscode",
        "status_code",
        "fault",
        "reason",
    ]
)

# ---------------------------------------------------------------- who speaks, and how

_I = regex.compile(r"\b(?:i|i'm|i'd|i'll|i've|me|my|mine|myself|we|our|us)\b", regex.IGNORECASE)
_YOU = regex.compile(r"\b(?:you|your|yours|you're|you'd|you've|you'll|yourself)\b", regex.IGNORECASE)
_SORRY = regex.compile(
    r"^\W*(?:(?:oh|ah|hm+|well|hello|hi|hey|so|but|i'm|i am|we're|we are|my|please|very|so|terribly|really|deeply|truly|much)\W+){0,4}"
    r"(?:sorry|apolog\w+|unfortunately|regrettably|sadly|alas|afraid|regret|pardon|excuse|forgive)\b",
    regex.IGNORECASE,
)
_UNABLE = regex.compile(
    r"\b(?:i|we)\b[^.!?\n]{0,40}?\b(?:can't|cannot|can not|couldn't|could not|won't|will not|wouldn't|am not|'m not|are not|do not|don't|did not"
    r"|didn't|have not|haven't|never|unable|not able|lack|must (?:decline|refuse|pass)|(?:have|need) to (?:\w+ )?(?:decline|refuse|pass)|decline|refuse"
    r"|refrain|abstain|restricted|prohibited|forbidden|not (?:allowed|permitted|comfortable|designed|equipped)|only (?:received|process|work|see|handle|have|got)"
    r"|would (?:prefer|rather) not|'d (?:prefer|rather) not|have no|see no(?:ne|thing)?\b|need (?:an?|the|to see)|require)\b"
    r"|\b(?:can't|cannot|won't|unable to) (?:assist|help|comply|describe|process|answer|provide|identify|view|see|do (?:that|this|so))\b"
    r"|\b(?:beyond|outside) (?:me|my|what i)\b|\bnot something i\b|\bnot (?:possible|appropriate|right|able|permitted|allowed) (?:for me|to)\b",
    regex.IGNORECASE,
)
_REQUEST = regex.compile(
    r"\b(?:please|kindly|could you|can you|would you|will you|may i|feel free|let me know|you (?:can|could|may|might|need to)|try (?:again|to|re)|once you|if you|when you|whenever you|as soon as you|just|simply)\b[^.!?\n]{0,60}"
    r"\b(?:upload\w*|re-?upload\w*|send|re-?send|share|attach\w*|provide\w*|paste\w*|supply|supplied|give|include|insert|post|drop|try|retry|check|tell|describe|contact|refresh|reload|consult|reach|resubmit|submit|link|convert|wait|have|would like|want|need)\b"
    r"|\b(?:try|retry|resend|re-upload|reupload|upload|attach|send)\b[^.!?\n]{0,30}\b(?:again|later|it|the (?:image|picture|photo|file)|an? (?:image|picture|photo))\b"
    r"|\b(?:which|what) (?:image|picture|photo)\b[^.\n]*\?",
    regex.IGNORECASE,
)
_PICTURE = r"(?:image|picture|photo|photograph|attachment|file|upload|visual|screenshot|graphic|figure)s?"
_LACK = regex.compile(
    rf"\b(?:no|without|missing|lacks?|lacking|didn't|did not|don't|wasn't|was not|isn't|is not|not|never|any|empty|nothing|none|hasn't|haven't|couldn't|could not|failed to|unable to|can't|cannot)\b[^.!?\n]{{0,40}}\b{_PICTURE}\b"
    rf"|\b{_PICTURE}\b[^.!?\n]{{0,50}}\b(?:missing|not|never|didn't|wasn't|isn't|hasn't|empty|absent|lost|failed|couldn't|doesn't|corrupt\w*|unavailable|dropped|zero bytes)\b"
    r"|\b(?:nothing|none)\b[^.!?\n]{0,30}\b(?:attached|uploaded|received|sent|shared|provided|to (?:describe|work|look|see))\b"
    r"|\b(?:only|just)\b[^.!?\n]{0,20}\b(?:text|words|a question|the question|prompt)\b",
    regex.IGNORECASE,
)
_THOUGHT = regex.compile(
    r"\b(?:the|this) (?:user|prompt|question|instruction|request|task|human|person asking)s?\b[^.!?\n]{0,30}\b(?:wants?|asks?|asked|is|says?|said|tells?|needs?|requests?|requires?|demands?|hands?|gave|provided|repeats|doesn't|does)\b"
    r"|\b(?:i|we) (?:need|have|should|must|ought|will|'ll|would|could|might|want|am going|shall|am now|'m now|'ve been|'d)\b[^.!?\n]{0,30}\b(?:figure|describe|determine|identify|look|think|consider|start|begin|keep|avoid|mention|write|answer|respond|produce|check|make sure|note|formulate|focus|go|concentrat\w+|weigh\w*|pick|say|see|find|count|work|reconsider|craft|ensure|verify|decide|compose|choose)\b"
    r"|\blet (?:me|us)\b[^.!?\n]{0,25}\b(?:think|see|look|start|begin|count|consider|check|figure|restart|make|analy\w+|examine|determine|break|go|reconsider|re-?read|try|work|draft|note|first|focus|now)\b|\blet's (?:see|think|look|start|break|begin|go|consider|check)\b"
    r"|^\W*(?:okay|ok|alright|hm+|wait|right|well|so|now|first|step \d|thinking|thought|reasoning|analysis|plan|draft)\b[ ,.:;-]",
    regex.IGNORECASE | regex.MULTILINE,
)
_PLANS = regex.compile(  # how no description begins
    r"^\W*(?:(?:okay|ok|so|well|first|alright|hmm|right|now)\W+)*(?:(?:the|our|this) user (?:wants|asks|asked|is asking|has asked|has given|gave|says|provided|requests)\b"
    r"|(?:we|i) (?:need|have|should|must|are asked|am asked) to (?:describe|write|provide|caption|produce|answer|give|summari[sz]e|analy[sz]e|look at)\b)",
    regex.IGNORECASE,
)
_POLICY = regex.compile(
    r"\b(?:polic(?:y|ies)|guidelines?|safety|terms of (?:service|use)|content (?:filter|violation)|violat\w+|prohibited|moderation|privacy|copyright\w*|confidential\w*"
    r"|not permitted|declin\w+|withheld|suppressed|blocked|flagged|refus\w+|rejected|censored|against (?:my|the|our))\b",
    regex.IGNORECASE,
)
_SELF = regex.compile(
    r"\b(?:as|being|i'm|i am|just|only)\b[^.!?\n]{0,15}\b(?:an? )?(?:large |text[- ]\w+ |purely )*(?:ai|a\.i\.|language model|llm|text model|chatbot|assistant|artificial intelligence|bot)\b"
    r"|\btext[- ](?:only|based)\b|\blanguage model\b",
    regex.IGNORECASE,
)
_SERVICE = regex.compile(
    r"\b(?:internal server error|bad gateway|gateway time-?out|service (?:temporarily )?unavailable|too many requests|rate limit\w*|quota|context (?:length|window)|max(?:imum)? (?:context|tokens?)"
    r"|out of memory|time[d-]? ?out|connection (?:refused|reset|error|aborted|closed)|something went wrong|try (?:again|later)|retry|overloaded|unauthorized|forbidden"
    r"|not found|failed to|invalid (?:api|request|key|token|image|input)|api key|unexpected(?:ly)?|upstream|cuda|tensors?|stream ended|could not (?:load|process|connect|open|decode)|access (?:to this|denied)|has been blocked)\b",
    regex.IGNORECASE,
)
_OPENS_LIKE_A_CAPTION = regex.compile(
    r"^[\W_]*(?:\d+\W+)?(?:(?:an?|the|two|three|four|five|six|seven|several|some|many|one|this|these|here is an?|rows?|close-?up|view|aerial|inside|icon|portrait|diagram|chart|map|symbol|logo|sign|scan|graph|poster|statue|screenshot|photo\w*|picture|image|drawing|sketch|painting|in (?:the|a|an|this)|on (?:the|a|an|this)|under|behind|at (?:the|a|first|night)|there (?:is|are)|someone|empty|black|white|old|young|child\w*|man|woman|people)\b(?! (?:user|prompt|request|instruction|task|url|link|model|server|service|attachment|upload|error)\b))",
    regex.IGNORECASE,
)
_DEPICTS = regex.compile(
    r"\b(?:it|this|that|which|image|picture|photo|photograph|scene|screenshot)\s+(?:\w+\s)?(?:shows|depicts|features|captures|of|with)\b",
    regex.IGNORECASE,
)
_CONTRAST = regex.compile(
    r"\b(?:but|though|although|however|yet|except|apart from|other than|still|nevertheless|all (?:i|one|we) can)\b|[;:]",
    regex.IGNORECASE,
)
_ECHO = regex.compile(
    r"^\W*(?:please )?(?:describe|explain|summari[sz]e|caption|tell me|write|give|provide|list|what (?:do you see|is (?:in|shown)|does))\b[^.!?\n]{0,60}\b(?:image|picture|photo|photograph|here|see|sentences?|description|caption)\b",
    regex.IGNORECASE,
)


_REFUSAL = regex.compile(
    r"^\W*(?:(?:i['\u2019]?m|i am|we are)\s+(?:very\s+|so\s+)?(?:sorry|unable|not able)"
    r"|sorry\b|i\s+apologi[sz]e|i\s+(?:can['\u2019]?t|cannot|can not|won['\u2019]?t|am not able to)\s+"
    r"(?:help|assist|describe|identify|provide|answer|comply|process|view|see|analy[sz]e)"
    r"|as an ai\b|unfortunately,?\s+i\b)",
    regex.IGNORECASE,
)
_MOST_NAMED_BEFORE_DATA = 1
"""Things: "Here is the description as JSON:" names none, a description of a screen that shows JSON names some."""
_LONGEST_REFUSAL = 600  # characters; longer texts that begin with an apology go on to describe


@dataclass(frozen=True)
class Failure:
    """Why an answer is no description.

    Attributes:
        outcome: refused, not_seen, empty or unparseable.
        reason: For people.
    """

    outcome: str
    reason: str


def failure_of(text: str) -> Failure | None:
    """Return why an answer is no description of a picture; None where it is one, however odd.

    Examples:
        >>> failure_of("Nothing was attached.").outcome
        'not_seen'
        >>> failure_of("A sign that reads NO ENTRY; I cannot read the rest.")
        >>> failure_of("HTTP/1.1 502 Bad Gateway").reason
        "the text is a server's error"
    """
    bare = text.strip()[:_LONGEST_LOOKED_AT].replace("\u2019", "'")
    data = _json(bare)
    if is_call(bare) or is_call_data(data):
        return _CALL
    if data is not None:
        values = list(_values(data))
        if not values:
            return _EMPTY
        is_error = isinstance(data, dict) and bool({str(key).lower() for key in data} & _ERROR_KEYS)
        if is_error and not _has_content(values):
            return _ERROR
        if not is_error and len(values) > 1:  # fields of a description: one that names something is enough
            return None if any(_judged(value) is None for value in values) else _judged(". ".join(values))
        bare = ". ".join(values)
    return _judged(bare)


def text_of_data(text: str) -> str:
    """Return what JSON says where a model answered by some in place of a sentence; any other text as it is.

    Examples:
        >>> text_of_data('{"title": "Dog on bench", "caption": "A dog sits on a bench.", "score": 0.9, "mood": "n/a"}')
        'Dog on bench. A dog sits on a bench.'
    """
    data = _json(text)
    if data is None:
        return text
    values = list(_values(data))
    said = [value for value in values if _no_sentence(value) is None] or values
    return ". ".join(value.strip().rstrip(".") for value in said) + "."


def is_caught_by_form(text: str) -> bool:
    """Return whether a text is a failure by its form alone: placeholders, templates, what machines write."""
    return (_no_sentence(text) or _machine_text(text)) is not None


def _named_count(text: str) -> int:
    words = [word.lower().strip("'-") for word in _WORD.findall(text)]
    named = sum(len(word) > 1 and word not in FUNCTION_WORDS and not META.fullmatch(word) for word in words)
    return named + len(THINGS.findall(text))


def _judged(text: str) -> Failure | None:
    return _no_sentence(text) or _machine_text(text) or _spoken(text)


def _said(text: str) -> str:
    """Return a text without what it quotes."""
    return str(_QUOTED.sub(" ", text))


def is_refusal(text: str) -> bool:
    """Tell whether a text says that the model will not answer.

    Examples:
        >>> is_refusal("I'm sorry, but I can't help with that.")
        True
        >>> is_refusal("A man says sorry to a dog.")
        False
    """
    return len(text) <= _LONGEST_REFUSAL and _REFUSAL.match(text) is not None


def features(text: str) -> list[float]:
    """Return what the weights are for: one number each, all of the size of 1."""
    plain = _SLOT.sub(" ", _QUOTED.sub(" ", text))
    words = [word.lower().strip("'-") for word in _WORD.findall(plain)]
    content = [word for word in words if word and word not in FUNCTION_WORDS]
    named = [word for word in content if len(word) > 1 and not META.fullmatch(word)]
    named += [found.group(1).lower() for found in THINGS.finditer(f"a {plain}" if len(words) == 1 else plain)]
    return [
        1.0,
        len(named) / max(len(content), 1),
        min(len(set(named)), 12) / 6,
        *(
            float(pattern.search(plain) is not None)
            for pattern in (
                _OPENS_LIKE_A_CAPTION, _DEPICTS, _I, _YOU, _SORRY, _UNABLE, _REQUEST, _LACK, _THOUGHT, _POLICY, _SELF, _SERVICE, _ECHO,
            )
        ),
        float(plain != text),
        min(sum(map(_named_count, _CONTRAST.split(plain)[1:])), 4) / 4,
    ]  # fmt: skip


NAMES = (
    "constant", "share of words that name something", "number of them", "opens like a caption", "says that it depicts", "I",
    "you", "sorry", "unable", "request", "lack of a picture", "thought", "policy", "self", "service", "echo", "quotes", "names things after a but",
)  # fmt: skip

_WEIGHTS = (1.65, -2.8, -2.2, -1.2, -0.5, 1.0, 0.5, -0.1, 0.4, 0.2, 0.6, 0.2, 0.2, 0.0, 0.6, 0.1, -0.5, -0.5)
_EMPTY = Failure("empty", "the text is a placeholder")
_ERROR = Failure("unparseable", "the text is a server's error")
_CALL = Failure("unparseable", "the model calls a tool instead of answering")
_LOOP = Failure("unparseable", "the model repeats itself without end")
_PLAN = Failure("unparseable", "the text is a thought about the task")
_CODE = Failure("unparseable", "the text is program code")


def _no_sentence(text: str) -> Failure | None:
    """Return a failure for nothing, placeholders, templates, names of files and runs of one sign."""
    text = _TAG.sub(" ", text).strip() if _TAG.search(text) and not _MARKUP.search(text) else text
    words = _WORD.findall(text)
    core = regex.sub(r"^[\W_]+|[\W_]+$", "", text)
    is_empty = (
        not regex.search(r"[\p{L}\p{N}]", text)
        or "\ufffd\ufffd" in text
        or _NOTHING.fullmatch(core) is not None
        or (_WRAPPED.fullmatch(text) is not None and (len(words) < 8 and not _has_content([text])))
        or (_SLOT.search(text) is not None and not _has_content([_SLOT.sub(" ", text)]))
        or (_TEMPLATE.search(text) is not None and not _has_content([_TEMPLATE.sub(" ", text)]))
        or _FILE_NAME.fullmatch(text) is not None
        or _LOREM.match(text) is not None
        or _DATA_URL.search(text) is not None
        or (text.endswith((":", "\uff1a")) and len(words) < 12 and "\n" not in text)
        or (len(_TURNS.findall(text)) >= 2)
        or (len(words) >= 8 and len({word.lower() for word in words}) <= 2)
        or (len(words) >= 3 and len({word.lower() for word in words}) == 1)
        or _ONE_SIGN.search(text) is not None
    )
    return _EMPTY if is_empty else None


def _machine_text(text: str) -> Failure | None:
    if _MARKUP.search(text) or _TRACE.search(text):
        return _ERROR
    if is_loop(_said(text)):
        return _LOOP
    if _PLANS.match(text):
        return _PLAN
    prose = without_code(text)
    said = prose.strip().rstrip(":")  # "A screen shows a program:" describes, and is no label
    return _CODE if prose != text and (not said or _spoken(prose) or _no_sentence(said)) else None


def _spoken(text: str) -> Failure | None:
    """Judge what is said in words: English by its words, other languages by what they say of pictures and requests."""
    words = [word.lower() for word in _WORD.findall(text)]
    english = sum(word in FUNCTION_WORDS and word not in _SHARED for word in words) / max(len(words), 1)
    is_latin = (
        regex.search(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Cyrillic}\p{Hebrew}\p{Arabic}\p{Devanagari}]", text)
        is None
    )
    if not (is_latin and english >= _SHARE_OF_ENGLISH):
        found = _foreign(_QUOTED.sub(" ", text))
        if found is not None or not is_latin:
            return found
    score = math.fsum(weight * value for weight, value in zip(_WEIGHTS, features(text), strict=True))
    return _named(text) if score > 0 else None


def _foreign(plain: str) -> Failure | None:
    """Judge a text in another language than English, without what it quotes."""
    outcomes = [outcome for ways in CUES.values() for outcome, way in ways if way.search(plain)]
    has_spaces = (
        regex.search(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Hebrew}\p{Arabic}\p{Devanagari}]", plain) is None
    )
    if not outcomes and is_about_the_request(plain, has_spaces=has_spaces):
        return Failure("not_seen", "the text speaks of the request instead of the picture")
    if not outcomes and (NOTHING.search(plain) or QUESTION.search(plain)):
        return _EMPTY
    if not outcomes:
        return None
    return Failure(max(outcomes, key=outcomes.count), "the text speaks of the request instead of the picture")


def _named(text: str) -> Failure:
    """Say which kind of failure it is, as far as its words tell."""
    plain = _QUOTED.sub(" ", text)
    if is_refusal(text):
        return Failure("refused", "the model refused in words")
    if _SERVICE.search(plain) and not _I.search(plain):
        return _ERROR
    if _LACK.search(plain) or _SELF.search(plain) or (_REQUEST.search(plain) and not _POLICY.search(plain)):
        return Failure("not_seen", "the model says that it got or sees no picture")
    if _THOUGHT.search(plain) and not (_SORRY.search(plain) or _POLICY.search(plain)):
        return _PLAN
    if _ECHO.search(plain):
        return _EMPTY
    return Failure("refused", "the model refused in words")


def _has_content(texts: Sequence[str]) -> bool:
    """Return whether a text names anything that can be seen."""
    words = [word.lower().strip("'-") for text in texts for word in _WORD.findall(_QUOTED.sub(" ", text))]
    return any(len(word) > 2 and word not in FUNCTION_WORDS and not META.fullmatch(word) for word in words)


def _json(text: str) -> Any:
    """Return the JSON value that a text is, in a fence or not; None where it is none, or stands on a screen."""
    fenced = regex.search(r"```(?:json)?\s*([\[{].*?[\]}])\s*```", text, regex.IGNORECASE | regex.DOTALL)
    bare = fenced[1] if fenced else text.strip()
    if fenced and _named_count(text[: fenced.start()] + text[fenced.end() :]) > _MOST_NAMED_BEFORE_DATA:
        return None
    if bare[:1] not in ("{", "["):
        return None
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _values(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        if data.strip():
            yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _values(value)
    elif isinstance(data, list):
        for value in data:
            yield from _values(value)
