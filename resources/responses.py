"""What an endpoint sent back: the parts of a completion, or the server's own words where it is none."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlmine_dagster.domain.secrets import masked

_FINISHED = frozenset(
    "stop eos eos_token end_turn stop_sequence stop_token complete completed done finished finish_reason_stop".split()  # noqa: SIM905
)
_CUT = frozenset("length max_tokens max_length max_output_tokens max_completion_tokens model_length".split())  # noqa: SIM905
_BLOCKED = frozenset(
    "content_filter content_filtered safety image_safety recitation prohibited_content blocklist spii "  # noqa: SIM905
    "sensitive refusal guardrail_intervened".split()
)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_DEAREST_USD = 1000.0  # more for one call is not a price in dollars
_TEXT_PARTS = ("text", "output_text", "input_text")
_PAGE = re.IGNORECASE | re.DOTALL
_WORDS = ("message", "msg", "detail", "error_description", "reason", "description", "title", "error", "errors", "raw")


class Unreadable(ValueError):  # noqa: N818 - an outcome, not an error that anyone sees
    """A completion whose answer cannot be read; asking again would bring and cost the same."""


@dataclass(frozen=True)
class Completion:
    """What a completion holds.

    Attributes:
        text: The answer, None where there is none.
        thought: What a reasoning model thought before, as far as the server keeps it apart.
        refusal: The model's refusal, None where there is none.
        finish: Why it ended: stop, length, content_filter; anything else as the server wrote it.
        prompt_tokens: Tokens read, None where the server does not say.
        output_tokens: Tokens written, thoughts among them, None where the server does not say.
        cost_usd: What the server says that the call cost, None where it does not.
    """

    text: str | None
    thought: str
    refusal: str | None
    finish: str
    prompt_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None = None


def completion_in(content: bytes) -> Completion | None:
    """Read a response's body; None where it is not a completion, or not a whole one.

    Raises:
        Unreadable: it is a completion, but its answer is of no known form.
    """
    body = _body(content)
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        return None
    prompt_tokens, output_tokens = _usage(body)
    if not body["choices"]:
        return Completion(None, "", None, "stop", prompt_tokens, output_tokens, _cost(body.get("usage")))
    choice = body["choices"][0]
    if not isinstance(choice, dict):
        raise Unreadable(f"the answer is not an object but {json.dumps(choice)[:80]}")
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": choice.get("text")}
    text, thought = _parts(message.get("content"))
    refusal = message.get("refusal") or None
    return Completion(
        text,
        thought or next((thinking for name in _THOUGHTS if (thinking := _text(message.get(name)))), ""),
        None if refusal is None else _text(refusal) or "no reason given",
        _finish(choice),
        prompt_tokens,
        output_tokens,
        _cost(body.get("usage")),
    )


def words_in(content: bytes) -> str:
    """Return what a server says of its error, in whatever it is wrapped: lists, objects, pages, plain text.

    Examples:
        >>> words_in(b'[{"error": {"code": 400, "message": "API key not valid."}}]')
        'API key not valid.'
        >>> words_in(b"<html><head><title>502 Bad Gateway</title></head></html>")
        '502 Bad Gateway'
    """
    body = _body(content)
    found = " ".join(dict.fromkeys(_words(body))) if body is not None else ""
    if found:
        return found
    text = content.decode("utf-8", "replace").strip()
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title.group(1).strip() if title else re.sub(r"<[^>]{1,200}>", " ", text[:2000]).strip()[:300]


def page_title(content: bytes) -> str | None:
    """Return the title of a web page, free of secrets; None where a body is none.

    Examples:
        >>> page_title(b"<!doctype html><html><head><title>Sign in</title></head></html>")
        'Sign in'
    """
    if (
        re.match(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype html|html|head|body)\b", content, _PAGE)
        is None
    ):
        return None
    return masked(words_in(content))[:200] or "without a title"


def no_completion(content: bytes) -> str:
    """Say what came in place of a completion."""
    title = page_title(content)
    if title is not None:
        return f"a web page answered instead of a model: {title!r}. Is there a login or a proxy in front of it?"
    return f"the answer is not a chat completion: {masked(content[:2000].decode('utf-8', 'replace'))[:80]!r}"


def error_status(content: bytes) -> int | None:
    """Return the status of an error that came with status 200; 500 where it names none, None without an error."""
    body = _body(content)
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error") if isinstance(body, dict) else None
    if not error or (isinstance(body, dict) and body.get("choices")):
        return None
    code = error.get("code") or error.get("status") if isinstance(error, dict) else None
    return int(code) if str(code).isdigit() and 400 <= int(code) < 600 else 500  # type: ignore[arg-type]


def error_code(content: bytes) -> str:
    """Return the code of an error, such as `insufficient_quota`; empty where it has none."""
    body = _body(content)
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error", body) if isinstance(body, dict) else None
    return (
        " ".join(str(error.get(name) or "") for name in ("code", "type", "status")) if isinstance(error, dict) else ""
    )


def _body(content: bytes) -> Any:
    """Return the JSON of a body; of a stream that nobody asked for, its parts as one completion."""
    try:
        if content.lstrip()[:5] == b"data:":
            return _joined(content)
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _joined(content: bytes) -> Any:
    lines = [line[5:].strip() for line in content.splitlines() if line.startswith(b"data:")]
    parts = [json.loads(line) for line in lines if line and line != b"[DONE]"]
    choices = [part["choices"][0] for part in parts if isinstance(part, dict) and part.get("choices")]
    if not choices:
        return parts[0] if parts else None
    deltas = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    message = {
        name: "".join(str(delta.get(name) or "") for delta in deltas) for name in ("content", "reasoning_content")
    }
    finish = next((one["finish_reason"] for one in reversed(choices) if one.get("finish_reason")), None)
    usage = next((part["usage"] for part in reversed(parts) if part.get("usage")), None)
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _parts(content: Any) -> tuple[str | None, str]:
    """Return answer and thought of a message's content: a text, or a list of parts."""
    if content is None or isinstance(content, str):
        return content, ""
    parts = content if isinstance(content, list) else [content]
    texts, thoughts = [], []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, dict):
            raise Unreadable(f"the answer's content is neither text nor a list of parts: {json.dumps(content)[:80]}")
        elif part.get("type", "text") in _TEXT_PARTS:
            texts.append(_text(part.get("text")))
        else:
            thoughts.append(_text(part.get("thinking") or part.get("text") or part.get("summary")))
    return "".join(texts), "\n".join(thought for thought in thoughts if thought)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text") or value.get("content") or value.get("value"))
    return "".join(_text(one) for one in value) if isinstance(value, list) else ""


def _finish(choice: Mapping[str, Any]) -> str:
    if "finish_reason" not in choice:
        return "stop"  # a server that never says why it ended says nothing wrong
    given = str(choice["finish_reason"])
    plain = given.rpartition(".")[2].lower()
    for name, same in (("stop", _FINISHED), ("length", _CUT), ("content_filter", _BLOCKED)):
        if plain in same:
            return name
    return given if choice["finish_reason"] is not None else "null"


def _usage(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None, None
    read = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    written = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    total = _count(usage.get("total_tokens"))
    if total and written is not None and not read:
        read = max(total - written, 0)
    if total and read is not None and written is None:
        written = max(total - read, 0)
    return read, _with_thought(usage, read, written, total)


def _with_thought(usage: Mapping[str, Any], read: int | None, written: int | None, total: int | None) -> int | None:
    """Add the tokens of thought where a server leaves them out of those written, though it bills them as such.

    Gemini counts them in the sum alone; xAI and some routes of OpenRouter name them beside the others.
    """
    if written is None:
        return None
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    thought = _count(details.get("reasoning_tokens")) if isinstance(details, Mapping) else None
    beside = written + thought if thought and thought > written else written
    return max(beside, (total or 0) - read if read else 0)


def _cost(usage: Any) -> float | None:
    """Return what a server says that a call cost, as OpenRouter (`cost`) and Perplexity (`cost.total_cost`) do."""
    cost = usage.get("cost") if isinstance(usage, Mapping) else None
    cost = cost.get("total_cost") if isinstance(cost, Mapping) else cost
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    return float(cost) if 0 < cost < _DEAREST_USD else None


def _count(value: Any) -> int | None:
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return count if 0 <= count < 2**31 else None


def _words(body: Any, *, depth: int = 0) -> Iterator[str]:
    if isinstance(body, str):
        yield body.strip()
    elif isinstance(body, list) and depth < 6:
        for one in body[:5]:
            yield from _words(one, depth=depth + 1)
    elif isinstance(body, dict) and depth < 6:
        named = [name for name in _WORDS if body.get(name)]
        for name in named[:2]:
            yield from _words(body[name], depth=depth + 1)
        if not named and depth:
            yield from (str(body[name]) for name in ("code", "type", "status") if body.get(name))
        if isinstance(body.get("metadata"), dict):
            yield from _words(body["metadata"], depth=depth + 1)
