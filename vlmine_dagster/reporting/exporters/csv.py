"""Format `csv`: one row per image, for spreadsheets and scripts."""

import csv
from pathlib import Path

from vlmine_dagster.reporting.exporters import Exported, MinedList


class CsvExporter:
    """Writes CSV, UTF-8, with a header."""

    name = "csv"
    endings = (".csv",)

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list."""
        count = 0
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(mined.columns), lineterminator="\n")
            writer.writeheader()
            for row in mined.rows:
                writer.writerow(row)
                count += 1
        return Exported(count)


PLUGIN = CsvExporter()
