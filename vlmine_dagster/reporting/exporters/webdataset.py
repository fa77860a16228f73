"""Format `webdataset`: a tar with the pictures, and beside each a JSON with its id, reason and signals."""

import io
import json
import tarfile
from pathlib import Path, PurePosixPath

from vlmine_dagster.reporting.exporters import Exported, MinedList


class WebDatasetExporter:
    """Writes `000001.jpg` and `000001.json` for the first of the list, and so on."""

    name = "webdataset"
    endings = (".tar",)

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list. Names are numbers, because a dot in an id would end the key of a sample.

        Raises:
            MissingInputError: an image is gone from the dataset.
        """
        count = 0
        with tarfile.open(file, "w") as archive:
            for count, (row, facts, picture) in enumerate(mined.with_pictures(), start=1):
                tags = {name: value for name, value in row.items() if name != "path" and value is not None}
                record = json.dumps({**tags, "prediction": facts.prediction}, ensure_ascii=False)
                ending = PurePosixPath(picture.name).suffix.lower()
                for name, data in ((ending, picture.data), (".json", record.encode())):
                    member = tarfile.TarInfo(f"{count:06d}{name}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        return Exported(count)


PLUGIN = WebDatasetExporter()
