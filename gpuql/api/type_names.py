"""SQL types by their names, for casts in the DataFrame API."""

from __future__ import annotations

import re

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.statement_errors import UndefinedObject
from gpuql_planner.types import DataType, TypeId, decimal

_ALIASES = {
    "BOOL": TypeId.BOOLEAN,
    "INT1": TypeId.TINYINT,
    "INT2": TypeId.SMALLINT,
    "SHORT": TypeId.SMALLINT,
    "INT": TypeId.INTEGER,
    "INT4": TypeId.INTEGER,
    "INT8": TypeId.BIGINT,
    "LONG": TypeId.BIGINT,
    "REAL": TypeId.REAL,
    "FLOAT4": TypeId.REAL,
    "FLOAT8": TypeId.DOUBLE,
    "TEXT": TypeId.VARCHAR,
    "STRING": TypeId.VARCHAR,
    "BINARY": TypeId.BLOB,
    "BYTEA": TypeId.BLOB,
    "DATETIME": TypeId.TIMESTAMP,
    "TIMESTAMPTZ": TypeId.TIMESTAMPTZ,
}
_NAMES = {type_id.value: type_id for type_id in TypeId} | _ALIASES


def parse_type(text: str) -> DataType:
    """Type called ``text``, such as ``"BIGINT"``, ``"text"`` or ``"DECIMAL(10, 2)"``; BinderError if there is none."""
    name = text.strip().upper()
    match = re.fullmatch(r"(?:DECIMAL|NUMERIC)(?:\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?", name)
    if match is not None:
        try:
            return decimal(int(match[1] or 18), int(match[2] or (0 if match[1] else 3)))
        except ValueError as error:
            raise BinderError(str(error)) from None
    if name not in _NAMES:
        raise UndefinedObject(f"type not found: {text}", hint=did_you_mean(name, [*_NAMES, "DECIMAL"]))
    return DataType(_NAMES[name])
