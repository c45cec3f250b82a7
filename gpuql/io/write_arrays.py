"""Arrays that a program makes, part by part, as one Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuql.io.write import write_rows

#: Arrow types by the names that :func:`write_arrays` takes.
_ARROW_TYPES = {
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
}


@dataclass(frozen=True)
class Texts:
    """Strings of one part: row i has ``entries[codes[i]]``."""

    codes: np.ndarray[Any, Any]
    entries: list[str]


def write_arrays(
    path: str, types: Mapping[str, str], parts: Iterable[Mapping[str, np.ndarray[Any, Any] | Texts]]
) -> int:
    """Write parts of a table, each a mapping of all its columns to arrays of one length; how many rows there were.

    Parameters
    ----------
    types : SMALLINT, INTEGER, BIGINT, DATE, TIMESTAMP or VARCHAR by column; their order is that of the file.
    parts : integers (dates are days, timestamps microseconds since 1970), or :class:`Texts`. No NULLs.

    Notes
    -----
    A row group and a part are in memory at a time. Errors: InputError if the file cannot be written.
    """
    schema = pa.schema([(name, _ARROW_TYPES[kind]) for name, kind in types.items()])

    def batches() -> Iterator[Any]:
        for part in parts:
            yield pa.record_batch([_arrow(part[field.name], field.type) for field in schema], schema)

    return write_rows(
        pa.RecordBatchReader.from_batches(schema, batches()), path, "parquet", {"compression": "zstd"}
    )


def _arrow(values: np.ndarray[Any, Any] | Texts, kind: Any) -> Any:
    if isinstance(values, Texts):
        codes = pa.array(values.codes.astype(np.int32, copy=False))
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.entries, kind)).dictionary_decode()
    if pa.types.is_date32(kind):
        return pa.array(values.astype(np.int32, copy=False)).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values.astype(np.int64, copy=False)).cast(kind)
    return pa.array(values, kind, safe=False)
