"""Random tables with a column of every type, as DuckDB tables that gpuql copies through Arrow."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

import gpuql

LOW_CARDINALITY = (
    "",
    "a",
    "b",
    "ab",
    "AB",
    "Abc",
    "été",
    "x%y",
    "a_b",
    "zürich",
    "日本",
    " pad ",
    "12",
    "-3",
)
_LETTERS = "abcdeABé %_日0123"


@dataclass(frozen=True)
class Scale:
    """How large the values are: ``tame`` values rarely overflow, ``extreme`` ones are the ends of each type."""

    name: str
    extreme: bool


TAME = Scale("tame", extreme=False)
EXTREME = Scale("extreme", extreme=True)


@dataclass(frozen=True)
class ColumnSpec:
    """A column: its SQL type, the family of expressions that may read it, and its share of NULLs."""

    name: str
    sql_type: str
    family: str
    make: Callable[[random.Random, Scale], Any]
    nulls: float


def _whole(bits: int, tame: int) -> Callable[[random.Random, Scale], int]:
    def make(rng: random.Random, scale: Scale) -> int:
        if scale.extreme and rng.random() < 0.5:
            high = 2 ** (bits - 1)
            return rng.choice((-high, high - 1, 1 - high, high // 2, 0, -1, 1))
        return rng.randint(-tame, tame)

    return make


def _unsigned(bits: int, tame: int) -> Callable[[random.Random, Scale], int]:
    def make(rng: random.Random, scale: Scale) -> int:
        if scale.extreme and rng.random() < 0.5:
            return rng.choice((0, 1, 2**bits - 1, 2 ** (bits - 1)))
        return rng.randint(0, tame)

    return make


def _decimal(width: int, scale_digits: int, tame: int) -> Callable[[random.Random, Scale], Decimal]:
    def make(rng: random.Random, scale: Scale) -> Decimal:
        if scale.extreme and rng.random() < 0.5:
            stored = rng.choice((10**width - 1, 1 - 10**width, 0, 1, -1, 10 ** (width - 1)))
        else:
            stored = rng.randint(-tame, tame) * rng.choice((1, 1, 1, 10))
        return Decimal((stored < 0, Decimal(stored).as_tuple().digits, -scale_digits))  # scaleb would round

    return make


def _float(rng: random.Random, scale: Scale) -> float:
    chosen = rng.random()
    if chosen < (0.3 if scale.extreme else 0.06):
        return rng.choice(
            (float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1e300, -1e300, 5e-324, 2.0**53)
        )
    if chosen < 0.5:
        return rng.randint(-40, 40) / 8
    return rng.uniform(-1000, 1000)


def _real(rng: random.Random, scale: Scale) -> float:
    if rng.random() < (0.3 if scale.extreme else 0.06):
        return rng.choice((float("nan"), float("inf"), -float("inf"), -0.0, 3.0e38, 2.0**24))
    return rng.randint(-400, 400) / 16


def _quarters(rng: random.Random, scale: Scale) -> float:
    return rng.randint(-200, 200) / 4


def _date(rng: random.Random, scale: Scale) -> datetime.date:
    if scale.extreme and rng.random() < 0.4:
        return rng.choice(
            # Not the ends of Python's calendar: results a few years away must still reach Python.
            (
                datetime.date(200, 3, 1),
                datetime.date(9800, 2, 28),
                datetime.date(1970, 1, 1),
                datetime.date(1969, 12, 31),
            )
        )
    return datetime.date(2019, 12, 1) + datetime.timedelta(days=rng.randint(0, 500))


def _timestamp(rng: random.Random, scale: Scale) -> datetime.datetime:
    moment = datetime.datetime.combine(_date(rng, scale), datetime.time())
    micros = rng.choice((0, 0, 999_999, rng.randrange(10**6)))
    return moment.replace(
        hour=rng.randrange(24), minute=rng.randrange(60), second=rng.randrange(60), microsecond=micros
    )


def _high_cardinality(rng: random.Random, scale: Scale) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.choice((0, 1, 3, 6, 13, 30))))


COLUMNS = (
    ColumnSpec("b", "BOOLEAN", "boolean", lambda rng, _: rng.random() < 0.5, 0.2),
    ColumnSpec("p", "BOOLEAN", "boolean", lambda rng, _: rng.random() < 0.7, 0.0),
    ColumnSpec("i8", "TINYINT", "integer", _whole(8, 10), 0.1),
    ColumnSpec("i16", "SMALLINT", "integer", _whole(16, 90), 0.1),
    ColumnSpec("i32", "INTEGER", "integer", _whole(32, 1000), 0.1),
    ColumnSpec("i64", "BIGINT", "integer", _whole(64, 10**6), 0.1),
    ColumnSpec("k", "INTEGER", "integer", lambda rng, _: rng.randint(-3, 12), 0.0),
    ColumnSpec("u8", "UTINYINT", "integer", _unsigned(8, 30), 0.1),
    ColumnSpec("u32", "UINTEGER", "integer", _unsigned(32, 500), 0.0),
    ColumnSpec("u64", "UBIGINT", "integer", _unsigned(64, 500), 0.1),
    ColumnSpec("h", "HUGEINT", "integer", _whole(127, 10**4), 0.1),
    ColumnSpec("none_i", "INTEGER", "integer", lambda rng, _: 0, 1.0),
    ColumnSpec("d4", "DECIMAL(4,1)", "decimal", _decimal(4, 1, 300), 0.1),
    ColumnSpec("d9", "DECIMAL(9,2)", "decimal", _decimal(9, 2, 5000), 0.1),
    ColumnSpec("d15", "DECIMAL(15,2)", "decimal", _decimal(15, 2, 10**6), 0.0),
    ColumnSpec("d18", "DECIMAL(18,4)", "decimal", _decimal(18, 4, 10**6), 0.1),
    ColumnSpec("d38", "DECIMAL(38,6)", "decimal", _decimal(38, 6, 10**8), 0.1),
    ColumnSpec("r", "FLOAT", "float", _real, 0.1),
    ColumnSpec("f", "DOUBLE", "float", _float, 0.1),
    ColumnSpec("q", "DOUBLE", "float", _quarters, 0.0),
    ColumnSpec("dt", "DATE", "date", _date, 0.1),
    ColumnSpec("du", "DATE", "date", _date, 0.0),
    ColumnSpec("ts", "TIMESTAMP", "timestamp", _timestamp, 0.1),
    ColumnSpec("tu", "TIMESTAMP", "timestamp", _timestamp, 0.0),
    ColumnSpec("s", "VARCHAR", "string", lambda rng, _: rng.choice(LOW_CARDINALITY), 0.15),
    ColumnSpec("t", "VARCHAR", "string", lambda rng, _: rng.choice(LOW_CARDINALITY[:5]), 0.0),
    ColumnSpec("w", "VARCHAR", "string", _high_cardinality, 0.1),
    ColumnSpec("none_s", "VARCHAR", "string", lambda rng, _: "", 1.0),
)


def rows(seed: int, num_rows: int, scale: Scale) -> list[tuple[Any, ...]]:
    """Rows of ``id`` and all of :data:`COLUMNS`; the same for the same arguments."""
    rng = random.Random(f"{seed} {scale.name}")
    return [
        (number, *(None if rng.random() < c.nulls else c.make(rng, scale) for c in COLUMNS))
        for number in range(num_rows)
    ]


def create_table(
    oracle: duckdb.DuckDBPyConnection, name: str, seed: int, num_rows: int, scale: Scale
) -> None:
    """Make the DuckDB table."""
    import pyarrow

    columns = list(zip(*rows(seed, num_rows, scale), strict=True)) or [()] * (len(COLUMNS) + 1)
    arrays = {"id": pyarrow.array(columns[0], pyarrow.int32())}
    casts = ["id::INTEGER AS id"]
    for spec, values in zip(COLUMNS, columns[1:], strict=True):
        if spec.sql_type in ("HUGEINT", "UBIGINT") or spec.family == "decimal":
            arrays[spec.name] = pyarrow.array(
                [None if v is None else str(v) for v in values], pyarrow.string()
            )
        else:
            arrays[spec.name] = pyarrow.array(list(values), _ARROW_TYPES[spec.sql_type]())
        casts.append(f"{spec.name}::{spec.sql_type} AS {spec.name}")
    raw = pyarrow.table(arrays)  # noqa: F841  DuckDB reads it by its name
    oracle.execute(f"CREATE TABLE {name} AS SELECT {', '.join(casts)} FROM raw")


def _arrow_types() -> dict[str, Callable[[], Any]]:
    import pyarrow

    return {
        "BOOLEAN": pyarrow.bool_, "TINYINT": pyarrow.int8, "SMALLINT": pyarrow.int16, "INTEGER": pyarrow.int32,
        "BIGINT": pyarrow.int64, "UTINYINT": pyarrow.uint8, "UINTEGER": pyarrow.uint32, "FLOAT": pyarrow.float32,
        "DOUBLE": pyarrow.float64, "DATE": pyarrow.date32, "TIMESTAMP": lambda: pyarrow.timestamp("us"),
        "VARCHAR": pyarrow.string,
    }  # fmt: skip


_ARROW_TYPES = _arrow_types()


def copy_table(oracle: duckdb.DuckDBPyConnection, engine: gpuql.Connection, name: str) -> None:
    """The same table in gpuql. HUGEINT travels as DECIMAL(38, 0) in Arrow, hence the casts."""
    engine.register(f"{name}_raw", oracle.sql(f"SELECT * FROM {name}").to_arrow_table())
    casts = ", ".join(f"{spec.name}::{spec.sql_type} AS {spec.name}" for spec in COLUMNS)
    engine.execute(f"CREATE TABLE {name} AS SELECT id, {casts} FROM {name}_raw")
