"""Every tool's label file gives the same rows, and what gives none says what is wrong with it."""

import gzip
import io
import json
import zipfile

import pandas as pd
import pytest

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.rounds import read_annotations

WANTED = {"a/1.jpg": "cat", "a/2.jpg": "big dog"}


def label_studio_task(name, **value):
    return {"data": {"image": "x", "image_id": name}, "annotations": [{"result": [value]}]}


def choice(name, label):
    return label_studio_task(name, type="choices", value={"choices": [label]})


def coco(**more):
    images = [{"id": place, "file_name": name, "width": 8, "height": 6} for place, name in enumerate(WANTED)]
    categories = [{"id": 7, "name": "cat"}, {"id": 9, "name": "big dog"}]
    annotations = [
        {"image_id": 0, "category_id": 7},
        {"image_id": 1, "category_id": 9},
        {"image_id": 0, "category_id": 7},
    ]
    return {"images": images, "categories": categories, "annotations": annotations, **more}


def cvat(inner=""):
    images = "".join(
        f'<image id="{n}" name="{k}"><tag label="{v}"/></image>' for n, (k, v) in enumerate(WANTED.items())
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{images}{inner}</annotations>'


def datumaro():
    items = [{"id": k, "annotations": [{"type": "label", "label_id": n}]} for n, k in enumerate(WANTED)]
    return {"categories": {"label": {"labels": [{"name": name} for name in WANTED.values()]}}, "items": items}


def labelbox(name, label):
    answers = {"classifications": [{"name": "kind", "radio_answer": {"name": label}}], "objects": []}
    return {"data_row": {"id": "x", "external_id": name}, "projects": {"p": {"labels": [{"annotations": answers}]}}}


def written(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


FRAME = pd.DataFrame({"image_id": list(WANTED), "label": list(WANTED.values()), "note": ["", "x"]})
CSV = FRAME.to_csv(index=False).encode()
LS_MIN = [
    {"id": n, "image": "x", "image_id": k, "choice": v, "annotator": 1} for n, (k, v) in enumerate(WANTED.items())
]
LS_CSV = (
    'annotation_id,choice,id,image,image_id\n1,cat,1,/x.jpg,a/1.jpg\n2,"{""choices"":[""big dog""]}",2,/y.jpg,a/2.jpg\n'
)


def zipped(**files):
    def write(stream):
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in files.items():
                archive.writestr(name.replace("__", "/").replace("_DOT_", "."), content)

    return written(write)


def spreadsheet(*sheets):
    """An .xlsx as small as its format allows, with its text inline."""

    def cell(value):
        if value is None:
            return "<c/>"
        kind, tag = ("n", f"<v>{value}</v>") if isinstance(value, float) else ("inlineStr", f"<is><t>{value}</t></is>")
        return f'<c t="{kind}">{tag}</c>'

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbers = range(1, len(sheets) + 1)

    def relations(kinds):
        found = "".join(
            f'<Relationship Id="r{n}" Type="{office}/{kind}" Target="{target}"/>' for n, kind, target in kinds
        )
        return f'<Relationships xmlns="{package}/relationships">{found}</Relationships>'

    types = '<Default Extension="xml" ContentType="application/xml"/>'
    names = "".join(f'<sheet name="s{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{types}</Types>',
        "_rels/.rels": relations([(0, "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations((n, "worksheet", f"worksheets/s{n}.xml") for n in numbers),
    }
    for n, rows in zip(numbers, sheets, strict=True):
        cells = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/s{n}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'

    def write(stream):
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)

    return written(write)


SHEET = spreadsheet([["read me"]], [["Image ID", "Label"], *WANTED.items(), [None, None]])
GOOD = {
    "commas": ("a.csv", CSV),
    "semicolons": ("a.csv", CSV.replace(b",", b";")),
    "tabs in UTF-16, as Excel's Unicode text": ("a.txt", CSV.decode().replace(",", "\t").encode("utf-16")),
    "tabs": ("a.tsv", CSV.replace(b",", b"\t")),
    "without an ending": ("labels", CSV),
    "Parquet": ("a.parquet", FRAME.to_parquet()),
    "Parquet with categories": ("a.parquet", FRAME.astype({"label": "category"}).to_parquet()),
    "a spreadsheet, on its second sheet": ("a.xlsx", SHEET),
    "a spreadsheet under another name": ("a.csv", SHEET),
    "objects in JSON": ("a.json", FRAME.to_json(orient="records").encode()),
    "columns in JSON": ("a.json", FRAME.to_json().encode()),
    "JSON Lines": ("a.jsonl", FRAME.to_json(orient="records", lines=True).encode()),
    "classes by image in JSON": ("a.json", json.dumps(WANTED).encode()),
    "Label Studio's JSON": ("a.json", json.dumps([choice(*pair) for pair in WANTED.items()]).encode()),
    "Label Studio's JSON-MIN": ("a.json", json.dumps(LS_MIN).encode()),
    "Label Studio's CSV": ("a.csv", LS_CSV.encode()),
    "CVAT for images": ("a.xml", cvat().encode()),
    "CVAT for images in its archive": ("a.zip", zipped(annotations_DOT_xml=cvat(), images__1_DOT_jpg="")),
    "CVAT for images in UTF-16": ("a.xml", cvat().replace("utf-8", "utf-16").encode("utf-16")),
    "COCO": ("a.json", json.dumps(coco()).encode()),
    "COCO in an archive": ("a.zip", zipped(annotations__instances_default_DOT_json=json.dumps(coco()))),
    "Datumaro": ("a.json", json.dumps(datumaro()).encode()),
    "FiftyOne": (
        "a.json",
        json.dumps({"classes": ["big dog", "cat"], "labels": {"a/1.jpg": 1, "a/2.jpg": 0}}).encode(),
    ),
    "Labelbox": ("a.ndjson", "\n".join(json.dumps(labelbox(*pair)) for pair in WANTED.items()).encode()),
    "headers and cells with spaces": ("a.csv", b" Image Name , Category \n a/1.jpg , cat \na/2.jpg,big dog\n"),
    "lists of one class": ("a.csv", b'Image Name,Classes\na/1.jpg,"[""cat""]"\na/2.jpg,"[""big dog""]"\n'),
    "formulas that keep zeros": ("a.csv", b'key,label\n"=""a/1.jpg""",cat\na/2.jpg,"=""big dog"""\n'),
    "gzip": ("a.csv.gz", gzip.compress(CSV)),
    "gzip under another name": ("a.csv", gzip.compress(CSV)),
    "file names": ("metadata.csv", CSV.replace(b"image_id", b"file_name").replace(b"label", b"Category")),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_tools_file_gives_the_same_labels(name, tmp_path):
    file, content = GOOD[name]
    (tmp_path / file).write_bytes(content)

    assert read_annotations(tmp_path / file).labels == WANTED


@pytest.mark.parametrize(
    ("text", "key", "class_id"),
    [
        ("id,Breed,label\na/1.jpg,cat,7\na/2.jpg,big dog,8\n", "ID", "breed"),
        (
            "\u7b2c\u4e00\u5217,\u7b2c\u4e8c\u5217\na/1.jpg,cat\na/2.jpg,big dog\n",
            "\u7b2c\u4e00\u5217",
            "\u7b2c\u4e8c\u5217",
        ),
        (  # VGG Image Annotator
            "filename,file_size,file_attributes,region_count\n"
            'a/1.jpg,9,"{""kind"":""cat""}",0\na/2.jpg,9,"{""kind"":""big dog""}",0\n',
            "filename",
            "file_attributes",
        ),
    ],
)
def test_columns_of_other_names_are_named(text, key, class_id, tmp_path):
    (tmp_path / "a.csv").write_text(text, "utf-8")

    assert read_annotations(tmp_path / "a.csv", columns={"key": key, "class_id": class_id}).labels == WANTED


@pytest.mark.parametrize(
    ("cells", "label"),
    [([3.0, None], "3"), ([1.5, None], "1.5"), ([True, None], "True"), ([b"cat", None], "cat"), (["nan", "x"], "x")],
)
def test_typed_cells_become_the_class_that_a_person_would_read(cells, label, tmp_path):
    keys = ["a", "b"] if label != "x" else ["b", "a"]
    pd.DataFrame({"key": keys, "label": cells}).to_parquet(tmp_path / "a.parquet")

    found = read_annotations(tmp_path / "a.parquet")

    assert (found.labels, found.blank_count) == ({"a": label}, 1)


def test_whole_numbers_of_a_spreadsheet_have_no_point(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(spreadsheet([["key", "label"], [12.0, 3.0], ["b", None]]))

    assert read_annotations(tmp_path / "a.xlsx").labels == {"12": "3"}


BOXES = label_studio_task("a", type="rectanglelabels", value={"rectanglelabels": ["cat"]})
BAD = {
    "boxes of Label Studio": (
        "a.json",
        json.dumps([BOXES]),
        r"no labels in it\. It contains 1 x rectanglelabels; one class per image is needed",
    ),
    "taxonomies": (
        "a.json",
        json.dumps([label_studio_task("a", type="taxonomy", value={"taxonomy": [["x", "y"]]})]),
        r"It contains 1 x taxonomy; .* Choices in Label Studio",
    ),
    "boxes in its flat JSON": (
        "a.json",
        json.dumps([{"image_id": "a", "label": [{"x": 1, "rectanglelabels": ["cat"]}]}]),
        r"It contains 1 x rectanglelabels",
    ),
    "boxes of CVAT": (
        "a.xml",
        '<annotations><image id="0" name="a"><box label="cat"/></image></annotations>',
        r"It contains 1 x box; .* a tag in CVAT",
    ),
    "a video of CVAT": ("a.xml", '<annotations><track id="0" label="cat"/></annotations>', r"It contains 1 x track"),
    "two choices": (
        "a.json",
        json.dumps([label_studio_task("a", type="choices", value={"choices": ["cat", "dog"]})]),
        r"'a' is labelled 'cat' and 'dog'\. Keep one",
    ),
    "two categories": (
        "a.json",
        json.dumps(coco(annotations=[{"image_id": 0, "category_id": 7}, {"image_id": 0, "category_id": 9}])),
        r"'a/1\.jpg' is labelled 'cat' and 'big dog'",
    ),
    "a category that is not listed": (
        "a.json",
        json.dumps(coco(annotations=[{"image_id": 0, "category_id": 8}])),
        r"annotation 0 has the category_id 8, which is not one of the 2 categories",
    ),
    "a table without a header": ("a.csv", "TRAIN,gs://b/a.jpg,cat\n", r"it has TRAIN, gs://b/a\.jpg, cat\. If they"),
    "Pascal VOC": ("a.xml", "<annotation><filename>a</filename></annotation>", r"begins with <annotation>\. Of XML"),
    "cut XML": ("a.xml", cvat()[:80], r"is not XML"),
    "entities": ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', r"declares a document type"),
    "an odd object": ("a.json", '{"a": [1]}', r"expected a list of tasks"),
    "COCO whose parts are others": (
        "a.json",
        json.dumps(coco(images=["a"])),
        r"parts are not where the format has them",
    ),
    "an archive of two": (
        "a.zip",
        zipped(a_DOT_csv="", b_DOT_csv=""),
        r"this one contains 2: a\.csv, b\.csv\. Unpack it",
    ),
    "an archive of none": ("a.zip", zipped(a_DOT_jpg=""), r"this one contains 0\. Unpack it"),
    "a cut archive": ("a.zip", b"PK\x03\x04 and no more", r"cannot be read: File is not a zip file"),
    "cut gzip": ("a.csv.gz", gzip.compress(CSV)[:30], r"cannot be read"),
    "a spreadsheet that is none": ("a.xlsx", "image_id,label\n", r"first bytes are not those of a \.xlsx file"),
    "cut Parquet": ("a.parquet", b"PAR1 and no more", r"cannot be read"),
    "a spreadsheet without the columns": (
        "a.xlsx",
        spreadsheet([["x", "y"], ["a", "b"]]),
        r"it has x, y\. If they have",
    ),
    "an empty spreadsheet": ("a.xlsx", spreadsheet([]), r"no labels in it"),
    "an empty file": ("a.csv", "", r"expected the columns image_id and label; it has none"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_without_classes_of_images_says_what_it_holds(name, tmp_path):
    file, content, message = BAD[name]
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SourceError, match=message):
        read_annotations(tmp_path / file)


def test_shapes_beside_classes_are_counted(tmp_path):
    (tmp_path / "a.xml").write_text(cvat('<image id="9" name="a/9.jpg"><polygon label="cat"/></image>'))

    found = read_annotations(tmp_path / "a.xml")

    assert (found.labels, found.blank_count, found.shapes) == (WANTED, 1, {"polygon": 1})
