"""The report page: whole in one file, safe with hostile data, complete at every degree of missing facts."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.reporting import charts, figures
from vlmine_dagster.reporting.charts import SignalCloud
from vlmine_dagster.reporting.report_page import (
    AccuracyRow,
    Card,
    MeanSd,
    MixRow,
    RecallRow,
    Report,
    SignalValue,
    render_report,
)
from vlmine_dagster.resources.pictures import thumbnail_data_url
from vlmine_dagster.resources.visible import clip, visible_text

PIXEL = thumbnail_data_url(Image.new("RGB", (4, 3), "teal"), 320)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>body{display:none}",
    "'; DROP TABLE images; --",
    "{{ 7 * 7 }}{% include 'x' %}",
    "gpj.\u202eexe",
    "nul\x00bell\x07",
    "lone \udcff surrogate",
    "k" * 10_000,
]
VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.text += " " if tag in ("td", "th", "dt", "dd") else ""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def cloud(count: int = 5, signals: int = 2, *, selected: int = 2) -> SignalCloud:
    values = np.random.default_rng(0).gamma(2.0, size=(count, signals))
    names = ("novelty_min", "entropy", "margin")[:signals]
    return SignalCloud(names, values, np.arange(count) // 2 + 1, np.arange(count) < selected)


def card(rank: int, **changes) -> Card:
    signals = (SignalValue("novelty_min", 1 / 3, 4), SignalValue("entropy", 2.5, 12))
    first = Card(
        f"shard-0/{rank}", PIXEL, rank, 1, "rare and unsure", "unicycle", 3, signals, "wheel", "few", "A wheel."
    )
    return dataclasses.replace(first, **changes)


def full_report(**changes) -> Report:
    report = Report(
        project="demo",
        experiment="pareto",
        fusion="pareto",
        signals=("novelty_min", "entropy"),
        pool_size=200,
        selected_count=10,
        cards=(card(1), card(2, shot_bin="many")),
        keyword_counts=(1, 1, 1, 2, 3, 9),
        cloud=cloud(),
        recall=(RecallRow(0.05, 0.26, 0.2, 5.2, 0.5), RecallRow(0.1, 0.4, 0.18, 4.0, 0.75)),
        rivals={"entropy": [(0.05, 0.21), (0.1, 0.34)]},
        accuracy=(AccuracyRow(0, MeanSd(0.71, 0.01), MeanSd(0.55, 0.01), MeanSd(0.225, 0.014), MeanSd(0.6, 0.01)),),
        class_mix=(MixRow("few", 4, 16), MixRow("many", 6, 184)),
        outcomes={"corrupt": 3, "ok": 200},
        facts={"describer": "tagger", "run": "http://127.0.0.1:5000/#/runs/1"},
    )
    return dataclasses.replace(report, **changes)


def test_a_list_that_ends_before_its_pool_says_so():
    whole, short = (Page(render_report(full_report(ends_early=is_short))).text for is_short in (False, True))
    assert "from 200 by" in whole
    assert "the 200 images of the pool;" in whole
    assert "from the 200 that come first in the pool by" in short
    assert "the 200 images of the list, which ends before the pool does;" in short


class TestSelfContained:
    def test_nothing_is_loaded_from_elsewhere(self):
        page = Page(render_report(full_report()))
        loaded = [value for _, attributes in page.elements if (value := attributes.get("src"))]
        loaded += [attributes["href"] for attributes in page.all("link")]
        assert len(loaded) == 3
        assert all(value.startswith("data:image/") for value in loaded)
        assert not {"script", "iframe", "object", "embed", "base", "form", "use", "image"} & {
            n for n, _ in page.elements
        }

    def test_the_style_sheet_loads_nothing(self):
        html = render_report(full_report())
        assert not re.search(r"url\(|@import|@font-face", html)

    def test_the_only_web_addresses_are_links_that_a_person_follows(self):
        html = render_report(full_report())
        found = set(re.findall(r"https?://[^\"'<\s]+", html))
        assert found == {"http://www.w3.org/2000/svg", "http://127.0.0.1:5000/#/runs/1"}
        assert {"href": "http://127.0.0.1:5000/#/runs/1", "rel": "noreferrer"} in Page(html).all("a")

    def test_the_content_policy_comes_before_any_resource_and_allows_only_data_pictures_and_inline_styles(self):
        page = Page(render_report(full_report()))
        names = [name for name, _ in page.elements]
        policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")
        assert "script" not in policy
        assert names.index("meta") < names.index("link") < names.index("style")

    def test_a_thumbnail_that_is_no_picture_is_refused(self):
        for bad in (
            "https://example.org/a.png",
            "javascript:alert(1)",
            "data:image/svg+xml;base64,AA",
            PIXEL + '" x="',
        ):
            with pytest.raises(ContractError, match=r"the thumbnail of 'shard-0/1' starts with .*thumbnail_data_url"):
                render_report(full_report(cards=(card(1, thumbnail=bad),)))

    def test_a_sound_can_be_played_and_anything_else_in_its_place_is_refused(self):
        sound = "data:audio/wav;base64,UklGRg=="
        page = Page(render_report(full_report(cards=(card(1, sound=sound), card(2)))))
        assert [player["src"] for player in page.all("audio")] == [sound]
        with pytest.raises(ContractError, match="the sound of 'shard-0/1' starts with .*sounds.sound_data_url"):
            render_report(full_report(cards=(card(1, sound="https://example.org/a.wav"),)))


def everywhere(text: str) -> Report:
    """A report with a text in every place that takes text."""
    signals = (SignalValue(text, float("nan"), 1),)
    told = card(1, image_id=text, reason=text, keyword=text, label=text, description=text, signals=signals)
    return full_report(
        project=text,
        experiment=text,
        signals=(text, "entropy"),
        cards=(told,),
        cloud=dataclasses.replace(cloud(), names=(text, "entropy")),
        rivals={f"rival {text}": [(0.05, 0.21), (0.1, 0.34)]},
        outcomes={"ok": 200, text: 3},
        facts={text: text, "run": f"http://127.0.0.1/{text}"},
    )


class TestHostileText:
    @pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
    def test_text_from_data_never_becomes_markup(self, text):
        html = render_report(everywhere(text))
        page, harmless = Page(html), Page(render_report(everywhere("word")))
        assert sorted(name for name, _ in page.elements) == sorted(name for name, _ in harmless.elements)
        assert sorted(sorted(a) for _, a in page.elements) == sorted(sorted(a) for _, a in harmless.elements)
        assert "k" * 1300 not in page.text
        assert html.encode("utf-8")

    def test_text_is_shown_as_it_was_written(self):
        html = render_report(full_report(cards=(card(1, keyword="{{ 7 * 7 }} <b>&lt;"),)))
        assert "{{ 7 * 7 }} <b>&lt;" in Page(html).text

    def test_only_web_addresses_become_links(self):
        html = render_report(full_report(facts={"a": "javascript:alert(1)", "b": " http://x", "c": "data:text/html,x"}))
        assert [a["href"] for a in Page(html).all("a") if not (a["href"] or "").startswith("#")] == []

    def test_invisible_and_reordering_characters_are_spelled_out(self):
        assert visible_text("a\x00b\u202ec\u200fd\u2028e\udcfff") == r"a\u0000b\u202ec\u200fd\u2028e\udcfff"

    def test_letters_of_every_script_and_joined_emoji_stay(self):
        text = "שלום मुंबई 日本 👩\u200d🚒 line\nbreak"
        assert visible_text(text) == text

    def test_long_text_is_cut_and_says_how_long_it_was(self):
        assert clip("k" * 10_000, 5) == "kkkkk… (10,000 characters)"
        assert clip("kkkkk", 5) == "kkkkk"


class TestContent:
    def test_every_card_stands_in_rank_order_however_it_was_given(self):
        cards = tuple(card(rank) for rank in (3, 1, 12, 2, 7))
        page = Page(render_report(full_report(cards=cards)))
        assert [a["id"] for a in page.all("li") if "id" in a] == ["rank-1", "rank-2", "rank-3", "rank-7", "rank-12"]

    def test_a_line_divides_what_is_selected_from_what_lies_beyond_the_budget(self):
        def lines(selected, *ranks):
            page = Page(render_report(full_report(selected_count=selected, cards=tuple(map(card, ranks)))))
            return [a.get("id") or a["class"] for a in page.all("li") if "id" in a or a.get("class") == "beyond"], page

        found, page = lines(2, 1, 2, 3, 4, 5)
        assert found == ["rank-1", "rank-2", "beyond", "rank-3", "rank-4", "rank-5"]
        assert "Beyond the budget: the next 3, not selected" in page.text
        assert lines(2, 1, 2)[0] == ["rank-1", "rank-2"]
        assert lines(0, 1)[0] == ["beyond", "rank-1"]

    def test_a_card_shows_its_picture_reason_keyword_signals_and_truth(self):
        page = Page(render_report(full_report(cards=(card(1),))))
        text = " ".join(page.text.split())
        assert "unicycle in 3 images rare and unsure novelty_min 0.333 #4 entropy 2.5 #12" in text
        assert "What the model saw" in text
        assert "wheel few-shot" in text
        assert page.all("img") == [{"src": PIXEL, "alt": "Rank 1: A wheel."}]

    def test_a_picture_that_could_not_be_read_leaves_a_note_in_its_place(self):
        page = Page(render_report(full_report(cards=(card(1, thumbnail=""),))))
        assert page.all("img") == []
        assert "This picture could not be read." in page.text

    def test_numbers_of_the_run_stand_in_the_text(self):
        text = " ".join(Page(render_report(full_report())).text.split())
        assert (
            "10 images to label next Selected from 200 by novelty_min and entropy, combined by non-dominated fronts"
            in text
        )
        assert "Labelling 5% of the pool finds 26% of its few-shot images, 5.2× as many as a random draw" in text
        assert "few-shot 4 16 25.0%" in text
        assert "labelled set only 22.5% ± 1.4% 55.0% ± 1.0% 71.0% ± 1.0% 60.0% ± 1.0%" in text
        assert "keywords that occur in one image 3 50%" in text
        assert "ok 200 corrupt 3" in text

    def test_the_finding_quotes_the_budget_nearest_to_the_selection(self):
        text = " ".join(Page(render_report(full_report(selected_count=19))).text.split())
        assert "Labelling 10% of the pool finds 40%" in text

    def test_the_lede_says_how_ranks_are_joined_and_how_images_that_differ_are_picked(self):
        page = Page(render_report(full_report(fusion="reciprocal_rank", diversity="k_center")))
        text = " ".join(page.text.split())
        assert "combined by the sum of 1 / (60 + rank), preferring images far from the labelled set" in text
        covering = " ".join(Page(render_report(full_report(diversity="coverage"))).text.split())
        assert "combined by non-dominated fronts, preferring images that together cover most of" in covering

    def test_fronts_are_named_only_where_they_mean_something(self):
        assert "front 1" in Page(render_report(full_report())).text
        assert "front 1" not in Page(render_report(full_report(fusion="rank_sum"))).text
        assert "front 1" not in Page(render_report(full_report(signals=("entropy",), cloud=cloud(signals=1)))).text

    def test_a_rank_bar_is_full_at_rank_one_and_empty_at_the_last(self):
        signals = (SignalValue("a", 0.5, 1), SignalValue("b", 0.5, 10), SignalValue("c", 0.5, 100))
        html = render_report(full_report(pool_size=100, cards=(card(1, signals=signals),)))
        assert re.findall(r'<i style="width:([\d.]+)%">', html) == ["100.0", "50.0", "0.0"]

    def test_an_unknown_shot_bin_is_refused(self):
        with pytest.raises(ContractError, match=r"unknown shot bin 'rare'\. Expected one of few, medium, many"):
            render_report(full_report(cards=(card(1, shot_bin="rare"),)))

    def test_a_signal_that_counts_more_than_once_is_told(self):
        page = Page(render_report(full_report(signals=("a", "b"), fusion="fisher", weights={"b": 3.0})))
        assert "by a and b (weight 3), combined by" in " ".join(page.text.split())


class TestMissingFacts:
    def test_the_least_report_renders(self):
        text = Page(render_report(Report("p", "e", "pareto", ("entropy",), 0, 0))).text
        assert "No image was selected" in text
        assert "There are no pictures to show." in text

    @pytest.mark.parametrize(
        "changes",
        [
            {"recall": (), "accuracy": (), "class_mix": ()},
            {"cards": (card(1, label=None, shot_bin=None, keyword=None, keyword_count=None, description=None),)},
            {"signals": ("entropy",), "cloud": cloud(signals=1)},
            {"signals": ("a", "b", "c"), "cloud": cloud(signals=3)},
            {"cards": (), "selected_count": 0, "cloud": cloud(selected=0)},
            {"cloud": cloud(0), "keyword_counts": ()},
            {"cloud": cloud(1, 1, selected=1)},
            {"cloud": None, "outcomes": {}, "facts": {}},
            {"recall": (RecallRow(0.1, float("nan")), RecallRow(0.2, None))},
            {"accuracy": (AccuracyRow(0.1, MeanSd(None), MeanSd(0.5), MeanSd(0.1, float("nan")), MeanSd(0.4, 0.1)),)},
            {"class_mix": (MixRow("few", 0),)},
            {"class_mix": (MixRow("few", 0, 0),)},
        ],
        ids="-".join,
    )
    def test_any_fact_may_be_missing(self, changes):
        html = render_report(full_report(**changes))
        assert Page(html).open == []
        assert "nan" not in Page(html).text.lower()
        assert "None" not in html

    def test_sections_without_facts_are_left_out_with_their_links(self):
        html = render_report(full_report(recall=(), accuracy=(), class_mix=()))
        targets = {a["href"] for a in Page(html).all("a")}
        assert targets.isdisjoint({"#tail", "#accuracy"})
        anchors = {attributes.get("id") for _, attributes in Page(html).elements}
        assert {t.removeprefix("#") for t in targets if t.startswith("#")} <= anchors


class TestOneFile:
    def test_the_same_report_gives_the_same_bytes(self):
        assert render_report(full_report()) == render_report(full_report())

    def test_sixty_pictures_over_a_hundred_thousand_images_stay_below_six_megabytes(self):
        noise = np.random.default_rng(1).integers(0, 256, (320, 320, 3), dtype=np.uint8)
        picture = thumbnail_data_url(Image.fromarray(noise).resize((160, 160)).resize((320, 320)), 320)
        cards = tuple(card(rank, thumbnail=picture) for rank in range(1, 61))
        html = render_report(full_report(cards=cards, cloud=cloud(100_000, selected=20_000)))
        assert len(html) - 60 * len(picture) < 1_000_000
        assert len(html) < 6_000_000

    def test_identifiers_are_unique(self):
        ids = [attributes["id"] for _, attributes in Page(render_report(full_report())).elements if "id" in attributes]
        assert len(ids) == len(set(ids))

    def test_text_colours_keep_the_contrast_of_4_5_in_both_schemes(self):
        css = Path(charts.__file__).with_name("data").joinpath("report.css").read_text(encoding="utf-8")
        schemes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)]
        assert len(schemes) == 2
        for scheme in schemes:
            for name in ("ink", "quiet", "accent", "few", "medium"):
                assert contrast(scheme[name], scheme["page"]) >= 4.5, name
            assert contrast(scheme["quiet"], scheme["mat"]) >= 4.5


def contrast(a: str, b: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def texts(chart: figures.Chart) -> list[tuple[str, float, float]]:
    """The words of a chart in drawing order, with their places on the page; arrows of axis names are left out."""
    found = re.findall(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', chart.svg("c"))
    return [(text.strip("↑→ "), float(x), float(y)) for x, y, text in found]


class TestCharts:
    def test_keywords_are_counted_in_doubling_bins(self):
        assert charts.keyword_bins([1, 1, 1, 2, 3, 4, 7, 8, 31]) == [
            (1, 1, 3),
            (2, 3, 2),
            (4, 7, 2),
            (8, 15, 1),
            (16, 31, 1),
        ]

    def test_powers_of_two_open_their_bin_at_any_size(self):
        bins = charts.keyword_bins([2**40 - 1, 2**40])
        assert bins[39:] == [(2**39, 2**40 - 1, 1), (2**40, 2**41 - 1, 1)]

    def test_a_count_below_one_is_refused(self):
        with pytest.raises(ContractError, match="image count 0 is below 1"):
            charts.keyword_bins([3, 0])

    def test_the_histogram_labels_each_bar_with_its_count(self):
        chart = charts.keyword_histogram([1, 1, 1, 2, 3, 9])
        ticks = ["1", "2-3", "4-7", "8-15", "1", "2"]
        names = ["keywords", "images that share a keyword"]
        assert sorted(text for text, *_ in texts(chart)) == sorted([*ticks, *names, "3", "2", "1"])
        assert chart.summary.endswith("3 in 1 image; 2 in 2-3 images; 0 in 4-7 images; 1 in 8-15 images")

    def test_bars_stand_on_the_axis_and_an_empty_bin_has_none(self):
        svg = charts.keyword_histogram([1, 1, 1, 2, 3, 9]).svg("k")
        bars = re.findall(r'<path d="M[\d.]+ ([\d.]+)L[\d.]+ [\d.]+L[\d.]+ ([\d.]+)[^"]*"[^>]*fill: var', svg)
        assert [foot for foot, _ in bars] == [str(figures.HEIGHT - figures.BOTTOM)] * 4
        assert [float(foot) - float(top) > 20 for foot, top in bars] == [True, True, False, True]

    def test_counts_above_many_bars_do_not_run_into_each_other(self):
        chart = charts.keyword_histogram([2**k for k in range(20) for _ in range(20 - k)])
        counts = [
            (text, x) for text, x, y in texts(chart) if text in ("20", "17", "14", "11", "8", "5", "2") and y < 302
        ]
        assert len(counts) == 7
        assert min(np.diff([x for _, x in counts])) > 60

    def test_a_cloud_whose_parts_do_not_fit_is_refused(self):
        with pytest.raises(ContractError, match=r"2 names, values \(3, 1\), front \(3,\), selected \(3,\)"):
            SignalCloud(("a", "b"), np.zeros((3, 1)), np.ones(3), np.zeros(3, dtype=bool))

    def test_every_selected_image_has_its_dot_however_large_the_pool(self):
        count = 50_000
        values = np.column_stack([np.arange(count) * 1.0, np.arange(count)[::-1] * 1.0])
        selected = np.zeros(count, dtype=bool)
        selected[:: count // 20] = True
        svg = charts.signal_scatter(SignalCloud(("a", "b"), values, np.full(count, 2), selected)).svg("c")
        paths = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--(\w+)\); stroke-width: [34]', svg)
        dots = {role: path.count("M") for path, role in paths}
        assert dots["picked"] == 20
        assert 500 < dots["rest"] <= charts.MOST_BACKGROUND_DOTS

    def test_the_background_is_thinned_evenly(self):
        points = np.random.default_rng(2).uniform(size=(50_000, 2))
        points = points[np.argsort(points[:, 0])]
        values = np.vstack([points, [[2.0, 2.0]]])
        selected = np.arange(50_001) == 50_000
        svg = charts.signal_scatter(SignalCloud(("a", "b"), values, np.ones(50_001), selected)).svg("c")
        (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--rest\); stroke-width: 3', svg)
        x = np.array(re.findall(r"M([\d.]+) ", path), dtype=float)
        assert abs((x < np.median([x.min(), x.max()])).mean() - 0.5) < 0.05

    def test_the_edge_passes_the_corners_of_what_the_first_front_dominates(self):
        edge = charts.front_edge(np.array([[9.0, 4.0], [5.0, 8.0], [1.0, 9.0]]))
        assert edge.tolist() == [[1.0, 9.0], [1.0, 8.0], [5.0, 8.0], [5.0, 4.0], [9.0, 4.0]]

    def test_images_with_an_unknown_signal_are_left_out_of_the_chart(self):
        values = np.array([[0.1, 1.0], [np.nan, 2.0], [0.3, 3.0]])
        chart = charts.signal_scatter(SignalCloud(("a", "b"), values, np.ones(3), np.array([True, True, False])))
        assert chart.summary == "b against a: 2 images, 1 selected"

    def test_an_axis_is_logarithmic_only_where_the_values_crowd_at_its_foot(self):
        assert charts.is_crowded(np.array([1e-4, 1e-3, 1e-2, 1.0]))
        assert not charts.is_crowded(np.array([0.1, 0.5, 0.6, 1.0]))
        assert not charts.is_crowded(np.array([0.0, 0.0, 0.0, 1.0]))

    def test_ticks_stand_at_round_values(self):
        linear = [(text, round(x)) for text, x, y in texts(charts.recall_curve({"a": [(0.2, 0.1)]})) if y > 302]
        assert linear[:5] == [("0%", 52), ("5%", 149), ("10%", 246), ("15%", 343), ("20%", 440)]
        values = np.array([[0.01], [0.012], [0.02], [100.0]])
        ranked = charts.signal_ranks(SignalCloud(("a",), values, np.ones(4), np.ones(4, dtype=bool)))
        assert [text for text, x, _ in texts(ranked) if x == 44] == ["0.01", "0.1", "1", "10", "100"]

    def test_labels_at_line_ends_do_not_touch(self):
        heights = figures.spread([50.0, 50.0, 50.0, 50.0, 330.0], floor=48.0)
        assert sorted(heights) == [48.0, 63.0, 78.0, 93.0, 330.0]
        assert heights[4] == 330.0

    def test_a_chart_takes_its_colours_from_the_page_and_holds_nothing_that_could_clash_there(self):
        css = Path(charts.__file__).with_name("data").joinpath("report.css").read_text(encoding="utf-8")
        light = dict(re.findall(r"--(\w+): (#\w{6})", re.findall(r":root \{(.*?)\}", css, re.S)[0]))
        assert {name: light[name] for name in figures.PALETTE} == figures.PALETTE
        chart = charts.accuracy_curve({"few": [(0.0, 0.2, 0.1), (0.1, 0.4, 0.1)]})
        svg = chart.svg("a")
        assert "var(--few)" in svg
        assert not re.search(r"#[0-9a-f]{6}|<style|<use|font-family|clip-path|metadata", svg)
        assert re.findall(r' id="([^"]*)"', svg) == ["a-summary"]
        assert svg == chart.svg("a")

    def test_a_chart_of_markers_is_refused(self):
        figure, axes = figures.chart_axes("x", "y")
        axes.scatter([1, 2], [1, 2])
        with pytest.raises(ContractError, match="chart 'a' refers to"):
            figures.Chart(figure, "two points").svg("a")

    def test_matplotlib_is_left_as_it_was(self):
        import matplotlib as mpl

        before = dict(mpl.rcParams)
        charts.keyword_histogram([1, 2]).svg("a")
        charts.keyword_histogram([1, 2]).png()
        assert dict(mpl.rcParams) == before

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0, "0%"), (0.0002, "0.02%"), (0.05, "5%"), (0.125, "12.5%"), (0.2649, "26.5%"), (1, "100%")],
    )
    def test_shares_are_written_as_short_percentages(self, share, text):
        assert figures.share_text(share) == text

    @pytest.mark.parametrize(("count", "text"), [(0, "0"), (950, "950"), (1448, "1.45k"), (30_000, "30k"), (4e6, "4M")])
    def test_counts_are_written_briefly(self, count, text):
        assert figures.count_text(count) == text


class TestPng:
    def test_the_recall_curve_is_a_png_and_the_same_every_time(self):
        curves = {"pareto": [(0.05, 0.26), (0.1, 0.4)], "$\\frac{_x": [(0.05, 0.2)], "日本\x00": [(0.1, float("nan"))]}
        first = charts.recall_curve(curves).png()
        assert first.startswith(b"\x89PNG\r\n")
        assert first == charts.recall_curve(curves).png()

    def test_no_curve_is_still_a_png(self):
        assert charts.recall_curve({}).png().startswith(b"\x89PNG\r\n")

    @pytest.mark.parametrize("signals", [1, 2, 3])
    def test_the_scatter_is_a_png_for_any_number_of_signals(self, signals):
        assert charts.cloud_chart(cloud(50, signals)).png().startswith(b"\x89PNG\r\n")

    def test_an_empty_pool_is_still_a_png(self):
        assert charts.cloud_chart(cloud(0)).png().startswith(b"\x89PNG\r\n")
