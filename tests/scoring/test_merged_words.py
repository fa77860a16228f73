"""Words and rows as the vocabulary counts them."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import KEYWORDS, VOCABULARY
from vlmine_dagster.resources.merged_keywords import merged_rows
from vlmine_dagster.scoring.merges import merged_words, vocabulary_rows
from vlmine_dagster.settings.project import Project, parse_settings

MERGES = {"lorry": "truck", "gray": "grey", "thing": "-"}
TABLE = plain_rows(VOCABULARY, keyword=list(MERGES), merged_into=list(MERGES.values()))


def test_words_of_a_text_are_merged_where_the_project_has_a_vocabulary():
    tables = {"vocabulary": {"pool": TABLE}, "keywords": {"a": plain_rows(KEYWORDS, image_id=["a/0"])}}
    columns = {"vocabulary": ["keyword", "merged_into"], "keywords": ["image_id", "keyword"]}
    words = ["gray", "lorry", "truck", "thing", "cat"]

    assert merged_words(MemoryReader(tables, columns), words) == ["grey", "truck", "cat"]
    del columns["vocabulary"]
    assert merged_words(MemoryReader(tables, columns), words) == words


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.sampled_from(["lorry", "truck", "gray", "thing", "cat"]), unique=True)
    )
)
def test_an_image_has_each_merged_keyword_once_and_none_that_is_left_out(images: dict[str, list[str]]):
    pairs = [(name, word) for name, words in images.items() for word in words]
    rows = pa.table({"image_id": [p[0] for p in pairs], "keyword": pa.array([p[1] for p in pairs], pa.string())})

    found = merged_rows(rows, TABLE).to_pydict()

    expected = list(dict.fromkeys((name, MERGES.get(word, word)) for name, word in pairs if word != "thing"))
    assert list(zip(found["image_id"], found["keyword"], strict=True)) == expected


def test_the_vocabulary_says_of_how_many_images_each_of_its_keywords_is_said(tmp_path):
    project = Project(parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}}), tmp_path)
    project.vocabulary_file.write_text("keyword,merged_into\nlorry,truck\ngray,grey\n", encoding="utf-8")
    said = plain_rows(KEYWORDS, image_id=["a/0", "a/1", "a/1"], keyword=["lorry", "lorry", "cat"])
    reader = MemoryReader({"keywords": {"a": said}}, {"keywords": ["image_id", "keyword"]}, project=project)

    rows, counts = vocabulary_rows(reader)

    assert counts == {"lorry": 2, "cat": 1}
    assert rows.select(["keyword", "merged_into", "image_count"]).to_pylist() == [
        {"keyword": "gray", "merged_into": "grey", "image_count": 0},
        {"keyword": "lorry", "merged_into": "truck", "image_count": 2},
    ]
