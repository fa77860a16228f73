"""What tables say of a project in sentences: its boxes, keywords, junk, vocabulary and failures."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from benches import bench_of
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import (
    GROUNDED_KEYWORDS,
    IMAGES,
    JUNK,
    KEYWORD_ANSWERS,
    OBJECTS,
    RARITY_SCORES,
    UNMATCHED_BOXES,
    VOCAB_COUNTS,
    VOCABULARY,
    WHOLE_POOL,
)
from vlmine_dagster.scoring import box_findings as of_boxes
from vlmine_dagster.scoring.box_findings import box_findings
from vlmine_dagster.scoring.findings import (
    failure_findings,
    grounding_findings,
    junk_findings,
    keyword_findings,
    readable_findings,
    strategy_of,
    vocabulary_findings,
)

BOXED = {"unit": "object", "objects": {"boxes": "boxes.json"}}


def objects(*rows):
    """Objects of an image, a class and a left edge each."""
    return plain_rows(
        OBJECTS,
        object_id=[f"{image}#{number}" for number, (image, _, _) in enumerate(rows)],
        image_id=[image for image, _, _ in rows],
        class_name=[name for _, name, _ in rows],
        x=[x for _, _, x in rows],
    )


def images(count, shard="a", **more):
    return plain_rows(IMAGES, image_id=[f"{shard}/{number}" for number in range(count)], **more)


def counts(**image_counts):
    total = max(image_counts.values())
    return plain_rows(
        VOCAB_COUNTS,
        keyword=list(image_counts),
        image_count=list(image_counts.values()),
        image_share=[count / total for count in image_counts.values()],
    )


class TestBoxes:
    def test_nothing_is_said_of_boxes_that_are_as_they_should_be(self, tmp_path):
        tables = {("images", "a"): images(2), ("objects", "a"): objects(("a/0", "car", 1), ("a/1", "car", 1))}

        assert box_findings(bench_of(tmp_path, tables, **BOXED)) == []

    def test_nothing_is_said_where_there_are_no_boxes(self, tmp_path):
        tables = {("images", "a"): images(2)}

        assert box_findings(bench_of(tmp_path / "with", tables, **BOXED)) == []
        assert box_findings(bench_of(tmp_path / "without", tables)) == []

    def test_what_is_odd_is_counted_over_all_shards(self, tmp_path):
        tables = {
            ("images", "a"): images(3),
            ("images", "b"): images(2, "b"),
            ("objects", "a"): objects(("a/0", "fire engine", 1), ("a/0", "car", 1.001), ("a/1", "car", 1)),
            ("objects", "b"): objects(("b/0", "Fire_Engine", 1), ("b/0", "Fire_Engine", 9), ("b/0", "car", 2)),
            ("unmatched_boxes", WHOLE_POOL): plain_rows(
                UNMATCHED_BOXES, name=["x.jpg", "y.jpg"], origin=["o", "o"], box_count=[1200, 34]
            ),
        }

        assert box_findings(bench_of(tmp_path, tables, **BOXED)) == [
            "2 names in the box files match no image of the dataset, or several (boxes: 1,234). Such as: x.jpg; y.jpg",
            "1 class is written in several ways, and mined as different ones. Such as: "
            "'Fire_Engine' (2), 'fire engine' (1)",
            "1 box appears with two classes; both are objects. Such as: a/0: car and fire engine",
            "no object in the box files: 2 of 5 images",
        ]

    @pytest.mark.parametrize(("most", "is_told"), [(1, False), (2, True), (3, True)])
    def test_boxes_of_two_classes_are_searched_for_in_pools_that_are_not_too_large(
        self, tmp_path, monkeypatch, most, is_told
    ):
        monkeypatch.setattr(of_boxes, "_MOST_COMPARED", most)
        tables = {("images", "a"): images(1), ("objects", "a"): objects(("a/0", "car", 1), ("a/0", "van", 1))}

        assert bool(box_findings(bench_of(tmp_path, tables, **BOXED))) == is_told

    @pytest.mark.parametrize(
        ("names", "told"),
        [([], []), (["x.jpg"], ["matches no image of the dataset, or several (boxes: 7). Such as: x.jpg"])],
    )
    def test_one_name_is_told_in_the_singular_and_none_not_at_all(self, tmp_path, names, told):
        unmatched = plain_rows(UNMATCHED_BOXES, name=pa.array(names, pa.string()), box_count=[7] * len(names))
        tables = {
            ("images", "a"): images(1),
            ("objects", "a"): objects(("a/0", "car", 1)),
            ("unmatched_boxes", WHOLE_POOL): unmatched,
        }

        assert box_findings(bench_of(tmp_path, tables, **BOXED)) == [f"1 name in the box files {text}" for text in told]


SIX = counts(road=6, car=3, tram=2, yak=1)  # 6 images, 12 keywords


class TestKeywords:
    def test_each_way_to_describe_that_captures_too_little_is_told(self, tmp_path):
        way = {"describer": {"kind": "captions", "path": "captions.jsonl"}, "keyworder": {"kind": "rules"}}
        tables = {
            ("vocab_counts", WHOLE_POOL): SIX,
            ("vocab_counts", WHOLE_POOL, "other"): counts(car=5, cat=5),
        }
        bench = bench_of(tmp_path, tables, variants=dict.fromkeys(("other", "later"), way))

        plain, other = keyword_findings(bench)
        assert plain.startswith("The keywords do not capture this pool: keyword 'road' occurs in 100% of the images")
        assert other.startswith("Variant other: The keywords do not capture this pool")

    def test_nothing_is_said_of_keywords_that_were_not_counted(self, tmp_path):
        assert keyword_findings(bench_of(tmp_path, {})) == []
        assert keyword_findings(bench_of(tmp_path / "b", {("vocab_counts", WHOLE_POOL): SIX.slice(0, 0)})) == []


class TestStrategy:
    @pytest.mark.parametrize(
        ("weights", "advice"),
        [
            (None, "it finds out how much tags tell about this pool"),
            ([], "it finds out how much tags tell about this pool"),
            ([0.9], "the tags tell this pool's images apart"),
            ([0.1, 0.1], "the tags hardly tell images apart here"),
        ],
    )
    def test_it_depends_on_how_much_tags_count_in_the_pool(self, tmp_path, weights, advice):
        tables = {}
        if weights is not None:
            names = pa.array([str(place) for place in range(len(weights))], pa.string())
            tables["rarity_scores", WHOLE_POOL] = plain_rows(
                RARITY_SCORES, image_id=names, tag_weight=weights, sparsity=weights
            )

        assert advice in strategy_of(bench_of(tmp_path, tables))

    @pytest.mark.parametrize(
        ("words", "is_poor"), [({"road": 900}, True), ({f"w{n}": 400 + n for n in range(30)}, False)]
    )
    def test_it_depends_on_whether_keywords_tell_images_apart(self, tmp_path, words, is_poor):
        found = strategy_of(bench_of(tmp_path, {("vocab_counts", WHOLE_POOL): counts(**words)}))

        assert ("do not mine by novelty" in found) == is_poor

    @pytest.mark.parametrize(("announced", "is_asked"), [((), True), (("Yak",), False)])
    def test_labels_come_first_and_names_are_asked_for(self, tmp_path, announced, is_asked):
        labels = SimpleNamespace(known_count=3, announced=announced)
        found = strategy_of(bench_of(tmp_path, {}, labels=labels))

        assert found.startswith("`fused`: the labelled images say which classes are rare")
        assert ("Name the classes" in found) == is_asked


IN_LANE = {
    ("junk", WHOLE_POOL): plain_rows(JUNK, image_id=["a/0", "a/1", "a/2"], kind=["too dark", "blurred", "too dark"]),
    ("vocab_counts", WHOLE_POOL): SIX,
}


class TestJunk:
    def test_kinds_are_counted_and_keywords_that_no_image_has_are_named(self, tmp_path):
        assert junk_findings(bench_of(tmp_path, IN_LANE, out_of_domain=["car", "trams"])) == [
            "3 images are in the junk lane: 2 too dark, 1 blurred. `vlmine top --junk` lists them (docs/junk.md).",
            "out_of_domain: no image has the keyword 'trams' (did you mean 'tram'?).",
        ]
        assert len(junk_findings(bench_of(tmp_path / "b", IN_LANE))) == 1

    def test_keywords_are_not_missed_before_they_are_counted(self, tmp_path):
        tables = {("junk", WHOLE_POOL): IN_LANE["junk", WHOLE_POOL].slice(0, 0)}

        assert junk_findings(bench_of(tmp_path, tables, out_of_domain=["cars"])) == []

    def test_nothing_is_said_without_a_lane_or_before_it_is_made(self, tmp_path):
        assert junk_findings(bench_of(tmp_path, IN_LANE, junk="keep")) == []
        without = {("vocab_counts", WHOLE_POOL): SIX}
        assert junk_findings(bench_of(tmp_path / "b", without, out_of_domain=["cars"])) == []


class TestVocabulary:
    def bench(self, folder, **image_counts):
        rows = plain_rows(
            VOCABULARY,
            keyword=list(image_counts),
            merged_into=["road"] * len(image_counts),
            image_count=list(image_counts.values()),
        )
        folder.mkdir(exist_ok=True)
        (folder / "vocabulary.csv").write_text("keyword,merged_into\n")
        return bench_of(folder, {("vocabulary", WHOLE_POOL): rows, ("vocab_counts", WHOLE_POOL): SIX})

    def test_the_first_three_keywords_that_no_image_has_are_named_and_the_others_counted(self, tmp_path):
        assert vocabulary_findings(self.bench(tmp_path / "one", lane=4, cars=0)) == [
            "vocabulary.csv: no image has the keyword 'cars' (did you mean 'car'?)."
        ]
        three = vocabulary_findings(self.bench(tmp_path / "three", xaa=0, xbb=0, xcc=0))
        assert three[2] == "vocabulary.csv: no image has the keyword 'xcc'."
        five = vocabulary_findings(self.bench(tmp_path / "five", xaa=0, xbb=0, xcc=0, xdd=0, xee=0))
        assert five[:2] == three[:2]
        assert five[2:] == ["vocabulary.csv: no image has the keyword 'xcc', nor 2 others of its keywords."]

    def test_nothing_is_said_where_there_is_no_file_or_nothing_was_counted(self, tmp_path):
        bench = self.bench(tmp_path, cars=0)
        bench.lake.path("vocab_counts").unlink()
        assert vocabulary_findings(bench) == []

        bench = self.bench(tmp_path, cars=0)
        (tmp_path / "vocabulary.csv").unlink()
        assert vocabulary_findings(bench) == []


FAILED = {
    ("images", "a"): images(4, outcome=["ok", "corrupt", "ok", "corrupt"], failure=[None, None, None, "cut"]),
    ("images", "b"): images(3, "b", outcome=["corrupt", "ok", "ok"], failure=["cut", None, None]),
    ("keyword_answers", "a"): plain_rows(
        KEYWORD_ANSWERS,
        image_id=["a/0", "a/1", "a/2"],
        outcome=["ok", "refused", "unparseable"],
        failure=[None, "no thanks", None],
    ),
}


class TestFailures:
    def test_each_table_tells_how_many_failed_as_what_and_one_of_them(self, tmp_path):
        assert failure_findings(bench_of(tmp_path, FAILED), ["a", "b"]) == [
            "3 of 7 images failed (3 corrupt), such as a/1: corrupt",
            "2 of 3 keyword answers failed (1 refused, 1 unparseable), such as a/1: no thanks",
        ]

    def test_shards_that_the_dataset_no_longer_has_are_not_counted(self, tmp_path):
        assert failure_findings(bench_of(tmp_path, FAILED), ["b"]) == [
            "1 of 3 images failed (1 corrupt), such as b/0: cut"
        ]

    def test_where_nothing_failed_or_tables_cannot_be_read_nothing_is_said(self, tmp_path):
        bench = bench_of(tmp_path, {("images", "a"): images(4)})
        assert failure_findings(bench, ["a"]) == []
        bench.lake.path("images", "a").write_bytes(b"no parquet")
        assert failure_findings(bench, ["a"]) == []


def test_what_a_second_model_said_is_told_of_lists_that_keywords_decide(tmp_path):
    rows = plain_rows(
        GROUNDED_KEYWORDS, image_id=["a/0", "a/1", "a/2"], list_rank=[1, 2, 3], is_confirmed=[True, False, None]
    )
    tables = {
        ("grounded_keywords", "mine"): rows,
        ("grounded_keywords", "chance"): rows,
        ("grounded_keywords", "nothing"): rows.slice(0, 0),
    }
    experiments = {
        name: {"signals": signals}
        for name, signals in {
            "mine": ["novelty_min"],
            "nothing": ["novelty_mean"],
            "later": ["novelty_min", "random"],
            "chance": ["random"],
        }.items()
    }
    grounding = {"describer": {"kind": "openai", "model": "m", "base_url": "http://localhost:1/v1"}}
    bench = bench_of(tmp_path, tables, experiments=experiments, grounding=grounding)

    found = grounding_findings(bench)

    assert list(found) == ["mine"]
    assert found["mine"].startswith("1 of the first 2 keywords were not seen by the second model")
    assert grounding_findings(bench_of(tmp_path / "b", {}, experiments=experiments)) == {}


def test_findings_are_told_by_table_and_tables_that_cannot_be_read_are_left_out(tmp_path):
    bench = bench_of(tmp_path, IN_LANE)

    assert list(readable_findings(bench)) == ["vocab_counts", "junk"]
    assert list(readable_findings(bench, "junk")) == ["junk"]
    bench.lake.path("junk").write_bytes(b"no parquet")
    assert list(readable_findings(bench)) == ["vocab_counts"]
