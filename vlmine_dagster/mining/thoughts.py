"""Thinking aloud: what a reasoning model wrote before its answer, and the answer behind it."""

from dataclasses import dataclass

import regex

from vlmine_dagster.mining.leftovers import decoded, plain_answer

_NAMES = (
    r"(?:think|thinks|thinking|thought|thoughts|reason|reasoning|reflection|analysis|scratchpad|deliberation|rationale"
    r"|cot|chain_of_thought|inner_monologue|internal|planning|seed:think|ds:think|antml:thinking|mm:think)"
)
_OPEN = (
    rf"(?:<\s*{_NAMES}(?:\s[^<>]{{0,80}})?\s*>|<\|\s*(?:begin_of_)?{_NAMES}(?:_start)?\s*\|>|\[\s*{_NAMES}\s*\]"
    rf"|\u25c1\s*{_NAMES}\s*\u25b7|<\uff5c\s*{_NAMES}\s*\uff5c>|&lt;{_NAMES}&gt;|```\s*{_NAMES}\b"
    r"|<\|channel\|>\s*(?:analysis|commentary|thought)[^<]{0,80}(?:<\|message\|>)?)"
)
_CLOSE = (
    rf"(?:<\s*/\s*{_NAMES}\s*>|<\|\s*(?:end_of_{_NAMES}|/{_NAMES}|{_NAMES}_end)\s*\|>|\[\s*/\s*{_NAMES}\s*\]"
    rf"|\u25c1\s*/\s*{_NAMES}\s*\u25b7|<\uff5c\s*/\s*{_NAMES}\s*\uff5c>|&lt;/{_NAMES}&gt;|```(?=\s|$)|<channel\|>"
    r"|<\|end\|>\s*(?:<\|start\|>\s*assistant\s*)?(?:<\|channel\|>\s*final\s*(?:<\|message\|>)?)?"
    r"|<\|channel\|>\s*final\s*(?:<\|message\|>)?)"
)
_FLAGS = regex.IGNORECASE
_OPENING = regex.compile(_OPEN, _FLAGS)
_CLOSING = regex.compile(_CLOSE, _FLAGS)
_EITHER = regex.compile(f"(?P<open>{_OPEN})|(?P<close>{_CLOSE})", _FLAGS)
_CHANNELS = regex.compile(
    r"^\s*(?:analysis|commentary)(?=[A-Z\s]).*assistant(?:final)?(?=[\p{Lu}\p{N}\"*\[{])", regex.DOTALL
)
"""Harmony's channels where the server dropped its special tokens: `analysisWe need to ...assistantfinalA dog.`"""
_BLANK = regex.compile(r"\s{20,}")  # searched for what follows white space, 20,000 line breaks took 4 s
_END_OF_TURN = regex.compile(r"\s*<\|end\|>\s*$", _FLAGS)  # ends a turn of other templates than Harmony's (Phi)
_HEADED = regex.compile(r"^\s*thought\s*\n", _FLAGS)  # Gemini's thoughts where nothing tells them from the answer


@dataclass(frozen=True)
class Answer:
    """An answer without the thought before it.

    Attributes:
        text: The answer; empty where there was only thought.
        has_thought: Whether there was any.
        is_open: Whether a thought began and never ended, so that nothing behind it is sure to be an answer.
    """

    text: str
    has_thought: bool = False
    is_open: bool = False


def without_thought(text: str) -> Answer:
    r"""Separate the answer from thought in tags of any form, closed or not, nested, or without their first half.

    A server without a parser for its model leaves `<think>...</think>` in the text; chat templates that open the
    thought themselves leave `...</think>` alone; a thought that ran out of tokens leaves `<think>...`, and no answer.

    Examples:
        >>> without_thought("<think>\nA quokka?\n</think>\n\nA dog on a beach.").text
        'A dog on a beach.'
        >>> without_thought("A quokka? No.</think>A dog on a beach.").text
        'A dog on a beach.'
        >>> without_thought("<think>A quokka, perhaps a")
        Answer(text='', has_thought=True, is_open=True)
        >>> without_thought("A sign that reads <THINK> in red letters.").has_thought
        False
    """
    text = decoded(_BLANK.sub(lambda run: "\n" if "\n" in run.group() else " ", text))
    spoken = _CHANNELS.sub("", text)
    if spoken != text:
        return Answer(plain_answer(spoken), has_thought=True)
    if _HEADED.match(text):
        return Answer("", has_thought=True, is_open=True)
    if not _EITHER.search(text):
        return Answer(plain_answer(text))
    first = _OPENING.search(text)
    if first is None or (text[: first.start()].strip() and not _is_markup(text, first)):
        return _behind_last_close(text)
    return _outside(text)


def _is_markup(text: str, tag: "regex.Match[str]") -> bool:
    """Return whether a tag amid a text is one: it is closed again, or stands at the start of a line."""
    before = text[: tag.start()]
    return _CLOSING.search(text, tag.end()) is not None or before.endswith("\n")


def _behind_last_close(text: str) -> Answer:
    """Return what stands behind the last end of a thought that has no beginning."""
    ends = [found for found in _CLOSING.finditer(text) if found.group().strip() != "```"]
    if not ends or (_END_OF_TURN.match(ends[-1].group()) and not text[ends[-1].end() :].strip()):
        return Answer(plain_answer(text))
    return Answer(plain_answer(text[ends[-1].end() :]), has_thought=True)


def _outside(text: str) -> Answer:
    """Return what stands outside every thought, counting thoughts within thoughts."""
    depth, place, parts = 0, 0, []
    for tag in _EITHER.finditer(text):
        is_fence = tag.group().strip().startswith("```")
        if tag["open"] is not None:
            if depth == 0:
                parts.append(text[place : tag.start()])
            depth += 1
        elif depth:
            depth -= 1
            place = tag.end()
        elif not is_fence:  # an end without a beginning: all before it was thought
            parts, place = [], tag.end()
    if depth:
        return Answer(plain_answer("".join(parts)), has_thought=True, is_open=True)
    return Answer(plain_answer("".join([*parts, text[place:]])), has_thought=True)
