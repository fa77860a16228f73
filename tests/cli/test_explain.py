"""What the commands show, read from tables that are put into the lake by hand."""

import unicodedata
from types import SimpleNamespace

import pytest
from conftest import Made, plain_rows

from vlmine_dagster.cli.explain import found_id, print_card, selection_card
from vlmine_dagster.domain.tables import IMAGES, KEYWORDS, NOVELTY_SCORES, PARETO_SET, VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.resources.lake import Lake


def extract(made: Made, keyword: str, count: int, **variant: str) -> None:
    """Put what a variant says of image s/0 into the lake: one keyword and its image count."""
    told = {"image_id": ["s/0"], "min_count": [count], "mean_count": [float(count)], "rarest_keyword": [keyword]}
    novelty = {"novelty_min": [1 / count], "novelty_mean": [1 / count]}
    counts = {"keyword": [keyword], "image_count": [count], "image_share": [count / 10], "unit_count": [count]}
    for table, partition, columns in (
        (KEYWORDS, "s", {"image_id": ["s/0"], "keyword": [keyword], "variant_hash": ["v"]}),
        (VOCAB_COUNTS, WHOLE_POOL, counts),
        (NOVELTY_SCORES, "s", {**told, **novelty}),
    ):
        made.bench.lake.publish(table.name, partition, plain_rows(table, **columns), inputs="by hand", **variant)


def test_a_card_tells_each_variant_by_its_own_tables(make_project, capsys):
    experiments = {
        "plain": {"signals": ["novelty_min"]},
        "told": {"signals": ["novelty_min"], "variant": "words"},
    }
    made = make_project({"s": {}}, experiments=experiments, variants={"words": {"keyworder": {"kind": "rules"}}})
    lake = made.bench.lake
    lake.publish("images", "s", plain_rows(IMAGES, image_id=["s/0"], outcome=["ok"], split=["pool"]), inputs="by hand")
    extract(made, "dog", 5)
    extract(made, "unicycle", 2, variant="words")
    for name, value in {"plain": 0.2, "told": 0.5}.items():
        row = plain_rows(PARETO_SET, image_id=["s/0"], selected=[False])
        lake.publish("pareto_set", name, row.append_column("novelty_min", [[value]]), inputs="by hand")

    card = selection_card(made.bench, "s/0", ["s"])
    print_card(card)
    shown = capsys.readouterr().out

    for name, told in {"plain": card, "told": card["variants"]["words"]}.items():
        place = card["experiments"][name]
        assert place["signals"]["novelty_min"]["value"] == told["novelty"]["novelty_min"]
        assert place["signals"]["novelty_min"]["value"] == 1 / min(word["image_count"] for word in told["keywords"])
    assert [card["experiments"][name]["variant"] for name in experiments] == ["default", "words"]
    assert "variant words:" in shown
    assert "keyword 'unicycle' in 2 images" in shown
    assert "told (variant words)" in shown


def test_a_card_tells_the_signals_that_a_list_was_made_of_when_the_settings_name_others_now(make_project):
    made = make_project({"s": {}}, experiments={"arm": {"signals": ["novelty_min", "novelty_mean"]}})
    lake = made.bench.lake
    lake.publish("images", "s", plain_rows(IMAGES, image_id=["s/0"], outcome=["ok"], split=["pool"]), inputs="by hand")
    row = plain_rows(PARETO_SET, image_id=["s/0"], selected=[False])
    lake.publish("pareto_set", "arm", row.append_column("novelty_min", [[0.5]]), inputs="by hand")

    assert list(selection_card(made.bench, "s/0", ["s"])["experiments"]["arm"]["signals"]) == ["novelty_min"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_image_is_found_in_either_spelling_of_its_accents(tmp_path, form):
    lake = Lake(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    lake.publish("images", "s", plain_rows(IMAGES, image_id=["s/caf\u00e9.jpg"]), inputs="by hand")
    bench = SimpleNamespace(lake=lake)
    assert found_id(bench, unicodedata.normalize(form, "caf\u00e9.jpg"), ["s"]) == "s/caf\u00e9.jpg"
