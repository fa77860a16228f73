"""Format `label-studio`: tasks of Label Studio, which serves the pictures from a folder."""

import json
from pathlib import Path
from urllib.parse import quote

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.reporting.exporters import Exported, ItemFacts, MinedList, Row


class LabelStudioExporter:
    """Writes a JSON list of tasks."""

    name = "label-studio"
    endings = (".json",)

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write one task per row; its data holds the picture's address and the row, its prediction the model's class.

        Raises:
            ConfigError: Label Studio could not open the pictures where they lie.
        """
        if not mined.are_pictures_files:
            raise ConfigError(
                "Label Studio opens files, and the pictures of this dataset are inside other files. Pass --images "
                "FOLDER: they are copied there, and the tasks point to the copies."
            )
        served, count = None if mined.pictures is None else mined.pictures.parent, 0
        with file.open("w", encoding="utf-8") as stream:
            stream.write("[")
            for count, (row, facts) in enumerate(mined.with_facts(), start=1):
                task = json.dumps({"data": _task(row, served), **_predictions(facts)}, ensure_ascii=False)
                stream.write(f"{',' if count > 1 else ''}\n{task}")
            stream.write("\n]\n")
        return Exported(count, served)


def _task(row: Row, served: Path | None) -> Row:
    """Return a task's data: Label Studio opens what is in a folder below the one that it serves."""
    path = row["path"]
    if served is not None and not Path(path).is_relative_to(served):
        raise ConfigError(f"{path} is not below {served}: the dataset was moved since. Pass --images FOLDER.")
    if served is not None:
        path = f"/data/local-files/?d={quote(Path(path).relative_to(served).as_posix())}"
    return {"image": path, **{name: value for name, value in row.items() if name != "path"}}


def _predictions(facts: ItemFacts) -> Row:
    """Return the task model's class as a prediction for `<Choices name="label" toName="image">`."""
    if facts.prediction is None:
        return {}
    result = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [facts.prediction]},
    }
    return {"predictions": [{"model_version": "vlmine", "result": [result]}]}


PLUGIN = LabelStudioExporter()
