import pyarrow as pa

from vlmine_dagster.resources.cuts import by_shard


def cut(ids, shards):
    parts = by_shard(pa.table({"image_id": pa.array(ids, pa.string())}), shards)
    return {name: part.column("image_id").to_pylist() for name, part in parts.items()}


def test_rows_are_cut_by_shard_in_any_order():
    assert cut(["d/2", "a/1", "d/1"], ["d", "a", "empty"]) == {"a": ["a/1"], "d": ["d/1", "d/2"], "empty": []}


def test_shards_inside_a_shard_take_their_own():
    ids = ["a/0", "a/b/1", "a/b/c/2", "a/b/z", "a/bc", "a/y/3", "a/z"]

    found = cut(ids, ["a", "a/b", "a/b/c", "a/y"])

    assert found == {"a": ["a/0", "a/bc", "a/z"], "a/b": ["a/b/1", "a/b/z"], "a/b/c": ["a/b/c/2"], "a/y": ["a/y/3"]}


def test_a_name_that_begins_like_another_is_another():
    assert cut(["a-1/x", "a/x", "a1/x"], ["a", "a1"]) == {"a": ["a/x"], "a1": ["a1/x"]}


def test_names_are_cut_in_any_script():
    assert cut(["Ä/ä", "日本/１", "𝒜/z"], ["𝒜", "日本", "Ä"]) == {"Ä": ["Ä/ä"], "日本": ["日本/１"], "𝒜": ["𝒜/z"]}
