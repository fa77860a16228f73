"""What is odd about a project's boxes, from its own tables, for those who do not look at Dagster's checks."""

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.mining.advice import listed_advice
from vlmine_dagster.resources.objects import class_spellings
from vlmine_dagster.resources.workbench import Workbench

_MOST_COMPARED = 1_000_000
"""Objects whose boxes are compared at every run; of more, the check `box_files_agree` of each shard tells."""

_CLASSES = "SELECT class_name, count(*) FROM objects WHERE class_name IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
_BOTH = """
SELECT image_id || ': ' || string_agg(DISTINCT class_name, ' and ' ORDER BY class_name) FROM objects WHERE outcome = ?
GROUP BY image_id, round(x, 2), round(y, 2), round(width, 2), round(height, 2) HAVING count(DISTINCT class_name) > 1
ORDER BY 1
"""


def box_findings(bench: Workbench) -> list[str]:
    """Return a sentence for each thing that is odd about the box files of a project; nothing where it has none.

    Names of no image, classes that are written in several ways, boxes that are there with two classes, and images
    without any object.
    """
    settings, lake = bench.project.settings.objects, bench.lake
    shards = lake.partitions("objects")
    if settings is None or not settings.boxes or not shards:
        return []
    columns = {"objects": ("image_id", "x", "y", "width", "height", "class_name", "outcome")}
    with lake.connect(columns, objects=lake.require("objects", shards)) as connection:
        counts = dict(connection.sql(_CLASSES).fetchall())
        (count, image_count) = connection.sql("SELECT count(*), count(DISTINCT image_id) FROM objects").fetchall()[0]
        both = []
        if count <= _MOST_COMPARED:
            both = [row[0] for row in connection.sql(_BOTH, params=[Outcome.OK.value]).fetchall()]
    found = [
        listed_advice(
            class_spellings(counts),
            one="class is written in several ways, and mined as different ones",
            several="classes are written in several ways, and mined as different ones",
            good="",
        ),
        listed_advice(
            both,
            one="box appears with two classes; both are objects",
            several="boxes appear with two classes; both are objects",
            good="",
        ),
    ]
    return [*_unmatched(bench), *(one.text for one in found if not one.is_met), *_without_objects(bench, image_count)]


def _unmatched(bench: Workbench) -> list[str]:
    if bench.lake.stamp("unmatched_boxes") is None:
        return []
    rows = bench.lake.read("unmatched_boxes", columns=["name", "box_count"])
    if not rows.num_rows:
        return []
    rest = f"no image of the dataset, or several (boxes: {sum(rows.column('box_count').to_pylist()):,})"
    one, several = f"name in the box files matches {rest}", f"names in the box files match {rest}"
    return [listed_advice(rows.column("name").to_pylist(), one=one, several=several, good="").text]


def _without_objects(bench: Workbench, with_objects: int) -> list[str]:
    lake = bench.lake
    stamps = [lake.stamp("images", shard) for shard in lake.partitions("images")]
    images = sum(stamp.row_count for stamp in stamps if stamp is not None)
    return (
        [f"no object in the box files: {images - with_objects:,} of {counted(images, 'image')}"]
        if images > with_objects
        else []
    )
