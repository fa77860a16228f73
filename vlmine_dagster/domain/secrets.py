"""Secrets of the environment: shown nowhere.

Every text that leaves the process passes `masked`: the messages of our errors, log records, what the terminal prints,
what Dagster and MLflow record, and the answers and failures in tables. `install` puts it before the logs and the
terminal; whatever else writes text calls it.
"""

import html
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_SHORTEST = 8
"""Characters. Shorter values of variables such as TOKEN=none or SECRET_MODE=true are words that texts need."""
_SHORTEST_PASSWORD = 4
_TELLING = 12
"""Characters at the beginning of a secret that are as good as the whole."""
_NAMES = re.compile(r"key|token|secret|passw|pwd|credential|auth|cookie|signature|dsn|conn_?str", re.IGNORECASE)
_PUBLIC_NAMES = re.compile(r"_(?:file|path|dir|url|uri|home|sock|host|port|env|name|id|agent|info)$", re.IGNORECASE)
_WHITE = " \t\r\n\v\f\u00a0\u200b\u2028\u2029\ufeff"
_ASSIGNED = re.compile(r"^(?:export\s+)?[A-Z][A-Z0-9_]*(?:KEY|TOKEN)\s*=\s*(?=[^\s=])")
_PLACEHOLDER = re.compile(r"\$\{?\w+\}?|\$\([^)]*\)|<[^<>]*>|\{\{.*\}\}|%\w+%")
_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s\"'<>]*@", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk|rk)[-_](?=[\w.-]*[\d_-])[\w.*-]{6,}"  # OpenAI, Anthropic, OpenRouter, Stripe
    r"|\bAIza[\w-]{20,}|\bya29\.[\w.-]{16,}"  # Google
    r"|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}"
    r"|\bhf_\w{16,}|\bgsk_\w{16,}|\bxai-\w{16,}|\bnvapi-[\w-]{16,}|\bpplx-\w{16,}|\br8_\w{16,}|\bfw_\w{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bxox[abeprs]-[\w-]{10,}|\bdapi[0-9a-f]{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # JSON web tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_SHAPE_STARTS = tuple(
    "sk- sk_ rk- rk_ AIza ya29. ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- hf_ gsk_ xai- nvapi- pplx- r8_ fw_ "  # noqa: SIM905
    "AKIA ASIA xox dapi eyJ PRIVATE".split()
)
_HEADERS = re.compile(r"\b((?i:Bearer|Basic|Token))(\s+)(?=\S*[\d=_-]|\S*\.\S|\S+[A-Z])[\w.~+/=*:-]{6,}")
_FIELD_NAME = (
    r"(?:x-)?(?:api[_-]?key|access[_-]?key|account[_-]?key|subscription[_-]?key|secret[_-]?key"
    r"|private[_-]?key(?:[_-]?id)?|client[_-]?secret|secret|passw(?:or)?d|pwd|passphrase"
    r"|(?:access|auth|refresh|session|id)[_-]?token|token|authorization|x-amz-signature|signature|sig|credential)"
)
_FIELDS = re.compile(
    rf"((?:\b|_){_FIELD_NAME}[\"']?\s*(?:=|:)\s*(?:b(?=[\"']))?[\"']?)"
    r"(?!(?:Bearer|Basic|Token)\s)(?!there is )(?![\s\"'{\[(])[^\s\"',;&)}\]]{4,}",
    re.IGNORECASE,
)
_PAIRS = re.compile(  # ("password", "value"), <password>value</password>, "auth": "value", options, pydantic
    rf"([\"'](?:\w+[_-])?{_FIELD_NAME}[\"']\s*,\s*b?[\"'])(?!(?:Bearer|Basic|Token)\s)[^\"']{{4,}}"
    rf"|(<{_FIELD_NAME}>)[^<]{{4,}}"
    r"|([\"']auth[\"']\s*:\s*[\"'])[^\"']{8,}"
    r"|(\bapi key(?:\s*[:=]\s*|\s+)[\"']?)(?=\S*\d)[\w./+=-]{8,}"
    r"|(\b(?:set-)?cookie[\"']?\s*[:=]\s*[\"']?[\w.-]+=)[^\s;\"']{4,}"
    r"|(\bcurl\b[^\n]*?\s-u\s+[^\s:]+:)\S+"
    rf"|(--(?:[\w-]+-)?{_FIELD_NAME}[ \t]+[\"']?)(?=[^\s\"']*\d)[^\s\"'-][^\s\"']{{3,}}"
    rf"|({_FIELD_NAME}[^\n]{{0,100}}\n[^\n]{{0,300}}\binput_value=)(?!None\b|\*)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s,\]]+)",
    re.IGNORECASE,
)
_VARIABLES = re.compile(  # AZURE_OPENAI_KEY=value as shells and dictionaries write it; key=value where it looks random
    r"(\b(?:[A-Z][A-Z0-9_]*_)?(?:KEY|PW|PASS|PSK)[\"']?\s*[=:]\s*[\"']?)(?=[^\s\"',;]*\d)[^\s\"',;&)}\]]{8,}"
    r""
    r""
    r""
    r""
    r"|(\b[Kk]ey[\"']?\s*[=:]\s*[\"']?)(?:[0-9a-f]{32}\b|(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{20,}(?![\w./-]))"
)
_FIELD_WORDS = ("key", "token", "secret", "pass", "pwd", "pw", "psk", "auth", "sig", "credential", "cookie", "curl")
_PAIR_MARKS = ("',", '",', "</", "auth'", 'auth"', "api key", "cookie", "curl", "--", "input_value")
_HOOKS = re.compile(r"(hooks\.slack\.com/\w+|discord(?:app)?\.com/api/webhooks)/[\w/-]+")
_USER_AND_PORT = re.compile(r"(\b[\w.-]+:)[^\s:@/\"']{4,}(@[\w.-]+:\d+)")
_QUERY = re.compile(r"([?&](?:key|code|sv|se|sp)=)[^&\s\"'#]{6,}", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text without secrets: those of the environment, and whatever has the shape of one.

    Args:
        text: Anything that a person or a file will see: a message, a log record, a traceback.

    Examples:
        >>> masked("GET https://user:pass@host/v1?key=AbCdEf123456 with Bearer abc123def")
        'GET https://***@host/v1?key=*** with Bearer ***'
    """
    text = without_known(text)
    if "://" in text:
        text = _HOOKS.sub(rf"\1/{MASK}", _USER.sub(rf"\1{MASK}@", text))
    if "@" in text:
        text = _USER_AND_PORT.sub(rf"\1{MASK}\2", text)
    if any(start in text for start in _SHAPE_STARTS):  # the pattern costs a microsecond per character
        text = _SHAPES.sub(_short_shape, text)
    text = _HEADERS.sub(rf"\1\2{MASK}", text)
    lower = text.lower()
    if any(word in lower for word in _FIELD_WORDS):
        text = _FIELDS.sub(rf"\1{MASK}", text)
        if any(mark in lower for mark in _PAIR_MARKS):
            text = _PAIRS.sub(_kept_start, text)
        text = _VARIABLES.sub(_kept_start, text)
    return _QUERY.sub(rf"\1{MASK}", text) if "=" in text else text


def without_known(text: str) -> str:
    """Return a text without the secrets of the environment; what only looks like one stays.

    For what a model says of a picture: a photographed note may well read `password: 1234`.
    """
    pattern = _known(tuple(os.environ.items()))
    return text if pattern is None else pattern.sub(MASK, text)


def masked_values(value: Any) -> Any:
    """Return a value of mappings, lists and texts with every text masked."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {name: masked_values(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(masked_values(one) for one in value) if type(value) in (list, tuple) else value
    return value


def masked_error(error: BaseException) -> BaseException:
    """Return an error that shows no secret in its message, its notes, its causes or the errors that it groups.

    It is the same error wherever its arguments can be rewritten; otherwise an error of the nearest plain class.
    """
    return _masked_error(error, seen=set())


@contextmanager
def masked_errors() -> Iterator[None]:
    """Let errors out only as `masked_error` has them: for whoever writes tracebacks down, as Dagster does."""
    try:
        yield
    except Exception as error:
        shown = masked_error(error)
        if shown is error:
            raise
        raise shown from shown.__cause__


def install(*, has_streams: bool = False) -> None:
    """Mask every log record and every traceback of this process; once is enough, more does no harm.

    Args:
        has_streams: Also whatever is written to the terminal, by any library. For programs of our own: in somebody
            else's process the streams are theirs.
    """
    factory = logging.getLogRecordFactory()
    if not getattr(factory, "is_masking", False):
        logging.setLogRecordFactory(_masking_factory(factory))
    if not getattr(sys.excepthook, "is_masking", False):
        sys.excepthook = _masking_hook(sys.excepthook)
        threading.excepthook = _print_thread_error
    if has_streams:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, MaskingStream):
                setattr(sys, name, MaskingStream(stream))


class MaskingStream:
    """A text stream that masks what is written to it.

    Args:
        stream: Where the text goes; everything but writing is its own.

    Attributes:
        failure: Why the last text that failed could not be written.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text without secrets; return the length of what was given, as callers expect."""
        try:
            self._stream.write(masked(text))
        except OSError as error:
            self.failure = error
            raise
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)


def plain_key(value: str) -> str:
    """Return a key without what was pasted with it: white space, straight quotes, `Bearer` or its name before it.

    Examples:
        >>> plain_key(' "sk-1" ')
        'sk-1'
        >>> plain_key("export OPENAI_API_KEY='sk-1'")
        'sk-1'
    """
    key = _ASSIGNED.sub("", _unquoted(value.strip(_WHITE)))
    return re.sub(r"^Bearer\s+", "", _unquoted(key), flags=re.IGNORECASE).strip(_WHITE)


def _unquoted(text: str) -> str:
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip(_WHITE)
    return text


def refusal_of_key(key: str) -> str | None:
    """Say what a header cannot hold in a key, without showing the key; None where nothing is wrong."""
    refusals = (
        (not key, None),
        (_PLACEHOLDER.fullmatch(key) is not None, "contains a placeholder that nobody has replaced"),
        (any(c in "\r\n" for c in key), "contains a line break in the middle"),
        (any(c.isspace() for c in key), "contains a space in the middle"),
        (
            not set(key).isdisjoint(set(_QUOTES) - set("\"'`")),
            "contains a character that headers do not allow: a typographic quotation mark",
        ),
        (
            any(not "!" <= c <= "~" for c in key),
            "contains a character that headers do not allow: only ASCII letters, digits and punctuation are valid",
        ),
    )
    return next((refusal for applies, refusal in refusals if applies), None)


@lru_cache(maxsize=8)
def _known(environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Return a pattern of every form in which a secret of the environment may be met, the longest first.

    A text may be cut within a secret, so the beginning of a long one is enough.
    """
    forms = {form for name, value in environment for secret in _secrets(name, value) for form in _forms(secret)}
    listed = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
    starts = {form[:_TELLING] for form in forms if len(form) >= 2 * _TELLING}
    listed += [re.escape(start) + r"[^\s\"'<>,;)\]}]*" for start in sorted(starts)]
    return re.compile("|".join(listed)) if listed else None


def _secrets(name: str, value: str) -> Iterator[str]:
    if "://" in value and "@" in value:
        user = value.partition("://")[2].rpartition("@")[0]
        password = user.partition(":")[2] or ("" if "/" in user else user)  # a path may hold an @
        if len(password) >= _SHORTEST_PASSWORD:
            yield password
    is_public = _PUBLIC_NAMES.search(name) is not None or os.path.isabs(value)  # noqa: PTH117 - a text, no path
    if _NAMES.search(name) and not is_public:
        plain = plain_key(value).strip(_QUOTES)
        if len(plain) >= _SHORTEST:
            yield plain
            yield from (part for part in re.split(r"[\s\"'=,;]+", plain) if part != plain and len(part) >= 16)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as addresses, pages, JSON and Python's `repr` write it."""
    yield from (secret, unquote(secret), quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
    yield from (html.escape(secret), secret.replace("/", "\\/"))
    yield secret.encode("unicode_escape").decode("ascii").replace('"', '\\"')


def _kept_start(found: re.Match[str]) -> str:
    return f"{found[found.lastindex or 0]}{MASK}"


def _short_shape(found: re.Match[str]) -> str:
    start = re.match(r"[A-Za-z]{2,5}[-_]", found.group())
    return f"{start.group()}{MASK}" if start else MASK


def _masked_error(error: BaseException, *, seen: set[int]) -> BaseException:
    if id(error) in seen:
        return error
    seen.add(id(error))
    for link in ("__cause__", "__context__"):
        linked = getattr(error, link)
        if linked is not None:
            is_suppressed = error.__suppress_context__
            setattr(error, link, _masked_error(linked, seen=seen))
            error.__suppress_context__ = is_suppressed
    if isinstance(error, BaseExceptionGroup):
        parts = [_masked_error(one, seen=seen) for one in error.exceptions]
        if any(new is not old for new, old in zip(parts, error.exceptions, strict=True)) or _shows_secret(error):
            return type(error)(masked(error.message), parts).with_traceback(error.__traceback__)
        return error
    error.__dict__.update({"__notes__": masked_values(error.__notes__)} if hasattr(error, "__notes__") else {})
    if not _shows_secret(error):
        return error
    error.args = tuple(masked_values(one) for one in error.args)
    if not _shows_secret(error):
        return error
    plain = RuntimeError(f"{type(error).__name__}: {masked(str(error))}").with_traceback(error.__traceback__)
    plain.__cause__, plain.__suppress_context__ = error.__cause__, True
    return plain


def _shows_secret(error: BaseException) -> bool:
    return any(masked(text) != text for text in (str(error), repr(error)))


def _masking_factory(factory: Any) -> Any:
    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = factory(*args, **kwargs)
        try:
            text = record.getMessage()
            shown = masked(text)
        except (TypeError, ValueError):  # a record whose arguments do not fit: logging itself reports it
            return record
        if shown != text:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            hidden = masked(trace)
            if hidden != trace:  # formatters take the text that is there
                record.exc_text = hidden
                record.exc_info = None
        return record

    make.is_masking = True  # type: ignore[attr-defined]
    return make


def _masking_hook(hook: Any) -> Any:
    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        shown = masked_error(error)
        hook(type(shown), shown, trace)

    show.is_masking = True  # type: ignore[attr-defined]
    return show


def _print_thread_error(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is not SystemExit and given.exc_value is not None and sys.stderr is not None:
        trace = traceback.format_exception(given.exc_type, given.exc_value, given.exc_traceback)
        name = given.thread.name if given.thread is not None else "?"
        sys.stderr.write(masked(f"Exception in thread {name}:\n{''.join(trace)}"))
