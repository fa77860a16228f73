"""Answers that describe nothing, and honest odd ones: written by people who had not seen the detector.

The detector was made on the half `develop`. Of the half `held_out` only rates are shown, so that it stays unseen. The
file `fresh` was written when the detector was finished, and judged once: its bounds are what came out, not a goal.
"""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.mining.answers import judge_description, judge_keywords
from vlmine_dagster.mining.failures import NAMES, failure_of, features
from vlmine_dagster.mining.foreign_cues import CUES, KINDS
from vlmine_dagster.mining.foreign_words import is_about_the_request

HARMONY = "<|channel|>analysis<|message|>Quokka?<|end|><|start|>assistant<|channel|>final<|message|>"
DATA = Path(__file__).parent.parent / "data/answers"


def rows(file: str, half: str) -> list[dict[str, str]]:
    lines = (DATA / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["half"] == half]


def share_wrong(file: str, half: str) -> float:
    found = [(judge_description(row["text"]).outcome == "ok") == (file == "failures") for row in rows(file, half)]
    return sum(found) / len(found)


@pytest.mark.parametrize("file", ["failures", "honest"])
def test_at_most_two_of_a_hundred_unseen_answers_are_judged_wrongly(file):
    wrong, count = share_wrong(file, "held_out"), len(rows(file, "held_out"))

    assert count >= 100
    assert wrong <= 0.02, f"{wrong:.2%} of {count} {file} are judged wrongly"


@pytest.mark.parametrize(("is_failure", "most_wrong"), [(True, 3), (False, 2)])
def test_answers_written_after_the_detector_was_finished_are_judged_as_they_were_the_first_time(is_failure, most_wrong):
    found = [row for row in rows("fresh", "fresh") if (row["kind"] != "honest") == is_failure]
    wrong = sum((judge_description(row["text"]).outcome == "ok") == is_failure for row in found)

    assert len(found) == 100
    assert wrong <= most_wrong


@pytest.mark.parametrize("file", ["failures", "honest"])
def test_the_answers_that_the_detector_was_made_on_are_judged_rightly(file):
    assert share_wrong(file, "develop") <= 0.01


def test_our_own_collection_is_judged_rightly_but_for_a_few():
    found = [(row, judge_description(row["text"]).outcome) for row in rows("own", "own")]
    wrong = [(row["text"], outcome) for row, outcome in found if (outcome == "ok") == (row["kind"] == "failure")]

    assert len(found) > 600
    assert len(wrong) <= 15, wrong


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Nothing was attached.", "not_seen"),
        ("I'm sorry, but I can't assist with that.", "refused"),
        ("HTTP/1.1 502 Bad Gateway", "unparseable"),
        ("Internal Server Error", "unparseable"),
        ("[description here]", "empty"),
        ("{}", "empty"),
        ('{"error": {"message": "overloaded"}}', "unparseable"),
        ("The user wants a caption. I should look at the image first.", "unparseable"),
        ("Describe this image in one or two sentences.", "empty"),
        ("Es liegt kein Bild vor.", "not_seen"),
    ],
)
def test_a_failure_is_told_by_its_kind(text, outcome):
    assert failure_of(text).outcome == outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Es wurde kein Bild angehängt.", "not_seen"),
        ("Das Bild konnte nicht\ngeladen werden.", "not_seen"),
        ("Tut mir leid,\ndabei kann ich nicht helfen.", "refused"),
        ("Das verstößt gegen die Richtlinien und ist nicht erlaubt.", "refused"),
        ("ZU VIELE ANFRAGEN", "unparseable"),
        ("Beschreibe das Bild in einem Satz.", "empty"),
        ("Der Nutzer möchte eine Beschreibung.", "unparseable"),
        ("画像が添付されていません。", "not_seen"),
        ("申し訳ありませんが、お答えできません。", "refused"),
        ("이미지가 첨부되지 않았습니다.", "not_seen"),
        ("죄송하지만 도와드릴 수 없습니다.", "refused"),
        ("没有收到图片。", "not_seen"),
        ("很抱歉，我无法协助。", "refused"),
        ("服务器错误。", "unparseable"),
        ("Förlåt, jag kan inte hjälpa till med det.", "refused"),
        ("Omlouvám se, s tím nemohu pomoct.", "refused"),
    ],
)
def test_a_failure_in_another_language_is_told_by_its_kind(text, outcome):
    assert failure_of(text).outcome == outcome


def test_languages_list_all_kinds_in_one_order_but_for_two():
    listed = {language: tuple(kind for kind, _ in ways) for language, ways in CUES.items()}

    assert {language for language, kinds in listed.items() if kinds != KINDS} == {"sv", "cs"}


def test_kinds_of_failures_in_other_languages_are_told_apart_in_three_of_four():
    wanted = {"no_picture": "not_seen", "refusal": "refused", "server_error": "unparseable", "placeholder": "empty"}
    foreign = [row for row in rows("failures", "held_out") + rows("fresh", "fresh") if row["language"] != "en"]
    asked = [(row["text"], wanted[row["kind"]]) for row in foreign if row["kind"] in wanted]

    assert len(asked) > 60
    assert sum(judge_description(text).outcome == outcome for text, outcome in asked) >= 0.75 * len(asked)


def test_a_text_is_about_the_request_whose_words_are_a_quarter_of_pictures_and_messages():
    others = "Hund Katze Baum Haus Strand Meer"

    assert is_about_the_request(f"Bild Nachricht {others}", has_spaces=True)  # two of eight
    assert not is_about_the_request(f"Bild Nachricht {others} Wolke", has_spaces=True)
    assert not is_about_the_request("Bild Foto", has_spaces=True)  # of pictures alone: a description


def test_a_caption_may_begin_as_a_thought_does():
    assert failure_of("Let's look: there it is, one of the dogs is here.") is None
    assert failure_of("Let's look: what should I say of it?") is not None


def test_a_sentence_about_guidelines_among_two_of_things_leaves_a_description():
    assert failure_of("The man holds a notice. It would violate our guidelines. I see a sign.") is None
    assert failure_of("It would violate our guidelines. I see a sign.").outcome == "refused"


def test_a_text_without_spaces_is_about_the_request_up_to_a_hundred_and_eighty_letters():
    assert is_about_the_request("画像" * 90, has_spaces=False)
    assert not is_about_the_request("画像" * 91, has_spaces=False)
    assert not is_about_the_request("1、2。", has_spaces=False)  # no letter at all


@pytest.mark.parametrize(
    ("text", "is_empty"),
    [
        (4 * "road dog ", True),
        (3 * "Road dog " + "road", False),  # seven words
        (3 * "road dog " + "road kite", False),  # three different ones
        ("road Road ROAD", True),
        ("road road", False),
    ],
)
def test_eight_words_of_which_two_differ_and_three_equal_ones_describe_nothing(text, is_empty):
    assert (failure_of(text.strip()) is not None) == is_empty


def test_what_is_quoted_says_nothing_about_the_answer():
    sign = "I'm sorry, I can't see any image. Please upload it again."

    assert failure_of(sign) is not None
    assert failure_of(f'A robot on a poster says "{sign}"') is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>A quokka?</think>A dog on a beach.", "A dog on a beach."),
        ("<THINKING>\nA quokka?\n</THINKING>\n\nA dog on a beach.", "A dog on a beach."),
        ("A quokka? No.\n</think>\nA dog on a beach.", "A dog on a beach."),
        ("<think>a<think>b</think>c</think>A dog on a beach.", "A dog on a beach."),
        (f"{HARMONY}A dog on a beach.", "A dog on a beach."),
        ("[THINK]A quokka?[/THINK]A dog on a beach.", "A dog on a beach."),
        ("\u25c1think\u25b7A quokka?\u25c1/think\u25b7A dog on a beach.", "A dog on a beach."),
        ("<think></think><answer>A dog on a beach.</answer>", "A dog on a beach."),
        ("<|begin_of_thought|>Q<|end_of_thought|><|begin_of_box|>A dog on a beach.<|end_of_box|>", "A dog on a beach."),
    ],
)
def test_only_the_answer_behind_a_thought_is_the_description(text, answer):
    found = judge_description(text, language="en")

    assert (found.outcome, found.text) == ("ok", answer)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("<think>A quokka, perhaps a", "truncated"),
        ("<think>A quokka.</think>", "empty"),
        ("</think>", "empty"),
        ("<think>Quokka.</think>I cannot see any image.", "not_seen"),
        ("<think>Quokka.</think><think>Or a", "truncated"),
    ],
)
def test_a_thought_alone_is_no_description(text, outcome):
    found = judge_description(text)

    assert found.outcome in (outcome, "refused") if outcome == "not_seen" else found.outcome == outcome
    assert judge_keywords(text).outcome in (outcome, "unparseable", "refused")


def test_keywords_behind_a_thought_are_read_and_excuses_are_no_keywords():
    assert judge_keywords('<think>["quokka"]</think>["dog", "beach"]').keywords == ("dog", "beach")
    assert judge_keywords("Sorry, no image was attached").outcome == "refused"
    assert judge_keywords('["text", "sign", "person"]').keywords == ("text", "sign", "person")


@given(st.text(max_size=300))
def test_no_text_breaks_the_detector(text):
    found = judge_description(text)

    assert found.outcome in ("ok", "refused", "not_seen", "truncated", "unparseable", "empty")
    assert (found.failure is None) == (found.outcome == "ok")
    assert len(features(text)) == len(NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Short caption: A dog runs on the beach.", "A dog runs on the beach."),  # pictaria-ai/pictaria-server PR 16
        ("**Full caption:** Two men play chess.", "Two men play chess."),
        ("Alt text: A red bus at a stop.", "A red bus at a stop."),
        ("A full caption: nobody reads it, on a wall.", None),
    ],
)
def test_a_label_before_a_description_is_taken_off(text, said):
    found = judge_description(text, language="en")

    assert found.outcome == "ok"
    assert (found.text or text) == (said or text)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Full caption here", "refused"),  # pictaria-ai/pictaria-server PR 16
        ("Short caption:", "empty"),
        ("Model does not support images", "not_seen"),  # atomantic/PortOS PR 1228
        ("Failed to load image or audio file", "unparseable"),  # perfectgf/lora-dataset-studio#6
        ("<think>So, let's see. The image has a plate with food.", "truncated"),  # atomantic/PortOS PR 1238
        ("tamsin_reed", "empty"),  # atomantic/PortOS PR 1233: a trigger word alone
    ],
)
def test_failures_that_people_reported_are_none(text, outcome):
    assert judge_description(text, language="en").outcome == outcome


PHRASE = "on top of a hat "
CAN = "The can is black and white, and there is a can of coffee on the table. "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Two cats. <|endofchunk|> <image>  An image of a sink.", "Two cats."),  # mlfoundations/open_flamingo#147
        ("A dog.<end_of_turn>\n<start_of_turn>user\nWhat breed?<end_of_turn>", "A dog."),
        ("A dog runs.\n### Human: What breed?\n### Assistant: A beagle.", "A dog runs."),  # salesforce/xgen#2
        ("A woman.\n\nASSISTANT: The revised caption:\n\nA woman.", "A woman."),  # 1038lab/ComfyUI-JoyCaption#45
        ("USER: <image>\nDescribe it. ASSISTANT: A dog on a bench.", "A dog on a bench."),
        ("[INST] Describe it. [/INST] A dog on a bench.</s>", "A dog on a bench."),
        ("<|im_start|>assistant\nA dog on a bench.<|im_end|>", "A dog on a bench."),
        ("A dog sits on a bench.<|end|>", "A dog sits on a bench."),
        ("<ref>A dog</ref><box>(22,33),(99,100)</box> runs.", "A dog runs."),  # QwenLM/Qwen-VL#278
        ("<|object_ref_start|>A dog<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", "A dog"),
        ("A car<loc_52><loc_332><loc_932><loc_774> and a dog<loc_1><loc_2>", "A car and a dog"),
        ("<phrase>A snowman</phrase><object><patch_index_0044><patch_index_0863></object> burns.", "A snowman burns."),
        ("[unused0] sticking his tongue out", "sticking his tongue out"),  # microsoft/GenerativeImage2Text#19
        ("A<unk> dog on a<unused12> bench.", "A dog on a bench."),  # lablup/mlxcel#884
        ("It was a bowl of cotton.\n<|im_start|>\n<|im_start|>", "It was a bowl of cotton."),  # video-SALMONN-2#20
        ("A\u0120dog\u0120on\u0120a\u0120bench.\u010a", "A dog on a bench."),  # ml-explore/mlx-lm#1041
        ("It\u00e2\u0122\u013bs\u0120a\u0120dog\u0120on\u0120grass.", "It\u2019s a dog on grass."),
        ("\u2581A\u2581dog\u2581on\u2581a\u2581bench.", "A dog on a bench."),  # ggml-org/llama.cpp#2743
        ("A dog<0x20>on a caf<0xC3><0xA9> chair.", "A dog on a caf\u00e9 chair."),
        ("analysisWe need to describe it. A cat?assistantfinalA dog on a bench.", "A dog on a bench."),  # textgen#7374
        ('{"caption": "A dog sits on a bench."}', "A dog sits on a bench."),
        ('Here it is:\n```json\n{"title": "Dog on bench", "mood": "n/a"}\n```', "Dog on bench."),
        ('Here is the image as JSON:\n```json\n{"a": "A dog runs."}\n```\nLet me know if I can help.', "A dog runs."),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "a dog"}, {"bbox_2d": [5, 6, 7], "label": "a ball"}]', "a dog. a ball."),
        ("Sure! Here is a description of the image: A dog on a bench.", "A dog on a bench."),
        ("A dog on a bench. Would you like me to describe anything else?", "A dog on a bench."),
    ],
)
def test_what_a_server_leaves_around_and_within_an_answer_is_taken_out(text, said):
    found = judge_description(text, language="en")

    assert (found.outcome, found.text) == ("ok", said)


@pytest.mark.parametrize(
    ("text", "outcome", "reason"),
    [
        (f"A man with a hat {PHRASE * 7}", "unparseable", "the model repeats itself without end"),  # LAVIS#713
        (f"A can on a wooden table. {CAN * 5}", "unparseable", "repeats itself"),  # DAMO-NLP-SG/Video-LLaMA#109
        (f".\\\\{'assistant' * 30} is is of is of", "unparseable", "repeats itself"),  # tenstorrent/tt-metal#43192
        (f"A dog on {'addCriterion ' * 6}", "unparseable", "repeats itself"),  # QwenLM/Qwen3-VL#759
        ("! " * 40, "empty", "placeholder"),  # vllm-project/vllm#27364
        ("<s>" * 100, "empty", "the answer is empty"),  # kijai/ComfyUI-Florence2#187
        ("<|image_pad|><|image_pad|>", "empty", "the answer is empty"),
        ('<tool_call>{"name": "zoom", "arguments": {"label": "dog"}}</tool_call>', "unparseable", "calls a tool"),
        ('<|python_tag|>search.call(query="dog on a beach")', "unparseable", "calls a tool"),
        ('{"name": "describe_image", "parameters": {"what": "a dog"}}', "unparseable", "calls a tool"),
        ("```python\nimport cv2\nimage = cv2.imread('dog.jpg')\n```", "unparseable", "the text is program code"),
        ("Use this Python code:\n```python\nimage.show()\n```", "unparseable", "the text is program code"),
        ("We need to describe the image. A dog. The user wants one.", "unparseable", "a thought about the task"),
        ("thought\nThe user asked what is in it.", "truncated", "the thought did not end"),  # vercel/ai PR 8357
    ],
)
def test_loops_calls_code_and_plans_are_no_descriptions(text, outcome, reason):
    found = judge_description(text, language="en")

    assert found.outcome == outcome
    assert reason in found.failure


@pytest.mark.parametrize(
    "text",
    [
        "Tiles of red, green, red, green, red, green, red, green on a floor.",
        "Row after row after row after row of vines on a hill.",
        'A poster that reads "no no no no no no no no" above a door.',
        "\u0120gantija is a temple on an island, built of stone.",
        "A blackboard with x < y and [a, b] > 0: a lesson about #tags.",
        "A screenshot of code:\n```python\nimport cv2\n```\nwith a dog as wallpaper behind the window.",
        "Captures d'archives : un train en gare.",
        "A row of traffic lights showing red, red, red, red, red and one green.",
        "A poster with HA HA HA HA HA HA in large letters above a clown.",
        "A bus with the destination K\u00f6ln K\u00f6ln K\u00f6ln K\u00f6ln K\u00f6ln on its display.",
        "Assistant referee raising a flag: a football match.",
        "Response team in orange vests beside an ambulance: three men.",
        "Answer sheet #4 with filled bubbles on a desk.",
        "A waiter leans to a guest. Would you like some wine? is written in a bubble above him.",
        "A gift card with a red heart. Do you want to be my Valentine?",
        "A jar full of buttons. If you want one, take one, says a note",
        "A page of a picture book. I hope this is the last one, says the fox.",
        "Here is a page of a book with a summary of whales: a drawing of a blue whale is below.",
        "A screen shows the text <tool_call> in a code editor, a hand points at it.",
        "A page with the text [TOOL_CALLS] in a terminal window next to a lamp.",
        'A laptop shows this:\n```json\n{"error": "not found", "code": 404}\n```\nA cat sits beside it on a red sofa.',
        'A monitor with code:\n```\n{"name": "Anna", "age": 5}\n```\nand a plant.',
        "A slide shows ```[1, 2, 3]``` beside a plotted curve and a speaker in a blue shirt.",
        "A computer screen shows a program: ```html\n<h1>Hi</h1>\n```",
        "A progress bar \u2581\u2581\u2581\u2581\u2581\u2581\u2581\u2581\u2581\u2581 on a dark screen.",
    ],
)
def test_what_only_looks_like_a_leftover_stays(text):
    found = judge_description(text)

    assert (found.outcome, found.text) == ("ok", None)


def test_a_long_run_of_white_space_takes_no_time():
    started = time.process_time()

    assert judge_description(f"A dog: x.{chr(10) * 90_000}It runs.").text == "A dog: x.\nIt runs."
    assert judge_description(f"A dog: x{' ' * 90_000}runs.").text == "A dog: x runs."
    assert time.process_time() - started < 5  # it was the square: minutes


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("A chat window in which somebody writes aaaaaaaaaaaaaaaaaaaaaaaa beside a photo of a dog.", True),
        ("一个人在屏幕上写着哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈，旁边有一只狗。", True),
        ("A dog on a bench aaaaaaaaaaaaaaaaaaaaaaaa", False),
        ("A dog on a bench ________________________ and a cat.", False),
    ],
)
def test_one_letter_many_times_is_a_failure_only_at_the_end(text, is_kept):
    assert (failure_of(text) is None) == is_kept
