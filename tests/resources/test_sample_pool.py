import hashlib
import threading

import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import Outcome, Split
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.resources.pictures import inspect_picture
from vlmine_dagster.resources.sample_pool import make_sample_pool, pool_counts
from vlmine_dagster.resources.sources import detect, image_id, open_source
from vlmine_dagster.settings.project import Project, ProjectSettings


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make_sample_pool(tmp_path_factory.mktemp("made") / "sample")


@pytest.fixture
def project(sample, tmp_path):
    return Project(ProjectSettings(name="sample", dataset=detect(str(sample))), tmp_path)


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_pool_is_made_the_same_byte_for_byte(sample, tmp_path):
    assert contents(make_sample_pool(tmp_path / "again")) == contents(sample)


def test_it_is_taken_for_a_webdataset_benchmark_with_six_pool_shards(sample, project):
    settings = detect(str(sample))
    assert (settings.kind, settings.labels.oracle) == ("webdataset", True)
    assert open_source(project).shards() == [*(f"pool/shard-000{n}" for n in range(6)), "test/test-0000"]


def test_its_classes_follow_a_long_tail_from_hundreds_to_a_handful(project):
    counts = list(pool_counts().values())
    assert len(counts) == 20
    assert 1800 <= sum(counts) <= 2200
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 640  # 640 * (6 / 6) ** 3.42
    assert counts[1] == 378  # 640 * (6 / 7) ** 3.42
    assert 3 <= counts[-1] <= 6
    assert load_labels(project).class_counts() == pool_counts()


def test_every_image_is_readable_of_the_stated_size_and_labelled_but_the_four_bad_ones(project):
    source, labels = open_source(project), load_labels(project)
    bad, tested, keys = [], [], set()
    for shard in source.shards():
        for raw in source.read(shard):
            facts = inspect_picture(raw.data, max_pixels=10**8)
            truth = labels.truth(image_id(shard, raw.key), raw.key)
            assert raw.key not in keys
            keys.add(raw.key)
            if facts.outcome is not Outcome.OK:
                bad.append((shard, facts.outcome, truth))
                continue
            assert truth is not None
            assert 160 <= max(facts.width, facts.height) <= 224
            if shard.startswith("test/"):
                tested.append(truth)
    shard = "pool/shard-0003"
    corrupt = (shard, Outcome.CORRUPT, None)
    assert bad == [corrupt, (shard, Outcome.EMPTY, None), corrupt, corrupt]
    assert {tested.count(name) for name in pool_counts()} == {10}


def test_every_shard_holds_a_mixture(project):
    source, labels = open_source(project), load_labels(project)
    for shard in source.shards()[:6]:
        names = {labels.truth(image_id(shard, raw.key), raw.key) for raw in source.read(shard)}
        assert len(names - {None}) >= 10


def test_a_drawn_seed_leaves_a_pool_to_mine(project):
    source, labels = open_source(project), load_labels(project)
    ids = [(image_id(shard, raw.key), raw.key) for shard in source.shards() for raw in source.read(shard)]
    splits = [labels.visible(*pair)[1] for pair in ids]
    assert 320 < splits.count(Split.SEED) < 440  # 1,889 * 0.2 = 378, standard deviation 17
    assert splits.count(Split.TEST) == 200


def test_a_second_call_touches_nothing(sample):
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}
    assert make_sample_pool(sample) == sample
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"contains something else\. Choose another folder"):
        make_sample_pool(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_pool_of_another_version_is_refused_and_not_overwritten(tmp_path):
    (tmp_path / ".sample-pool").write_text("0")
    with pytest.raises(ConfigError, match=r"contains a sample pool of another version"):
        make_sample_pool(tmp_path)


def test_two_at_once_make_one_pool_and_leave_nothing_beside_it(sample, tmp_path):
    made, failed = [], []

    def work():
        try:
            made.append(make_sample_pool(tmp_path / "sample"))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, len(made)) == ([], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    assert contents(tmp_path / "sample") == contents(sample)
