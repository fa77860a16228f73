"""Label files that tools export: Label Studio, Labelbox, CVAT, Datumaro, COCO, FiftyOne, and plain JSON."""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_files.contract import Columns, LabelRow, plain_name, rows_of_classes, text_of
from vlmine_dagster.resources.label_files.tables import rows_of_cells

_NO_CLASSES = ("unlabelled", "mined")
_CVAT_SHAPES = ("box", "polygon", "polyline", "points", "mask", "cuboid", "ellipse", "skeleton")


def rows_of_json(document: Any, *, where: str, columns: Columns) -> Iterator[LabelRow]:
    """Yield the rows of a parsed JSON file.

    Raises:
        SourceError: its shape is that of no format that is read.
    """
    try:
        yield from _rows_of_document(document, where=where, columns=columns)
    except (AttributeError, KeyError, IndexError, TypeError) as error:  # a part is missing, or of another type
        raise SourceError(
            f"{where} cannot be read: its parts are not where the format has them ({type(error).__name__}: {error}). "
            f"Export it again."
        ) from error


def _rows_of_document(document: Any, *, where: str, columns: Columns) -> Iterator[LabelRow]:
    if isinstance(document, list):
        tasks = [one for one in document if isinstance(one, Mapping)]
        if any("annotations" in task or isinstance(task.get("data"), Mapping) for task in tasks):
            return _label_studio(document, where=where)
        if any(isinstance(task.get("data_row"), Mapping) for task in tasks):
            return _labelbox(tasks)
        if len(tasks) == len(document):
            return _records(tasks, where=where, columns=columns)
    if isinstance(document, Mapping) and document:
        found = _document(document, where=where, columns=columns)
        if found is not None:
            return found
    raise SourceError(
        f"{where}: expected a list of tasks, as Label Studio exports them by `JSON` or `JSON-MIN`, a list of objects "
        f"with the columns, or an export of COCO, Datumaro or FiftyOne. Export it as one of these."
    )


def _document(document: Mapping[str, Any], *, where: str, columns: Columns) -> Iterator[LabelRow] | None:
    """Return the rows of a JSON object, None where it is of no known format."""

    def is_there(**parts: type) -> bool:
        return all(isinstance(document.get(name), part) for name, part in parts.items())

    if is_there(images=list, categories=list):
        return _coco(document, where=where)
    if is_there(items=list, categories=Mapping):
        return _datumaro(document)
    if is_there(samples=list):
        return _fiftyone_samples(document)
    if is_there(labels=Mapping, classes=list):
        return _fiftyone(document)
    return _plain_object(document, where=where, columns=columns)


def _plain_object(document: Mapping[str, Any], *, where: str, columns: Columns) -> Iterator[LabelRow] | None:
    """Return the rows of a data frame by columns, of a single record, or of classes by image."""
    has_columns = not columns.missing(columns.places(list(document)))
    kinds = {isinstance(value, Mapping) for value in document.values()}
    if kinds == {True} and has_columns:
        rows: dict[str, dict[str, Any]] = {}
        for name, cells in document.items():
            for row, cell in cells.items():
                rows.setdefault(row, {})[name] = cell
        return _records(list(rows.values()), where=where, columns=columns)
    if has_columns:  # one line of JSON Lines
        return _records([document], where=where, columns=columns)
    if all(isinstance(value, (str, int, float, type(None))) for value in document.values()):
        return (LabelRow(f"entry {key!r}", key.strip(), "", text_of(label)) for key, label in document.items())
    return None


def _records(records: list[Mapping[str, Any]], *, where: str, columns: Columns) -> Iterator[LabelRow]:
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        return iter(())
    rows = ([record.get(name) for name in names] for record in records)
    return rows_of_cells(names, rows, where=where, columns=columns, first=0, unit="object")


def _label_studio(tasks: list[Any], *, where: str) -> Iterator[LabelRow]:
    for place, task in enumerate(tasks):
        if not isinstance(task, Mapping):
            raise SourceError(f"{where}: task {place} is not an object. Export the tasks again.")
        choices, shape = _choices(task)
        data = task.get("data")
        name = data.get("object_id") or data.get("image_id") if isinstance(data, Mapping) else None
        if choices and not name:
            raise SourceError(
                f"{where}: task {place} has no image_id in its data. Import tasks with image_id beside image."
            )
        yield from rows_of_classes(f"task {place}", text_of(name), "", choices, shape)


def _choices(task: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the classes of a task, and the kind of another result in it."""
    choices: list[str] = []
    shape = ""
    for annotation in task.get("annotations") or []:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            chosen = (result.get("value") or {}).get("choices")
            choices += [text_of(choice) for choice in chosen or []]
            shape = shape if chosen is not None else shape or str(result.get("type") or "another result")
    return choices, shape


def _labelbox(rows: list[Mapping[str, Any]]) -> Iterator[LabelRow]:
    """Yield the classes of Labelbox's JSON Lines: the answers of radio buttons and check lists."""
    for place, row in enumerate(rows):
        name = text_of(row["data_row"].get("external_id") or row["data_row"].get("id"))
        classes: list[str] = []
        shape = ""
        for label in (one for project in (row.get("projects") or {}).values() for one in project.get("labels") or []):
            found = label.get("annotations") or {}
            for answer in found.get("classifications") or []:
                chosen = [answer["radio_answer"]] if "radio_answer" in answer else answer.get("checklist_answers") or []
                classes += [text_of(one.get("name")) for one in chosen]
            shape = shape or str(next((one.get("annotation_kind") for one in found.get("objects") or []), ""))
        yield from rows_of_classes(f"row {place}", name, "", classes, shape)


def _coco(document: Mapping[str, Any], *, where: str) -> Iterator[LabelRow]:
    """Yield the classes of each image; several categories in one image are several rows.

    An annotation with an `object_id` among its attributes, as `vlmine export --format coco` writes it, is about that
    object alone.
    """
    names = {one.get("id"): text_of(one.get("name")) for one in document["categories"]}
    found: dict[Any, dict[str, None]] = {}
    with_objects = set()
    for place, annotation in enumerate(document.get("annotations") or []):
        if annotation.get("category_id") not in names:
            raise SourceError(
                f"{where}: annotation {place} has the category_id {annotation.get('category_id')!r}, which is not "
                f"one of the {len(names)} categories. Export it again."
            )
        name = _class_of_mined(names[annotation["category_id"]])
        item = (annotation.get("attributes") or {}).get("object_id")
        if item:
            with_objects.add(annotation.get("image_id"))
            yield LabelRow(f"annotation {place}", text_of(item), "", name)
        elif name:
            found.setdefault(annotation.get("image_id"), {})[name] = None
    for place, image in enumerate(document["images"]):
        if image.get("id") in found or image.get("id") not in with_objects:
            key = text_of(image.get("file_name"))
            yield from rows_of_classes(f"image {place}", key, "", list(found.get(image.get("id"), ())), "")


def _class_of_mined(name: str) -> str:
    """Return a class, nothing for the words that a mined list has where nobody has labelled yet."""
    return "" if name in _NO_CLASSES else name


def _datumaro(document: Mapping[str, Any]) -> Iterator[LabelRow]:
    """Yield the classes of each item: those of annotations with an `object_id` are about that object alone."""
    labels = (document["categories"].get("label") or {}).get("labels") or []
    names = [text_of(label.get("name")) for label in labels]
    for place, item in enumerate(document["items"]):
        key = text_of((item.get("image") or {}).get("path") or item.get("id"))
        annotations = item.get("annotations") or []
        objects: list[Mapping[str, Any]] = []
        others: list[Mapping[str, Any]] = []
        for one in annotations:
            (objects if (one.get("attributes") or {}).get("object_id") else others).append(one)
        for one in objects:
            yield LabelRow(
                f"item {place}", text_of(one["attributes"]["object_id"]), "", _class_of_mined(names[one["label_id"]])
            )
        tags = [one for one in others if one.get("type") == "label"]
        classes = [name for one in tags if (name := _class_of_mined(names[one["label_id"]]))]
        shape = next((str(one.get("type")) for one in annotations if one.get("type") != "label"), "")
        if classes or not objects:
            yield from rows_of_classes(f"item {place}", key, "", classes, shape)


def _fiftyone(document: Mapping[str, Any]) -> Iterator[LabelRow]:
    names = document["classes"]
    for key, label in document["labels"].items():
        is_place = isinstance(label, int) and 0 <= label < len(names)
        yield LabelRow(f"entry {key!r}", key.strip(), "", text_of(names[label] if is_place else label))


def _fiftyone_samples(document: Mapping[str, Any]) -> Iterator[LabelRow]:
    """Yield the classes of a `FiftyOneDataset`: the detections that have an `object_id`, or the field of the label."""
    for place, sample in enumerate(document["samples"]):
        objects = [
            one
            for field in sample.values()
            if isinstance(field, Mapping) and isinstance(field.get("detections"), list)
            for one in field["detections"]
            if one.get("object_id")
        ]
        for one in objects:
            yield LabelRow(f"sample {place}", text_of(one["object_id"]), "", _class_of_mined(text_of(one.get("label"))))
        if not objects:
            key = text_of(sample.get("object_id") or sample.get("image_id") or sample.get("filepath"))
            label = next((sample[name] for name in ("ground_truth", "label") if sample.get(name)), "")
            label = label.get("label") if isinstance(label, Mapping) else label
            yield LabelRow(f"sample {place}", key, "", text_of(label))


def rows_of_xml(text: str, *, where: str) -> Iterator[LabelRow]:
    """Yield the rows of CVAT's XML: the tags of each image.

    Raises:
        SourceError: it is not XML, declares entities, or is not CVAT's.
    """
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise SourceError(f"{where} cannot be read: its XML declares a document type, which no tool's export does.")
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314  # entities are refused above
    except ElementTree.ParseError as error:
        raise SourceError(f"{where} cannot be read: it is not XML: {error}. Export it again.") from error
    if root.tag != "annotations":
        raise SourceError(
            f"{where} cannot be read: its XML begins with <{root.tag}>. Of XML, `CVAT for images 1.1` is read; export "
            f"from CVAT as that, or as COCO or Datumaro."
        )
    return _cvat(root)


def _cvat(root: ElementTree.Element) -> Iterator[LabelRow]:
    for track in root.iter("track"):
        yield LabelRow(f"track {track.get('id')}", "", "", "", "track")
    for image in root.iter("image"):
        place, key = f"image {image.get('id')}", (image.get("name") or "").strip()
        split = plain_name(image.get("subset") or "")
        boxes = [box for box in image.findall("box") if _attribute(box, "object_id")]
        for box in boxes:
            yield LabelRow(
                place, _attribute(box, "object_id"), split, _class_of_mined((box.get("label") or "").strip())
            )
        tags = image.findall("tag")
        classes = [name for tag in tags if (name := _class_of_mined((tag.get("label") or "").strip()))]
        own = (_attribute(tag, name) for name in ("object_id", "image_id") for tag in tags)
        shape = next((child.tag for child in image if child.tag in _CVAT_SHAPES), "")
        if classes or not boxes:
            yield from rows_of_classes(place, next(filter(None, own), key), split, classes, shape)


def _attribute(mark: ElementTree.Element, name: str) -> str:
    """Return the text of an attribute of a tag or box, nothing where it has none."""
    found = (one.text for one in mark.findall("attribute") if one.get("name") == name)
    return (next(found, None) or "").strip()
