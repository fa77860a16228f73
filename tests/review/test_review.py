"""The page's server: what it shows, who may ask, and where verdicts go."""

import csv
import io
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Made, members
from PIL import Image
from starlette.testclient import TestClient

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.resources.verdicts import verdict_log
from vlmine_dagster.review.app import review_app
from vlmine_dagster.review.desk import Desk
from vlmine_dagster.review.guard import MOST_BYTES
from vlmine_dagster.review.server import listening

HOST = "127.0.0.1:3131"
LIST = "/key/api/list"


class Page:
    """A page of a project's list, as the browser asks for it."""

    def __init__(self, made: Made, experiment: str):
        self.desk = Desk(made.bench)
        app = review_app(self.desk, experiment=experiment, token="key", hosts=(HOST,), reviewer="ana")
        self.client = TestClient(app, base_url=f"http://{HOST}")
        self.facts = self.client.get(LIST).json()
        self.list = {"experiment": experiment, "list": self.facts["list"]}

    def post(self, path: str, **given: Any):
        return self.client.post(f"/key/api/{path}", json={**self.list, **given})

    def view(self, **asked: Any) -> list[dict[str, Any]]:
        made = self.post("view", **asked)
        assert made.status_code == 200, made.text
        where = f"/key/api/view/{self.list['experiment']}/{self.list['list']}/{made.json()['view']}"
        items = self.client.get(where, params={"start": 0, "count": 300}).json()["items"]
        assert len(items) == made.json()["total"]
        return items

    def item(self, position: int) -> dict[str, Any]:
        row = self.desk.listing(self.list["experiment"]).row(position)
        return {"image_id": row["image_id"], "rank": row["rank"]}

    def judge(self, position: int, verdict: str, reviewer: str = "ana", **more: Any) -> dict[str, Any]:
        found = self.post("verdicts", **self.item(position), verdict=verdict, reviewer=reviewer, **more)
        assert found.status_code == 200, found.text
        return found.json()


@pytest.fixture
def page(finished: Made) -> Page:
    return Page(finished, "pareto")


def test_the_page_shows_the_list_with_its_reasons(page: Page, finished: Made):
    mined = finished.frame("pareto_set", "pareto").sort_values("rank")
    items = page.view()

    assert [item["image_id"] for item in items] == mined["image_id"].tolist()
    assert [item["reason"] for item in items] == mined["reason"].tolist()
    assert items[0]["signals"][1]["name"] == "entropy"
    assert items[0]["signals"][1]["value"] == mined["entropy"].iloc[0]
    assert (page.facts["project"], page.facts["count"], page.facts["unit"]) == ("small", len(mined), "image")
    assert page.facts["selected"] == mined["selected"].sum()
    keywords = finished.frame("keywords")
    assert items[0]["keywords"] == sorted(keywords[keywords["image_id"] == items[0]["image_id"]]["keyword"])


def test_filters_leave_what_passes_and_sorting_keeps_the_rest(page: Page, finished: Made):
    mined = finished.frame("pareto_set", "pareto")
    word = page.facts["keywords"][0]["name"]
    everything = page.view()

    assert [item["rank"] for item in page.view(is_selected=True)] == list(range(1, page.facts["selected"] + 1))
    assert {word in item["keywords"] for item in page.view(keyword=word)} == {True}
    assert len(page.view(keyword=word)) == page.facts["keywords"][0]["count"]
    assert {item["front"] for item in page.view(front=2)} == {2}
    assert [item["image_id"] for item in page.view(text="POOL/A/")] == [
        item["image_id"] for item in everything if item["image_id"].startswith("pool/a/")
    ]
    middle = mined["entropy"].median()
    assert len(page.view(signal="entropy", low=middle)) == (mined["entropy"] >= middle).sum()
    values = [item["signals"][1]["value"] for item in page.view(sort="entropy", is_descending=True)]
    assert values == sorted(mined["entropy"], reverse=True)
    predicted = everything[0]["predicted"]
    assert {item["predicted"] for item in page.view(class_name=predicted)} == {predicted}
    assert page.view(text="nothing like it") == []


def test_pictures_are_made_once_and_kept(page: Page, finished: Made):
    item = page.view()[3]
    path = f"/key/pictures/small/pareto/{page.list['list']}/{item['position']}"
    answer = page.client.get(path)

    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (item["width"], item["height"]) == (180, 140)
    assert "immutable" in answer.headers["cache-control"]
    (kept,) = (finished.folder / ".vlmine/thumbnails").rglob("*.jpg")
    kept.write_bytes(b"kept")
    assert page.client.get(path).content == b"kept"
    assert page.post("pictures", positions=[0, 1, 2, 3, 4]).json() == {"made": 4}
    assert page.client.get(path.replace("small", "huge")).status_code == 400


def test_a_picture_that_is_gone_says_so(page: Page, finished: Made):
    item = page.view(text="pool/b/")[0]
    finished.replace_shard("pool/b", members({"coffee": 1}, start=90))
    answer = page.client.get(f"/key/pictures/small/pareto/{page.list['list']}/{item['position']}")

    assert answer.status_code == 404
    assert "it is no longer in the dataset" in answer.json()["problem"]


def test_verdicts_are_kept_shown_filtered_and_undone(page: Page, finished: Made):
    first = page.judge(0, "rare", class_name="rocket", seconds=3.5)
    page.judge(1, "junk", token="second")
    page.judge(1, "common", reviewer="ben", token="third")

    assert first["verdicts"] == [
        {"number": 1, "reviewer": "ana", "verdict": "rare", "class_name": "rocket", "round": None}
    ]
    kept = verdict_log(finished.project).standing()
    assert [(one.rank, one.experiment, one.verdict) for one in kept][:1] == [(1, "pareto", Verdict.RARE)]
    assert kept[0].seconds == 3.5
    shown = {state: [item["position"] for item in page.view(state=state, reviewer="ben")] for state in ("any", "mine")}
    assert shown == {"any": [0, 1], "mine": [1]}
    assert [item["position"] for item in page.view(state="disputed")] == [1]
    assert [item["position"] for item in page.view(state="rare")] == [0]
    assert len(page.view(state="none")) == page.facts["count"] - 2

    undone = page.post("undo", **page.item(1), undoes="second", reviewer="ana").json()
    assert [one["reviewer"] for one in undone["verdicts"]] == ["ben"]
    assert page.post("undo", **page.item(1), undoes="third", reviewer="ana").status_code == 409


def test_a_round_is_finished_on_the_page_and_what_was_confirmed_is_handed_over(
    page: Page, finished: Made, monkeypatch: pytest.MonkeyPatch
):
    page.judge(0, "rare", seconds=6.0, token="first")
    page.judge(1, "junk", seconds=6.0)
    page.judge(2, "rare", seconds=6.0)
    lines = page.client.get("/key/api/round").json()["lines"]
    assert lines[:3] == ["3 judged in 0.3 minutes", "2 rare", "1 junk"]
    assert lines[3].startswith("pareto: 67% of the first 3 are rare (95% interval 21% to")
    assert page.post("round").json() == {"number": 1, "labels": 0}
    assert page.post("round").status_code == 400
    assert page.post("undo", **page.item(0), undoes="first", reviewer="ana").status_code == 409

    monkeypatch.chdir(finished.folder)
    words = ["export", "--experiment", "pareto", "--verdict", "rare", "--to", "rare.csv"]
    said = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "2 images of pareto" in said.output
    rows = list(csv.DictReader((finished.folder / "rare.csv").open(encoding="utf-8")))
    assert [row["rank"] for row in rows] == ["1", "3"]


def test_another_window_sees_what_was_said(page: Page, finished: Made):
    other = Page(finished, "pareto")
    where = f"/key/api/verdicts/pareto/{page.list['list']}"
    newest = other.client.get(where, params={"since": -1}).json()["newest"]
    page.judge(2, "unsure")

    found = other.client.get(where, params={"since": newest}).json()
    assert [one["verdict"] for one in found["verdicts"]["2"]] == ["unsure"]
    assert other.client.get(where, params={"since": found["newest"]}).json() == {"newest": found["newest"]}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"verdict": "great"}, "no verdict 'great'. There are: rare, common"),
        ({"reviewer": "  "}, "a verdict needs the name of its reviewer"),
        ({"image_id": "pool/a/nothing"}, "'pool/a/nothing' is not on the list of pareto"),
        ({"experiment": "nothing"}, "there is no experiment 'nothing'"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused(page: Page, given: dict[str, Any], problem: str):
    answer = page.post("verdicts", **{**page.item(0), "verdict": "rare", "reviewer": "ana", **given})

    assert answer.status_code in (400, 409)
    assert problem in answer.json()["problem"]
    assert page.desk.log.standing() == []


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"front": "1.5"}, "review: filter front: expected a whole number from 1, got '1.5'."),
        ({"front": -3}, "review: filter front: expected a whole number from 1, got '-3'."),
        ({"low": "low"}, "review: filter low: expected a number, got 'low'."),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_what_is_expected(page: Page, asked: dict[str, Any], problem: str):
    answer = page.post("view", **asked)

    assert (answer.status_code, answer.json()) == (400, {"problem": problem})


def test_a_class_that_the_project_does_not_name_is_refused_with_the_nearest_and_the_fix(finished: Made):
    finished.name_classes("rocket", "coffee", "chelsea")
    page = Page(finished, "pareto")
    page.judge(0, "common", class_name=" coffee ")
    answer = page.post("verdicts", **page.item(0), verdict="rare", reviewer="ana", class_name="rockets")

    assert (page.facts["has_closed_classes"], page.facts["class_choices"]) == (True, ["chelsea", "coffee", "rocket"])
    assert answer.status_code == 400
    assert answer.json()["problem"] == (
        "review: class 'rockets' is not among the project's 3 classes. Did you mean 'rocket'? If not, add it to the "
        "file of classes (dataset.labels.classes). Then start `vlmine review` again."
    )
    assert [(one.verdict, one.class_name) for one in page.desk.log.standing()] == [(Verdict.COMMON, "coffee")]


def test_a_project_without_a_file_of_classes_takes_any_class(page: Page):
    assert page.facts["has_closed_classes"] is False
    assert page.judge(0, "rare", class_name="zebra")["verdicts"][0]["class_name"] == "zebra"


def test_a_verdict_counts_though_the_list_was_mined_again_meanwhile(page: Page):
    found = page.post("verdicts", **{**page.item(2), "list": "0" * 16, "rank": 7}, verdict="rare", reviewer="ana")

    assert found.status_code == 200
    assert [(one.image_id, one.rank) for one in page.desk.log.standing()] == [(page.item(2)["image_id"], 7)]


def test_a_verdict_that_cannot_be_written_now_is_not_refused_for_good(page: Page):
    page.desk.log.file.mkdir(parents=True)  # a disk that fails
    answer = page.post("verdicts", **page.item(0), verdict="rare", reviewer="ana")

    assert answer.status_code == 503
    assert "verdicts cannot be read or written" in answer.json()["problem"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/list", {}),
        ("/kez/api/list", {}),
        (LIST, {"host": "evil.example:3131"}),
        (LIST, {"origin": "http://evil.example"}),
        (LIST, {"origin": "null"}),
        (LIST, {"sec-fetch-site": "cross-site"}),
        (LIST, {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
    ],
)
def test_whoever_does_not_belong_gets_nothing(page: Page, path: str, headers: dict[str, str]):
    answer = page.client.get(path, headers=headers)

    assert answer.status_code == 403
    assert "small" not in answer.text


def test_a_form_of_another_site_or_a_flood_is_no_verdict(page: Page):
    given = {**page.list, **page.item(0), "verdict": "rare", "reviewer": "ana"}
    as_form = page.client.post("/key/api/verdicts", data=given)
    flood = page.post("verdicts", **{**given, "class_name": "x" * MOST_BYTES})

    assert (as_form.status_code, flood.status_code) == (403, 403)
    assert page.desk.log.standing() == []


def test_the_page_loads_nothing_from_elsewhere(page: Page):
    opened = page.client.get("/key/", headers={"sec-fetch-site": "none"})
    by_link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

    assert opened.status_code == page.client.get("/key/", headers=by_link).status_code == 200
    assert "default-src 'none'" in opened.headers["content-security-policy"]
    assert "access-control-allow-origin" not in opened.headers
    assert "http" not in opened.text
    for name in ("page.js", "grid.js", "judging.js", "page.css", "icon.svg"):
        assert page.client.get(f"/key/static/{name}").status_code == 200
    for name in ("..%2fapp.py", "nothing.js"):
        assert page.client.get(f"/key/static/{name}").status_code == 404


def test_the_server_listens_on_this_machine_alone_and_a_taken_port_is_named():
    with listening(0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(ConfigError, match=f"port {port} is taken"):
            listening(port)
