"""How an endpoint is reached: its address, key, proxy and certificates, each checked before any work.

What is wrong is said in one line that names the variable or the setting; a secret is never part of it.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.secrets import masked, plain_key, refusal_of_key
from vlmine_dagster.settings import EndpointSettings

_OPENAI = "https://api.openai.com/v1"
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_LONGEST_LABEL = 64  # characters of a part of a host's name, less one
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment names.

    Attributes:
        variable: The variable that names it.
        url: Its address, which may hold a password.
    """

    variable: str
    url: str

    def __str__(self) -> str:
        return f"{masked(self.url)} (${self.variable})"


@dataclass(frozen=True)
class Access:
    """How one endpoint is reached.

    Attributes:
        base_url: Its address, which may hold a user and a password, without its query.
        query: What follows a question mark in the address, such as Azure's `api-version`; sent with each call.
        key: The key, "none" where there is none.
        has_key: Whether there is one.
        proxy: What calls go through, None where they go straight.
        certificates: Who is trusted; None where nothing is encrypted.
    """

    base_url: str
    query: dict[str, str]
    key: str
    has_key: bool
    proxy: Proxy | None
    certificates: ssl.SSLContext | None

    def __repr__(self) -> str:
        return f"Access({masked(self.base_url)})"


def access_to(settings: EndpointSettings) -> Access:
    """Return how an endpoint is reached, from the settings and the environment.

    Raises:
        ModelError: the key, the address, a proxy or a certificate file cannot be used; the message names the variable.
    """
    url, query = _address(settings)
    key = key_in(settings.api_key_env)
    if not key and settings.base_url is None and not os.environ.get("OPENAI_BASE_URL"):
        raise ModelError(f"{settings.model}: no key. Set the environment variable {settings.api_key_env}.")
    proxy = proxy_for(url)
    return Access(url, query, key or "none", bool(key), proxy, _certificates() if url.startswith("https") else None)


def address_of(settings: EndpointSettings) -> str:
    """Return the address of the endpoint as it may be seen, without user and password; of several all."""
    if isinstance(settings.base_url, tuple):
        return ", ".join(address_of(one) for one in settings.each_endpoint)
    return masked(settings.base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI)


def key_in(variable: str) -> str:
    """Return the key that a variable holds, without the white space and the quotes around it; empty without one.

    Raises:
        ModelError: no header can hold it. The key is not shown.
    """
    key = plain_key(os.environ.get(variable, ""))
    refusal = refusal_of_key(key)
    if refusal is not None:
        raise ModelError(f"the key in ${variable} {refusal}. Copy it again, as plain text.")
    return key


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for an address, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.

    Addresses of this machine go past every proxy, whether `NO_PROXY` names them or not: no proxy reaches them.

    Raises:
        ModelError: the variable does not hold the address of an HTTP or SOCKS5 proxy.
    """
    address = urlsplit(url)
    if _is_loopback(address.hostname or "") or _is_passed_by(address):
        return None
    for variable in (f"{address.scheme}_proxy", "all_proxy"):
        for name in (variable, variable.upper()):
            value = os.environ.get(name, "").strip()
            if value:
                return _checked_proxy(Proxy(name, value))
    return None


def certificate_variables() -> tuple[str, ...]:
    """Return the variables that name who is trusted."""
    return tuple(name for name in _CERTIFICATE_VARIABLES if os.environ.get(name, "").strip())


def advice_on_path(url: str) -> str:
    """Return where a model may be instead of at an address that has no such path; empty without a guess.

    Examples:
        >>> advice_on_path("http://localhost:11434/api/chat")
        'Most servers want /v1 at the end of base_url: http://localhost:11434/v1.'
        >>> advice_on_path("https://api.example.com/v1")
        ''
    """
    path = urlsplit(url).path
    if re.search(r"/(?:v\d+\w*|openai|deployments)(?:/|$)", path):
        return ""
    base = url.partition("?")[0].rstrip("/")
    base = re.sub(r"/(?:api|chat|generate|completions|api/chat|api/generate|models)$", "", base)
    return f"Most servers want /v1 at the end of base_url: {masked(base)}/v1."


def _address(settings: EndpointSettings) -> tuple[str, dict[str, str]]:
    source = "base_url" if settings.base_url else "$OPENAI_BASE_URL"
    base_url = settings.each_endpoint[0].base_url
    url = (str(base_url or "") or os.environ.get("OPENAI_BASE_URL") or _OPENAI).strip().strip("\"'")
    url, _, query = url.partition("?")
    url = url.rstrip("/").removesuffix("/chat/completions")
    try:
        host = urlsplit(url).hostname or ""
        is_host = all(0 < len(label) < _LONGEST_LABEL for label in host.removesuffix(".").split("."))
        is_address = urlsplit(url).scheme in _PORTS and is_host and (urlsplit(url).port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address or re.search(r"\s", url):
        raise ModelError(
            f"{source} is {masked(url)!r}: expected an address such as http://localhost:8000/v1, with http:// or "
            f"https:// in front, and an IPv6 address in brackets."
        )
    return url, dict(parse_qsl(query))


def _checked_proxy(proxy: Proxy) -> Proxy:
    url = proxy.url if "://" in proxy.url else f"http://{proxy.url}"
    scheme, _, rest = url.partition("://")
    scheme = "socks5" if scheme.lower() == "socks" else scheme.lower()  # as desktop settings write it
    try:
        is_whole = bool(urlsplit(f"{scheme}://{rest}").hostname) and (urlsplit(f"{scheme}://{rest}").port or 1) > 0
    except ValueError:
        is_whole = False
    if scheme not in _PROXY_SCHEMES or not is_whole or re.search(r"\s", rest):
        raise ModelError(
            f"the proxy in ${proxy.variable} cannot be used: {masked(proxy.url)!r}. Expected http://HOST:PORT or "
            f"socks5://HOST:PORT; name hosts that need no proxy in $NO_PROXY, or unset ${proxy.variable}."
        )
    return Proxy(proxy.variable, f"{scheme}://{rest}")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_passed_by(address: SplitResult) -> bool:
    """Return whether NO_PROXY names an address: `*`, a host, a domain, a network, each with a port or without."""
    host = (address.hostname or "").lower().rstrip(".")
    port = address.port or _PORTS.get(address.scheme)
    return any(_covers(entry, host, port) for entry in _passed_by())


def _passed_by() -> Iterator[str]:
    value = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    yield from (entry.lower() for entry in re.split(r"[,;\s]+", value) if entry)


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    entry = entry.partition("://")[2] or entry
    try:
        if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False):
            return True
    except ValueError:
        pass
    name, _, given = entry.rpartition(":") if re.search(r"[^:]:\d+$", entry) else (entry, "", "")
    if given and int(given) != port:
        return False
    name = name.strip("[]").removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _certificates() -> ssl.SSLContext:
    """Return who is trusted: all that the environment names, else the system's certificates.

    Raises:
        ModelError: the first variable names a file that is not there, or that holds no certificate.
    """
    import httpx2

    variables = certificate_variables()
    if not variables:
        return httpx2.create_ssl_context()
    first, *others = (Path(os.environ[name].strip()).expanduser() for name in variables)
    try:
        found = ssl.create_default_context(**_location(first))
    except OSError as error:  # ssl.SSLError among them
        reason = "is not there" if not first.exists() else f"contains no certificate in PEM form ({error.strerror})"
        raise ModelError(f"${variables[0]} names {first}, which {reason}. Correct it, or unset it.") from None
    for other in others:  # a company's file is in one variable, the system's folder in another
        with suppress(OSError):
            found.load_verify_locations(**_location(other))
    return found


def _location(place: Path) -> dict[str, Any]:
    return {"capath" if place.is_dir() else "cafile": str(place)}
