"""A marked secret goes through everything that shows text, in every form in which it may be met."""

import io
import json
import logging
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest

from vlmine_dagster.domain import errors, secrets
from vlmine_dagster.domain.secrets import MASK, MaskingStream, masked, masked_error, masked_errors, masked_values

KEY = "marked/Key+42=abcdefgh"
PASSWORD = "p@ss/w0rd marked"  # noqa: S105
ENVIRONMENT = {
    "OPENAI_API_KEY": f"{KEY}\n",
    "HTTPS_PROXY": f"http://bob:{PASSWORD}@proxy.example:3128",
    "MLFLOW_TRACKING_URI": "https://bob:marked-mlflow@mlflow.example",
    "VLMINE_HOME": "s3://marked-user-0:marked-home@bucket/home",
    "AWS_SECRET_ACCESS_KEY": "marked-aws-0123456789",
    "MY_DB_DSN": "host=db password=marked-dsn-9876543210",
}
FORMS = [
    KEY,
    f"{KEY}\n",
    quote(KEY, safe=""),
    quote(KEY),
    repr(KEY),
    repr(f"{KEY}\n"),
    json.dumps({"authorization": f"Bearer {KEY}"}),
    f"Bearer {KEY}",
    f"'Bearer {KEY}'",
    f"b'Bearer {KEY}\\n'",
    f"Illegal header value b'Bearer {KEY}\\n'",
    f"curl -H 'Authorization: Bearer {KEY}' https://host/v1",
    f"https://host/v1/models?key={KEY}&x=1",
    f"https://host/v1?api_key={quote(KEY, safe='')}",
    f"{{'api_key': '{KEY}'}}",
    f"OPENAI_API_KEY={KEY}",
    f"export OPENAI_API_KEY='{KEY}'",
    f"Incorrect API key provided: {KEY}.",
    f"x{KEY}x",
    f"<error>{KEY}</error>",
    f"| {KEY} |",
    f"\x1b[31m{KEY}\x1b[0m",
    PASSWORD,
    quote(PASSWORD),
    quote(PASSWORD, safe=""),
    ENVIRONMENT["HTTPS_PROXY"],
    f"Cannot connect to proxy http://bob:{quote(PASSWORD, safe='')}@proxy.example:3128",
    ENVIRONMENT["MLFLOW_TRACKING_URI"],
    "HTTPSConnectionPool(host='bob:marked-mlflow@mlflow.example', port=443)",
    ENVIRONMENT["VLMINE_HOME"],
    "s3://marked-user-0:marked-home@bucket/home/lake/images/shard.parquet",
    "marked-home",
    "The AWS secret is marked-aws-0123456789",
    "SignatureDoesNotMatch: marked-aws-0123456789",
    "marked-dsn-9876543210",
    'connection failed: "host=db password=marked-dsn-9876543210"',
]
SHAPES = [
    "sk-marked1234567890",
    "sk-proj-marked_1234567890-abc",
    "sk-ant-api03-marked1234",
    "AIzaSymarked-1234567890abcdefghij",
    "ghp_marked1234567890abcdef",
    "github_pat_marked1234567890abcdef",
    "hf_marked1234567890abcdef",
    "gsk_marked1234567890abcdef",
    "xoxb-marked-1234567890",
    "AKIAMARKED1234567890",
    "eyJmarkedabcdef.eyJtYXJrZWQ.c2lnbmF0dXJl",
    "nvapi-marked1234567890abcdef",
    "glpat-marked1234567890abcdef",
    "-----BEGIN RSA PRIVATE KEY-----\nmarked\n-----END RSA PRIVATE KEY-----",
    "Authorization: Basic bWFya2VkOm1hcmtlZA==",
    "Authorization: Bearer marked.token-1234",
    "x-api-key: marked1234567890",
    '"client_secret": "marked-secret"',
    "password=marked-hunter2",
    "postgresql://user:marked-pg@host/db",
    "https://host/blob?sig=marked%2Bsignature%3D&se=2026",
    "https://bucket/x?X-Amz-Signature=markedabcdef123456",
    "access_token: marked-abcdef",
    # As public reports have them, of MLflow, Airflow, Azure, Dask, Frappe, W&B, curl and others.
    "connect to csghub:marked-0@csghub-postgresql:5432/dataflow",
    "INFO: Chat API Call - API Key: marked1234",
    "wandb: API key marked-abcdef0123456789 is wrong",
    "authentication token api_key:marked-secret",
    "AccountName=x;AccountKey=marked1234abc==;EndpointSuffix=core.windows.net",
    '{"private_key_id": "marked1234", "private_key": "x"}',
    "Set-Cookie: session=marked1234; Path=/",
    "{'Cookie': 'sessionid=marked1234'}",
    "[(b'X-Api-Key', b'marked1234')]",
    "{'Ocp-Apim-Subscription-Key': 'marked1234'}",
    "https://hooks.slack.com/services/T000/B000/marked1234abcdefghij",
    "https://discord.com/api/webhooks/1234/marked-abc_def",
    "curl -s -u user:marked1234 https://host",
    "(('account', 'prod'), ('password', 'marked1234'))",
    "<password>marked1234</password>",
    '{"auths": {"r.io": {"auth": "marked1234=="}}}',
    "passphrase=marked1234",
    "docker run -e AZURE_OPENAI_KEY=marked1234abcd image",
    "{'MISTRAL_KEY': 'marked1234abcd'}",
    "DB_PW=marked-hunter2",
    "KEY='marked1234'",
    "key=Marked0000000000AbCdEf",
    "vlmine --api-key marked1234",
    "1 validation error\nopenai.api_key\n  Input should be valid [type=int, input_value='marked', input_type=str]",
]
PLAIN = [
    "A photo of a dog on a beach, number 42.",
    "descriptions[shard-000]: 3 of 16 images failed",
    "prompt_tokens: 500, output_tokens: 20",
    "keyworder: {kind: rules}",
    "A basic training of dogs; a token of love",
    "https://github.com/ray-project/ray/issues/56125",
    "scikit-learn sk-learn",
    "/home/user/.vlmine/lake/keywords/shard-000.parquet",
    "max_output_tokens 96",
    "('keyword', 'fox squirrel'), ('key', 'a/b.jpg')",
    "a cookie on a plate, a key beside it, cookies: 12",
    "ssh bob@example.com:22 and 10:30@night",
    "an API key is missing, the api keys of two models",
    "author: somebody, authors=3, signal=novelty_min",
    "s3://bucket/pool/a@b.jpg",
    "key=train/00000123456789012.jpg, key: n01440764_10026",
    "--token means what it says; no such option: --password\nTry 2 others",
    "2 validation errors\nbudget\n  Input should be less than 1 [type=less_than, input_value=3.0, input_type=float]",
]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def leaks(text: str) -> bool:
    pieces = (KEY, quote(KEY, safe=""), PASSWORD, quote(PASSWORD), "w0rd", "Key+42", "Key%2B42")
    return any(piece in text for piece in pieces) or "marked" in text.replace("marked-user-0", "").lower()


@pytest.mark.parametrize("text", [*FORMS, *SHAPES])
def test_a_secret_is_masked_in_every_form_and_stays_masked(text):
    shown = masked(f"before {text} after")

    assert not leaks(shown), shown
    assert MASK in shown
    assert shown.startswith("before ")
    assert masked(shown) == shown


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_short_values_and_places_are_no_secrets(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "none")
    monkeypatch.setenv("SECRET_MODE", "true")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/user/agent")
    monkeypatch.setenv("KEY_FILE", "/etc/keys/long-name.pem")

    assert masked("none is true at /run/user/agent and /etc/keys/long-name.pem") == (
        "none is true at /run/user/agent and /etc/keys/long-name.pem"
    )


@pytest.mark.parametrize(
    "kind", [one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__]
)
def test_no_error_of_ours_holds_a_secret(kind):
    assert not leaks(str(kind(f"failed with {KEY}")) + repr(kind(f"failed with {KEY}")))


def raise_chain() -> None:
    try:
        raise ValueError(f"inner {KEY}", {"key": KEY})
    except ValueError as inner:
        inner.add_note(f"note {KEY}")
        raise OSError(13, f"outer {KEY}", f"place/{KEY}") from inner


def test_errors_of_other_libraries_come_out_masked_with_their_causes_notes_and_groups():
    with pytest.raises(Exception) as caught, masked_errors():  # noqa: PT011 - of whatever class
        raise_chain()
    error, texts = caught.value, []
    while error is not None:
        texts += [str(error), repr(error), *getattr(error, "__notes__", [])]
        error = error.__cause__
    assert len(texts) >= 4
    assert not any(map(leaks, texts)), texts

    group = masked_error(ExceptionGroup(f"two {KEY}", [ValueError(KEY), KeyError(KEY)]))
    assert not leaks(str(group) + repr(group))
    plain = ValueError("nothing secret")
    assert masked_error(plain) is plain


def test_values_are_masked_within_mappings_and_lists():
    assert masked_values({"a": [KEY, ("x", KEY)], "n": 3}) == {"a": [MASK, ("x", MASK)], "n": 3}


def test_log_records_and_their_tracebacks_are_masked():
    factory = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("tests.secrets")
    logger.addHandler(handler)
    try:
        secrets.install()
        logger.warning("key %s", KEY)
        logger.warning(f"key {KEY}")
        try:
            raise_chain()
        except OSError:
            logger.exception("failed with %r", KEY)
        logger.warning("too few %s %s", "arguments")  # noqa: PLE1206
    except TypeError:
        pass
    finally:
        logger.removeHandler(handler)
        logging.setLogRecordFactory(factory)
    assert stream.getvalue().count(MASK) >= 5
    assert not leaks(stream.getvalue())


def test_streams_threads_and_crashes_of_a_program_are_masked():
    code = f"""
import threading, sys, logging, warnings
from vlmine_dagster.domain import secrets
secrets.install(has_streams=True)
print("out", {KEY!r})
print("err", {KEY!r}, file=sys.stderr)
warnings.warn("warned " + {KEY!r})
logging.getLogger().error("logged %s", {KEY!r})
thread = threading.Thread(target=lambda: 1 / 0 if not {KEY!r} else int({KEY!r}))
thread.start(); thread.join()
raise RuntimeError("crashed " + {KEY!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr

    assert done.returncode == 1
    for word in ("out", "err", "warned", "logged", "invalid literal", "crashed"):
        assert word in said
    assert not leaks(said.replace(repr(KEY), "")), said


def test_a_masking_stream_is_the_stream_in_all_else():
    inner = io.StringIO()
    stream = MaskingStream(inner)

    assert stream.write(f"{KEY}\n") == len(KEY) + 1
    stream.writelines([KEY, "\n"])
    assert inner.getvalue() == f"{MASK}\n{MASK}\n"
    assert not stream.isatty()
    assert threading.excepthook is not None
