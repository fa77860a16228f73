"""Format `huggingface`: Parquet that `datasets` opens as pictures, with an empty column for the label."""

import itertools
import json
from pathlib import Path
from typing import Any

from vlmine_dagster.reporting.exporters import Exported, MinedList

_ROWS_AT_ONCE = 64
_LABEL, _IMAGE, _PREDICTION = "label", "image", "prediction"


class HuggingFaceExporter:
    """Writes Parquet with the features of `datasets` in its schema."""

    name = "huggingface"
    endings = ()

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list, some rows at a time; `label` is a ClassLabel where the project has classes.

        Raises:
            MissingInputError: an image is gone from the dataset.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, count = _schema(mined), 0
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            rows = mined.with_pictures()
            while part := list(itertools.islice(rows, _ROWS_AT_ONCE)):
                records = [
                    {**row, _IMAGE: {"bytes": one.data, "path": one.name}, _PREDICTION: facts.prediction}
                    for row, facts, one in part
                ]
                writer.write_table(pa.Table.from_pylist(records, schema))
                count += len(part)
        return Exported(count)


def _schema(mined: MinedList) -> Any:
    import pyarrow as pa

    kept = {name: kind for name, kind in mined.columns.items() if name != "path"}
    fields = [pa.field(name, kind) for name, kind in kept.items()]
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    label = pa.int64() if mined.class_names else pa.string()
    features: dict[str, Any] = {_IMAGE: {"_type": "Image"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in {**kept, _PREDICTION: "string"}.items()}
    features[_LABEL] = (
        {"names": list(mined.class_names), "_type": "ClassLabel"}
        if mined.class_names
        else {"dtype": "string", "_type": "Value"}
    )
    all_fields = [pa.field(_IMAGE, picture), *fields, pa.field(_PREDICTION, pa.string()), pa.field(_LABEL, label)]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(all_fields, metadata=metadata)


PLUGIN = HuggingFaceExporter()
