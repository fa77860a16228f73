"""More like these, from the command, the page and the settings to a list with an MLflow run of its own."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Made
from starlette.testclient import TestClient
from tiny_models import make_clip

from vlmine_dagster.automation.searches import search
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.resources.text_encoder import TextEncoder
from vlmine_dagster.review.app import review_app
from vlmine_dagster.review.desk import Desk

HOST = "127.0.0.1:3131"


def pool_rockets(made: Made) -> list[str]:
    rows = made.frame("images")
    return sorted(one for one in rows[rows["split"] == "pool"]["image_id"] if "rocket" in one)


def test_the_others_of_a_class_come_first_and_nothing_else_is_made(finished: Made):
    rockets = pool_rockets(finished)
    before = {path: path.stat().st_mtime_ns for path in (finished.folder / ".vlmine" / "lake").rglob("*.parquet")}

    name = search(finished.project, finished.instance, images=rockets[:1], budget=5)

    mined = finished.frame("pareto_set", name).sort_values("rank")
    assert set(mined["image_id"][: len(rockets) - 1]) == set(rockets[1:])
    assert rockets[0] not in set(mined["image_id"])  # whoever has it does not look for it
    assert mined["selected"].sum() == 5
    assert mined["reason"].iloc[0].startswith("best match for the search")
    after = {path: path.stat().st_mtime_ns for path in (finished.folder / ".vlmine" / "lake").rglob("*.parquet")}
    assert {str(path.relative_to(finished.folder)) for path in after.keys() - before.keys()} == {
        f".vlmine/lake/pareto_set/{name}.parquet",
        f".vlmine/lake/list_changes/{name}.parquet",
    }
    assert {path: after[path] for path in before} == before
    assert finished.bench.tracking.latest(experiment=name, asset="pareto_set") is not None
    assert list(finished.project.settings.strategies) == [
        one for one in finished.project.settings.experiments if one != name
    ]


def test_the_same_search_has_the_same_name_and_is_not_mined_twice(finished: Made):
    rocket = pool_rockets(finished)[0]
    first = search(finished.project, finished.instance, images=[rocket])
    stamp = finished.bench.lake.stamp("pareto_set", first)

    again = search(finished.project, finished.instance, images=[rocket, rocket])

    assert again == first
    assert finished.bench.lake.stamp("pareto_set", first) == stamp


def test_a_text_encoder_finds_keywords_that_mean_the_text(finished: Made, monkeypatch: pytest.MonkeyPatch):
    rockets = pool_rockets(finished)
    words = finished.frame("keywords")
    meant = words[words["image_id"].isin(rockets)]["keyword"].mode()[0]
    asked: list[str] = []
    sources: list[str] = []

    def vectors(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
        """A model that knows a flying tube for what rockets are called here."""
        asked.extend(texts)
        sources.append(encoder._checkpoint.source)
        names = [text.removeprefix("a photo of a ") for text in texts]
        known = {"flying tube": [1.0, 0.0], meant: [1.0, 0.0], "square wheel": [0.8, 0.6]}
        return np.array([known.get(name, [0.0, 1.0]) for name in names])

    with pytest.raises(MissingInputError, match="no keyword of the pool matches the text 'flying tube'"):
        search(finished.project, finished.instance, images=[], text="flying tube")
    make_clip(finished.folder / "clip")
    finished.settings(text_encoder={"model": "clip"})
    monkeypatch.setattr(TextEncoder, "vectors", vectors)

    name = search(finished.project, finished.instance, images=[], text="flying tube")

    assert sources == [str(finished.folder / "clip")]  # not below the working folder
    assert asked[0] == "a photo of a flying tube"
    assert set(asked[1:]) == {f"a photo of a {word}" for word in finished.frame("vocab_counts")["keyword"]}
    assert set(finished.frame("pareto_set", name).sort_values("rank")["image_id"][: len(rockets)]) == set(rockets)
    monkeypatch.setattr("vlmine_dagster.mining.likeness._LEAST_MEANT", 2.0)
    with pytest.raises(MissingInputError, match=f"matches the text 'square wheel'. Did you mean '{meant}' or"):
        search(finished.project, finished.instance, images=[], text="square wheel")


def test_a_text_that_only_labelled_images_match_is_refused(finished: Made):
    words, images = finished.frame("keywords"), finished.frame("images")
    pool = set(images[images["split"] == "pool"]["image_id"])
    of_pool = set(words[words["image_id"].isin(pool)]["keyword"])
    only = next(
        word
        for word in words[~words["image_id"].isin(pool)]["keyword"]
        if not (set(word.split()) & {part for one in of_pool for part in one.split()})
    )

    with pytest.raises(MissingInputError, match="no image of the pool has a keyword that matches the text"):
        search(finished.project, finished.instance, images=[], text=only)


def test_words_find_the_images_whose_keywords_they_name(finished: Made):
    keywords = finished.frame("keywords")
    pool = set(finished.frame("pareto_set", "pareto")["image_id"])
    word = keywords[keywords["image_id"].isin(pool) & keywords["image_id"].str.contains("rocket")]["keyword"].iloc[0]

    result = CliRunner().invoke(
        main, ["--project", str(finished.file), "like", "--text", f"a {word}", "--name", "words", "--json"]
    )

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    having = set(keywords[keywords["keyword"] == word]["image_id"]) & pool
    assert found["experiment"] == "words"
    assert {row["image_id"] for row in found["images"][: len(having)]} == having


def test_a_search_that_another_one_replaces_is_named_and_stays_where_the_other_cannot_be_mined(finished: Made):
    rocket, other = pool_rockets(finished)[:2]
    command = ["--project", str(finished.file), "like", "--name", "mine"]
    first = CliRunner().invoke(main, [*command, rocket])

    again = CliRunner().invoke(main, [*command, rocket])
    second = CliRunner().invoke(main, [*command, other])
    third = CliRunner().invoke(main, [*command, "--text", "zzyzx"])

    assert first.exit_code == again.exit_code == second.exit_code == 0, second.output
    assert "was another search before" not in first.output + again.output
    assert f"mine was another search before: {rocket}." in second.output.replace("\n", "")
    assert "no keyword of the pool matches the text 'zzyzx'" in third.output
    assert finished.project.settings.experiments["mine"].like.images == (other,)


def test_words_that_no_keyword_knows_are_refused_and_the_search_is_not_kept(finished: Made):
    with pytest.raises(MissingInputError, match="no keyword of the pool matches the text 'zzyzx'"):
        search(finished.project, finished.instance, images=[], text="zzyzx", name="nothing")

    assert "nothing" not in finished.project.settings.experiments


def test_a_search_cannot_take_the_name_of_an_experiment(finished: Made):
    with pytest.raises(ConfigError, match="'pareto' is an experiment of vlmine.yaml"):
        search(finished.project, finished.instance, images=pool_rockets(finished)[:1], name="pareto")


def test_the_page_mines_more_like_an_item_and_shows_its_list(finished: Made):
    desk = Desk(finished.bench)
    app = review_app(desk, experiment="pareto", token="key", hosts=(HOST,), reviewer="ana")
    client = TestClient(app, base_url=f"http://{HOST}")
    facts = client.get("/key/api/list").json()
    listed = desk.listing("pareto").rows.column("image_id").to_pylist()
    position = next(place for place, one in enumerate(listed) if "rocket" in one)

    made = client.post(
        "/key/api/like", json={"experiment": "pareto", "list": facts["list"], "position": position}
    ).json()

    shown = client.get("/key/api/list", params={"experiment": made["experiment"]}).json()
    assert made["experiment"] in shown["experiments"]
    assert shown["signals"][0]["name"] == "likeness"
    first = desk.listing(made["experiment"]).rows.column("image_id").to_pylist()[0]
    assert "rocket" in first


def test_a_search_is_forgotten_by_name(finished: Made):
    rocket = pool_rockets(finished)[0]
    name = search(finished.project, finished.instance, images=[rocket])
    asked = ["--project", str(finished.file), "like"]

    assert name in json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert CliRunner().invoke(main, [*asked, "--forget", name]).exit_code == 0
    assert json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout) == {}
    refused = CliRunner().invoke(main, [*asked, "--forget", name])
    assert refused.exit_code == 1
    assert f"there is no search '{name}'. There are: none" in refused.output


def test_likeness_is_finite_for_all_but_the_examples(finished: Made):
    name = search(finished.project, finished.instance, images=pool_rockets(finished)[:1])

    assert np.isfinite(finished.frame("pareto_set", name)["likeness"]).all()
