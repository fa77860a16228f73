"""Bodies as servers send them, and what is read out of each."""

import json

import httpx2
import openai
import pytest

from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.prices import Price
from vlmine_dagster.resources.questions import ChatQuestion, Dialect, estimated_tokens
from vlmine_dagster.resources.refusals import Course, refusal_in
from vlmine_dagster.resources.replies import Request
from vlmine_dagster.resources.responses import completion_in, error_status, no_completion, words_in
from vlmine_dagster.resources.retries import refusal_of


def body(message, **more) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": message, **more.pop("choice", {})}
    return json.dumps({"choices": [choice], **more}).encode()


def read(content: bytes):
    settings = OpenAIDescriberSettings(kind="openai", model="m", max_output_tokens=50)
    question = ChatQuestion(settings, "Describe.", False, Price(1000.0, 4000.0, "test"), 10**8)
    return question.read(content, Request("c", "Describe."), latency_s=0.1)


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ("A dog.", "A dog.", ""),
        ([{"type": "text", "text": "A dog"}, {"type": "text", "text": "."}], "A dog.", ""),
        ([{"type": "thinking", "thinking": [{"text": "Hm."}]}, {"type": "text", "text": "A dog."}], "A dog.", "Hm."),
        ([{"type": "reasoning", "summary": [{"text": "Hm."}]}, {"type": "text", "text": "A dog."}], "A dog.", "Hm."),
        (["A dog", "."], "A dog.", ""),
        ({"type": "text", "text": "A dog."}, "A dog.", ""),
        ([{"text": {"value": "A dog."}}], "A dog.", ""),
        ([], "", ""),
    ],
)
def test_an_answer_in_parts_is_joined_and_its_thought_set_apart(content, text, thought):
    found = completion_in(body({"content": content}))

    assert (found.text, found.thought) == (text, thought)


def test_a_stream_that_nobody_asked_for_is_put_together():
    parts = [{"choices": [{"delta": {"content": piece}}]} for piece in ("A ", "dog", ".")]
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    lines = "\n\n".join(f"data: {json.dumps(part)}" for part in [*parts, last])
    found = completion_in(f"{lines}\n\ndata: [DONE]\n\n".encode())

    assert (found.text, found.finish, found.prompt_tokens, found.output_tokens) == ("A dog.", "stop", 7, 3)


@pytest.mark.parametrize(
    ("finish", "outcome"),
    [
        ("stop", "ok"),
        ("eos_token", "ok"),
        ("end_turn", "ok"),
        ("STOP", "ok"),
        ("FinishReason.STOP", "ok"),
        ("length", "truncated"),
        ("MAX_TOKENS", "truncated"),
        ("content_filter", "refused"),
        ("SAFETY", "refused"),
        ("refusal", "refused"),
        ("error", "unparseable"),
        ("abort", "unparseable"),
        ("tool_calls", "unparseable"),
        ("insufficient_system_resource", "unparseable"),
        ("null", "unparseable"),
        ("", "unparseable"),
        (None, "unparseable"),
        (7, "unparseable"),
    ],
)
def test_only_known_good_reasons_to_finish_make_an_answer(finish, outcome):
    reply = read(body({"content": "A dog."}, choice={"finish_reason": finish}))

    assert reply.outcome == outcome
    assert (reply.failure is None) == (outcome == "ok")


@pytest.mark.parametrize(
    ("message", "finish", "outcome", "why"),
    [
        ({"content": "", "reasoning_content": "I look at it. " * 30}, "length", "truncated", "went into thought"),
        ({"content": None, "reasoning": "I look at it."}, "length", "truncated", "none into an answer"),
        ({"content": ""}, "length", "truncated", "all tokens of max_output_tokens 50 were used up before any text"),
        ({"content": "", "reasoning_content": "Hm."}, "stop", "empty", "thought and gave no answer"),
        ({"content": ""}, "error", "unparseable", "finish_reason 'error' and without a text"),
        ({}, "stop", "empty", "the answer is empty"),
    ],
)
def test_silence_says_where_the_tokens_went(message, finish, outcome, why):
    reply = read(body(message, choice={"finish_reason": finish}))

    assert (reply.outcome, why in reply.failure) == (outcome, True)


def test_no_choices_at_all_are_an_empty_answer_and_no_reason_to_ask_again():
    assert read(b'{"choices": []}').outcome is Outcome.EMPTY


@pytest.mark.parametrize(
    ("usage", "tokens", "is_estimated"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 4}, (30, 4), False),
        ({"input_tokens": 30, "output_tokens": 4}, (30, 4), False),
        ({"prompt_tokens": "30", "completion_tokens": "4"}, (30, 4), False),
        ({"prompt_tokens": 30, "total_tokens": 34}, (30, 4), False),
        ({"completion_tokens": 4, "total_tokens": 34}, (30, 4), False),
        (None, (3, 2), True),
        ({}, (3, 2), True),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (3, 2), True),
        ({"prompt_tokens": None, "completion_tokens": 4}, (3, 4), True),
        ({"prompt_tokens": 30, "completion_tokens": None}, (30, 2), True),
        ({"prompt_tokens": -1, "completion_tokens": 4}, (3, 4), True),
        ({"prompt_tokens": "many", "completion_tokens": float("1e300")}, (3, 2), True),
        ([1, 2], (3, 2), True),
    ],
)
def test_tokens_that_the_server_does_not_tell_are_estimated_and_cost_something(usage, tokens, is_estimated):
    reply = read(body({"content": "A dog."}, usage=usage))

    assert (reply.prompt_tokens, reply.output_tokens, reply.is_estimated) == (*tokens, is_estimated)
    assert reply.cost_usd == pytest.approx((tokens[0] * 1000 + tokens[1] * 4000) / 1e6)


def test_an_image_is_estimated_by_its_size():
    from conftest import jpeg

    picture = jpeg("coffee", 0)  # 180 x 140 pixels
    assert estimated_tokens(Request("c", "x" * 40, picture), "y" * 9) == (10 + 85, 3)
    assert estimated_tokens(Request("c", "x" * 40, b"no image"), "") == (10 + 350, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"error": {"code": 400, "message": "API key not valid."}}]', "API key not valid."),
        ('{"error": {"message": "bad", "metadata": {"raw": "upstream says no"}}}', "bad upstream says no"),
        ('{"error": "model is loading"}', "model is loading"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        ('{"message": "slow down"}', "slow down"),
        ('{"errors": [{"message": "one"}, {"message": "two"}]}', "one two"),
        ('{"object": "error", "message": "too long", "code": 400}', "too long"),
        ("<html><title>504 Gateway Time-out</title></html>", "504 Gateway Time-out"),
        ("upstream connect error", "upstream connect error"),
        ("", ""),
    ],
)
def test_what_a_server_says_is_found_in_whatever_it_wraps_it(content, words):
    assert words_in(content.encode()) == words


def test_an_error_that_comes_with_status_200_is_an_error():
    assert error_status(b'{"error": {"code": 429, "message": "slow down"}}') == 429
    assert error_status(b'[{"error": {"message": "no"}}]') == 500
    assert error_status(b'{"error": null, "choices": [{}]}') is None
    assert error_status(body({"content": "A dog."})) is None


@pytest.mark.parametrize(
    ("status", "words", "course", "meaning"),
    [
        (400, "API key not valid. Please pass a valid API key.", Course.END, "the key is refused"),
        (401, "who are you?", Course.END, "the key is refused"),
        (403, "Country not supported", Course.END, "the service is not offered in this country or region"),
        (400, "User location is not supported for the API use.", Course.END, "the service is not offered in this"),
        (403, "Model access denied", Course.END, "the key may not use this model"),
        (403, "Input was flagged by moderation", Course.LEAVE_OUT, ""),
        (402, "Payment Required", Course.END, "the account has no money left"),
        (429, "Your account has insufficient balance", Course.END, "the account has no money left"),
        (429, "Rate limit reached", Course.SLOW_DOWN, ""),
        (429, "requests per day (RPD): Limit 200, Used 200", Course.END, "the quota of the day is used up"),
        (429, "60 requests per minute. Your plan allows 10,000 calls per month.", Course.SLOW_DOWN, ""),
        (429, "free-models-per-day", Course.END, "the quota of the day is used up"),
        (429, "tokens per minute (TPM): Limit 6000", Course.SLOW_DOWN, ""),
        (400, "Client sent an HTTP request to an HTTPS server.", Course.END, "base_url lacks an s"),
        (
            429,
            "No deployments available - crossed budget: Exceeded budget",
            Course.END,
            "the account has no money left",
        ),
        (400, "Budget has been exceeded! Current cost: 10.1", Course.END, "the account has no money left"),
        (404, "no such page", Course.END, "there is no such model or path"),
        (400, "The model `x` does not exist", Course.END, "there is no such model or path"),
        (407, "Proxy Authentication Required", Course.END, "the proxy requires a user and a password"),
        (400, "x is not a multimodal model", Course.END, "this model or server takes no pictures"),
        (
            400,
            "At most 0 image(s) may be provided.",
            Course.END,
            "this model or server takes no pictures",
        ),
        (404, "No endpoints found that support image input", Course.END, "this model or server takes no pictures"),
        (500, "image input is not supported - hint: mmproj", Course.END, "this model or server takes no pictures"),
        (400, "Could not process image", Course.LEAVE_OUT, ""),
        (400, "The image data you provided does not represent a valid image.", Course.LEAVE_OUT, ""),
        (400, "image.source.base64: The image does not appear to be a valid image", Course.LEAVE_OUT, ""),
        (400, "Image does not match the provided media type image/png", Course.LEAVE_OUT, ""),
        (400, "Only images under 20 MB are allowed.", Course.LEAVE_OUT, ""),
        (400, "max_model_len is no smaller than the text tokens plus multimodal tokens", Course.LEAVE_OUT, ""),
        (500, "failed to encode the image with the mmproj", Course.WAIT, ""),
        (498, "Flex tier capacity exceeded", Course.WAIT, ""),
        (400, "failed to decode image bytes", Course.LEAVE_OUT, ""),
        (400, "Invalid image: too small", Course.LEAVE_OUT, ""),
        (413, "Request Entity Too Large", Course.LEAVE_OUT, ""),
        (400, "bad image", Course.LEAVE_OUT, ""),
        (503, "Loading model", Course.WAIT, ""),
        (408, "late", Course.WAIT, ""),
    ],
)
def test_each_error_has_one_course(status, words, course, meaning):
    found = refusal_in(status, {}, json.dumps({"error": {"message": words}}).encode())

    assert found.course is course
    assert found.meaning.startswith(meaning)
    assert bool(found.meaning) == bool(meaning)
    assert words.rstrip(".") in str(found)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_completion_tokens",
        ),
        ("'temperature' does not support 0 with this model. Only the default (1) value is supported.", "temperature"),
        ("invalid temperature: only 1 is allowed for this model", "temperature"),
        ("'response_format' of type 'json_schema' is not supported", "response_format"),
        ("Unknown name max_completion_tokens", None),
        ("the image is too large", None),
        ("temperature must be between 0 and 2", None),
    ],
)
def test_a_field_is_renamed_or_left_out_on_the_servers_word(words, change):
    sent = {"max_tokens": 1, "temperature": 0.0, "response_format": {}}
    found = Dialect(has_schema=True).without(words, sent, may_drop_schema=True)

    wanted = {
        "max_completion_tokens": Dialect("max_completion_tokens", has_schema=True),
        "temperature": Dialect(has_temperature=False, has_schema=True),
        "response_format": Dialect(),
        None: None,
    }
    assert found == wanted[change]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_is_told_by_whatever_name_a_server_gives_it(name):
    """photoprism/photoprism#5453: Ollama's `thinking`, and nothing else."""
    found = read(body({"content": "", name: "So, let's see."}, choice={"finish_reason": "length"}))

    assert found.outcome is Outcome.TRUNCATED
    assert "went into thought" in found.failure


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 7}, (None, 7)),  # MiXaiLL76/auto_ai_router PR 142
        ({"prompt_tokens": 5, "completion_tokens": None}, (5, None)),  # microsoft/autogen PR 2292
        ({"prompt_tokens": -1, "completion_tokens": 7}, (None, 7)),
        (None, (None, None)),  # Aider-AI/aider PR 244
    ],
)
def test_tokens_that_cannot_be_are_estimated(usage, tokens):
    found = read(body({"content": "A dog runs on the beach."}, usage=usage))
    guess = (found.prompt_tokens, found.output_tokens)

    assert found.is_estimated
    assert all(said is None or said == counted for said, counted in zip(tokens, guess, strict=True))
    assert min(guess) > 0


def test_googles_quota_of_the_day_is_told_by_its_details():
    """google-gemini/gemini-cli#8437: the message is the same for a minute and for a day."""
    for quota, course in (("RequestsPerDayPerProject", Course.END), ("RequestsPerMinutePerProject", Course.SLOW_DOWN)):
        error = {"message": "You exceeded your current quota", "details": [{"violations": [{"quotaId": quota}]}]}

        assert refusal_in(429, {}, json.dumps([{"error": error}]).encode()).course is course


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        ({"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1510}, 510),  # Gemini: only the sum holds it
        ({"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 90}}, 95),
        ({"prompt_tokens": 9, "completion_tokens": 95, "completion_tokens_details": {"reasoning_tokens": 90}}, 95),
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}, 5),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 1009}, 1000),  # all of it was thought
    ],
)
def test_tokens_of_thought_that_a_server_leaves_out_are_paid_for(usage, written):
    """civitai/civitai#3815: 682,820 tokens were billed beside those that completion_tokens told."""
    assert read(body({"content": "A dog."}, usage=usage)).output_tokens == written


@pytest.mark.parametrize(
    ("cost", "paid"),
    [(0.5, 0.5), ({"total_cost": 0.5}, 0.5), (1e-9, 0.034), (None, 0.034), ("0.5", 0.034), (-1, 0.034), (7e6, 0.034)],
)
def test_a_call_costs_what_the_server_says_or_more_by_its_price(cost, paid):
    found = read(body({"content": "A dog."}, usage={"prompt_tokens": 30, "completion_tokens": 1, "cost": cost}))

    assert found.cost_usd == pytest.approx(paid)


def test_what_came_in_place_of_a_completion_is_named():
    """TriliumNext/Trilium#10781: a login page with status 200."""
    page = b"<!doctype html><html><head><title>Sign in</title></head></html>"

    assert (
        no_completion(page)
        == "a web page answered instead of a model: 'Sign in'. Is there a login or a proxy in front of it?"
    )
    assert no_completion(b"pong") == "the answer is not a chat completion: 'pong'"
    for key in ("sk-abc0123456789def", "x" * 195 + " sk-abc0123456789def"):
        told = page.replace(b"Sign in", key.encode())
        assert "0123" not in no_completion(told) + str(refusal_in(500, {}, told))
    for status, course in ((403, Course.END), (404, Course.END), (502, Course.WAIT), (413, Course.LEAVE_OUT)):
        found = refusal_in(status, {}, page)
        assert (found.course, str(found)) == (course, f"{status}: Sign in")
        assert (found.meaning == "a web page answered instead of a model") == (course is Course.END)


@pytest.mark.parametrize(("asked", "course"), [("POST", Course.END), ("GET", Course.WAIT)])
def test_only_a_call_that_became_another_by_a_redirection_ends_the_work(asked, course):
    """The file of a batch job is fetched by GET, and stores redirect that to where it lies."""
    there = httpx2.Request("GET", "https://store.example/file")
    here = httpx2.Response(302, request=httpx2.Request(asked, "https://api.example/v1/files/1/content"))
    response = httpx2.Response(503, request=there, history=[here], content=b"slow down")

    assert refusal_of(openai.APIStatusError("slow down", response=response, body=None)).course is course
