"""The chat client against an endpoint whose every answer is written here, and the cache behind it."""

import hashlib
import multiprocessing
import signal
import time
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from conftest import jpeg, run_together
from scripted_endpoint import Answer, ScriptedEndpoint

from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
from vlmine_dagster.describing.keyworders.openai import OpenAIKeyworderSettings
from vlmine_dagster.domain.errors import BudgetExceededError, CacheError, ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.mining.answers import judge_description, judge_keywords
from vlmine_dagster.resources.batches import BatchModel
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.chat import ChatModel
from vlmine_dagster.resources.describers import DescriberInput, ModelDescriber
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.prices import Price
from vlmine_dagster.resources.questions import ChatQuestion
from vlmine_dagster.resources.replies import Asker, Reply, Request, Spending, ask

KEY = "sk-very-secret-0123456789"
PRICE = Price(1000.0, 2000.0, "test")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def question(endpoint, *, wants_keywords=False, **changes):
    changes = {"base_url": endpoint.url, "timeout_s": 0.4, "max_attempts": 3, **changes}
    settings = OpenAIKeyworderSettings(kind="openai", **changes)
    return ChatQuestion(settings, "prompt", wants_keywords, PRICE, 10**8)


def replies(model, *texts):
    return {
        content: reply
        for group in model.reply((Request(t, t) for t in texts), lambda _group: None)
        for content, reply in group
    }


def chat(endpoint, **changes):
    return ChatModel(question(endpoint, **changes), first_pause_s=0.01)


FAULTS = {
    "reset": Answer("x" * 100, fault="reset"),
    "hang": Answer("x", fault="hang"),
    "cut": Answer("x" * 500, fault="cut"),
    "500": Answer("oops", status=500),
    "html": Answer(raw="<html>Bad gateway</html>"),
    "json": Answer(raw='{"choices": ['),
    "list": Answer(raw="[]"),
}


class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_fault_that_passes_is_tried_again(self, fault):
        with ScriptedEndpoint(lambda call: FAULTS[fault] if call.tries == 0 else "A dog.") as endpoint:
            found = replies(chat(endpoint), "q")["q"]

        assert (found.text, found.outcome, len(endpoint.calls)) == ("A dog.", Outcome.OK, 2)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_fault_that_stays_has_its_outcome_and_stops_nobody_else(self, fault):
        with ScriptedEndpoint(lambda call: FAULTS[fault] if call.text == "bad" else "A dog.") as endpoint:
            found = replies(chat(endpoint), "bad", "good")

        unreadable = fault in ("html", "json", "list")
        assert found["bad"].outcome is (Outcome.UNPARSEABLE if unreadable else Outcome.TIMED_OUT)
        assert found["bad"].failure.startswith("no answer after 3 tries; the last: ")
        assert not found["bad"].is_kept
        assert found["good"].outcome is Outcome.OK

    @pytest.mark.parametrize(
        ("answer", "outcome", "why"),
        [
            (Answer(None, refusal="I will not"), Outcome.REFUSED, "the model refused: I will not"),
            (Answer("", finish="content_filter"), Outcome.REFUSED, "the model refused: content_filter"),
            (Answer("  \n"), Outcome.EMPTY, "the answer is empty"),
            (Answer(None), Outcome.EMPTY, "the answer is empty"),
            (Answer("a dog and", finish="length"), Outcome.TRUNCATED, "cut at max_output_tokens 128"),
            (Answer("word " * 10_000), Outcome.TRUNCATED, "50,000 characters, far beyond max_output_tokens 128"),
            (Answer("bad image", status=400), Outcome.REFUSED, "the endpoint refused the request (400: bad image)"),
        ],
    )
    def test_answers_that_are_none_say_why(self, answer, outcome, why):
        with ScriptedEndpoint(lambda _call: answer) as endpoint:
            found = replies(chat(endpoint), "q")["q"]

        assert (found.outcome, found.failure, len(endpoint.calls)) == (outcome, why, 1)
        assert len(found.text or "") <= 128 * 12

    @pytest.mark.parametrize("content", ["5", "true", "[5]", '[["a"]]'])
    def test_a_completion_that_cannot_be_read_is_not_asked_for_again(self, content):
        body = f'{{"choices": [{{"message": {{"content": {content}}}}}], "usage": {{"prompt_tokens": 9}}}}'
        with ScriptedEndpoint(lambda _call: Answer(raw=body)) as endpoint:
            found = replies(chat(endpoint), "q")["q"]

        assert (found.outcome, len(endpoint.calls)) == (Outcome.UNPARSEABLE, 1)
        assert "is neither text nor a list of parts" in found.failure
        assert found.is_kept

    def test_tries_that_timed_out_count_as_paid_by_an_estimate_and_those_that_broke_do_not(self):
        script = {"slow": FAULTS["hang"], "broken": FAULTS["reset"]}
        with ScriptedEndpoint(lambda call: script[call.text] if call.tries < 2 else "A dog.") as endpoint:
            found = replies(chat(endpoint), *script)
        with ScriptedEndpoint(lambda call: script[call.text]) as endpoint:
            never = replies(chat(endpoint), *script)

        each = (1 * 1000.0 + 128 * 2000.0) / 1e6  # `slow` is one token by the estimate
        assert {name: (reply.lost_usd, reply.is_estimated) for name, reply in found.items()} == {
            "slow": (pytest.approx(2 * each), False),
            "broken": (0.0, False),
        }
        assert (never["slow"].cost_usd, never["slow"].is_estimated) == (pytest.approx(3 * each), True)
        assert (never["broken"].cost_usd, never["broken"].is_estimated) == (0.0, False)
        assert not never["slow"].is_kept

    def test_tokens_and_price_are_those_of_the_endpoint(self):
        with ScriptedEndpoint(lambda _call: Answer("A dog.", tokens=(100, 7))) as endpoint:
            found = replies(chat(endpoint), "q")["q"]

        assert (found.prompt_tokens, found.output_tokens) == (100, 7)
        assert found.cost_usd == pytest.approx((100 * 1000 + 7 * 2000) / 1e6)
        assert found.latency_s > 0

    def test_all_calls_wait_as_long_as_the_endpoint_asks(self):
        slow = Answer("slow down", status=429, headers={"retry-after": "0.5"})
        with ScriptedEndpoint(lambda call: slow if call.number < 4 else "A dog.") as endpoint:
            started = time.monotonic()
            found = replies(chat(endpoint, concurrency=4), *"abcdefgh")
            took = time.monotonic() - started

        assert {reply.outcome for reply in found.values()} == {Outcome.OK}
        assert 0.5 <= took < 5
        assert len(endpoint.calls) == 12

    def test_a_429_without_a_pause_is_tried_later_and_calls_go_fewer_at_once(self):
        with ScriptedEndpoint(lambda call: Answer("no", status=429) if call.number < 8 else "A dog.") as endpoint:
            found = replies(chat(endpoint, concurrency=8), *map(str, range(30)))

        assert {reply.outcome for reply in found.values()} == {Outcome.OK}
        assert len(endpoint.calls) == 38

    def test_no_more_calls_are_in_flight_than_allowed(self):
        with ScriptedEndpoint(lambda _call: Answer("A dog.", delay_s=0.02)) as endpoint:
            replies(chat(endpoint, concurrency=5), *map(str, range(40)))

        assert endpoint.most_in_flight == 5

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Answer(f"Incorrect API key provided: {KEY}", status=401), "the key is refused"),
            (Answer("no such model", status=404), "there is no such model or path"),
            (Answer("pay", status=429, code="insufficient_quota"), "the account has no money left"),
        ],
    )
    def test_what_no_retry_mends_ends_the_work_at_once_without_telling_the_key(self, answer, why):
        with (
            ScriptedEndpoint(lambda _call: answer) as endpoint,
            pytest.raises(ModelError, match=why) as told,
        ):
            replies(chat(endpoint, concurrency=2), *map(str, range(100)))

        assert len(endpoint.calls) <= 4
        assert "$OPENAI_API_KEY" in str(told.value)
        assert KEY not in str(told.value)
        assert endpoint.keys == {KEY}

    def test_a_redirection_that_loses_the_question_names_the_address_to_write(self):
        """harry0703/MoneyPrinterTurbo#740: http:// was sent on to https:// as a GET, whose answer was a 405."""
        with ScriptedEndpoint(lambda _call: "A dog.") as there:
            moved = Answer("moved", status=301, headers={"Location": f"{there.url}/models"})
            with (
                ScriptedEndpoint(lambda _call: moved) as endpoint,
                pytest.raises(ModelError, match=rf"base_url is another \(301: redirected to {there.url}/models\)"),
            ):
                replies(chat(endpoint, concurrency=2), *map(str, range(100)))

    def test_a_path_that_is_not_there_comes_with_advice_on_v1(self):
        with (
            ScriptedEndpoint(lambda _call: Answer("404 page not found", status=404)) as endpoint,
            pytest.raises(ModelError, match=r"no such model or path \(404.*\)\. Most servers want /v1 at the end of"),
        ):
            replies(chat(endpoint, base_url=endpoint.url.removesuffix("/v1")), "q")

    def test_a_dead_endpoint_is_given_up_after_some_calls_in_a_row(self):
        with (
            ScriptedEndpoint(lambda _call: FAULTS["500"]) as endpoint,
            pytest.raises(ModelError, match=r"\d+ calls in a row without an answer; the last: no answer after 3"),
        ):
            replies(chat(endpoint, concurrency=4), *map(str, range(500)))

        assert len(endpoint.calls) < 200

    def test_without_a_key_and_an_address_nothing_is_tried(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        nowhere = ChatQuestion(OpenAIKeyworderSettings(kind="openai"), "p", True, None, 1)

        with pytest.raises(ModelError, match="no key. Set the environment variable OPENAI_API_KEY"):
            replies(ChatModel(nowhere), "q")

    def test_texts_from_outside_are_one_short_line_without_keys(self):
        found = shown_line(f"Bad\nkey {KEY}\x1b[31m, Bearer abcdef123 " + "x" * 1000)

        assert KEY not in found
        assert "abcdef123" not in found
        assert "\n" not in found
        assert "\x1b" not in found
        assert len(found) <= 303


class TestSchema:
    def test_a_schema_is_sent_until_the_endpoint_refuses_it(self):
        def script(call):
            if "response_format" in call.body:
                return Answer("'response_format' of type 'json_schema' is not supported", status=400)
            return '["dog"]'

        with ScriptedEndpoint(script) as endpoint:
            found = replies(chat(endpoint, wants_keywords=True, concurrency=1), "a", "b", "c")

        assert {reply.text for reply in found.values()} == {'["dog"]'}
        assert sum("response_format" in call.body for call in endpoint.calls) == 1

    def test_always_means_that_the_refusal_is_the_outcome(self):
        refusal = Answer("json_schema is not supported", status=400)
        with ScriptedEndpoint(lambda _call: refusal) as endpoint:
            found = replies(chat(endpoint, wants_keywords=True, json_schema="always"), "a")["a"]

        assert found.outcome is Outcome.REFUSED

    def test_extra_fields_are_sent_and_null_takes_one_away(self):
        extra = {"seed": 1, "max_tokens": None, "max_completion_tokens": 9}
        with ScriptedEndpoint(lambda _call: "ok") as endpoint:
            replies(chat(endpoint, extra=extra), "a")

        body = endpoint.calls[0].body
        assert (body["seed"], body["max_completion_tokens"], "max_tokens" in body) == (1, 9, False)


def describer(endpoint, folder, *, limit=None, judge=judge_description, price=PRICE, **changes):
    settings = OpenAIDescriberSettings(kind="openai", model="m", base_url=endpoint.url, concurrency=4, **changes)
    model = ChatModel(ChatQuestion(settings, "Describe.", False, price, 10**8), first_pause_s=0.01)
    spending = Spending(ReplyCache(folder), limit)
    return ModelDescriber(Asker(model, "Describe.", judge, "j", spending))


PICTURES = {f"image-{k}": jpeg("coffee", k) for k in range(12)}
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in PICTURES.items()}


def load(names):
    return (DescriberInput(name, PICTURES[name]) for name in names)


class TestDescribing:
    def test_images_are_sent_as_they_are_or_reduced(self, tmp_path):
        with ScriptedEndpoint(lambda _call: "A cup of coffee.") as endpoint:
            list(describer(endpoint, tmp_path / "a").describe(DIGESTS, load))
            whole = {call.digest for call in endpoint.calls}
            list(describer(endpoint, tmp_path / "b", image_side=90).describe(DIGESTS, load))

        from vlmine_dagster.resources.pictures import decode_picture

        assert whole == set(DIGESTS.values())
        assert decode_picture(endpoint.calls[-1].image, max_pixels=10**6).size == (90, 70)

    def test_a_second_run_calls_nobody_and_answers_alike(self, tmp_path):
        with ScriptedEndpoint(lambda call: f"A cup of coffee, number {call.digest[:4]}.") as endpoint:
            first = list(describer(endpoint, tmp_path).describe(DIGESTS, load))
            second = list(describer(endpoint, tmp_path).describe(DIGESTS, load))

        assert len(endpoint.calls) == 12
        assert sorted(map(repr, first)) == sorted(map(repr, second))

    @pytest.mark.parametrize("moment", [0, 7, 20, 40])
    @pytest.mark.parametrize("where", ["while it waits", "while answers are read"])
    def test_ctrl_c_loses_no_answer_but_those_on_their_way(self, where, moment, tmp_path):
        names = [f"q{number}" for number in range(60)]
        told: list[int] = []

        def interrupt(number: int) -> None:
            if number >= moment and not told:
                told.append(number)
                signal.raise_signal(signal.SIGINT)

        def script(call) -> Answer:
            if where == "while it waits":  # the signal reaches the main thread wherever that is
                interrupt(call.number)
            return Answer("A cup.", delay_s=0.01)

        with ScriptedEndpoint(script) as endpoint:
            model, spending = chat(endpoint, concurrency=4), Spending(ReplyCache(tmp_path))
            asking = ask(model, names, lambda left: (Request(n, n) for n in left), spending=spending)
            read = (interrupt(number) for number, _ in enumerate(asking))
            with pytest.raises(KeyboardInterrupt), closing(asking):
                list(read)
            again = ask(model, names, lambda left: (Request(n, n) for n in left), spending=spending)
            assert {content for content, _ in again} == set(names)

        assert told
        assert len(endpoint.calls) <= len(names) + 4

    def test_images_with_the_same_bytes_are_paid_for_once(self, tmp_path):
        same = dict.fromkeys(["image-0", "copy"], DIGESTS["image-0"])
        with ScriptedEndpoint(lambda _call: Answer("A cup.", tokens=(10, 2))) as endpoint:
            answers = {answer.image_id: answer for answer in describer(endpoint, tmp_path).describe(same, load)}

        assert len(endpoint.calls) == 1
        assert [answers[name].prompt_tokens for name in same] == [10, 0]
        assert {answer.text for answer in answers.values()} == {"A cup."}

    def test_a_picture_that_cannot_be_read_is_not_sent(self, tmp_path):
        def broken(names):
            return (DescriberInput(name, b"\xff\xd8\xffno") for name in names)

        with ScriptedEndpoint(lambda _call: "A cup.") as endpoint:
            found = list(describer(endpoint, tmp_path).describe({"a": "d"}, broken))

        assert [answer.outcome for answer in found] == [Outcome.CORRUPT]
        assert endpoint.calls == []

    def test_an_image_that_is_gone_has_an_answer_too(self, tmp_path):
        with ScriptedEndpoint(lambda _call: "A cup.") as endpoint:
            found = list(describer(endpoint, tmp_path).describe({"a": "d"}, lambda _names: iter(())))

        assert [(answer.image_id, answer.outcome) for answer in found] == [("a", Outcome.CORRUPT)]

    def test_only_failures_are_asked_about_again(self, tmp_path):
        bad = {
            DIGESTS["image-3"]: "I'm sorry, I can't help with that.",
            DIGESTS["image-5"]: "Ein Hund läuft über die Wiese.",
        }
        bad_now = dict(bad)
        with ScriptedEndpoint(lambda call: bad_now.get(call.digest, "A cup of coffee.")) as endpoint:
            one = describer(endpoint, tmp_path, judge=partial(judge_description, language="en"))
            first = {a.image_id: a.outcome for a in one.describe(DIGESTS, load)}
            bad_now.clear()
            list(one.describe(DIGESTS, load))
            kept = len(endpoint.calls)
            again = {a.image_id: a.outcome for a in one.describe(DIGESTS, load, is_failure_retried=True)}

        assert (first["image-3"], first["image-5"]) == (Outcome.REFUSED, Outcome.UNPARSEABLE)
        assert kept == 12
        assert {call.digest for call in endpoint.calls[12:]} == set(bad)
        assert set(again.values()) == {Outcome.OK}

    def test_money_stops_before_it_is_overspent_and_what_was_paid_stays(self, tmp_path):
        a_call = (1000 * 1000 + 100 * 2000) / 1e6
        with ScriptedEndpoint(lambda _call: Answer("A cup.", tokens=(1000, 100), delay_s=0.02)) as endpoint:
            tight = describer(endpoint, tmp_path, limit=6 * a_call)
            with pytest.raises(BudgetExceededError, match=r"of max_cost_usd \$7\.2 are spent") as told:
                list(tight.describe(DIGESTS, load))
            paid = len(endpoint.calls)
            list(describer(endpoint, tmp_path).describe(DIGESTS, load))

        assert 3 <= paid <= 6
        assert f"{paid} of 12 answers are there" in str(told.value)
        assert "raise max_cost_usd in vlmine.yaml and run again" in str(told.value)
        assert len(endpoint.calls) == 12

    def test_a_call_dearer_than_what_is_left_is_not_sent_even_when_none_is_on_its_way(self, tmp_path):
        with ScriptedEndpoint(lambda _call: Answer("A cup.", tokens=(1000, 100))) as endpoint:
            with pytest.raises(BudgetExceededError, match=r"0 of 12 answers .* the next call may cost \$1\.6950"):
                list(describer(endpoint, tmp_path, limit=1.0).describe(DIGESTS, load))
            assert endpoint.calls == []
            for _ in range(2):
                with pytest.raises(BudgetExceededError, match=r"\$1\.2000 of max_cost_usd \$1\.7 are spent"):
                    list(describer(endpoint, tmp_path, limit=1.7).describe(DIGESTS, load))

        assert len(endpoint.calls) == 1

    def test_answers_that_cost_nothing_do_not_make_the_next_call_cheap(self, tmp_path):
        class OneByOne(ChatModel):  # never more than one call on its way
            def reply(self, requests, keep):
                for request in requests:
                    yield from super().reply([request], keep)

        def script(call):
            return Answer("no", status=400) if call.number < 3 else Answer("A cup.", tokens=(1000, 100))

        with ScriptedEndpoint(script) as endpoint:
            model, spending = OneByOne(question(endpoint)), Spending(ReplyCache(tmp_path), 2.0)
            with pytest.raises(BudgetExceededError, match=r"\$1\.2000 .* 4 of 6 answers"):
                list(ask(model, list("abcdef"), lambda names: (Request(n, n) for n in names), spending=spending))

        assert len(endpoint.calls) == 4

    def test_a_model_that_costs_nothing_goes_on_when_the_money_is_spent(self, tmp_path):
        cache = ReplyCache(tmp_path)
        cache.put("paid", [("x", Reply("text", cost_usd=3.0))], label="m")
        with ScriptedEndpoint(lambda _call: "A cup.") as endpoint:
            free = describer(endpoint, tmp_path, limit=3.0, price=Price(0.0, 0.0, "own machine"))
            assert len(list(free.describe(DIGESTS, load))) == 12


class TestCache:
    REPLY = Reply("text", prompt_tokens=10, output_tokens=2, latency_s=0.5, cost_usd=0.25)

    def test_gives_back_what_was_put_and_counts_the_money(self, tmp_path):
        cache = ReplyCache(tmp_path)
        cache.put("v", [("a", self.REPLY), ("b", Reply(None, Outcome.TIMED_OUT, "late"))], label="m")

        assert ReplyCache(tmp_path).find("v", ["a", "b", "c"]) == {"a": self.REPLY}
        assert cache.find("w", ["a"]) == {}
        assert cache.spent_usd() == 0.25
        (row,) = cache.variants()
        assert (row.label, row.reply_count, row.calls, row.cost_usd) == ("m", 1, 2, 0.25)

    def test_what_timed_out_is_spent_and_estimated(self, tmp_path):
        cache = ReplyCache(tmp_path)
        late = Reply(None, Outcome.TIMED_OUT, "late", cost_usd=0.5, is_estimated=True)
        cache.put("v", [("a", replace(self.REPLY, lost_usd=0.125)), ("b", late)], label="m")

        assert (cache.spent_usd(), cache.estimated_usd()) == (0.875, 0.625)
        assert cache.find("v", ["a", "b"]) == {"a": self.REPLY}

    def test_pruning_deletes_answers_but_not_what_they_cost(self, tmp_path):
        cache = ReplyCache(tmp_path)
        cache.put("v", [("a", self.REPLY)], label="m")
        cache.put("w", [("a", self.REPLY)], label="m")

        assert cache.prune(["v"]) == 1
        assert cache.find("v", ["a"]) == {}
        assert cache.find("w", ["a"]) == {"a": self.REPLY}
        assert cache.spent_usd() == 0.5

    def test_restoring_costs_nothing_and_changes_nothing_that_is_there(self, tmp_path):
        cache = ReplyCache(tmp_path)
        cache.put("v", [("a", self.REPLY)], label="m")
        cache.restore("v", [("a", Reply("other")), ("b", Reply("b"))], label="m")

        assert {k: r.text for k, r in cache.find("v", ["a", "b"]).items()} == {"a": "text", "b": "b"}
        assert cache.spent_usd() == 0.25

    def test_processes_write_at_once_and_nothing_is_lost(self, tmp_path):
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=write_many, args=(tmp_path, number)) for number in range(4)]

        assert run_together(workers) == [0] * 4
        (row,) = ReplyCache(tmp_path).variants()
        assert (row.reply_count, row.calls) == (200, 200)

    def test_a_damaged_file_says_what_it_is(self, tmp_path):
        (tmp_path / "replies.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 100)

        with pytest.raises(CacheError, match=r"replies.sqlite cannot be used: file is not a database"):
            ReplyCache(tmp_path).spent_usd()

    def test_a_file_of_a_later_version_is_left_alone(self, tmp_path):
        import sqlite3

        ReplyCache(tmp_path).spent_usd()
        with sqlite3.connect(tmp_path / "replies.sqlite") as database:
            database.execute("PRAGMA user_version = 99")

        with pytest.raises(CacheError, match="schema 99"):
            ReplyCache(tmp_path).spent_usd()


def write_many(folder, number):
    cache = ReplyCache(folder)
    for k in range(50):
        cache.put("v", [(f"{number}-{k}", TestCache.REPLY)], label="m")


class TestBatches:
    def ask(self, endpoint, cache, texts, **options):
        model = BatchModel(question(endpoint, wants_keywords=True, batch=True), cache, first_poll_s=0.01, **options)
        return dict(ask(model, texts, lambda names: (Request(n, n) for n in names), spending=Spending(cache)))

    def test_answers_come_by_jobs(self, tmp_path):
        with ScriptedEndpoint(lambda call: f'["{call.text}"]') as endpoint:
            found = self.ask(endpoint, ReplyCache(tmp_path), ["dog", "cat", "bus"], most_requests=2)

        assert {name: judge_keywords(reply.text).keywords for name, reply in found.items()} == {
            name: (name,) for name in ("dog", "cat", "bus")
        }
        assert len(endpoint.batches) == 2

    def test_a_killed_run_finds_its_job_again(self, tmp_path):
        cache = ReplyCache(tmp_path)
        with ScriptedEndpoint(lambda call: f'["{call.text}"]') as endpoint:
            model = BatchModel(question(endpoint, wants_keywords=True, batch=True), cache, first_poll_s=0.01)
            from vlmine_dagster.resources.batches import _digest
            from vlmine_dagster.resources.endpoint import client_of

            part = [Request("dog", "dog")]
            with client_of(question(endpoint).settings) as client:
                cache.note_batch(model.fingerprint, _digest(part), model._begin(client, part))
            found = self.ask(endpoint, cache, ["dog"])

        assert found["dog"].text == '["dog"]'
        assert len(endpoint.batches) == 1
        assert cache.batch(model.fingerprint, _digest(part)) is None

    @pytest.mark.parametrize(("lists_batches", "jobs"), [(True, 1), (False, 2)])
    def test_a_job_whose_answer_was_lost_is_not_begun_again_where_jobs_are_listed(self, tmp_path, lists_batches, jobs):
        with ScriptedEndpoint(lambda call: f'["{call.text}"]') as endpoint:
            endpoint.answers_lost, endpoint.lists_batches = 1, lists_batches
            found = self.ask(endpoint, ReplyCache(tmp_path), ["dog"])

        assert found["dog"].text == '["dog"]'
        assert len(endpoint.batches) == jobs

    def test_lines_without_an_answer_are_timed_out_and_refused_ones_refused(self, tmp_path):
        script = {"late": Answer(fault="expired"), "bad": Answer("no", status=400), "dog": Answer('["dog"]')}
        with ScriptedEndpoint(lambda call: script[call.text]) as endpoint:
            found = self.ask(endpoint, ReplyCache(tmp_path), list(script))

        assert [found[name].outcome for name in script] == [Outcome.TIMED_OUT, Outcome.REFUSED, Outcome.OK]

    def test_a_job_without_money_ends_the_work_with_what_came_kept(self, tmp_path):
        """ProjectTech4DevAI/kaapi-backend#723: the job was completed, and each of its lines an error."""
        broke = Answer("You exceeded your current quota", status=429, code="insufficient_quota")
        cache = ReplyCache(tmp_path)
        with ScriptedEndpoint(lambda call: '["dog"]' if call.text == "dog" else broke) as endpoint:
            with pytest.raises(ModelError, match=r"the account has no money left \(429: You exceeded"):
                self.ask(endpoint, cache, ["dog", "cat", "bus"])
            endpoint.script = lambda call: f'["{call.text}"]'
            found = self.ask(endpoint, cache, ["dog", "cat", "bus"])

        assert [call.text for call in endpoint.calls] == ["dog", "cat", "bus", "cat", "bus"]
        assert {name: reply.outcome for name, reply in found.items()} == dict.fromkeys(found, Outcome.OK)

    def test_a_field_that_a_model_refuses_is_left_out_in_a_second_job(self, tmp_path):
        told = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."

        def script(call):
            return Answer(told, status=400) if "max_tokens" in call.body else f'["{call.text}"]'

        with ScriptedEndpoint(script) as endpoint:
            found = self.ask(endpoint, ReplyCache(tmp_path), ["dog", "cat", "bus"], most_requests=2)

        assert {name: reply.text for name, reply in found.items()} == {n: f'["{n}"]' for n in ("dog", "cat", "bus")}
        assert len(endpoint.batches) == 3

    def test_an_answer_that_was_paid_for_is_not_asked_again_in_a_second_job(self, tmp_path):
        def script(call):
            if call.text == "blocked":
                return Answer("", finish="content_filter", tokens=(10, 1))
            unsupported = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return Answer(unsupported, status=400) if "max_tokens" in call.body else '["dog"]'

        with ScriptedEndpoint(script) as endpoint:
            found = self.ask(endpoint, ReplyCache(tmp_path), ["blocked", "dog"])

        assert [call.text for call in endpoint.calls] == ["blocked", "dog", "dog"]
        assert [found[name].outcome for name in ("blocked", "dog")] == [Outcome.REFUSED, Outcome.OK]

    def test_a_job_that_this_key_does_not_know_is_told_before_a_new_one_is_paid_for(self, tmp_path):
        """bespokelabsai/curator PR 231: batches that another key began."""
        cache = ReplyCache(tmp_path)
        with ScriptedEndpoint(lambda call: f'["{call.text}"]') as endpoint:
            model = BatchModel(question(endpoint, wants_keywords=True, batch=True), cache)
            from vlmine_dagster.resources.batches import _digest

            cache.note_batch(model.fingerprint, _digest([Request("dog", "dog")]), "batch-gone")
            with pytest.raises(ModelError, match=r"job batch-gone, .* is not known at .* With the key that started it"):
                self.ask(endpoint, cache, ["dog"])
            assert endpoint.batches == {}

            assert self.ask(endpoint, cache, ["dog"])["dog"].text == '["dog"]'

    def test_an_endpoint_without_batches_says_so(self, tmp_path):
        with (
            ScriptedEndpoint(lambda _call: "x", has_batches=False) as endpoint,
            pytest.raises(ModelError, match="Without `batch: true` the endpoint is asked call by call"),
        ):
            self.ask(endpoint, ReplyCache(tmp_path), ["dog"])


def test_fingerprints_change_with_what_changes_answers_and_with_nothing_else(tmp_path):
    base = {"kind": "openai", "model": "m"}
    other = [
        {"model": "n"},
        {"revision": "2"},
        {"temperature": 0.5},
        {"max_output_tokens": 7},
        {"image_side": 99},
        {"extra": {"seed": 1}},
    ]
    same = [
        {"base_url": "http://x/v1"},
        {"concurrency": 3},
        {"timeout_s": 5},
        {"api_key_env": "K"},
        {"max_attempts": 2},
    ]

    def of(changes, prompt="p", price=None):
        return ChatQuestion(OpenAIDescriberSettings(**{**base, **changes}), prompt, False, price, 1).fingerprint

    assert len({of({}), of({}, prompt="q"), *(of(change) for change in other)}) == 2 + len(other)
    assert {of(change) for change in same} == {of({})}
    assert of({}, price=PRICE) == of({})
