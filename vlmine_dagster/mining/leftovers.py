"""What is in an answer and was not meant to be: pieces of tokenizers, tokens of chat templates, boxes, further turns.

A word of a picture is rare, and a leftover is rare too: one answer of a thousand that ends in `<|endofchunk|>` would be
mined for it. So each is taken out before an answer is judged, whichever model or server it is of.
"""

from collections import defaultdict
from itertools import pairwise

import regex

_SPACE, _BREAK, _PIECE = "\u0120", "\u010a", "\u2581"  # how byte-level tokenizers and SentencePiece write white space
_PIECES = regex.compile(f"{_PIECE}+")  # a progress bar is one
_BYTES = regex.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")

_ROLE = r"(?:user|human|system|question|instruction)"
_ANSWERER = r"(?:assistant|model|ai|gpt|response|answer|bot)"
_HEADER = regex.compile(  # what stands before the answer where the template of a chat was not taken off
    rf"(?:<\|(?:im_start|start_header_id|start_of_role|start)\|>|<start_of_turn>)\s*{_ANSWERER}\b\s*"
    rf"(?:<\|(?:end_header_id|end_of_role|message)\|>)?|\[/INST\]|<\|(?:assistant|model)\|>"
    rf"|(?:^|\n|\s|#)(?-i:ASSISTANT|Assistant)\s*:",
    regex.IGNORECASE,
)
_ASKED = regex.compile(
    rf"\W{{0,6}}(?:<s>)?\s*(?:\[INST\]|<image>|(?:<\|im_start\|>)?\W{{0,4}}{_ROLE}\s*[:\n])", regex.IGNORECASE
)
_TURN = regex.compile(  # where the answer ends and another turn begins
    r"<\|(?:im_end|eot_id|eom_id|end_of_turn|end_of_text|endoftext|endofchunk|end|return|eos|user|system|observation)\|>"
    r"|<(?:end_of_turn|end_of_utterance|eos|EOS)>|</s>|\[INST\]"
    rf"|\s*#{{2,4}}\s*(?:{_ROLE}|{_ANSWERER})\s*:|(?<!:)\n\s*(?-i:USER|User|HUMAN|Human|ASSISTANT|Assistant)\s*:",
    regex.IGNORECASE,
)
_PLACES = regex.compile(
    r"<(box|quad|poly|bbox|det)>[^<]{0,400}</\1>|<\|(box|quad|det)_start\|>[^<]{0,400}<\|\2_end\|>|<\|det\|>[^<]{0,400}<\|/det\|>"
    r"|<object>\s*(?:<patch_index_\d+>\s*)+</object>|(?:<(?:loc|patch_index|seg|bin|coord)_?\d+>)+",
    regex.IGNORECASE,
)
_TOKENS = regex.compile(
    r"<\|/?(?!python_tag|tool_|function_)[A-Za-z][\w:/. -]{0,40}\|>|<\uff5c[^<>\uff5c]{1,40}\uff5c>|[<\[]\s*/?unused_?\d+\s*[>\]]|<extra_id_\d+>|<reserved_\w{1,30}>"
    r"|</?(?:s|bos|eos|pad|unk|mask|sep|cls|ref|phrase|grounding|IMG_CONTEXT|img|image|image_soft_token|start_of_image|end_of_image"
    r"|start_of_turn|end_of_turn|end_of_utterance|fake_token_around_image)\s?/?>|</?points?(?:\s[^<>]{0,120})?/?>|\[(?:PAD|UNK|CLS|SEP|MASK|IMG|IMG_END|IMG_BREAK)\]|\[/?INST\]",
    regex.IGNORECASE,
)
_ANSWER_TAGS = regex.compile(
    r"</?\s*(?:answer|final|final_answer|output|response|result|solution|summary|description|caption)\s*>",
    regex.IGNORECASE,
)
_BOXED = regex.compile(r"\\boxed\{([^{}]*)\}")
_LEAD = regex.compile(
    r"^\s*(?:\*\*|#+\s*)?(?:final answer|answer|response|assistant)\s*(?::\s*(?:\*\*)?|\*\*\s*:?|\n)\s*(?=\S)",
    regex.IGNORECASE,
)

_CALL_MARK = (
    r"(?:<\|?(?:tool_call|tool_calls|function_call|function_calls|python_tag|invoke|tool_call_begin|tool_calls_section_begin)\b[^<>]{0,40}>"
    r"|\[TOOL_CALLS\]|<function=[\w.-]{1,60}>|<\uff5ctool\u2581calls?\u2581begin\uff5c>)"
)
_CALL = regex.compile(rf"^\s*{_CALL_MARK}|{_CALL_MARK}(?:\s*[\[{{<(]|\w)", regex.IGNORECASE | regex.MULTILINE)
"""A mark amid a sentence, with words behind it, is on a screen in the picture."""
_CALL_FIELDS = (
    {"name", "arguments"},
    {"name", "parameters"},
    {"tool_calls"},
    {"function_call"},
    {"tool", "tool_input"},
)

_CODE = regex.compile(
    r"```(?:python|py|javascript|js|typescript|ts|bash|sh|shell|java|cpp|c\+\+|c|csharp|go|rust|sql|html|css|xml|r|php)\b.*?(?:```|\Z)",
    regex.IGNORECASE | regex.DOTALL,
)

_MOST_WORDS = 800
_SAME_WORDS = 5  # of one word in a row; a picture has rows of trees, no text ends in "tree tree tree tree tree"
_SAME_PHRASES = {2: 6, 3: 6}  # of two and three words in a row: tiles are red, green, red, green
_SAME_SENTENCES = 4  # of longer phrases
_LONGEST_PHRASE = 40  # words
_LONG = regex.compile(r"\p{L}{36,}|\p{L}{18,}\Z")
_GLUED = regex.compile(r"(\p{L}{3,20}?)(?:\1{11,}|\1{5,}\Z)", regex.IGNORECASE)
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}'-]+")


_OPENING = regex.compile(  # a courtesy before the description, and one after it
    r"\W*(?:(?:sure|certainly|of course|absolutely|okay|ok|great|gladly|here you go)\b[^.!:\n\"]{0,40}[!,.]\s*)?"
    r"(?:here(?:'s|\u2019s| is| are)\b(?:(?!\b(?:with|of|whose|holding|showing)\b)[^.!?\n\"]){0,80}\b(?:description|caption|summary|sentence|text|analysis|overview)s?\b[^.!?\n\"]{0,80}:\W*)"
    r"|(?:sure|certainly|of course|absolutely)[!.]\s+(?=\S)",
    regex.IGNORECASE,
)
_CLOSING = regex.compile(
    r"(?<=[.!?\n])\s*(?:(?:would you like (?:me|more|any|a|an|to (?:know|see|hear|learn))|do you (?:want me|(?:want|need) (?:more|any|anything|a|help|further))"
    r"|(?:please )?let me know|(?:please )?feel free to (?:ask|let|reach|share|upload|provide|request|tell)"
    r"|i hope (?:this|that|it)(?: description| caption)? (?:helps|is (?:helpful|useful|what)|meets)|hope this helps"
    r"|if you (?:need|have|want|would like|'d like)\b(?=[^\n.!?]*\b(?:let me|ask|feel free|i can|i'd|i'll|i'm)\b)"
    r"|is there anything|shall i|should i|want me to|can i help)\b[^\n\"\u201c\u201d.!?]{0,250}[.!?]*\s*)+\Z",
    regex.IGNORECASE,
)
_FEWEST_LEFT = 3  # words


def without_courtesy(text: str) -> str:
    """Return a description without what an assistant says before and after it; what is nothing else stays.

    Examples:
        >>> without_courtesy("Sure! Here's a description of the image: A dog runs on a beach. Want me to go on?")
        'A dog runs on a beach.'
    """
    opening = _OPENING.match(text)
    rest = _CLOSING.sub("", text[opening.end() :] if opening else text).strip()
    return rest if len(rest.split()) >= _FEWEST_LEFT else text


def decoded(text: str) -> str:
    r"""Return a text whose tokens the server did not decode, as it was meant; any other text as it is.

    Examples:
        >>> decoded("A\u0120dog\u0120on\u0120a\u0120bench.\u010a")
        'A dog on a bench.\n'
        >>> decoded("\u2581A\u2581dog<0x0A>runs")
        ' A dog\nruns'
        >>> decoded("\u0120gantija is a temple")
        '\u0120gantija is a temple'
    """
    if "<0x" in text:
        text = _BYTES.sub(_written_bytes, text)
    spaces = text.count(" ")
    if len(_PIECES.findall(text)) > spaces:
        text = text.replace(_PIECE, " ")
    if text.count(_SPACE) > max(spaces, 1):
        text = _from_bytes(text)
    return text


def is_call(text: str) -> bool:
    """Tell whether a model calls a tool that nobody offered, in place of an answer.

    Examples:
        >>> is_call('<tool_call>{"name": "zoom", "arguments": {}}</tool_call>')
        True
    """
    return ("<" in text or "[" in text) and _CALL.search(text) is not None


def is_call_data(data: object) -> bool:
    """Tell whether JSON that a model wrote is the call of a tool."""
    one = data[0] if isinstance(data, list) and data else data
    return isinstance(one, dict) and any(fields <= {str(key).lower() for key in one} for fields in _CALL_FIELDS)


def without_code(text: str) -> str:
    """Return a text without blocks of program code."""
    return _CODE.sub(" ", text) if "```" in text else text


def plain_answer(text: str) -> str:
    r"""Return what a model answered, without the chat template around it, the turns after it and the marks within it.

    Examples:
        >>> plain_answer("A dog on a bench.<end_of_turn>\n<start_of_turn>user\nWhat breed?<end_of_turn>")
        'A dog on a bench.'
        >>> plain_answer("USER: <image>\nDescribe it. ASSISTANT: A dog on a bench.")
        'A dog on a bench.'
        >>> plain_answer("<ref>A dog</ref><box>(22,33),(99,100)</box> on a bench.")
        'A dog on a bench.'
    """
    if not any(sign in text for sign in "<[#:\\"):
        return text.strip()
    asked = _ASKED.match(text)
    header = _HEADER.search(text) if asked else _HEADER.match(text.lstrip())
    if header is not None:
        text = (text if asked else text.lstrip())[header.end() :]
    parts = [part for part in _TURN.split(text) if _TOKENS.sub("", part).strip()]
    text = parts[0] if parts else ""
    bare = _TOKENS.sub(" ", _PLACES.sub(" ", text))
    if bare != text:
        bare = regex.sub(r"[ \t]{2,}", " ", regex.sub(r" +(?=[.,;:!?])", "", bare))
    text = _BOXED.sub(r"\1", _ANSWER_TAGS.sub("", bare))
    return str(_LEAD.sub("", text.strip()).strip())


def is_loop(text: str) -> bool:
    """Tell whether a model got stuck: a text ends in a word five times in a row, or in a phrase four to six times.

    Where the text goes on, twice as many are needed: shops have signs that read "sale sale sale sale sale".

    Examples:
        >>> is_loop("A man with a hat " + "on top of a hat " * 6)
        True
        >>> is_loop("Row after row after row of trees, and a dog, a cat, a dog and a cat.")
        False
    """
    if any(_GLUED.search(word) for word in _LONG.findall(text.rstrip(".!? \n"))):
        return True
    words = [word.lower() for word in _WORD.findall(text)[:_MOST_WORDS]]
    places = defaultdict(list)
    for place, pair in enumerate(pairwise(words)):
        places[pair].append(place)
    often = [found for found in places.values() if len(found) >= _SAME_SENTENCES]
    periods = {there - here for found in often for here, there in pairwise(found)}
    return any(_is_stuck(words, period) for period in periods if period <= _LONGEST_PHRASE)


def _needed(period: int) -> int:
    """Return how many words in a row must equal those a period earlier."""
    return _SAME_WORDS - 1 if period == 1 else (_SAME_PHRASES.get(period, _SAME_SENTENCES) - 1) * period


def _is_stuck(words: list[str], period: int) -> bool:
    needed, run = _needed(period), 0
    for before, word in zip(words, words[period:], strict=False):
        run = run + 1 if before == word else 0
        if run >= 2 * needed:
            return True
    return run >= needed


def _written_bytes(found: "regex.Match[str]") -> str:
    numbers = regex.findall(r"[0-9A-Fa-f]{2}(?=>)", found.group())
    return bytes(int(number, 16) for number in numbers).decode("utf-8", "replace")


def _from_bytes(text: str) -> str:
    """Turn the letters that byte-level tokenizers write for bytes back into bytes; other characters stay."""
    known = _letters()
    return str(
        regex.sub(
            r"[\u0021-\u007e\u00a1-\u00ac\u00ae-\u0143]+",
            lambda found: bytes(known[letter] for letter in found.group()).decode("utf-8", "replace"),
            text,
        )
    )


def _letters() -> dict[str, int]:
    """Return the byte that each letter stands for: printable ones for themselves, others from U+0100 on."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in plain]
    return {**{chr(byte): byte for byte in plain}, **{chr(256 + place): byte for place, byte in enumerate(others)}}
