"""A person at the review page, played by a headless chromium."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
import pytest
from browse_ui import CHROMIUM, open_browser
from conftest import Made

from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.resources.verdicts import Judgement, verdict_log
from vlmine_dagster.review.app import review_app
from vlmine_dagster.review.desk import Desk
from vlmine_dagster.review.server import HOST, listening

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists() or find_spec("playwright") is None,
        reason=f"needs {CHROMIUM} and playwright (pip install 'vlmine-dagster[browser]')",
    ),
]

ALL_SHOWN = """() => [...document.querySelectorAll('.cell:not([hidden]) img')].length > 0
    && [...document.querySelectorAll('.cell:not([hidden]) img')].every(image => image.dataset.state === 'shown')"""
SHOWS = """names => document.getElementById('progress').textContent.includes(`of ${names.length} `)
    && [...document.querySelectorAll('.cell:not([hidden])')]
        .every((cell, at) => cell.ariaLabel.includes(`, ${names[at]}, `))"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextmanager
def served(made: Made, *, first_part: str = "key", port: int = 0) -> Iterator[str]:
    import uvicorn

    with listening(port) as listener:
        host = f"{HOST}:{listener.getsockname()[1]}"
        app = review_app(Desk(made.bench), experiment="pareto", token=first_part, hosts=(host,), reviewer="ana")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://{host}/{first_part}/"
        finally:
            server.should_exit = True
            thread.join(20)


def verdicts(made: Made) -> list[tuple[int, str, str, str | None]]:
    standing = verdict_log(made.project).standing()
    return [(one.rank, one.reviewer, one.verdict.value, one.class_name) for one in standing]


def settle(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('.mark.pending')")


def test_a_person_judges_by_keys_alone(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)

        # One key per verdict, undo, a class, one by one and back.
        for key in ("r", "j", "u", "z", "l"):
            page.keyboard.press(key)
        page.keyboard.type("rocket")
        for key in ("Enter", "r", "Enter", "c", "Escape"):
            page.keyboard.press(key)
        settle(page)
        page.wait_for_function("() => document.getElementById('progress').textContent.includes('4 judged, 2 rare')")
        assert verdicts(finished) == [
            (1, "ana", "rare", None),
            (2, "ana", "junk", None),
            (3, "ana", "rare", "rocket"),
            (4, "ana", "common", None),
        ]

        # A screen reader hears what it is on, and what was said of it.
        page.keyboard.press("Home")
        grid = page.get_by_role("grid", name="Mined images")
        active = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
        assert active.get_attribute("role") == "gridcell"
        assert active.get_attribute("aria-label").endswith("judged rare by ana")
        assert page.get_by_role("button", name="rare").get_attribute("aria-pressed") == "true"
        unnamed = page.evaluate(
            "() => [...document.querySelectorAll('input, select, button')].filter(one => !one.labels?.length"
            " && !one.textContent.trim() && !one.getAttribute('aria-label')).map(one => one.id)"
        )
        assert unnamed == []

        # Filters by keyboard; nothing is wider than a phone, nor than a window at 200% zoom.
        page.keyboard.press("/")
        page.keyboard.type("pool/a/")
        page.keyboard.press("Escape")
        page.wait_for_function("() => /^1 of [0-9]+ /.test(document.getElementById('progress').textContent)")
        for width, height in ((390, 760), (640, 400)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(OVERFLOW) == 0
            assert page.locator("#grid").bounding_box()["height"] > 0.4 * height
        assert problems == []


def test_a_class_that_the_project_does_not_name_keeps_the_person_in_its_field(finished: Made):
    finished.name_classes("rocket", "coffee", "chelsea")
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        field, problem = page.locator("#class-name"), page.locator("#class-problem")
        page.keyboard.press("l")
        page.keyboard.type("rockt")
        page.keyboard.press("Enter")

        problem.get_by_text("“rockt” is not among the project's 3 classes. The nearest is “rocket”.").wait_for()
        assert "add it to the file of classes (dataset.labels.classes)" in problem.inner_text()
        assert page.evaluate("() => document.activeElement.id") == "class-name"
        page.get_by_role("button", name="rare").click()  # nothing is sent, nothing moves on, nothing typed is lost
        assert (page.locator("#progress").inner_text()[:5], field.input_value()) == ("1 of ", "rockt")
        assert (field.get_attribute("aria-invalid"), verdicts(finished)) == ("true", [])

        field.fill("rocket")
        assert problem.is_hidden()
        page.keyboard.press("Enter")
        page.keyboard.press("r")
        settle(page)
    assert verdicts(finished) == [(1, "ana", "rare", "rocket")]


def test_the_header_counts_as_rare_what_most_reviewers_call_rare_and_the_dialog_says_what_is_left_out(finished: Made):
    names = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].tolist()
    for rank, (first, second) in enumerate([("rare", "rare"), ("rare", "junk"), ("rare", "unsure")], start=1):
        for who, verdict in (("ana", first), ("ben", second)):
            named = Judgement(
                names[rank - 1], who, Verdict(verdict), class_name="rocket", experiment="pareto", rank=rank
            )
            verdict_log(finished.project).add(named)
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function("() => document.getElementById('progress').textContent.includes('3 judged, 2 rare')")
        page.get_by_role("button", name="Finish").click()

        dialog = page.get_by_role("dialog")
        dialog.get_by_text("1 named class left out: a reviewer calls the item junk").wait_for()
        assert "Since the last round, on all lists" in dialog.inner_text()
        assert [line for line in dialog.locator("li").all_inner_texts() if line.endswith("rare")] == ["2 rare"]


def test_a_verdict_without_a_name_and_a_front_of_one_and_a_half_are_not_sent_and_said_so(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        refused: list[str] = []
        page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        name = page.get_by_role("textbox", name="Reviewer")
        name.fill("")
        page.get_by_role("button", name="rare").click()
        page.get_by_role("alert").get_by_text("type yours into the field Reviewer").wait_for()
        assert page.locator("#progress").inner_text().endswith("0 judged, 0 rare")
        page.keyboard.type("ben")
        assert page.locator("#problem").is_hidden()
        page.keyboard.press("Enter")
        page.keyboard.press("r")
        settle(page)

        page.keyboard.press("o")
        page.get_by_label("Front", exact=True).fill("1.5")
        page.get_by_role("alert").get_by_text("Front: write a whole number from 1.").wait_for()
        page.evaluate("() => new Promise(done => setTimeout(done, 4500))")  # the page has looked for verdicts meanwhile
        assert page.locator("#problem").is_visible()
        page.get_by_label("Front", exact=True).fill("1")
        page.locator("#problem").wait_for(state="hidden")
    assert (verdicts(finished), refused) == ([(1, "ben", "rare", None)], [])


def test_at_twice_the_size_one_by_one_shows_the_picture_and_scrolls_the_text_by_keyboard(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        page.set_viewport_size({"width": 640, "height": 400})
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        page.keyboard.press("o")
        assert page.locator("#filters").is_visible()
        page.locator("#grid").focus()
        page.keyboard.press("Enter")

        assert page.locator("#filters").is_hidden()
        assert page.locator("#large").bounding_box()["height"] > 200
        assert page.evaluate(OVERFLOW) == 0
        page.keyboard.press("Tab")
        text = page.get_by_role("region", name="Reason, keywords and signals")
        assert page.evaluate("() => document.activeElement.id") == text.get_attribute("id")
        at = "() => document.getElementById('details').scrollTop"
        for key in ("ArrowDown", "PageDown", "End"):
            before = page.evaluate(at)
            page.keyboard.press(key)
            page.wait_for_function(f"before => ({at})() > before", arg=before)
        page.keyboard.press("Home")
        page.wait_for_function(f"() => ({at})() === 0")
        assert page.locator("#progress").inner_text().startswith("1 of ")
        page.keyboard.press("n")
        assert page.locator("#progress").inner_text().startswith("2 of ")

        page.set_viewport_size({"width": 1280, "height": 800})
        page.keyboard.press("o")
        page.set_viewport_size({"width": 640, "height": 400})
        page.locator("#filters").wait_for(state="hidden")


def test_a_verdict_that_the_server_refuses_is_named_with_its_class(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        refused = {"status": 400, "json": {"problem": "review: no such class."}}
        page.route("**/api/verdicts", lambda route: route.fulfill(**refused))
        page.keyboard.press("l")
        page.keyboard.type("zebra")
        page.keyboard.press("Enter")
        page.keyboard.press("r")

        kept = page.get_by_role("alert").get_by_text("Not kept: “rare” with the class “zebra”, about pool/")
        kept.wait_for()
    assert verdicts(finished) == []


def test_what_was_judged_while_the_server_was_gone_arrives_later(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        page.route("**/api/verdicts", lambda route: route.abort())
        page.keyboard.press("r")
        page.get_by_role("alert").get_by_text("Not saved yet: 1").wait_for()
        assert verdicts(finished) == []

        page.unroute("**/api/verdicts")
        page.reload()  # the window too was closed meanwhile
        page.wait_for_function(ALL_SHOWN)
        settle(page)
        page.locator(".mark.rare").first.wait_for()
    assert verdicts(finished) == [(1, "ana", "rare", None)]


def test_what_two_windows_judged_while_the_server_was_gone_reaches_the_next_one(finished: Made):
    with open_browser() as alone:
        context = alone.context.browser.new_context()  # whose windows share what the browser keeps
        context.set_default_timeout(120_000)
        page, other = context.new_page(), context.new_page()
        with served(finished) as address:
            for window in (page, other):
                window.goto(address)
                window.wait_for_function(ALL_SHOWN)
        for window, keys in ((page, "rj"), (other, "nnccz")):  # the server is gone
            for key in keys:
                window.keyboard.press(key)
        page.get_by_role("alert").get_by_text("Not saved yet: 2").wait_for()
        assert verdicts(finished) == []

        port = int(address.split(":")[2].partition("/")[0])
        with served(finished, first_part="another", port=port) as new:
            page.get_by_role("alert").get_by_text("The token in the address is missing or old").wait_for()
            other.close()
            page.goto(new)
            page.wait_for_function(ALL_SHOWN)
            page.wait_for_function("() => document.getElementById('progress').textContent.includes('3 judged, 1 rare')")
            settle(page)
            assert page.evaluate("() => localStorage.length") == 0
    assert verdicts(finished) == [(1, "ana", "rare", None), (2, "ana", "junk", None), (3, "ana", "common", None)]


def test_one_key_mines_more_like_what_is_shown_and_shows_the_new_list(finished: Made):
    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(240_000)  # it mines
        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        shown = page.locator("[role=gridcell][aria-selected=true]").get_attribute("aria-label")

        page.keyboard.press("m")

        page.wait_for_url("**/?experiment=like-*")
        page.wait_for_function(ALL_SHOWN)
        name = page.locator("#experiment").input_value()
        assert name in finished.project.settings.experiments
        (example,) = finished.project.settings.experiments[name].like.images
        assert example in shown
        assert "best match for the search" in page.locator("[role=gridcell]").first.get_attribute("aria-label")


def with_lane_and_slices(made: Made) -> Any:
    """Publish the list anew: its last three items are junk, and every item is of the day or the night."""
    rows = made.frame("pareto_set", "pareto").sort_values("rank").reset_index(drop=True)
    rows["junk"] = [None] * (len(rows) - 3) + ["blurred"] * 3
    rows.loc[rows.index[-3:], "selected"] = False
    rows["slice"] = ["night" if place % 3 == 0 else "day" for place in range(len(rows))]
    lake = made.bench.lake
    stamp = lake.stamp("pareto_set", "pareto")
    table = pa.Table.from_pandas(rows, schema=lake.read("pareto_set", "pareto").schema, preserve_index=False)
    lake.publish("pareto_set", "pareto", table, inputs=stamp.inputs)
    return rows


def test_each_filter_of_the_page_leaves_what_passes_it(finished: Made):
    rows = with_lane_and_slices(finished)
    listed, is_night = rows[rows["junk"].isna()], rows["slice"] == "night"
    words = finished.frame("keywords")
    guesses = finished.frame("uncertainty_scores").set_index("image_id")["predicted_label"]
    guess, word = guesses[listed["image_id"].iloc[0]], words[words["image_id"] == listed["image_id"].iloc[0]].iloc[0]
    has_word = listed["image_id"].isin(words[words["keyword"] == word["keyword"]]["image_id"])
    middle = listed["entropy"].median()

    with served(finished) as address, open_browser() as page:
        page.set_default_timeout(120_000)

        def shows(expected: Any) -> None:
            page.wait_for_function(SHOWS, arg=rows.loc[expected[expected].index, "image_id"].tolist())

        page.goto(address)
        page.wait_for_function(ALL_SHOWN)
        page.keyboard.press("r")
        settle(page)
        page.keyboard.press("o")
        page.get_by_label("within the budget").uncheck()
        shows(rows["junk"].isna())

        page.get_by_label("Lane").select_option("junk")
        shows(rows["junk"].notna())
        assert "blurred · " in page.locator("[role=gridcell]").first.inner_text()
        page.get_by_label("Lane").select_option("all")
        page.get_by_label("Slice").select_option(label=f"night ({is_night.sum()})")
        shows(is_night)
        page.get_by_label("Lane").select_option("list")
        page.get_by_label("Slice").select_option("")
        for label, value, passes in (
            ("Text", "pool/a/", listed["image_id"].str.startswith("pool/a/")),
            ("Keyword", word["keyword"], has_word),
            ("Class", guess, listed["image_id"].map(guesses) == guess),
            ("Front", "2", listed["front"] == 2),
        ):
            page.get_by_label(label, exact=True).fill(value)
            shows(passes)
            page.get_by_label(label, exact=True).fill("")
        page.locator("#signal").select_option("entropy")
        page.get_by_label("Smallest value").fill(str(middle))
        shows(listed["entropy"] >= middle)
        page.get_by_label("Smallest value").fill("")
        page.locator("#state").select_option("rare")
        shows(listed["rank"] == 1)
