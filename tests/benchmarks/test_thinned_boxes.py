"""Annotations of which some classes keep a few boxes."""

from xml.etree import ElementTree

from benchmarks.thinned_boxes import thinned


def names(folder):
    files = {file.name: ElementTree.parse(file).getroot() for file in sorted(folder.iterdir())}  # noqa: S314 - our own
    return {name: [one.findtext("name") for one in root.iter("object")] for name, root in files.items()}


def test_named_classes_keep_so_many_boxes_and_every_file_stays(tmp_path):
    source = tmp_path / "Annotations"
    source.mkdir()
    for number in range(6):
        boxes = "".join(f"<object><name>{name}</name></object>" for name in ("red", "white", "red"))
        (source / f"{number}.xml").write_text(f"<annotation>{boxes}</annotation>", encoding="utf-8")

    left = thinned(source, tmp_path / "thinned", keep={"white": 2}, seed=1)
    again = thinned(source, tmp_path / "again", keep={"white": 2}, seed=1)
    other = thinned(source, tmp_path / "other", keep={"white": 2}, seed=2)

    found = names(tmp_path / "thinned")
    assert left == again == other == {"red": 12, "white": 2}
    assert list(found) == [f"{number}.xml" for number in range(6)]
    assert sorted(name for boxes in found.values() for name in boxes) == ["red"] * 12 + ["white"] * 2
    assert found == names(tmp_path / "again") != names(tmp_path / "other")
