from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WriteParquet = Callable[..., str]


@pytest.fixture
def sample_table() -> Any:
    """Ten rows of most types, with a NULL in some columns."""
    rows = range(10)
    return pa.table(
        {
            "k": pa.array(rows, type=pa.int64()),
            "d": pa.array([None if i == 3 else Decimal(i) / 4 for i in rows], type=pa.decimal128(10, 2)),
            "day": pa.array([datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in rows]),
            "s": pa.array([None if i == 4 else f"v{i % 3}" for i in rows]),
            "f": pa.array([float(i) for i in rows]),
            "t": pa.array([datetime.datetime(2024, 1, 1, i) for i in rows], type=pa.timestamp("us")),
            "b": pa.array([i % 2 == 0 for i in rows]),
        }
    )


@pytest.fixture
def write_parquet(tmp_path: Path, sample_table: Any) -> WriteParquet:
    """Writes a table (the sample if none is given) in row groups of three rows; gives the path as text."""

    def write(name: str, table: Any = None, **options: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(sample_table if table is None else table, path, **{"row_group_size": 3, **options})
        return str(path)

    return write
