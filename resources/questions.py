"""What is asked of a chat model, and how its answers are read; without any call."""

import base64
import json
import os
import re
from dataclasses import dataclass, replace
from typing import Any

from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.prices import Price
from vlmine_dagster.resources.replies import Reply, Request
from vlmine_dagster.settings import OpenAIDescriberSettings, OpenAIKeyworderSettings, settings_hash

_RUNAWAY_LETTERS = 12  # an output token has about 4; an answer with 12 letters a token allowed ignores the limit
_LONGEST_REASON = 300
_TOKENS_AN_IMAGE = 1500
_SECRET = re.compile(r"(sk-|Bearer\s+)[\w.\-*]{4,}", re.IGNORECASE)

KEYWORD_SCHEMA = {
    "type": "object",
    "properties": {"keywords": {"type": "array", "items": {"type": "string"}, "maxItems": 10}},
    "required": ["keywords"],
    "additionalProperties": False,
}
EndpointModelSettings = OpenAIDescriberSettings | OpenAIKeyworderSettings


@dataclass(frozen=True)
class ChatQuestion:
    """What is the same for every call of a stage.

    Attributes:
        settings: Model, endpoint, decoding.
        prompt: The prompt's text, before anything is put into it.
        wants_keywords: Whether the answer is a JSON list of keywords.
        price: The model's price, None where nobody knows it.
        max_pixels: Larger images are not decoded.
    """

    settings: EndpointModelSettings
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
        return self.settings.image_side if isinstance(self.settings, OpenAIDescriberSettings) else None

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer; not with the address, the key, or how fast one asks."""
        s = self.settings
        decoding = [s.temperature, s.max_output_tokens, s.extra, s.json_schema if self.wants_keywords else None]
        return settings_hash("chat 1", s.model, s.revision, self.prompt, decoding, self.image_side, self.wants_keywords)

    def body(self, prompt: str, image: bytes | None, *, with_schema: bool) -> dict[str, Any]:
        """Return the JSON body of a call."""
        s = self.settings
        content: Any = prompt
        if image is not None:
            url = f"data:{_mime(image)};base64,{base64.b64encode(image).decode('ascii')}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
        body: dict[str, Any] = {
            "model": s.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": s.temperature,
            "max_tokens": s.max_output_tokens,
        }
        if with_schema:
            schema = {"name": "keywords", "strict": True, "schema": KEYWORD_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {name: value for name, value in {**body, **s.extra}.items() if value is not None}

    def worst_cost_usd(self, request: Request) -> float:
        """Return the price of the longest answer, with three letters a token read and 1,500 tokens an image."""
        if self.price is None:
            return 0.0
        read = len(request.prompt) // 3 + (_TOKENS_AN_IMAGE if request.image is not None else 0)
        return self.price.of(read, self.settings.max_output_tokens)

    def read(self, content: bytes, *, latency_s: float) -> Reply | None:
        """Return the reply in a response's body; None where the body is no chat completion."""
        try:
            found = json.loads(content)
            choice = found["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text, refusal = message.get("content"), message.get("refusal")
            usage = found.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if text is not None and not isinstance(text, str):
            return None
        key = os.environ.get(self.settings.api_key_env)
        if text and key:  # an endpoint that echoes its caller's key must not write it into the tables
            text = text.replace(key, "***")
        cost = None if self.price is None else self.price.of(*tokens)
        paid = Reply(text, Outcome.OK, None, *tokens, latency_s, cost)
        return self._judged(paid, refusal=refusal, finish=finish)

    def _judged(self, reply: Reply, *, refusal: Any, finish: Any) -> Reply:
        limit = self.settings.max_output_tokens
        text = reply.text or ""
        if refusal or finish == "content_filter":
            return replace(reply, outcome=Outcome.REFUSED, failure=masked(f"the model refused: {refusal or finish}"))
        if not text.strip():
            return replace(reply, outcome=Outcome.EMPTY, failure="the answer is empty")
        if finish == "length":
            return replace(reply, outcome=Outcome.TRUNCATED, failure=f"cut at max_output_tokens {limit}")
        if len(text) > limit * _RUNAWAY_LETTERS:
            reason = f"{len(text):,} letters, far beyond max_output_tokens {limit}"
            return replace(reply, text=text[: limit * _RUNAWAY_LETTERS], outcome=Outcome.TRUNCATED, failure=reason)
        return reply


def masked(text: str) -> str:
    """Return a text from outside in one short line, free of keys."""
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(r"key|token|secret|password", name, re.IGNORECASE):
            text = text.replace(value, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in _SECRET.sub(r"\1***", text)).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def _mime(image: bytes) -> str:
    return "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
