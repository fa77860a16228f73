"""What is asked of a chat model, and how its answers are read; without any call."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vlmine_dagster.domain.secrets import without_known
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.prices import Price
from vlmine_dagster.resources.replies import Reply, Request
from vlmine_dagster.resources.responses import Completion, Unreadable, completion_in
from vlmine_dagster.resources.sounds import sound_format
from vlmine_dagster.settings import EndpointSettings, settings_hash

_RUNAWAY_CHARACTERS = 12  # an output token has about 4; 12 per allowed token is an answer that ignores the limit
_TOKENS_AN_IMAGE = 1500
_FEWEST_TOKENS_AN_IMAGE = 85
_PIXELS_A_TOKEN = 750
_USUAL_PIXELS = 512 * 512
_UNKNOWN_FIELD = ("unsupported", "not support", "unknown", "unrecognized", "not permitted", "not allowed", "unexpected")

KEYWORD_SCHEMA = {
    "type": "object",
    "properties": {"keywords": {"type": "array", "items": {"type": "string"}, "maxItems": 10}},
    "required": ["keywords"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ChatQuestion:
    """What is the same for every call of a stage.

    Attributes:
        settings: Model, endpoint, decoding.
        prompt: The prompt's text, before anything is put into it.
        wants_keywords: Whether the answer is a JSON list of keywords.
        price: The model's price, None if it is unknown.
        max_pixels: Larger images are not decoded.
    """

    settings: EndpointSettings
    prompt: str
    wants_keywords: bool
    price: Price | None
    max_pixels: int

    @property
    def label(self) -> str:
        """Name for people."""
        return f"openai {self.settings.model}, {self.settings.prompt}"

    @property
    def image_side(self) -> int | None:
        """Longest side of an image that is sent, None where none is."""
        return self.settings.sent_side

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer; not with the address, the key, or how fast one asks."""
        s = self.settings
        decoding = [s.temperature, s.max_output_tokens, s.extra, s.json_schema if self.wants_keywords else None]
        return settings_hash("chat 1", s.model, s.revision, self.prompt, decoding, self.image_side, self.wants_keywords)

    def body(self, prompt: str, image: bytes | None, dialect: "Dialect") -> dict[str, Any]:
        """Return the JSON body of a call."""
        s = self.settings
        content: Any = prompt
        if image is not None:
            content = [_part(image), {"type": "text", "text": prompt}]
        body: dict[str, Any] = {"model": s.model, "messages": [{"role": "user", "content": content}]}
        if dialect.has_temperature:
            body["temperature"] = s.temperature
        body[dialect.limit_field] = s.max_output_tokens
        if dialect.has_schema:
            schema = {"name": "keywords", "strict": True, "schema": KEYWORD_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {name: value for name, value in {**body, **s.extra}.items() if value is not None}

    def worst_cost_usd(self, request: Request) -> float:
        """Return the price of the longest answer, with three characters per token read and 1,500 tokens per image."""
        if self.price is None:
            return 0.0
        read = len(request.prompt) // 3 + (_TOKENS_AN_IMAGE if request.image is not None else 0)
        return self.price.of(read, self.settings.max_output_tokens)

    def unreceived_cost_usd(self, request: Request) -> float | None:
        """Return what a call may have cost whose answer did not come in time: read once, and the longest answer.

        None if the price is unknown.
        """
        if self.price is None:
            return None
        return self.price.of(estimated_tokens(request, "")[0], self.settings.max_output_tokens)

    def read(self, content: bytes, request: Request, *, latency_s: float) -> Reply | None:
        """Return the reply in a response's body; None where the body is not a completion.

        Where the server does not say how many tokens it used, they are estimated, and so is what they cost.
        """
        try:
            found = completion_in(content)
        except Unreadable as error:
            guess = estimated_tokens(request, content.decode("utf-8", "replace"))
            used = self._used(guess, latency_s, None, is_estimated=True)
            return Reply(None, Outcome.UNPARSEABLE, shown_line(str(error)), **used)
        if found is None:
            return None
        text = None if found.text is None else without_known(found.text)  # a server may echo its caller's key
        guess = estimated_tokens(request, f"{found.thought}{text or ''}")
        tokens = (found.prompt_tokens or guess[0], found.output_tokens or guess[1])
        is_estimated = tokens != (found.prompt_tokens, found.output_tokens or 0)
        used = self._used(tokens, latency_s, found.cost_usd, is_estimated=is_estimated)
        return self._judged(Reply(text, **used), found)

    def _used(
        self, tokens: tuple[int, int], latency_s: float, told_usd: float | None, *, is_estimated: bool
    ) -> dict[str, Any]:
        """Return the `Usage` of an answer, by name; its cost is the larger of price and the server's word."""
        priced_usd = None if self.price is None else self.price.of(*tokens)
        return {
            "prompt_tokens": tokens[0],
            "output_tokens": tokens[1],
            "latency_s": latency_s,
            "cost_usd": max((usd for usd in (priced_usd, told_usd) if usd is not None), default=None),
            "is_estimated": is_estimated,
        }

    def _judged(self, reply: Reply, found: Completion) -> Reply:
        limit = self.settings.max_output_tokens
        text = reply.text or ""
        if found.refusal or found.finish == "content_filter":
            reason = f"the model refused: {found.refusal or found.finish}"
            return replace(reply, outcome=Outcome.REFUSED, failure=shown_line(reason))
        if not text.strip():
            outcome, reason = _silence(found, limit)
            return replace(reply, outcome=outcome, failure=reason)
        if found.finish == "length":
            return replace(reply, outcome=Outcome.TRUNCATED, failure=f"cut at max_output_tokens {limit}")
        if found.finish != "stop":
            reason = f"the server ended the answer with finish_reason {found.finish!r}: {text}"
            return replace(reply, outcome=Outcome.UNPARSEABLE, failure=shown_line(reason))
        if len(text) > limit * _RUNAWAY_CHARACTERS:
            reason = f"{len(text):,} characters, far beyond max_output_tokens {limit}"
            return replace(reply, text=text[: limit * _RUNAWAY_CHARACTERS], outcome=Outcome.TRUNCATED, failure=reason)
        return reply


@dataclass(frozen=True)
class Dialect:
    """What an endpoint takes of the fields that are sent without being asked for in `extra`.

    Attributes:
        limit_field: The field of the longest answer: newer models refuse `max_tokens`.
        has_temperature: Whether a temperature is sent: some models have one that nobody may set.
        has_schema: Whether a JSON schema is sent.
    """

    limit_field: str = "max_tokens"
    has_temperature: bool = True
    has_schema: bool = False

    def without(self, words: str, body: Mapping[str, Any], may_drop_schema: bool) -> "Dialect | None":
        """Return the dialect in which to ask again after a refusal, None where the refusal is about something else."""
        refusal = words.lower()
        if (
            "max_tokens" in body
            and "max_tokens" in refusal
            and ("max_completion_tokens" in refusal or _is_unknown(refusal))
        ):
            return replace(self, limit_field="max_completion_tokens")
        if "max_completion_tokens" in body and "max_completion_tokens" in refusal and _is_unknown(refusal):
            return replace(self, limit_field="max_tokens")
        if "temperature" in body and "temperature" in refusal and (_is_unknown(refusal) or "only" in refusal):
            return replace(self, has_temperature=False)
        names_schema = any(name in refusal for name in ("response_format", "json_schema", "schema"))
        return (
            replace(self, has_schema=False) if names_schema and "response_format" in body and may_drop_schema else None
        )


def estimated_tokens(request: Request, text: str) -> tuple[int, int]:
    """Return about how many tokens a call reads and writes: four bytes of text each, 750 pixels of an image each.

    Tokenizers take 3 to 5 bytes of a word for a token. Vision models take 500 to 1,000 pixels (28 x 28 with Qwen's, a
    512 x 512 tile for 170 with OpenAI's, after 85 for the whole), and 85 is the least that is known.
    """
    read = -(-len(request.prompt.encode()) // 4)
    if request.image is not None:
        read += max(_FEWEST_TOKENS_AN_IMAGE, -(-_pixel_count(request.image) // _PIXELS_A_TOKEN))
    return read, -(-len(text.encode("utf-8", "replace")) // 4)


def _silence(found: Completion, limit: int) -> tuple[Outcome, str]:
    """Say why there is no text."""
    has_thought = bool(found.thought.strip())
    if found.finish == "length":
        share = "went into thought, none into an answer" if has_thought else "were used up before any text"
        advice = "Raise it, or switch the model's thinking off in `extra`."
        return Outcome.TRUNCATED, f"all tokens of max_output_tokens {limit} {share}. {advice}"
    if found.finish != "stop":
        return (
            Outcome.UNPARSEABLE,
            f"the server ended with finish_reason {shown_line(found.finish)!r} and without a text",
        )
    return Outcome.EMPTY, "the model thought and gave no answer" if has_thought else "the answer is empty"


def _pixel_count(image: bytes) -> int:
    """Return the size of an image that is sent, from its header; what is sent is JPEG or PNG, and not large."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image), formats=("JPEG", "PNG")) as picture:
            return picture.width * picture.height
    except (OSError, ValueError):
        return _USUAL_PIXELS


def _is_unknown(refusal: str) -> bool:
    return any(sign in refusal for sign in _UNKNOWN_FIELD)


def _part(item: bytes) -> dict[str, Any]:
    """Return a picture or a sound as part of a message."""
    text, sound = base64.b64encode(item).decode("ascii"), sound_format(item)
    if sound is not None:
        return {"type": "input_audio", "input_audio": {"data": text, "format": sound}}
    mime = "image/png" if item.startswith(b"\x89PNG") else "image/jpeg"
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{text}"}}
