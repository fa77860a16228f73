import pytest

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.project import Project, ProjectSettings

CLASSES = "class_id,name\n0,tram\n1,horse cart\n"


def project_at(folder, *, dataset=None, **labels):
    settings = LabelSettings(file="labels.csv", **labels)
    dataset = {"kind": "webdataset", "root": "data", **(dataset or {})}
    return Project(ProjectSettings(name="test", dataset={"labels": settings, **dataset}), folder)


def load(folder, text, *, classes=CLASSES, **labels):
    (folder / "labels.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    if classes is not None:
        (folder / "classes.csv").write_text(classes)
        labels["classes"] = "classes.csv"
    return load_labels(project_at(folder, **labels))


def test_without_label_settings_there_are_no_labels(tmp_path):
    dataset = DatasetSettings(kind="folder", root="data")
    assert load_labels(Project(ProjectSettings(name="test", dataset=dataset), tmp_path)) is None


def test_seed_and_test_rows_show_their_class_and_pool_rows_hide_it(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,0\nb,test,1\nc,pool,1\nd,pool,\n")
    assert labels.visible("s/a", "a") == ("tram", Split.SEED)
    assert labels.visible("s/b", "b") == ("horse cart", Split.TEST)
    assert labels.visible("s/c", "c") == (None, Split.POOL)
    assert labels.visible("s/d", "d") == (None, Split.POOL)
    assert labels.visible("s/unlisted", "unlisted") == (None, Split.POOL)
    assert len(labels) == 4


def test_the_oracle_knows_every_class_that_the_file_knows(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,0\nc,pool,1\nd,pool,\n")
    assert [labels.truth(f"s/{key}", key) for key in "acdz"] == ["tram", "horse cart", None, None]


def test_an_image_id_as_key_goes_before_a_bare_key(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,0\npool/s1/a,test,1\n")
    assert labels.visible("pool/s1/a", "a") == ("horse cart", Split.TEST)
    assert labels.visible("pool/s2/a", "a") == ("tram", Split.SEED)


def test_without_a_classes_file_the_class_id_is_the_name(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,n01\nb,test,n00\n", classes=None)
    assert labels.visible("s/a", "a") == ("n01", Split.SEED)
    assert labels.class_names == ("n00", "n01")


def test_rows_that_say_when_to_stop_show_their_class_and_are_not_counted(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,0\nb,val,0\nc,val,1\n")
    assert labels.visible("s/b", "b") == ("tram", Split.VAL)
    assert labels.class_counts() == {"tram": 1, "horse cart": 0}


def test_class_counts_take_pool_and_seed_and_name_classes_without_images(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,0\nb,test,1\nc,pool,0\nd,pool,\n")
    assert labels.class_counts() == {"tram": 2, "horse cart": 0}


def test_classes_that_share_a_name_are_told_apart_by_their_id(tmp_path):
    labels = load(tmp_path, "key,split,class_id\na,seed,134\n", classes="class_id,name\n134,crane\n517,crane\n9,cat\n")
    assert labels.class_names == ("crane (134)", "crane (517)", "cat")
    assert labels.visible("s/a", "a")[0] == "crane (134)"


BENCHMARK = "key,split,class_id\n" + "".join(f"{i:04d},pool,{i % 2}\n" for i in range(4000)) + "t,test,0\nn,pool,\n"


def drawn(labels, keys, shard="s"):
    return {key for key in keys if labels.visible(f"{shard}/{key}", key)[1] is Split.SEED}


KEYS = [f"{i:04d}" for i in range(4000)]


def test_an_oracle_draws_a_seed_of_about_the_share_and_shows_only_its_classes(tmp_path):
    labels = load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.25)
    seed = drawn(labels, KEYS)
    assert 900 < len(seed) < 1100  # 1,000 expected, standard deviation 27
    for key in KEYS[:50]:
        expected = ("tram" if int(key) % 2 == 0 else "horse cart") if key in seed else None
        assert labels.visible(f"s/{key}", key)[0] == expected
        assert labels.truth(f"s/{key}", key) is not None
    assert labels.visible("s/t", "t") == ("tram", Split.TEST)


def test_a_pool_image_without_a_class_is_never_drawn_as_a_seed(tmp_path):
    labels = load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.99)
    assert {labels.visible(f"s{i}/n", "n") for i in range(50)} == {(None, Split.POOL)}


def test_the_draw_is_stable_nested_and_another_with_another_number(tmp_path):
    first = drawn(load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.2), KEYS)
    again = drawn(load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.2), reversed(KEYS))
    larger = drawn(load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.3), KEYS)
    other = drawn(load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.2, draw=1), KEYS)
    assert first == again
    assert first < larger
    assert 100 < len(first & other) < 220  # 160 expected of independent draws


def test_the_draw_is_the_same_on_every_machine(tmp_path):
    labels = load(tmp_path, BENCHMARK, oracle=True, seed_fraction=0.2)
    assert sorted(drawn(labels, KEYS[:40])) == ["0002", "0003", "0005", "0008", "0014", "0015", "0030", "0034"]


def test_the_fingerprint_follows_content_and_meaning_and_not_the_folders_name(tmp_path):
    text = "key,split,class_id\na,seed,0\nc,pool,1\n"
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    first = load(folders[0], text).fingerprint
    assert load(folders[1], text).fingerprint == first
    assert load(folders[1], text, many_over=30).fingerprint == first
    assert load(folders[1], text.replace("a,seed,0", "a,seed,1")).fingerprint != first
    assert load(folders[1], text, classes=CLASSES.replace("tram", "bus")).fingerprint != first
    oracle = load(folders[1], text, oracle=True, seed_fraction=0.5).fingerprint
    assert oracle != first
    assert load(folders[1], text, oracle=True, seed_fraction=0.6).fingerprint != oracle
    assert load(folders[1], text, oracle=True, seed_fraction=0.5, draw=3).fingerprint != oracle


def test_a_byte_order_mark_windows_lines_blank_lines_and_further_columns_are_no_trouble(tmp_path):
    text = '\ufeffnote, split ,key,class_id\r\n"x, y",seed,a,0\r\n\r\n,test,b,1\r\n'
    labels = load(tmp_path, text)
    assert labels.visible("s/a", "a") == ("tram", Split.SEED)
    assert labels.visible("s/b", "b") == ("horse cart", Split.TEST)


SPREADSHEETS = {
    "semicolons": "key;split;class_id\r\na;seed;0\r\n",
    "a line that names the separator": "sep=;\r\nkey;split;class_id\r\na;seed;0\r\n",
    "tabs": "key\tsplit\tclass_id\na\tseed\t0\n",
    "bars": "key|split|class_id\na|seed|0\n",
    "tabs in UTF-16": "key\tsplit\tclass_id\na\tseed\t0\n".encode("utf-16"),
    "UTF-16 without its mark": "key,split,class_id\na,seed,0\n".encode("utf-16-le"),
    "UTF-32": "key,split,class_id\na,seed,0\n".encode("utf-32"),
    "headers in capitals": "Key,SPLIT,Class ID\na,seed,0\n",
    "an id with a point": "key,split,class_id\na,seed,0.0\n",
    "rows of nothing but separators": "key,split,class_id\na,seed,0\n,,\n,,\n",
    "commas in quotes before semicolons": 'note;key;split;class_id\n"x, y, z";a;seed;0\n',
}


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_a_label_file_is_read_as_spreadsheets_write_it(tmp_path, name):
    labels = load(tmp_path, SPREADSHEETS[name])
    assert (labels.visible("s/a", "a"), len(labels)) == (("tram", Split.SEED), 1)


def test_columns_splits_and_keys_of_others_are_mapped_by_settings(tmp_path):
    mapping = {
        "columns": {"key": "ID", "class_id": "breed"},
        "splits": {"train": "seed"},
        "key_format": "train/{}.jpg",
    }
    labels = load(tmp_path, "id,breed,Subset\n7,tram,train\n8,,pool\n9,horse cart,test\n", **mapping)
    assert [labels.visible(f"s/train/{n}.jpg", f"train/{n}.jpg") for n in (7, 8, 9)] == [
        ("tram", Split.SEED),
        (None, Split.POOL),
        ("horse cart", Split.TEST),
    ]


def test_rows_without_a_split_are_what_default_split_says_and_without_a_class_the_pool(tmp_path):
    text = "key,label\na,tram\nb,nan\n"
    with pytest.raises(SourceError, match=r"no column split\. .* Where there are no splits, set default_split"):
        load(tmp_path, text)
    labels = load(tmp_path, text, default_split="seed")
    assert [labels.visible(f"s/{key}", key) for key in "ab"] == [("tram", Split.SEED), (None, Split.POOL)]


@pytest.mark.parametrize("gap", ["nan", "NaN", "N/A", "#N/A", "NULL", "None", "<NA>"])
def test_a_gap_is_no_class_unless_the_classes_file_names_it(tmp_path, gap):
    text = f"key,split,class_id\na,pool,{gap}\nb,seed,0\n"
    labels = load(tmp_path, text, classes=None)
    assert (labels.truth("s/a", "a"), labels.class_names) == (None, ("0",))
    with pytest.raises(SourceError, match=rf"line 2: a seed row without a class_id, but '{gap}'"):
        load(tmp_path, text.replace("pool", "seed"))
    named = load(tmp_path, text, classes=f"class_id,name\n{gap},nothing\n0,tram\n")
    assert named.truth("s/a", "a") == "nothing"


def test_a_key_and_an_image_are_one_in_either_way_to_write_an_accent(tmp_path):
    composed, decomposed = "caf\u00e9/1.jpg", "cafe\u0301/1.jpg"
    for there, asked in ((composed, decomposed), (decomposed, composed)):
        labels = load(tmp_path, f"key,split,class_id\n{there},seed,0\n")
        assert labels.visible(f"s/{asked}", asked) == ("tram", Split.SEED)
        assert labels.row_of(f"s/{asked}", asked) is not None
    with pytest.raises(SourceError, match=r"line 3: key .* appears in line 2 already"):
        load(tmp_path, f"key,split,class_id\n{composed},seed,0\n{decomposed},seed,1\n")


def test_text_in_another_encoding_is_read_where_it_is_named(tmp_path):
    text = "key,split,class_id\ncaf\u00e9,seed,0\n".encode("cp1252")
    with pytest.raises(SourceError, match=r"line 2: no UTF-8 text\. .* name its encoding, such as cp1252"):
        load(tmp_path, text)
    assert load(tmp_path, text, encoding="cp1252").visible("s/caf\u00e9", "caf\u00e9")[1] is Split.SEED
    with pytest.raises(SourceError, match=r"no encoding is named 'cp9999'"):
        load(tmp_path, text, encoding="cp9999")


def test_how_a_file_is_read_changes_the_fingerprint_and_its_default_does_not(tmp_path):
    text = "key,split,class_id,breed\na,seed,0,1\n"
    first = load(tmp_path, text).fingerprint
    assert load(tmp_path, text, columns={}).fingerprint == first
    assert load(tmp_path, text, columns={"class_id": "breed"}).fingerprint != first


def test_a_project_whose_labels_all_come_back_needs_no_file(tmp_path):
    project = Project(ProjectSettings(name="test", dataset={"kind": "folder", "root": "data", "labels": {}}), tmp_path)
    (project.state_folder("labels") / "round-0001.csv").write_text("image_id,class_name\ns/a,tram\n")
    labels = load_labels(project)
    assert (labels.visible("s/a", "a"), labels.visible("s/b", "b")) == (("tram", Split.SEED), (None, Split.POOL))
    assert (labels.class_names, labels.class_counts(), len(labels)) == (("tram",), {"tram": 1}, 0)


HEAD = "key,split,class_id\n"
WRONG_FILES = {
    "key,class_id\na,0\n": r"labels\.csv: no column split\. Its first line contains key, class_id; expected key, split",
    "": r"contains nothing",
    HEAD
    + "a,train,0\n": r"line 2: unknown split 'train', expected seed, val, test, pool \(training rows are the seed\)",
    HEAD + "a,Seed,0\n": r"line 2: unknown split 'Seed', expected seed, val, test, pool\. ",
    HEAD + "a,seed,0\nb,seed,0\na,test,1\n": r"line 4: key 'a' appears in line 2 already",
    HEAD + "a,seed,7\n": r"line 2: class_id '7' is not in the classes file",
    HEAD + "a,seed,\n": r"line 2: a seed row without a class_id",
    HEAD + ",seed,0\n": r"line 2: an empty key",
    HEAD + "a,seed\n": r"line 2: 2 values, expected at least 3",
    HEAD + '"a\nb",seed,0\nc,wrong,0\n': r"line 4: unknown split",
    HEAD + "x" * 200_000 + ",seed,0\n": r"line 2: no CSV: field larger",
    HEAD.encode() + b"a,seed,0\ncaf\xe9,seed,0\n": r"line 3: no UTF-8 text\. Save the file as CSV in UTF-8",
}


@pytest.mark.parametrize(("text", "message"), WRONG_FILES.items(), ids=range(len(WRONG_FILES)))
def test_a_wrong_label_file_says_which_line_and_what_to_do(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        load(tmp_path, text)


def test_only_the_first_five_problems_are_listed_and_the_rest_counted(tmp_path):
    with pytest.raises(SourceError, match=r"line 6: .*; and 15 more\. Fix these lines") as caught:
        load(tmp_path, HEAD + "".join(f"{i},wrong,0\n" for i in range(20)))
    assert "line 7" not in str(caught.value)
    with pytest.raises(SourceError, match=r"; and 14 more"):
        load(tmp_path, HEAD + "same,seed,0\n" * 20)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("class_id,title\n0,tram\n", r"classes\.csv: no column name"),
        ("class_id,name\n0,tram\n0,bus\n", r"line 3: class_id '0' appears twice"),
        ("class_id,name\n0,\n", r"line 2: class_id or name is empty"),
    ],
)
def test_a_wrong_classes_file_says_which_line(tmp_path, classes, message):
    with pytest.raises(SourceError, match=message):
        load(tmp_path, HEAD + "a,seed,0\n", classes=classes)


def test_a_missing_file_names_the_setting_to_correct(tmp_path):
    with pytest.raises(SourceError, match=r"no file .*labels\.csv\. Correct dataset\.labels\.file"):
        load_labels(project_at(tmp_path))


def test_a_folder_in_place_of_the_file_is_a_source_error(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(SourceError, match=r"cannot be read"):
        load_labels(project_at(tmp_path))


def test_an_oracle_without_pool_classes_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"oracle is true, but no pool row"):
        load(tmp_path, HEAD + "a,seed,0\nb,pool,\n", oracle=True)


def test_an_oracle_whose_classes_are_counted_by_a_seed_that_the_file_lacks_is_a_config_error(tmp_path):
    pool = HEAD + "a,pool,0\nb,pool,1\n"
    with pytest.raises(
        ConfigError, match=r"shots_by is seed, but .*labels\.csv has no seed row.* Set shots_by to pool"
    ):
        load(tmp_path, pool, oracle=True, shots_by="seed")
    assert load(tmp_path, pool + "c,seed,1\n", oracle=True, shots_by="seed").class_counts() == {
        "tram": 0,
        "horse cart": 1,
    }


def test_row_numbers_as_keys_are_refused_where_several_parquet_files_count_their_own(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("part-0.parquet", "part-1.parquet"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "labels.csv").write_text(HEAD + "000003,seed,0\n")
    with pytest.raises(ConfigError, match=r"key '000003' is a row of each of the 2 Parquet files.*part-0/000003"):
        load_labels(project_at(tmp_path, dataset={"kind": "parquet"}))
    (tmp_path / "labels.csv").write_text(HEAD + "part-1/000003,seed,0\n")
    assert load_labels(project_at(tmp_path, dataset={"kind": "parquet"})).truth("part-1/000003", "000003") == "0"


def with_round(folder, text, returned, *, shards=("s",), **labels):
    rows = "".join(f"{name},{label}\n" for name, label in returned.items())
    project = project_at(folder)
    (project.state_folder("labels") / "round-0001.csv").write_text(f"image_id,class_name\n{rows}")
    for shard in shards:
        file = folder / "data" / f"{shard}.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return load(folder, text, **labels)


def test_labels_that_came_back_are_told_from_those_that_were_there(tmp_path):
    text = "key,split,class_id\na,seed,0\nb,pool,\nt,test,1\n"
    labels = with_round(tmp_path, text, {"s/a": "horse cart", "s/b": "tram", "s/t": "tram"})

    assert labels.visible("s/a", "a") == ("horse cart", Split.SEED)
    assert labels.visible("s/b", "b") == ("tram", Split.SEED)
    assert labels.visible("s/t", "t") == ("horse cart", Split.TEST)
    assert [labels.is_mined(f"s/{key}", key) for key in "abtz"] == [False, True, False, False]
    assert labels.truth("s/b", "b") == "tram"


def test_an_image_that_was_mined_is_counted_once(tmp_path):
    text = "key,split,class_id\na,seed,0\nb,pool,1\nc,pool,1\n"
    returned = {"pool/s/b": "tram", "pool/s/c": "horse cart", "pool/s/new": "tram"}

    counts = with_round(tmp_path, text, returned, shards=["pool/s"]).class_counts()

    assert counts == {"tram": 3, "horse cart": 1}


@pytest.mark.parametrize("dataset", [{"kind": "webdataset"}, {"kind": "folder"}])
def test_the_end_of_a_key_is_no_key(tmp_path, dataset):
    text = "key,split,class_id\nb.jpg,pool,0\n"
    labels = with_round(tmp_path, text, {"s/c/b.jpg": "horse cart"}, dataset=dataset)

    assert labels.truth("s/b.jpg", "b.jpg") == "tram"
    assert labels.class_counts() == {"tram": 1, "horse cart": 1}


def test_labels_of_a_shard_that_is_gone_are_counted_as_the_file_says(tmp_path):
    labels = with_round(tmp_path, "key,split,class_id\na,pool,0\n", {"gone/a": "horse cart", "gone/b": "tram"})

    assert labels.class_counts() == {"tram": 1, "horse cart": 0}


def test_only_the_classes_file_announces_classes_and_hidden_labels_do_not(tmp_path):
    text = "key,split,class_id\na,seed,n01\nb,pool,n02\n"

    assert load(tmp_path, text, classes=None, oracle=True).announced == ()
    assert load(tmp_path, "key,split,class_id\na,seed,0\nb,pool,1\n", oracle=True).announced == ("tram", "horse cart")
