"""What comes from outside stays text, what is secret stays unseen, and nothing that is loaded runs."""

import ast
import csv
import io
import json
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from conftest import Made, jpeg, members
from scripted_endpoint import Answer, ScriptedEndpoint
from tiny_models import make_llava

from vlmine_dagster.cli.main import main
from vlmine_dagster.describing.describers.transformers import TransformersSettings
from vlmine_dagster.domain.errors import ConfigError, ModelError
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.facts import table_fact
from vlmine_dagster.learning.user_model import load_checkpoint
from vlmine_dagster.resources.local_model import LocalModel
from vlmine_dagster.resources.replies import Request

ROOT = Path(__file__).parent.parent
CODE = [
    file for part in ("vlmine_dagster", "assets", "resources", "benchmarks") for file in (ROOT / part).rglob("*.py")
]

HOSTILE = (
    "'; DROP TABLE images; --",
    "<script>alert(1)<",
    "<img src=x onerror=alert(1)>",
    "[red]loud[/red][link=http:",
    "\x1b[2J\x1b]0;owned\x07",
    '=HYPERLINK("http:","x")',
    "\u202egpj\u2066",
    "| a | b |",
    "![i](http:",
    "two\nlines\r\tand a tab",
    "{{ 7 * 7 }}${7*7}%(x)s",
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def vlmine(*words: str):
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def said(call) -> Answer | str:
    """Descriptions and keywords that try to be something else."""
    evil = HOSTILE[int(call.digest[:4], 16) % len(HOSTILE)]
    return f"A photo of {evil} and number {call.digest[:6]}."


@pytest.fixture
def hostile(make_project, monkeypatch) -> Made:
    """A finished project whose file names, class names, descriptions and keywords are hostile."""
    photos = list(members({"coffee": 8, "rocket": 8, "chelsea": 6}, start=0).values())
    names = [f"{HOSTILE[k % len(HOSTILE)]}{k}" for k in range(len(photos))]
    shards = {
        "pool/a": {f"{name}.jpg": photo for name, photo in zip(names[:11], photos[:11], strict=True)},
        "test/t": {f"{name}.jpg": photo for name, photo in zip(names[11:], photos[11:], strict=True)},
    }
    lines = io.StringIO()
    rows = csv.writer(lines)
    rows.writerow(["key", "split", "class_id"])
    rows.writerows([name, "pool" if k < 11 else "test", HOSTILE[k % 3]] for k, name in enumerate(names))
    with ScriptedEndpoint(said) as endpoint:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
        describer = {"kind": "openai", "model": "<b>vlm</b>", "base_url": endpoint.url, "language": None}
        experiments = {"pareto": {"signals": ["novelty_min", "entropy"]}}
        rules = {"kind": "rules"}
        made = make_project(
            shards, labels=lines.getvalue(), describer=describer, keyworder=rules, experiments=experiments
        )
        outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    monkeypatch.chdir(made.folder)
    return made


class Tags(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.sources += [str(value) for name, value in attributes if name == "src"]


def test_hostile_names_labels_and_answers_are_text_wherever_they_go(hostile: Made):
    # DuckDB: all tables are there, and hold what was said.
    with duckdb.connect(str(hostile.folder / ".vlmine/vlmine.duckdb"), read_only=True) as views:
        assert {row[0] for row in views.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()} == {
            name for name in TABLES if hostile.bench.lake.partitions(name)
        }
        ids = {row[0] for row in views.sql("SELECT image_id FROM images").fetchall()}
        assert len(ids) == 22
        assert any("DROP TABLE" in name for name in ids)
        assert views.sql("SELECT count(*) FROM keywords").fetchall()[0][0] > 22

    # The report: no element and no handler but its own.
    page = Tags(Path(hostile.frame("mining_report", "pareto")["path"][0]).read_text(encoding="utf-8"))
    assert page.handlers == []
    assert not {"script", "iframe", "object", "form"} & set(page.tags)
    assert all(source.startswith("data:image/") for source in page.sources)

    # The terminal: neither control characters nor rich markup.
    shown = [vlmine("top", "--experiment", "pareto"), vlmine("status"), vlmine("compare"), vlmine("cache")]
    shown += [vlmine("explain", name) for name in sorted(ids)]
    assert all(one.exit_code == 0 for one in shown), [one.output for one in shown if one.exit_code]
    assert not [line for one in shown for line in one.output.splitlines() if CONTROL.search(line)]
    assert any("[red]loud[/red]" in one.output for one in shown)

    # MLflow and the list for spreadsheets: whole, and no cell is a formula.
    tracking = hostile.bench.tracking
    run = tracking.client.get_run(tracking.latest(experiment="pareto", asset="pareto_set"))
    assert all(re.fullmatch(r"[\w.-]+", name) for name in [*run.data.params, *run.data.metrics])
    path = tracking.client.download_artifacts(run.info.run_id, "mined.csv", str(hostile.folder))
    mined = list(csv.DictReader(io.StringIO(Path(path).read_bytes().decode(), newline="")))
    assert {row["image_id"] for row in mined} <= ids
    assert not [cell for row in mined for cell in row.values() if cell[:1] in ("=", "+", "@", "\t", "\r")]

    # Dagster: what is Markdown holds nothing from data.
    for table in ("descriptions", "vocab_counts", "pareto_set", "retrain_metrics"):
        for asset in hostile.instance.fetch_materializations(asset_key_of(table), limit=9).records:
            for name, fact in asset.asset_materialization.metadata.items():
                text = str(fact.value) if type(fact).__name__ == "MarkdownMetadataValue" else ""
                assert not [evil for evil in HOSTILE if evil in text], (table, name)


def asset_key_of(table: str):
    import dagster as dg

    return dg.AssetKey(table)


def test_a_table_of_the_dagster_ui_shows_text_as_text():
    fact = table_fact(
        [{"image": "a\x1b[2J", "images": 3, "why": None}, {"image": "x" * 10_000_000, "images": 1.5, "why": 1}]
    )

    assert fact.records[0].data == {"image": "a\\u001b[2J", "images": 3, "why": ""}
    assert len(fact.records[1].data["image"]) < 400


def test_an_answer_of_ten_megabytes_is_a_row_with_an_outcome(make_project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    pool = {"pool/a": members({"coffee": 3, "rocket": 1}, start=0)}

    def script(call):
        return "a, " * 3_500_000 if call.number == 0 else f"A cup of coffee, number {call.digest[:6]}."

    with ScriptedEndpoint(script) as endpoint:
        describer = {"kind": "openai", "model": "vlm", "base_url": endpoint.url, "max_attempts": 1, "concurrency": 1}
        made = make_project(
            pool,
            describer=describer,
            keyworder={"kind": "rules"},
            experiments={"rare": {"signals": ["novelty_min"]}},
        )
        assert made.run().is_whole
    rows = made.frame("descriptions")
    assert sorted(rows["outcome"]) == ["ok", "ok", "ok", "truncated"]
    assert max(len(text) for text in rows["description"].dropna()) < 10_000
    assert max(len(text) for text in rows["failure"].dropna()) < 200
    assert set(made.frame("pareto_set")["image_id"]) == set(rows["image_id"][rows["outcome"] == "ok"])


CANARY = "sk-canary-d41d8cd98f00b204"
SECRETS = {
    "OPENAI_API_KEY": CANARY,
    "AWS_SECRET_ACCESS_KEY": "aws-canary-e9800998ecf8427e",
    "MLFLOW_TRACKING_PASSWORD": "mlflow-canary-098f6bcd4621d373",
    "DAGSTER_PG_URL": "postgresql://user:pg-canary-cade4e832627b4f6@localhost/none",
}


def leaked(text: str) -> set[str]:
    return set(re.findall(r"\w+-canary-\w{8}", text))


def test_a_secret_is_nowhere_but_in_the_environment(make_project, monkeypatch, caplog):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    pool = {"pool/a": members({"coffee": 5, "rocket": 1}, start=0), "pool/b": members({"coffee": 4}, start=10)}

    def script(call):
        faults = {
            0: Answer(f"internal error, key {CANARY}", status=500),
            1: Answer(f"A cup. My key is {CANARY}."),
            2: Answer(f"bad request with {CANARY}", status=400),
            3: Answer("x", fault="reset"),
        }
        return faults.get(call.number, f"A cup of coffee, number {call.digest[:6]}.")

    with ScriptedEndpoint(script) as endpoint:
        describer = {"kind": "openai", "model": "vlm", "base_url": endpoint.url, "max_attempts": 1, "concurrency": 1}
        keyworder = {"kind": "openai", "model": "llm", "base_url": endpoint.url, "max_attempts": 1}
        made = make_project(
            pool,
            describer=describer,
            keyworder=keyworder,
            experiments={"rare": {"signals": ["novelty_min"]}},
            prices={"vlm": {"input": 1.0, "output": 1.0}, "llm": {"input": 1.0, "output": 1.0}},
        )
        monkeypatch.chdir(made.folder)
        told = [vlmine(*words) for words in (["forecast", "--sample", "2"], ["run"], ["run", "--retry-failed"])]
        endpoint.script = lambda _call: Answer(
            f"Incorrect API key provided: {CANARY}", status=401, code="invalid_api_key"
        )
        made.replace_shard("pool/b", members({"coffee": 4}, start=30))
        told += [vlmine("run"), vlmine("status"), vlmine("status", "--json"), vlmine("doctor"), vlmine("settings")]
        told += [vlmine("cache"), vlmine("top", "--experiment", "rare"), vlmine("compare", "--json")]
    assert told[3].exit_code == 1
    assert "the key is refused" in " ".join(told[3].output.split())

    assert endpoint.keys == {CANARY}
    output = "\n".join(one.output for one in told)
    assert leaked(output) == set()
    assert leaked(caplog.text) == set()
    assert leaked(repr(made.bench) + repr(made.project.settings)) == set()
    # Zipped columns hide from a search of bytes, so tables are also read.
    for table in TABLES:
        for partition in made.bench.lake.partitions(table):
            assert leaked(json.dumps(made.bench.lake.read(table, partition).to_pylist(), default=str)) == set()
    for file in (path for path in made.folder.rglob("*") if path.is_file()):
        assert leaked(file.read_bytes().decode("latin-1")) == set(), file


def test_an_address_with_a_password_is_refused_and_not_repeated(make_project):
    made = make_project({"a": {}})
    for change in (
        {"dataset": {"kind": "folder", "root": "s3://user:hunter2@bucket/pool"}},
        {"dataset": {"kind": "folder", "root": ".", "labels": {"file": "https://user:hunter2@host/labels.csv"}}},
        {"describer": {"kind": "openai", "model": "m", "base_url": "https://user:hunter2@host/v1"}},
    ):
        made.settings(**change)
        with pytest.raises(
            ConfigError, match="holds a user or password; put them into environment variables"
        ) as caught:
            _ = made.project
        assert "hunter2" not in str(caught.value)


def test_links_to_mlflow_carry_no_password(make_project, monkeypatch):
    made = make_project({"a": {}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:hunter2@mlflow.example")
    tracking = made.bench.tracking
    tracking.__dict__["experiment_id"] = "1"

    assert tracking.url("r") == "https://mlflow.example/#/experiments/1/runs/r"
    monkeypatch.setenv("VLMINE_MLFLOW_URL", "https://vlmine.example/mlflow/")
    assert tracking.url("r") == "https://vlmine.example/mlflow/#/experiments/1/runs/r"


LOADERS = {"torch.load", "pickle.load", "pickle.loads", "joblib.load", "dill.load", "np.load", "numpy.load"}


def calls(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from ((f"import {name.partition('.')[0]}", {}) for name in names)


def is_true(value: ast.expr | None, expected: bool = True) -> bool:
    return isinstance(value, ast.Constant) and value.value is expected


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_code_loads_a_pickle_but_weights_alone(file):
    for name, options in calls(file):
        assert name not in {"import pickle", "import joblib", "import dill", "import shelve", "eval", "exec"}, name
        assert name not in {"yaml.load", "yaml.unsafe_load", "os.system", "marshal.loads"}, name
        assert not is_true(options.get("allow_pickle")), name
        assert not is_true(options.get("shell")), name
        assert not is_true(options.get("trust_remote_code")), name
        if name == "torch.load":
            assert is_true(options.get("weights_only")), file
        assert name == "torch.load" or name not in LOADERS - {"np.load", "numpy.load"}, name


class Malicious:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def poisoned(folder: Path, trace: Path) -> None:
    """Put a pickle that leaves a trace in place of a checkpoint's weights."""
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Malicious(trace)}))


def test_a_malicious_task_model_is_refused_and_does_not_run(tmp_path):
    from transformers import ViTConfig, ViTImageProcessor

    folder, trace = tmp_path / "checkpoint", tmp_path / "owned"
    ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)
    poisoned(folder, trace)

    with pytest.raises(ModelError, match="is not a local image-classification checkpoint with safetensors weights"):
        load_checkpoint(str(folder))
    assert not trace.exists()
    pickle.loads((folder / "pytorch_model.bin").read_bytes())  # noqa: S301 - the proof that it would have run
    assert trace.exists()


def test_a_malicious_describer_is_refused_and_does_not_run(tmp_path):
    folder, trace = make_llava(tmp_path / "llava"), tmp_path / "owned"
    poisoned(folder, trace)
    settings = TransformersSettings(kind="transformers", model=str(folder), device="cpu")
    question = Request("coffee", "Describe", jpeg("coffee", 0))

    with pytest.raises(ModelError, match="cannot be loaded as an image-text-to-text model"):
        list(
            LocalModel(settings, prompt="Describe", folder=tmp_path, max_pixels=10**6).reply(
                [question], lambda _group: None
            )
        )
    assert not trace.exists()
