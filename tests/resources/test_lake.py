import errno
import multiprocessing
import os
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_tables import plain_rows
from processes import run_together

from vlmine_dagster.domain.errors import ContractError, LakeError, MissingInputError, ReplacedError, SourceError
from vlmine_dagster.domain.items import OBJECT
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.stamps import Stamp, conform


def keywords(*pairs, variant="v"):
    return pa.table(
        {"image_id": [i for i, _ in pairs], "keyword": [w for _, w in pairs], "variant_hash": [variant] * len(pairs)}
    )


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"), scratch=tmp_path)


def test_what_is_published_is_read_back(lake):
    lake.publish("keywords", "pool/a", keywords(("x", "cat"), ("y", "dog")), inputs="1")

    assert lake.read("keywords", "pool/a").to_pylist() == keywords(("x", "cat"), ("y", "dog")).to_pylist()
    assert lake.partitions("keywords") == ["pool/a"]


def test_the_stamp_tells_content_and_inputs_apart(lake):
    first = lake.publish("keywords", "a", keywords(("x", "cat")), inputs="1")
    again = lake.publish("keywords", "a", keywords(("x", "cat")), inputs="2")
    other = lake.publish("keywords", "a", keywords(("x", "dog")), inputs="2")

    assert first.version() == again.version()
    assert (first.inputs, again.inputs) == ("1", "2")
    assert again.version(["image_id"]) == other.version(["image_id"])
    assert again.version(["keyword"]) != other.version(["keyword"])
    assert lake.stamp("keywords", "a") == other


def test_text_that_repeats_is_written_once_and_keys_as_they_are(lake):
    lake.publish("keywords", "a", keywords(*[(f"image {place}", "cat") for place in range(9)]), inputs="")
    lake.publish("vocab_counts", WHOLE_POOL, plain_rows(TABLES["vocab_counts"], keyword=["cat", "dog"]), inputs="")

    def with_dictionary(table, partition):
        group = pq.ParquetFile(str(lake.path(table, partition))).metadata.row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
        return {column.path_in_schema for column in columns if column.has_dictionary_page}

    assert with_dictionary("keywords", "a") == {"image_id", "keyword", "variant_hash"}
    assert with_dictionary("vocab_counts", WHOLE_POOL) == set()  # a keyword comes once there


def test_totals_come_from_a_stamp_and_from_the_rows_where_a_stamp_of_old_has_none(lake):
    rows = plain_rows(TABLES["images"], image_id=["x", "y", "z"], outcome=["ok", "ok", "corrupt"])
    stamp = lake.publish("images", "a", rows, inputs="")
    old = Stamp(stamp.columns, "", 3)
    told = Stamp({}, "", 9, {"outcomes": {"ok": 9}})

    counted = {"outcomes": {"ok": 2, "corrupt": 1}}
    assert lake.totals("images", "a") == lake.totals("images", "a", stamp=stamp) == counted
    assert lake.totals("images", "a", stamp=old) == counted
    assert lake.totals("images", "a", stamp=told) == {"outcomes": {"ok": 9}}
    with pytest.raises(MissingInputError, match="1 of 1 partitions are not there yet: b"):
        lake.totals("images", "b")


def test_the_last_change_is_that_of_the_folders_of_tables_and_a_probe_of_the_lake_is_none(lake):
    assert lake.last_change_s() == 0.0
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")
    lake.publish("keywords", "pool/b", keywords(("x", "cat")), inputs="")
    root = Path(str(lake.root))
    for folder, seconds in ((root / "keywords" / "pool", 200), (root / "keywords", 100), (root, 300)):
        os.utime(folder, (seconds, seconds))

    assert lake.last_change_s() == 200.0
    os.utime(root / "keywords", (250, 250))
    assert lake.last_change_s() == 250.0
    os.utime(root / "keywords", (100, 100))
    lake.check_writable()
    assert lake.last_change_s() == 200.0
    assert list(root.glob(".writable*")) == []
    Lake(str(root / "deep" / "er")).check_writable()
    assert (root / "deep" / "er").is_dir()
    assert Lake("memory://changes").last_change_s() == 0.0


def test_a_lake_that_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "lake").write_text("a file")

    with pytest.raises(LakeError, match="cannot be written"):
        Lake(str(tmp_path / "lake")).check_writable()


def test_a_query_has_the_memory_and_the_threads_that_are_given(tmp_path):
    names = ("memory_limit", "threads", "temp_directory", "preserve_insertion_order")
    with Lake(str(tmp_path), memory_gb=2, threads=3, scratch=tmp_path / "spill").connect() as connection:
        found = [connection.sql(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names]

    assert found == ["1.8 GiB", 3, str(tmp_path / "spill"), False]  # 2e9 bytes; rows in any order take less of them


def test_several_partitions_are_read_in_the_order_given_and_none_is_an_empty_table(lake):
    for name, word in (("a", "cat"), ("b", "dog")):
        lake.publish("keywords", name, keywords((name, word)), inputs="")

    assert lake.read_all("keywords", ["b", "a"], columns=["keyword"]).to_pydict() == {"keyword": ["dog", "cat"]}
    nothing = lake.read_all("keywords", [])
    assert (nothing.num_rows, nothing.column_names) == (0, ["image_id", "keyword", "variant_hash"])
    with pytest.raises(MissingInputError, match="1 of 2 partitions are not there yet: c"):
        lake.read_all("keywords", ["a", "c"])


@pytest.mark.parametrize("root", ["lake", "memory://objects"])
def test_what_is_mined_has_its_own_name_on_disk_and_one_name_in_code(root, tmp_path):
    lake = Lake(root if "://" in root else str(tmp_path / root), kind=OBJECT)
    rows = keywords(("x#1", "cat"))

    lake.publish("keywords", "a", rows, inputs="")

    with lake.path("keywords", "a").open("rb") as file:
        assert pq.read_table(file).column_names == ["object_id", "keyword", "variant_hash"]
    assert lake.read("keywords", "a").to_pylist() == rows.to_pylist()
    assert lake.read("keywords", "a", columns=["keyword", "image_id"]).column_names == ["keyword", "image_id"]
    with lake.connect({"keywords": ["image_id"]}, keywords=lake.require("keywords", ["a"])) as connection:
        assert connection.sql("FROM keywords").columns == ["image_id"]
    with lake.connect(keywords=lake.require("keywords", ["a"])) as connection:
        assert connection.sql("SELECT image_id, keyword FROM keywords").fetchall() == [("x#1", "cat")]
    with lake.connect(items=[]) as connection:
        assert connection.sql("FROM items").columns[:2] == ["image_id", "parent_id"]


def test_a_column_that_is_not_there_is_named_with_the_file(lake):
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")

    with pytest.raises(SourceError, match=r"a.parquet is damaged \(no column colour\)"):
        lake.read("keywords", "a", columns=["keyword", "colour"])


def test_up_to_five_missing_partitions_are_named(lake):
    with pytest.raises(MissingInputError, match="5 of 5 partitions are not there yet: a, b, c, d, e. Materialize"):
        lake.require("keywords", list("abcde"))


def test_chunking_does_not_change_a_stamp(lake):
    whole = keywords(("x", "cat"), ("y", "dog"))
    cut = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])

    assert (
        lake.publish("keywords", "a", whole, inputs="").version()
        == lake.publish("keywords", "a", cut, inputs="").version()
    )


def test_missing_partitions_are_counted_and_named(lake):
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")

    with pytest.raises(
        MissingInputError, match="6 of 7 partitions are not there yet: b, c, d, e, f and 1 more. Materialize keywords"
    ):
        lake.require("keywords", list("abcdefg"))


def test_a_half_written_file_is_named(lake):
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")
    path = Path(str(lake.path("keywords", "a")))
    path.write_bytes(path.read_bytes()[:50])

    assert lake.stamp("keywords", "a") is None
    with pytest.raises(SourceError, match="keywords"):
        lake.read("keywords", "a")


def test_no_trace_stays_beside_a_published_file(lake):
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")

    assert [path.name for path in Path(str(lake.root / "keywords")).iterdir()] == ["a.parquet"]


def test_a_reader_never_sees_a_half_table(lake):
    rows = {name: keywords(*[(str(k), name) for k in range(2000)]) for name in ("cat", "dog")}
    lake.publish("keywords", "a", rows["cat"], inputs="")
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            table = lake.read("keywords", "a")
            seen.append((table.num_rows, len(set(table.column("keyword").to_pylist()))))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for k in range(20):
        lake.publish("keywords", "a", rows["dog" if k % 2 else "cat"], inputs="")
    stop.set()
    reader.join()

    assert set(seen) == {(2000, 1)}


def _publish_many(root: str, shard: str) -> None:
    lake = Lake(root)
    for k in range(10):
        lake.publish("keywords", shard, keywords(*[(f"{shard}/{n}", f"w{k}") for n in range(500)]), inputs=str(k))


def test_two_processes_write_different_shards_at_once(lake):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish_many, args=(str(lake.root), shard)) for shard in ("a", "b")]

    assert run_together(writers) == [0, 0]
    with lake.connect(keywords=lake.require("keywords", ["a", "b"])) as connection:
        assert connection.sql("SELECT keyword, count(*) FROM keywords GROUP BY 1").fetchall() == [("w9", 1000)]


def test_variants_lie_apart(lake):
    lake.publish("keywords", "a", keywords(("x", "cat")), inputs="")
    lake.publish("keywords", "a", keywords(("x", "dog")), inputs="", variant="words")

    assert lake.read("keywords", "a").column("keyword").to_pylist() == ["cat"]
    assert lake.read("keywords", "a", variant="words").column("keyword").to_pylist() == ["dog"]


def test_removing_what_is_not_there_is_no_error(lake):
    lake.remove("keywords", "nothing")

    assert lake.stamp("keywords", "nothing") is None


def test_columns_outside_the_contract_are_named():
    with pytest.raises(ContractError, match=r"missing columns \['variant_hash'\], undeclared columns \['extra'\]"):
        conform("keywords", pa.table({"image_id": ["x"], "keyword": ["y"], "extra": [1]}))


def test_values_that_do_not_fit_are_refused():
    rows = pa.table({"keyword": ["a"], "image_count": ["many"], "image_share": [0.5], "unit_count": [1]})

    with pytest.raises(ContractError, match="vocab_counts: "):
        conform("vocab_counts", rows)


def test_an_unknown_table_is_named(lake):
    with pytest.raises(ContractError, match="no table 'nonsense'"):
        lake.path("nonsense")


def test_a_view_over_no_files_is_an_empty_table(lake):
    with lake.connect(keywords=[]) as connection:
        assert connection.sql("SELECT count(*) FROM keywords").fetchall() == [(0,)]


def test_a_lake_may_lie_behind_a_url():
    lake = Lake("memory://lake-test/of/a/project")

    lake.publish("keywords", "pool/a", keywords(("x", "cat")), inputs="1")
    lake.publish("keywords", "pool/b", keywords(("y", "dog")), inputs="1")

    assert lake.read("keywords", "pool/a").num_rows == 1
    assert lake.partitions("keywords") == ["pool/a", "pool/b"]
    with lake.connect(keywords=lake.require("keywords", ["pool/a"])) as connection:
        assert connection.sql("SELECT keyword FROM keywords").fetchall() == [("cat",)]


def test_a_store_keeps_no_list_of_its_files_which_would_hide_what_other_machines_publish(lake):
    assert Lake("memory://lake-test").root.storage_options == {"use_listings_cache": False}
    assert lake.root.storage_options == {}


def test_what_another_machine_replaces_while_it_is_read_is_read_again(monkeypatch):
    lake = Lake("memory://replaced")
    lake.publish("keywords", "pool/a", keywords(("x", "cat")), inputs="1")
    opened, left = type(lake.root.fs)._open, [2]

    def replaced(*arguments, **options):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.EBUSY, "The remote file no longer exists.")
        return opened(*arguments, **options)

    monkeypatch.setattr(type(lake.root.fs), "_open", replaced)

    assert lake.read("keywords", "pool/a").num_rows == 1
    left[0] = 1
    assert lake.stamp("keywords", "pool/a") is not None
    left[0] = 1_000
    with pytest.raises(ReplacedError, match="was replaced 5 times"):
        lake.read("keywords", "pool/a")
    with (
        pytest.raises(ReplacedError, match="another machine published"),
        lake.connect(keywords=lake.require("keywords", ["pool/a"])) as connection,
    ):
        connection.sql("SELECT keyword FROM keywords").fetchall()


def test_names_with_quotes_are_inert(lake):
    lake.publish("keywords", "it's; DROP", keywords(("x'; --", "cat")), inputs="")

    with lake.connect(keywords=lake.require("keywords", ["it's; DROP"])) as connection:
        assert connection.sql("SELECT image_id FROM keywords").fetchall() == [("x'; --",)]


def test_people_can_open_a_file_with_views(lake, tmp_path):
    lake.publish("keywords", "pool/a", keywords(("x", "cat")), inputs="")
    lake.publish("keywords", "pool/b", keywords(("y", "dog")), inputs="")

    lake.write_views(tmp_path / "vlmine.duckdb")
    lake.write_views(tmp_path / "vlmine.duckdb")

    with duckdb.connect(str(tmp_path / "vlmine.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT keyword FROM keywords ORDER BY 1").fetchall() == [("cat",), ("dog",)]
        assert connection.sql("SELECT shard, image_id FROM keywords ORDER BY 1").fetchall() == [
            ("pool/a", "x"),
            ("pool/b", "y"),
        ]
    Lake("memory://views").write_views(tmp_path / "none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()


def test_the_views_tell_experiments_apart_and_leave_out_those_that_went(tmp_path):
    lake = Lake(str(tmp_path / "it's" / "é"))
    for name in ("one", "two", "gone"):
        rows = plain_rows(TABLES["pareto_set"], image_id=["s/x"], selected=[True]).append_column(name, pa.array([0.5]))
        lake.publish("pareto_set", name, rows, inputs="")
    lake.publish("vocab_counts", WHOLE_POOL, plain_rows(TABLES["vocab_counts"], keyword=["cat"]), inputs="")

    lake.write_views(tmp_path / "vlmine.duckdb", kept={"experiment": ["one", "two"]})

    with duckdb.connect(str(tmp_path / "vlmine.duckdb"), read_only=True) as connection:
        found = connection.sql("SELECT experiment, image_id, one, two FROM pareto_set ORDER BY 1")
        assert found.fetchall() == [("one", "s/x", 0.5, None), ("two", "s/x", None, 0.5)]
        assert connection.sql("FROM vocab_counts").columns[0] == "keyword"
