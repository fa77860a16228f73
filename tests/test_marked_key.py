"""A marked key goes through every failure that a user may meet; it is then in no output, no table and no file."""

import hashlib
import html
import json
import re
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from conftest import members
from scripted_endpoint import Answer, ScriptedEndpoint

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.tables import TABLES

KEY = "sk-marked/Key+7=%E9&x<0>-0123456789abcdef"
MARK = re.compile(r"marked.{0,6}Key", re.DOTALL)
"""Whatever of the key is left, raw or encoded."""


def completion(message, **choice):
    return Answer(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop", **choice}]}))


ECHOES = {
    "an error": Answer(f"cannot read the picture of {KEY}.", status=400),
    "an error without a mark": Answer(KEY, status=422),
    "a header": Answer(f"Illegal header value b'Bearer {KEY}\\n'", status=500),
    "a header in JSON": Answer(json.dumps({"Authorization": f"Bearer {KEY}"}), status=500),
    "an address": Answer(f"GET https://host/v1?key={quote(KEY, safe='')} failed", status=502),
    "an address with a user": Answer(f"proxy http://bob:{quote(KEY)}@proxy:3128 refused", status=503),
    "a page": Answer(raw=f"<html><title>401 {html.escape(KEY)}</title></html>", status=500),
    "a page that is fine": Answer(raw=f"<html><body>{html.escape(KEY)}</body></html>"),
    "a representation": Answer(repr({"api_key": KEY}), status=500),
    "twice JSON": Answer(json.dumps(json.dumps(KEY)), status=500),
    "slashes escaped": Answer(raw=json.dumps({"error": {"message": KEY}}).replace("/", "\\/"), status=500),
    "escapes of Unicode": Answer(
        raw='{"error": {"message": "' + "".join(f"\\u{ord(c):04x}" for c in KEY) + '"}}', status=400
    ),
    "a code": Answer("no", status=400, code=KEY),
    "an error in a list": Answer(raw=json.dumps([{"error": {"message": KEY}}]), status=400),
    "an error of status 200": Answer(raw=json.dumps({"error": {"message": KEY, "code": 500}})),
    "plain text": Answer(raw=f"upstream said {KEY}"),
    "half a JSON": Answer(raw=f'{{"choices": [{{"message": "{KEY}'),
    "a pause": Answer("wait", status=500, headers={"retry-after": KEY}),
    "a description": Answer(f"A cup of coffee with a note: {KEY}"),
    "a description, encoded": Answer(f"A cup of coffee with a note: {quote(KEY, safe='')}"),
    "a thought": Answer(f"<think>The key is {KEY}</think>"),
    "a thought apart": completion({"content": "", "reasoning_content": KEY}),
    "a refusal": Answer(None, refusal=f"I must not say {KEY}"),
    "a filter": Answer(KEY, finish="content_filter"),
    "a reason to finish": Answer("A cup of coffee on a table.", finish=KEY),
    "a cut answer": Answer(f"A cup {KEY}", finish="length"),
    "a runaway": Answer(f"{KEY} " * 3000),
    "parts": completion({"content": [{"type": "text", "text": KEY}]}),
    "a number for a text": completion({"content": [5, KEY]}),
    "no choice": Answer(raw=json.dumps({"choices": [], "id": KEY})),
    "a connection that breaks": Answer(KEY, fault="cut"),
}

COMMANDS = [
    ["run", "--shard", KEY],
    ["run", "--experiment", KEY],
    ["run", f"--{KEY}"],
    [KEY],
    ["--project", f"none/{KEY}/vlmine.yaml", "status"],
    ["top", "--experiment", KEY],
    ["explain", KEY],
    ["explain", KEY, "--json"],
    ["export", "--experiment", KEY, "--to", "list.csv"],
    ["export", "--experiment", "rare", "--to", f"none/{KEY}/list.csv"],
    ["export", "--experiment", "rare", "--to", f"list.{KEY}"],
    ["labels", "import", KEY],
    ["labels", "import", f"s3://user:{KEY}@bucket/labels.csv"],
    ["study", KEY],
    ["protocol", KEY, "--root", "."],
    ["cache", "prune", "--yes", "--variant", KEY],
    ["init", KEY],
    ["init", f"s3://user:{KEY}@bucket/pool"],
    ["init", f"http://user:{quote(KEY, safe='')}@127.0.0.1:9/pool"],
]

ENDPOINT = {"kind": "openai", "model": "vlm"}
SETTINGS = [
    {KEY: 1},
    {"budget": KEY},
    {"max_cost_usd": KEY},
    {"experiments": {"a": {"signals": [KEY]}}},
    {"prices": {"vlm": {"input": KEY}}},
    {"dataset": {"kind": "folder", "root": f"s3://user:{KEY}@bucket/pool"}},
    {"dataset": {"kind": KEY, "root": "."}},
    {"describer": {"kind": KEY}},
    {"describer": {**ENDPOINT, "api_key": KEY}},
    {"describer": {**ENDPOINT, "prompt": f"{KEY}.md"}},
    {"describer": {**ENDPOINT, "base_url": f"https://user:{KEY}@host/v1"}},
    {"describer": {**ENDPOINT, "base_url": f"host/v1?key={KEY}"}},
]

VARIABLES = [
    ("OPENAI_API_KEY", f"{KEY} {KEY}"),
    ("OPENAI_API_KEY", f"\u201c{KEY}\u201d"),
    ("OPENAI_API_KEY", f"{KEY}\u00e9"),
    ("HTTP_PROXY", f"http://user:{quote(KEY, safe='')}@127.0.0.1:9"),
    ("VLMINE_HOME", f"s3://user:{KEY}@bucket/home"),
    ("VLMINE_HOME", f"none://user:{KEY}@bucket/home"),
]


def said(*words):
    """Return what a command prints, and fail if it ends in a traceback."""
    found = CliRunner().invoke(main, list(words))
    assert found.exception is None or isinstance(found.exception, SystemExit), (words[0], type(found.exception))
    return found.output


def left(texts):
    """Return what is left of the key in some texts, with what is around it."""
    return [text[max(0, found.start() - 60) : found.end() + 60] for text in texts for found in MARK.finditer(text)]


@pytest.fixture
def made(make_project, monkeypatch):
    """A project whose shard `a` met every echo, and whose shard `b` failed with nothing else."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    pool = {"a": members({"coffee": 24, "chelsea": 24}, start=0), "b": members({"rocket": 3}, start=90)}
    answers = iter(ECHOES.values())
    order = {}

    def script(call):
        if call.digest in rockets:
            return ECHOES["an error"]
        if call.image is not None and call.digest not in order and call.number % 3:
            order[call.digest] = next(answers, None)
        return order.get(call.digest) or f"A cup of coffee, seen from {call.digest[:6]} sides."

    rockets = {hashlib.sha256(data).hexdigest() for data in pool["b"].values()}
    with ScriptedEndpoint(script) as endpoint:
        describer = {**ENDPOINT, "base_url": endpoint.url, "max_attempts": 1, "concurrency": 1, "timeout_s": 20}
        made = make_project(
            pool,
            describer=describer,
            keyworder={"kind": "rules"},
            experiments={"rare": {"signals": ["novelty_min"]}},
            dataset={"kind": "webdataset", "root": "data", "max_failure_share": 0.9},
        )
        monkeypatch.chdir(made.folder)
        monkeypatch.setenv("COLUMNS", "500")
        made.said = [said("run"), said("run", "--partial"), said("status", "--failures"), said("forecast")]
        assert endpoint.keys == {KEY}
        assert next(answers, None) is None, made.said
        for status in (401, 403, 404):
            endpoint.script = lambda _call, status=status: Answer(f"Incorrect API key provided: {KEY}", status=status)
            made.said.append(said("doctor"))
        made.said.append(said("run", "--retry-failed"))
        yield made


def test_a_key_is_nowhere_whatever_failed(made, monkeypatch, caplog):
    told = [*made.said, *(said(*words) for words in COMMANDS)]
    told += [said(*words) for words in (["status"], ["status", "--json"], ["top"], ["cache", "--json"], ["settings"])]
    usual = made.file.read_text()
    for change in SETTINGS:
        made.file.write_text(yaml.safe_dump({**yaml.safe_load(usual), **change}))
        told += [said("status"), said("doctor")]
    made.file.write_text(usual)
    for name, value in VARIABLES:
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            told += [said("doctor"), said("status")]

    assert len(ECHOES) + len(COMMANDS) + len(SETTINGS) + len(VARIABLES) >= 60
    assert left(told) == []
    assert left([caplog.text]) == []
    assert any("***" in text for text in told)
    outcomes = set(made.frame("descriptions", "a").outcome)
    assert {"refused", "timed_out", "truncated", "unparseable"} <= outcomes
    lake = made.bench.lake
    tables = {(table, name): lake.read(table, name).to_pylist() for table in TABLES for name in lake.partitions(table)}
    assert left(json.dumps(rows, default=str) for rows in tables.values()) == []
    files = [path for path in made.folder.rglob("*") if path.is_file()]
    assert [file for file in files if MARK.search(file.read_bytes().decode("latin-1"))] == []
    assert [file for file in files if MARK.search(str(file))] == []
