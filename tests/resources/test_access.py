"""Keys, addresses, proxies and certificates as environments hold them."""

import asyncio
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import certifi
import httpx2
import pytest
from scripted_endpoint import ScriptedEndpoint

from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.resources.access import access_to, address_of, advice_on_path, key_in, proxy_for
from vlmine_dagster.resources.endpoint import Throttle, client_of, listed_models, unreachable

KEY = "sk-marked-0123456789abcdef"
FAR = "https://models.example.com/v1"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in (*PROXIES, *map(str.upper, PROXIES), *CERTIFICATES, "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def settings(url: str | None = FAR) -> OpenAIDescriberSettings:
    return OpenAIDescriberSettings(kind="openai", model="m", base_url=url)


@pytest.mark.parametrize(
    "value",
    [
        "{}\n",
        " {}\r\n",
        "\ufeff{}",
        "\u00a0{}\u200b",
        '"{}"',
        "'{}'\n",
        "Bearer {}",
        '"Bearer {} "',
        "OPENAI_API_KEY={}",
        "export OPENAI_API_KEY='{}'\n",
        '"OPENAI_API_KEY={}"',
        "'export OPENAI_API_KEY=\"{}\"'",
    ],
)
def test_what_was_pasted_with_a_key_is_taken_off(monkeypatch, value):
    monkeypatch.setenv("OPENAI_API_KEY", value.format(KEY))

    assert key_in("OPENAI_API_KEY") == KEY


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"\u201c{KEY}\u201d", "contains a character that headers do not allow: a typographic quotation mark"),
        (f"{KEY[:8]}\u2013{KEY[9:]}", "contains a character that headers do not allow: only ASCII"),
        (f"{KEY[:9]}\n{KEY[9:]}", "contains a line break in the middle"),
        (f"{KEY} {KEY}", "contains a space in the middle"),
        ("\u043a\u043b\u044e\u0447-1234567", "contains a character that headers do not allow: only ASCII"),
        ("${OPENAI_KEY}", "contains a placeholder that nobody has replaced"),
        ("<your key>", "contains a placeholder"),
        ("{{ secrets.OPENAI }}", "contains a placeholder"),
        (f"{KEY}\x00", "contains a character that headers do not allow: only ASCII"),
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_before_any_call_and_not_shown(monkeypatch, value, why):
    if "\x00" in value:
        monkeypatch.setattr("vlmine_dagster.resources.access.os.environ", {"OPENAI_API_KEY": value})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", value)

    with pytest.raises(ModelError, match=rf"the key in \$OPENAI_API_KEY {why}") as refused:
        access_to(settings())
    assert KEY[3:12] not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://h.example/v1/", "https://h.example/v1"),
        (" https://h.example/v1\n", "https://h.example/v1"),
        ('"https://h.example/v1"', "https://h.example/v1"),
        ("https://h.example/v1/chat/completions", "https://h.example/v1"),
        ("HTTPS://h.example/v1", "HTTPS://h.example/v1"),
    ],
)
def test_addresses_are_taken_as_people_write_them(monkeypatch, given, used):
    monkeypatch.setenv("OPENAI_BASE_URL", given)

    assert access_to(settings(None)).base_url == used


def test_the_query_of_an_address_goes_along_with_each_call(monkeypatch):
    """cline/cline#444: Azure's api-version was pasted into the middle of the path."""
    with ScriptedEndpoint(lambda _call: "x") as endpoint:
        endpoint.models = ["m"]
        monkeypatch.setenv("OPENAI_BASE_URL", f"{endpoint.url}/chat/completions?api-version=2024-08-01&key=q1w2e3r4t5")
        with client_of(settings(None)) as client:
            asked = client.models.list()._options.url, client.base_url.path, dict(client.default_query)

        assert listed_models(settings(None)) == ["m"]
    assert asked == ("/models", "/v1/", {"api-version": "2024-08-01", "key": "q1w2e3r4t5"})
    assert "q1w2e3r4t5" not in address_of(settings(None)) + repr(access_to(settings(None)))


@pytest.mark.parametrize("name", ["key", "api-key", "api_key", "subscription-key", "sig", "access_token"])
def test_a_key_in_an_address_of_the_settings_is_refused_and_not_shown(name):
    """xorbitsai/xagent#40: a key in a query gets into every log on its way."""
    with pytest.raises(ValueError, match="the address holds a key, and settings are shown"):
        settings(f"https://h.example/v1?api-version=2&{name}=q1w2e3r4t5")


@pytest.mark.parametrize(
    ("url", "key", "name"),
    [
        ("https://x.openai.azure.com/openai/deployments/gpt", "0123456789abcdef", "api-key"),
        ("https://x.openai.azure.com/openai/v1", "eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y", "authorization"),
        ("https://azure.com.example/v1", "0123456789abcdef", "authorization"),
        ("https://vllm.westeurope.cloudapp.azure.com/v1", "0123456789abcdef", "authorization"),
        ("https://x.eastus.inference.ml.azure.com/v1", "0123456789abcdef", "authorization"),
        ("https://x.services.ai.azure.com/openai/v1", "0123456789abcdef", "api-key"),
    ],
)
def test_azure_gets_its_key_by_the_header_that_it_reads(monkeypatch, url, key, name):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"headers": dict(request.headers)}))
    with client_of(settings(url)) as client:
        client._client._transport, client._client._mounts = transport, {}
        sent = client.get("/x", cast_to=httpx2.Response).json()["headers"]

    assert key in sent[name]
    assert ({"api-key", "authorization"} - {name}).isdisjoint(sent)


@pytest.mark.parametrize(
    ("url", "advised"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1."),  # sigoden/aichat#1100
        ("http://localhost:11434/api/chat", "http://localhost:11434/v1."),  # yaroslavyaroslav/OpenAI-sublime-text#148
        ("http://h.example/v1", ""),
        ("https://h.example/v1beta/openai", ""),
        ("https://x.openai.azure.com/openai/deployments/gpt", ""),
    ],
)
def test_an_address_without_v1_is_told_where_models_usually_are(url, advised):
    assert advice_on_path(url).endswith(advised)
    assert bool(advice_on_path(url)) == bool(advised)


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8000/v1",
        "h.example/v1",
        "http://",
        "https://h:99999/v1",
        "http://a b",
        "http://::1:8/v1",
        "http://a..b/v1",
    ],
)
def test_what_is_no_address_is_named_before_any_call(monkeypatch, given):
    monkeypatch.setenv("OPENAI_BASE_URL", given)

    with pytest.raises(
        ModelError, match=r"\$OPENAI_BASE_URL is .* expected an address such as http://localhost:8000/v1"
    ):
        access_to(settings(None))


def test_a_password_in_an_address_is_used_and_not_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:hunter22@h.example/v1")

    assert access_to(settings(None)).base_url == "https://user:hunter22@h.example/v1"
    assert "hunter22" not in address_of(settings(None)) + repr(access_to(settings(None)))


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("HTTPS_PROXY", "http://p.example:3128", "http://p.example:3128"),
        ("https_proxy", "p.example:3128", "http://p.example:3128"),
        ("ALL_PROXY", "socks5://p.example:1080", "socks5://p.example:1080"),
        ("all_proxy", "socks5h://p.example:1080", "socks5h://p.example:1080"),
        ("ALL_PROXY", "socks://p.example:1080/", "socks5://p.example:1080/"),
        ("HTTP_PROXY", "http://p.example:3128", None),
        ("HTTPS_PROXY", "  ", None),
    ],
)
def test_proxies_of_the_environment_are_used(monkeypatch, name, value, used):
    monkeypatch.setenv(name, value)
    found = proxy_for(FAR)

    assert (None if found is None else found.url) == used
    assert found is None or str(found).endswith(f"(${name})")


@pytest.mark.parametrize("value", ["socks4://p:1080", "ftp://p:21", "http://", "http://p:port", "socks5://a b:1"])
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(monkeypatch, value):
    monkeypatch.setenv("ALL_PROXY", value)

    with pytest.raises(ModelError, match=r"the proxy in \$ALL_PROXY cannot be used.*or unset \$ALL_PROXY"):
        access_to(settings())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0", "gpu.localhost"])  # noqa: S104
def test_no_proxy_comes_before_this_machine(monkeypatch, host):
    monkeypatch.setenv("ALL_PROXY", "http://p.example:3128")

    assert proxy_for(f"http://{host}:8000/v1") is None


@pytest.mark.parametrize(
    ("entries", "is_passed_by"),
    [
        ("*", True),
        ("models.example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("example.com", True),
        ("other.com, example.com", True),
        ("other.com example.com", True),
        ("models.example.com:443", True),
        ("https://models.example.com", True),
        ("models.example.com:8443", False),
        ("ample.com", False),
        ("::1/128,10.0.0.0/8", False),
        ("[::1]:80", False),
        ("", False),
    ],
)
def test_no_proxy_is_read_in_every_form(monkeypatch, entries, is_passed_by):
    monkeypatch.setenv("HTTPS_PROXY", "http://p.example:3128")
    monkeypatch.setenv("NO_PROXY", entries)

    assert (proxy_for(FAR) is None) == is_passed_by


def test_networks_in_no_proxy_cover_their_addresses(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://p.example:3128")
    monkeypatch.setenv("no_proxy", "10.1.0.0/16")

    assert proxy_for("http://10.1.2.3:8000/v1") is None
    assert proxy_for("http://10.2.2.3:8000/v1") is not None


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_a_certificate_file_that_is_missing_or_none_is_named_before_any_call(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path / "gone.pem"))
    with pytest.raises(ModelError, match=rf"\${variable} names .*gone.pem, which is not there. Correct it"):
        access_to(settings())

    (tmp_path / "text.pem").write_text("no certificate")
    monkeypatch.setenv(variable, str(tmp_path / "text.pem"))
    with pytest.raises(ModelError, match="text.pem, which contains no certificate in PEM form"):
        access_to(settings())

    assert access_to(settings("http://localhost:1/v1")).certificates is None


def test_a_server_that_does_not_encrypt_is_told_apart_from_one_that_is_not_there():
    found = unreachable(settings("https://localhost:1/v1"), OSError("[SSL: WRONG_VERSION_NUMBER] wrong version number"))

    assert found.endswith("The server does not encrypt: write http:// for https:// in base_url.")


def test_all_certificates_that_the_environment_names_are_trusted(monkeypatch, tmp_path):
    """A company's bundle in REQUESTS_CA_BUNDLE counted for nothing where the system's folder stood in SSL_CERT_DIR."""
    bundle = Path(certifi.where()).read_text()
    first, rest = bundle.partition("-----END CERTIFICATE-----\n")[::2]
    (tmp_path / "one.pem").write_text(f"{first}-----END CERTIFICATE-----\n")
    (tmp_path / "others.pem").write_text(rest)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    assert len(access_to(settings()).certificates.get_ca_certs()) == 1

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "gone.pem"))
    assert len(access_to(settings()).certificates.get_ca_certs()) == bundle.count("BEGIN CERTIFICATE")


def test_whose_certificates_are_trusted_is_said_where_one_is_not_believed(monkeypatch):
    """openai/openai-python#73: REQUESTS_CA_BUNDLE named something else than the company's certificates."""
    error = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")
    local = settings("http://localhost:1/v1")
    assert unreachable(local, error).endswith("Name the file of your company's certificates in $SSL_CERT_FILE.")

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/some/file.pem")
    assert unreachable(local, error).endswith("in $SSL_CERT_FILE (trusted now: $REQUESTS_CA_BUNDLE).")


def test_a_dead_proxy_is_named_without_its_password_and_loopback_answers_past_it(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for scheme in ("http", "socks5"):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:hunter22@127.0.0.1:{port}")
        with pytest.raises(ModelError, match=r"nobody answers at .* through the proxy .*\(\$ALL_PROXY\)") as dead:
            listed_models(settings("http://models.example.com/v1"))
        assert "hunter22" not in str(dead.value)

    with ScriptedEndpoint(lambda _call: "x") as endpoint:
        endpoint.models = ["m"]
        assert listed_models(settings(endpoint.url)) == ["m"]


def test_a_socks_proxy_carries_the_call(monkeypatch):
    with ScriptedEndpoint(lambda _call: "x") as endpoint, socket.create_server(("127.0.0.1", 0)) as server:
        endpoint.models = ["m"]
        asked: list[bytes] = []
        target = int(endpoint.url.rpartition(":")[2].partition("/")[0])
        threading.Thread(target=carry, args=(server, target, asked), daemon=True).start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.getsockname()[1]}")

        assert listed_models(settings("http://models.example.com/v1")) == ["m"]
    assert b"models.example.com" in asked[0]


def carry(server: socket.socket, target: int, asked: list[bytes]) -> None:
    """Be a SOCKS5 proxy for one call, whose host is ours whatever its name."""
    near, _ = server.accept()
    near.recv(64)
    near.sendall(b"\x05\x00")
    asked.append(near.recv(512))
    near.sendall(b"\x05\x00\x00\x01" + bytes(6))
    far = socket.create_connection(("127.0.0.1", target))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            sink.sendall(data)

    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    with suppress(OSError):
        pump(near, far)


def one_place(throttle: Throttle, *, answer_s: float, timeout_s: float, count: int) -> list[int]:
    """Ask a server with one place; return how many tries each call took."""

    async def work() -> list[int]:
        place = asyncio.Lock()

        async def answer() -> None:
            async with place:
                await asyncio.sleep(answer_s)

        async def call() -> int:
            for tries in range(1, 20):
                async with throttle:
                    try:
                        async with asyncio.timeout(timeout_s):
                            await answer()
                    except TimeoutError:
                        throttle.slow_down()
                        continue
                throttle.relax()
                return tries
            return 20

        return await asyncio.gather(*(call() for _ in range(count)))

    return asyncio.run(work())


def test_a_server_with_one_place_is_asked_as_many_at_once_as_it_can_answer_in_time():
    throttle = Throttle(16, 0.3)
    started = time.monotonic()
    tries = one_place(throttle, answer_s=0.05, timeout_s=0.3, count=80)

    assert max(tries) <= 4
    assert throttle.limit <= 6
    assert time.monotonic() - started < 80 * 0.05 * 2


def test_a_fast_server_that_hangs_once_is_soon_asked_as_fast_as_before():
    throttle = Throttle(16, 0.3)
    for _ in range(200):
        throttle.relax()
    throttle.slow_down()
    assert throttle.limit == 8
    for _ in range(120):
        throttle.relax()

    assert throttle.limit == 16
