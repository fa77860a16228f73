"""The file of merges that people edit."""

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.scoring.vocabulary_file import read_merges, write_merges

HEADER = "keyword,merged_into\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vocabulary.csv"


def test_merges_are_written_sorted_and_read_back(file):
    file.write_text(f"{HEADER}lorry,truck\ngray , grey\n")

    merges = read_merges(file)
    write_merges(file, merges[::-1])

    assert file.read_text() == f"{HEADER}gray,grey\nlorry,truck\n"
    assert read_merges(file) == merges


def test_empty_lines_are_left_out_and_half_empty_ones_refused(file):
    file.write_text(f"{HEADER}\nlorry,truck\n , \n")
    assert [one.keyword for one in read_merges(file)] == ["lorry"]

    file.write_text(f"{HEADER}lorry,truck\ngray,\n")
    with pytest.raises(ConfigError, match=r"vocabulary\.csv, line 3"):
        read_merges(file)


def test_without_a_file_nothing_is_merged(file):
    assert read_merges(file) == ()
