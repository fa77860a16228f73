"""The vocabulary that people edit: `vocabulary.csv` beside `vlmine.yaml`, a line per merge."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.mining.merges import Merge, checked_merges, version_of
from vlmine_dagster.settings.project import Project

HEADER = ("keyword", "merged_into")


def read_merges(file: Path) -> tuple[Merge, ...]:
    """Return the merges of a file, sorted; none where there is no file.

    Raises:
        ConfigError: a line cannot be counted through, or the header is another one.
        SourceError: the file cannot be read.
    """
    if not file.exists():
        return ()
    try:
        text = file.read_text(encoding="utf-8-sig")
        return checked_merges(_lines(text, file), where=file.name)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{file} cannot be read: {error}. It is CSV in UTF-8 with the header keyword,merged_into."
        ) from error


def _lines(text: str, file: Path) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    header = tuple(cell.strip() for cell in next(reader, []))
    if header != HEADER:
        raise ConfigError(f"{file.name}, line 1: expected keyword,merged_into, got {','.join(header) or 'nothing'}.")
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(HEADER):
            raise ConfigError(
                f"{file.name}, line {reader.line_num}: {counted(len(row), 'value')}, expected a keyword and another."
            )
        yield reader.line_num, row[0].strip(), row[1].strip()


def write_merges(file: Path, merges: Sequence[Merge]) -> None:
    """Write merges, sorted, so that git shows each as a line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((one.keyword, one.merged_into) for one in sorted(merges, key=lambda one: one.keyword))
    write_whole(file, out.getvalue())


def vocabulary_version(project: Project) -> str | None:
    """Return the version of a project's vocabulary, None where it has none."""
    return version_of(read_merges(project.vocabulary_file)) if project.has_vocabulary else None
