import threading

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmine_dagster.resources import query_engine


def test_connections_share_an_instance_and_see_nothing_of_each_other():
    with query_engine.connect(threads=1) as one, query_engine.connect(threads=1) as other:
        for connection, number in ((one, 1), (other, 2)):
            connection.register("rows", pa.table({"x": [number]}))
            connection.execute("CREATE TEMP VIEW doubled AS SELECT 2 * x AS x FROM rows")

        assert (one.sql("FROM doubled").fetchall(), other.sql("FROM doubled").fetchall()) == ([(2,)], [(4,)])
    with query_engine.connect(threads=1) as later, pytest.raises(duckdb.CatalogException, match="doubled"):
        later.sql("FROM doubled")


def test_threads_may_open_connections_at_once():
    found = []

    def ask(number: int) -> None:
        with query_engine.connect(threads=2) as connection:
            connection.execute("CREATE TEMP TABLE mine AS SELECT $1::INTEGER AS x FROM range(1000)", [number])
            found.append(connection.execute("SELECT sum(x) FROM mine").fetchone()[0] // 1000)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == list(range(8))


def test_a_file_is_read_as_it_is_now(tmp_path):
    file = tmp_path / "rows.parquet"
    for number in (1, 2):
        pq.write_table(pa.table({"x": [number]}), file)
        with query_engine.connect() as connection:
            assert connection.sql("FROM read_parquet($file)", params={"file": str(file)}).fetchall() == [(number,)]


def test_after_an_error_that_breaks_the_instance_there_is_another():
    with query_engine.connect(threads=1) as connection:
        connection.execute("CREATE TABLE mark (x INTEGER)")
    with pytest.raises(duckdb.FatalException, match="broken"), query_engine.connect(threads=1):
        raise duckdb.FatalException("broken")

    with query_engine.connect(threads=1) as connection, pytest.raises(duckdb.CatalogException, match="mark"):
        connection.sql("FROM mark")
