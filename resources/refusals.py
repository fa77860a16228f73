"""What a server's error means for the work: wait, ask more slowly, give up, or go on without this image."""

import email.utils
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.responses import error_code, page_title, words_in

_LONGEST_RETRY_AFTER_S = 300.0
_NO_PICTURES = "this model or server takes no pictures"
_A_PAGE = "a web page answered instead of a model"
_NOT_THERE = "there is no such model or path"
_PASSING = (408, 409, 424, 425, 498)  # 424: a model that is being loaded; 498: no capacity (Groq)
_BAD_KEY = re.compile(
    r"api[ _-]?key\s+(?:is\s+)?(?:not valid|invalid|missing|expired|not found|incorrect)|api_key_invalid"
    r"|(?:invalid|incorrect|missing|wrong|expired|no)\s+(?:api[ _-]?key|(?:access |auth\w* )?token|credentials?)"
    r"|invalid_api_key|unauthenticated|unauthori[sz]ed|authentication (?:failed|required|error)",
    re.IGNORECASE,
)
_NO_MONEY = re.compile(
    r"insufficient[ _](?:quota|balance|credits?|funds)|payment required|out of credits?|credit balance is too low"
    r"|(?:account|balance)[\w ]{0,20} (?:overdue|in arrears|exhausted)|billing (?:hard )?limit"
    r"|budget(?: has been|_)? ?exceeded|exceeded ?(?:your |the )?budget|\bover budget\b|arrearage"
    r"|account is in good standing|\u4f59\u989d\u4e0d\u8db3|\u6b20\u8d39",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model_not_found|(?:no such|unknown|invalid) model|model [^.]{0,120}\b(?:not found|does not exist|not exist"
    r"|is not available|not supported|no longer available|decommissioned|deprecated)",
    re.IGNORECASE,
)
_ENCRYPTED = re.compile(r"plain http request[^.]{0,30}https|http request to an https server", re.IGNORECASE)
_REGION = re.compile(
    r"(?:location|country|region|territory)[^.]{0,40}\b(?:not|un)[ _-]?(?:supported|available|allowed)"
    r"|unsupported_country",
    re.IGNORECASE,
)
_BLIND_SERVER = re.compile(r"image input is not supported|does not support images?\b", re.IGNORECASE)
_DAY_IS_OVER = re.compile(
    r"per[ _-]?(?:day|month)|\b(?:daily|monthly)\b|\((?:rpd|tpd)\)|\bday(?:'s)? (?:limit|quota)",
    re.IGNORECASE,
)
_MINUTE = re.compile(r"per[ _-]?(?:minute|second)|\((?:rpm|tpm)\)", re.IGNORECASE)
_FLAGGED = re.compile(r"flagged|moderation|content (?:policy|filter|management)|safety|inappropriate", re.IGNORECASE)
_BLIND = re.compile(
    r"(?:not|n't|no|without|only)\b[^.]{0,60}\b(?:multimodal|vision|image[ _]?(?:input|url|content)?s?)\b"
    r"|at most 0 image|unknown variant `?image_url|image_url is only supported",
    re.IGNORECASE,
)
_BAD_PICTURE = re.compile(
    r"(?:invalid|corrupt|broken|unreadable|failed to (?:load|decode|open)|cannot (?:identify|decode|open)"
    r"|too (?:small|large|big)|truncated)[^.]{0,40}image"
    r"|image[^.]{0,60}(?:invalid|corrupt|broken|too (?:small|large|big)|could not be)"
    r"|(?:could not|couldn't|cannot|can't|unable to|failed to)\s+"
    r"(?:process|read|parse|download|fetch|get|handle)\b[^.]{0,40}image"
    r"|not\b[^.]{0,40}\b(?:valid|supported) image|image[^.]{0,20}does not match[^.]{0,20}media type"
    r"|(?:image|multimodal)[ _]tokens"
    r"|images?[^.]{0,20}\b(?:under|below|up to|smaller than|larger than|at most|at least) \d",
    re.IGNORECASE,
)


class Course(Enum):
    """What to do after an error."""

    WAIT = "wait"
    SLOW_DOWN = "slow down"
    END = "end"
    LEAVE_OUT = "leave out"


@dataclass(frozen=True)
class Refusal:
    """An error of a server, and what to do.

    Attributes:
        course: Wait and try again; try again more slowly; end the work, as no retry helps; leave this one image.
        status: HTTP status.
        words: What the server said, in one line, free of keys.
        meaning: Why the work ends, for people; empty otherwise.
        pause_s: The pause that the server asks for, None where it asks for none.
    """

    course: Course
    status: int
    words: str
    meaning: str = ""
    pause_s: float | None = None

    def __str__(self) -> str:
        return self.words if self.words.startswith(str(self.status)) else f"{self.status}: {self.words}"

    @property
    def is_about_path(self) -> bool:
        """Whether the address may lack a part, such as /v1."""
        return self.meaning in (_NOT_THERE, _A_PAGE) and self.status in (404, 405)


def refusal_in(status: int, headers: Mapping[str, Any], content: bytes) -> Refusal:
    """Read a response that is an error.

    Examples:
        >>> refusal_in(400, {}, b'[{"error": {"message": "API key not valid."}}]').meaning
        'the key is refused'
        >>> refusal_in(503, {"retry-after": "2"}, b"Loading model").course
        <Course.WAIT: 'wait'>
    """
    words = shown_line(words_in(content) or "no reason given")
    pause_s = retry_after(headers)
    page = page_title(content)
    meaning = _meaning(status, f"{error_code(content)} {words}", quotas=_quotas(content), is_page=page is not None)
    words = words if page is None else shown_line(page)
    if meaning:
        return Refusal(Course.END, status, words, meaning)
    if status == 429:
        return Refusal(Course.SLOW_DOWN, status, words, pause_s=pause_s)
    if status >= 500 or status in _PASSING:
        return Refusal(Course.WAIT, status, words, pause_s=pause_s)
    return Refusal(Course.LEAVE_OUT, status, words)


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Return the pause that an endpoint asks for, in seconds."""
    with suppress(KeyError, ValueError):
        return min(float(str(headers["retry-after-ms"])) / 1000, _LONGEST_RETRY_AFTER_S)
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        pause = float(given)
    except ValueError:
        when = email.utils.parsedate_tz(given)
        pause = email.utils.mktime_tz(when) - time.time() if when is not None else 0.0
    return min(max(pause, 0.0), _LONGEST_RETRY_AFTER_S) or None


def _is_day_over(words: str, quotas: str) -> bool:
    """Whether a quota of a day or a month is used up; an error about a minute may tell of the month's too."""
    return _DAY_IS_OVER.search(quotas) is not None or (
        _DAY_IS_OVER.search(words) is not None and _MINUTE.search(words) is None
    )


def _quotas(content: bytes) -> str:
    """Return the names of the quotas that Google's details list as used up."""
    return " ".join(
        re.findall(r'"quota(?:Id|Metric)"\s*:\s*"([^"]{1,200})"', content[:20_000].decode("utf-8", "replace"))
    )


def _meaning(status: int, words: str, *, quotas: str, is_page: bool) -> str:
    """Return why no retry helps; empty where one may, or where it is about one image."""
    if status >= 500 or status in _PASSING:
        return _NO_PICTURES if _BLIND_SERVER.search(words) else ""
    takes_no_pictures = _BLIND.search(words) is not None and _BAD_PICTURE.search(words) is None
    is_denied = status in (400, 403)
    meanings = (
        (status == 402 or _NO_MONEY.search(words) is not None, "the account has no money left"),
        (status == 407, "the proxy requires a user and a password"),
        (status == 401 or (is_denied and _BAD_KEY.search(words) is not None), "the key is refused"),
        (status == 429 and _is_day_over(words, quotas), "the quota of the day is used up"),
        (status == 400 and _ENCRYPTED.search(words) is not None, "base_url lacks an s: the server requires https://"),
        (is_page and status in (403, 404, 405), _A_PAGE),
        (status == 429 or _FLAGGED.search(words) is not None, ""),
        (takes_no_pictures, _NO_PICTURES),
        (is_denied and _REGION.search(words) is not None, "the service is not offered in this country or region"),
        (status == 403, "the key may not use this model"),
        (status in (404, 405) or (status == 400 and _NO_MODEL.search(words) is not None), _NOT_THERE),
    )
    return next((meaning for applies, meaning in meanings if applies), "")
