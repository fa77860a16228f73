"""Format `cvat`: `CVAT for images 1.1`, with the id, reason and signals as attributes of a tag or a box."""

from pathlib import Path
from xml.etree import ElementTree

from vlmine_dagster.reporting.exporters import Exported, ItemFacts, MinedList, Row, tags_of
from vlmine_dagster.reporting.exporters.coco import size_of

MINED = "mined"
"""The label of tags and boxes that a list brings along; read back, it is not a class."""


class CvatExporter:
    """Writes XML: an image has the tag `mined`, or a box `mined` for each mined object in it."""

    name = "cvat"
    endings = (".xml",)

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list; the labels with their attributes go before it, as a task in CVAT must have them.

        Raises:
            ConfigError: an image has no size, because it could not be read.
        """
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        root.append(_labels(mined))
        images: dict[str, ElementTree.Element] = {}
        count = 0
        for row, facts in mined.with_facts():
            count += 1
            name = mined.picture_id(row)
            if name not in images:
                width, height = size_of(mined, row, facts)
                place = {"id": str(len(images)), "name": mined.file_name(row)}
                images[name] = ElementTree.SubElement(
                    root, "image", {**place, "width": str(width), "height": str(height)}
                )
            images[name].append(_mark(mined, row, facts))
        ElementTree.indent(root)
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
        return Exported(count)


def _labels(mined: MinedList) -> ElementTree.Element:
    """Return the labels of the task: `mined` and the classes, all with the attributes, which a box then keeps."""
    meta = ElementTree.Element("meta")
    labels = ElementTree.SubElement(ElementTree.SubElement(meta, "task"), "labels")
    places = ("path", "x", "y", "width", "height")
    attributes = ["prediction", *(name for name in mined.columns if name not in places)]
    for name in (MINED, *mined.class_names):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        held = ElementTree.SubElement(label, "attributes")
        for attribute in attributes:
            one = ElementTree.SubElement(held, "attribute")
            ElementTree.SubElement(one, "name").text = attribute
            ElementTree.SubElement(one, "mutable").text = "False"
            ElementTree.SubElement(one, "input_type").text = "text"
            ElementTree.SubElement(one, "default_value")
            ElementTree.SubElement(one, "values")
    return meta


def _mark(mined: MinedList, row: Row, facts: ItemFacts) -> ElementTree.Element:
    if mined.has_boxes(row):
        x, y, width, height = (float(row[side]) for side in ("x", "y", "width", "height"))
        corners = {"xtl": x, "ytl": y, "xbr": x + width, "ybr": y + height}
        edges = {name: f"{value:.2f}" for name, value in corners.items()}
        mark = ElementTree.Element("box", {"label": MINED, "source": "file", "occluded": "0", **edges, "z_order": "0"})
    else:
        mark = ElementTree.Element("tag", {"label": MINED, "source": "file"})
    tags = tags_of(row) if facts.prediction is None else {**tags_of(row), "prediction": facts.prediction}
    for name, value in tags.items():
        ElementTree.SubElement(mark, "attribute", {"name": name}).text = str(value)
    return mark


PLUGIN = CvatExporter()
