"""Hive partitions: columns whose values stand in the path, as in ``year=2024/part.parquet``."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from gpuql_planner.types import BIGINT, DATE, VARCHAR, DataType

_NULL_MARK = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile(r"-?\d{1,18}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def path_values(path: str) -> dict[str, str | None]:
    """Partition keys and values among the folders of ``path``, in order."""
    values: dict[str, str | None] = {}
    for folder in os.path.dirname(path).split(os.sep):
        key, equals, value = folder.partition("=")
        if equals and key:
            values[unquote(key)] = None if value == _NULL_MARK else unquote(value)
    return values


def partition_columns(paths: Sequence[str]) -> tuple[dict[str, DataType], list[dict[str, Any]]]:
    """Type of each partition column, and its Python value for each path.

    No columns unless every path has the same keys. A column is BIGINT or DATE if all its values look so, else
    VARCHAR, as in DuckDB.
    """
    written = [path_values(path) for path in paths]
    keys = list(written[0])
    if not keys or any(set(values) != set(keys) for values in written):
        return {}, [{} for _ in paths]
    dtypes = {key: _type_of([values[key] for values in written]) for key in keys}
    typed = [{key: _typed(values[key], dtypes[key]) for key in keys} for values in written]
    return dtypes, typed


def _type_of(values: Sequence[str | None]) -> DataType:
    present = [value for value in values if value is not None]
    if present and all(_INTEGER.fullmatch(value) for value in present):
        return BIGINT
    if present and all(_is_date(value) for value in present):
        return DATE
    return VARCHAR


def _is_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _typed(value: str | None, dtype: DataType) -> Any:
    if value is None or dtype == VARCHAR:
        return value
    return int(value) if dtype == BIGINT else datetime.date.fromisoformat(value)
