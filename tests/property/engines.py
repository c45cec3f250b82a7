"""DuckDB and gpuql connections over the same random tables, and what running a query on each gives."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

import gpuql
from gpuql.errors import GpuqlError, InternalError, NotSupportedError
from tests.property.tables import EXTREME, TAME, copy_table, create_table

Row = tuple[Any, ...]

TABLES = ("tame", "other", "extreme", "empty")


@dataclass(frozen=True)
class Outcome:
    """Rows with their types, or an error. ``kind``: rows, error (of the data or the query), refused, or crash."""

    kind: str
    rows: tuple[Row, ...] = ()
    types: tuple[str, ...] = ()
    message: str = ""
    tiers: tuple[str, ...] = ()


class Oracle:
    """DuckDB."""

    def __init__(self, seed: int, *, tame_rows: int = 700, extreme_rows: int = 150) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        create_table(self.connection, "tame", seed, tame_rows, TAME)
        create_table(self.connection, "other", seed + 1, max(1, tame_rows // 4), TAME)
        create_table(self.connection, "extreme", seed, extreme_rows, EXTREME)
        create_table(self.connection, "empty", seed, 0, TAME)
        self.plain = self.connection.cursor()
        self.plain.execute("PRAGMA disable_optimizer")

    def run(self, sql: str) -> Outcome:
        """Rows of ``sql``, or DuckDB's error."""
        return run_duckdb(self.connection, sql)

    def may_fail(self, sql: str) -> bool:
        """Whether ``sql`` fails when DuckDB evaluates all that is written, though its optimizer may spare it that."""
        return run_duckdb(self.plain, sql).kind != "rows"

    def write_parquet(self, folder: Path) -> None:
        """The tables as Parquet files of many row groups, so that zone maps matter."""
        for name in TABLES:
            ordered = f"SELECT * REPLACE (h::DECIMAL(38, 0) AS h) FROM {name} ORDER BY k, dt, id"
            target = folder / f"{name}.parquet"
            self.connection.execute(f"COPY ({ordered}) TO '{target}' (FORMAT parquet, ROW_GROUP_SIZE 64)")

    def copy_to(self, engine: gpuql.Connection) -> None:
        """The same tables in gpuql."""
        for name in TABLES:
            copy_table(self.connection, engine, name)


def run_duckdb(connection: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
    """Rows of ``sql``, or DuckDB's error."""
    try:
        found = connection.execute(sql)
        types = tuple(str(column[1]) for column in found.description or ())
        return Outcome("rows", tuple(found.fetchall()), types)
    except duckdb.BinderException as error:
        return Outcome("unbound", message=str(error))
    except duckdb.Error as error:
        return Outcome("error", message=str(error))


def run(engine: gpuql.Connection, sql: str) -> Outcome:
    """Rows of ``sql``, or how gpuql failed; anything but a GpuqlError is a crash."""
    try:
        result = engine.sql(sql).collect()
        rows = tuple(map(tuple, result.fetchall()))
        tiers = tuple(p.tier for p in result.metrics.pipelines) if result.metrics is not None else ()
        return Outcome("rows", rows, tuple(map(str, result.dtypes)), tiers=tiers)
    except NotSupportedError as error:
        return Outcome("refused", message=str(error))
    except InternalError as error:
        return Outcome("crash", message=f"InternalError: {error}")
    except GpuqlError as error:
        return Outcome("error", message=f"{type(error).__name__}: {error}")
    except Exception as error:  # a crash is what the tests look for
        return Outcome("crash", message=f"{type(error).__name__}: {error}")


def difference(expected: Outcome, found: Outcome, *, ordered: bool = False) -> str | None:
    """What is wrong with ``found``, or None. Rows are multisets unless ``ordered``."""
    if found.kind == "crash":
        return f"crash: {found.message}"
    if expected.kind != "rows":
        return (
            None if found.kind in ("error", "refused") else f"no error, but {expected.message!r} was expected"
        )
    if found.kind != "rows":
        return f"{found.kind}: {found.message}"
    for position, (name, other) in enumerate(zip(expected.types, found.types, strict=True)):
        # The type of arithmetic on a bare NULL is DuckDB's accident of overloads; no value shows it.
        if name != other and any(row[position] is not None for row in expected.rows):
            return f"type of column {position} is {other} instead of {name}"
    tolerances = [1e-5 if name == "FLOAT" else 1e-9 for name in expected.types]
    return rows_difference(expected.rows, found.rows, tolerances, ordered=ordered)


def rows_difference(
    expected: Sequence[Row], found: Sequence[Row], tolerances: Sequence[float], *, ordered: bool
) -> str | None:
    """The first row that differs, or None."""
    if len(expected) != len(found):
        return f"{len(found)} rows instead of {len(expected)}"
    if not ordered:
        expected, found = sorted(expected, key=_sort_key), sorted(found, key=_sort_key)
    for number, (left, right) in enumerate(zip(expected, found, strict=True)):
        if not all(same_value(a, b, t) for a, b, t in zip(left, right, tolerances, strict=True)):
            if not ordered and _same_multiset(expected, found, tolerances):
                return None
            return f"row {number}: {_differing(right, left, tolerances)}"
    return None


def _differing(found: Row, expected: Row, tolerances: Sequence[float]) -> str:
    cells = [
        f"[{position}] {a!r} instead of {b!r}"
        for position, (a, b, t) in enumerate(zip(found, expected, tolerances, strict=True))
        if not same_value(a, b, t)
    ]
    return f"{', '.join(cells[:4])} in {expected[:3]!r}"


def same_value(left: Any, right: Any, tolerance: float) -> bool:
    """Equal; floating-point numbers within ``tolerance``, relatively; NaN is NaN; an INTERVAL by its parts."""
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=1e-12)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _sort_key(row: Row) -> tuple[Any, ...]:
    return tuple(_value_key(value) for value in row)


def _value_key(value: Any) -> tuple[str, Any]:
    if value is None:
        return "", 0
    if isinstance(value, bool):
        return "b", value
    if isinstance(value, float):
        return ("f", 0.0) if math.isnan(value) else ("g", float(f"{value:.6g}"))
    if isinstance(value, int | Decimal):
        return "n", value
    if isinstance(value, datetime.datetime | datetime.date):
        return "t", value.isoformat()
    return "s", str(value)


def _same_multiset(expected: Iterable[Row], found: Iterable[Row], tolerances: Sequence[float]) -> bool:
    """Whether the rows agree when floats are cut to the digits that must agree; for rows that sort ambiguously."""
    digits = [max(3, round(-math.log10(t)) - 1) for t in tolerances]

    def cut(row: Row) -> Row:
        return tuple(
            ("nan" if math.isnan(value) else f"{value + 0.0:.{digit}g}")
            if isinstance(value, float)
            else (str(value) if isinstance(value, list | dict) else value)
            for value, digit in zip(row, digits, strict=True)
        )

    return Counter(map(cut, expected)) == Counter(map(cut, found))
