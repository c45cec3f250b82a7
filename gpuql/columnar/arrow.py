"""The door between Arrow and columns; import it only where Arrow is at hand, as it loads pyarrow."""

from __future__ import annotations

from gpuql.columnar.arrow_export import column_to_arrow, record_batch_reader, table_to_arrow
from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_strings import string_array_from_arrow, string_array_to_arrow, strings_from_arrow
from gpuql.columnar.arrow_types import (
    fields_from_schema,
    schema_to_arrow,
    type_from_arrow,
    type_to_arrow,
    unique_names,
)

__all__ = [
    "column_from_arrow",
    "column_to_arrow",
    "fields_from_schema",
    "record_batch_reader",
    "schema_to_arrow",
    "string_array_from_arrow",
    "string_array_to_arrow",
    "strings_from_arrow",
    "table_to_arrow",
    "type_from_arrow",
    "type_to_arrow",
    "unique_names",
]
