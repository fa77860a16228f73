import json
import re
from pathlib import Path

import pytest
from conftest import Made

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.studies import verify
from vlmine_dagster.studies.jobs import study_of
from vlmine_dagster.studies.study import StudyRun, conduct


def test_ways_to_describe_are_compared_by_what_they_find_and_by_how_alike_they_are(finished: Made):
    variants = {
        "same": {"keyworder": {"kind": "tags"}},
        "rules": {"keyworder": {"kind": "rules"}},
    }
    finished.settings(variants=variants)
    outcome = finished.run(experiments=["random"])
    assert outcome.is_whole, (outcome.failures, outcome.waiting)

    alike = conduct(study_of("prompts"), finished.bench)
    found = conduct(study_of("describers"), finished.bench, draws=2)

    [table] = alike.tables.values()
    twins = [row for row in table if row["variants"] == "default, same"]
    assert len(table) == 3 * 2
    assert all(row["Spearman"] == "1.000 [1.000, 1.000]" for row in twins)
    assert all("[" in row["overlap of the first 30% (Jaccard)"] for row in table)
    assert re.match(r"novelty by min (hardly )?depends on the prompt: the least alike", alike.words[0])
    assert any(re.search("between .*same; min; alone.* and default; min; alone", text) for text in found.words)
    [recall] = found.tables.values()
    by_arm = {tuple(row.values())[:3]: tuple(row.values())[3:] for row in recall}
    assert by_arm["same", "mean", "alone"] == by_arm["default", "mean", "alone"]


@pytest.mark.parametrize("name", ["prompts", "describers"])
def test_one_way_to_describe_cannot_be_compared(name: str, finished: Made):
    with pytest.raises(ConfigError, match=r"describes its pool in one way. Add others .* as `variants`"):
        conduct(study_of(name), finished.bench, draws=1)


def test_mined_and_random_images_lie_mixed_on_a_page_that_asks_nobody(finished: Made):
    report = conduct(study_of("verify"), finished.bench)

    page = (Path(report.folder) / "verify.html").read_text()
    rows = StudyRun(study_of("verify"), finished.bench).rows()
    ids = re.findall(r'data-id="([^"]+)"', page)
    assert ids == [row["image_id"] for row in rows]
    assert len(set(ids)) == len(ids)
    arms = [row["arm"] for row in rows]
    assert arms.count("mined") == arms.count("random") > 3
    assert arms not in (sorted(arms), sorted(arms, reverse=True))
    assert page.count("data:image/jpeg;base64") == len(ids)
    assert "http" not in re.sub(r"data:[^\"]+|http-equiv", "", page)
    assert "nobody has looked yet" in report.words[0]


def test_verdicts_come_back_and_are_counted(finished: Made, tmp_path: Path):
    rows = StudyRun(study_of("verify"), finished.bench).rows()
    said = {row["image_id"]: "rare" if row["arm"] == "mined" else "common" for row in rows}
    (tmp_path / "anna.json").write_text(json.dumps({"list": "x", "verdicts": said}))
    first = rows[0]["image_id"]
    (tmp_path / "ben.csv").write_text(f'image_id,verdict\n"{first}",broken\n"not/ours",rare\n')

    for name in ("anna.json", "ben.csv"):
        verify.take_verdicts(finished.bench, tmp_path / name)
    report = conduct(study_of("verify"), finished.bench)

    [table] = report.tables.values()
    each = len(rows) // 2
    counted = {"mined": each, "random": each} | {rows[0]["arm"]: each - 1}
    assert table[0]["rare"].startswith(f"{counted['mined']} of {counted['mined']}, 100%")
    assert table[1]["rare"].startswith(f"0 of {counted['random']}, 0%")
    assert sum(int(row["broken"]) for row in table) == 1
    assert report.words[0].startswith("a person calls more of the mined images rare than of random ones")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "no verdicts of the page"),
        ("a,b\n1,2\n", "no verdicts of the page"),
        ('{"verdicts": {"a": "odd"}}', "unknown verdict 'odd'. Expected rare, common, broken"),
        ('{"verdicts": {}}', "contains no verdict"),
    ],
)
def test_a_file_that_is_not_of_the_page_is_refused(content: str, problem: str, finished: Made, tmp_path: Path):
    (tmp_path / "file").write_text(content)

    with pytest.raises(SourceError, match=problem):
        verify.take_verdicts(finished.bench, tmp_path / "file")
