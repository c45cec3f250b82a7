"""TIMESTAMP WITH TIME ZONE on its way in and out, and the setting TimeZone."""

from __future__ import annotations

import datetime
import io
import random
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql
from gpuql.errors import BinderError, ConversionError, NotSupportedError
from gpuql_planner import time_zones
from gpuql_planner.time_zones import TimeZone, find_zone, load_zone, local_zone, zone_names
from gpuql_planner.types import TIMESTAMPTZ

UTC = datetime.UTC
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
NOON = datetime.datetime(2021, 3, 14, 12, tzinfo=NEW_YORK)


@pytest.fixture
def connection() -> Iterator[gpuql.Connection]:
    with gpuql.connect(device="cpu", threads=1, timezone="America/New_York") as connection:
        yield connection


# --- values ----------------------------------------------------------------------------------------------------------


def test_python_values_are_datetimes_of_the_session_s_zone(connection: gpuql.Connection) -> None:
    query = "SELECT t, [t], {'a': t}, MAP {1: t} FROM (SELECT TIMESTAMPTZ '2021-03-14 16:00:00+00' t)"
    (row,) = connection.execute(query).fetchall()
    assert row == (NOON, [NOON], {"a": NOON}, {1: NOON})
    assert row[0].tzinfo == NEW_YORK
    assert row[0].hour == 12


def test_an_offset_is_a_zone_too(connection: gpuql.Connection) -> None:
    connection.execute("SET TimeZone = 'GMT+5:30'")
    (value,) = connection.execute("SELECT TIMESTAMPTZ '2021-03-14 16:00:00+00'").fetchone() or ()
    assert value == NOON
    assert value.utcoffset() == datetime.timedelta(hours=5, minutes=30)


def test_aware_datetimes_are_parameters(connection: gpuql.Connection) -> None:
    tokyo = NOON.astimezone(zoneinfo.ZoneInfo("Asia/Tokyo"))
    rows = connection.execute(
        "SELECT typeof(?), ?::VARCHAR, ? = TIMESTAMPTZ '2021-03-14 12:00:00'", [tokyo, tokyo, tokyo]
    )
    assert rows.fetchall() == [("TIMESTAMP WITH TIME ZONE", "2021-03-14 12:00:00-04", True)]
    naive = datetime.datetime(2021, 3, 14, 12)
    assert connection.execute("SELECT typeof(?)", [naive]).fetchall() == [("TIMESTAMP",)]


def test_arrow_pandas_polars_and_numpy(connection: gpuql.Connection) -> None:
    frame = connection.sql("SELECT TIMESTAMPTZ '2021-03-14 12:00:00' t UNION ALL SELECT NULL")
    table = frame.to_arrow()
    assert table.schema.field("t").type == pa.timestamp("us", tz="America/New_York")
    assert table.column("t").to_pylist() == [NOON, None]
    assert frame.to_arrow_reader().schema == table.schema
    assert frame.to_pandas()["t"].dtype == pd.DatetimeTZDtype("us", "America/New_York")
    assert frame.to_polars().schema["t"] == pl.Datetime("us", "America/New_York")
    assert frame.to_numpy()["t"][0] == NOON.astimezone(UTC).replace(tzinfo=None)
    nested = connection.sql("SELECT [TIMESTAMPTZ '2021-03-14 12:00:00'] l").to_arrow()
    assert nested.schema.field("l").type == pa.list_(pa.timestamp("us", tz="America/New_York"))
    assert nested.column("l").to_pylist() == [[NOON]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_arrow_tables_of_any_unit_and_zone(connection: gpuql.Connection, unit: str) -> None:
    table = pa.table(
        {
            "t": pa.array([NOON.astimezone(UTC), None], pa.timestamp(unit, tz="Europe/Berlin")),
            "l": pa.array([[NOON.astimezone(UTC)], []], pa.list_(pa.timestamp(unit, tz="+02:00"))),
        }
    )
    connection.register("moments", table)
    rows = connection.execute("SELECT t::VARCHAR, l::VARCHAR, typeof(t), typeof(l) FROM moments").fetchall()
    types = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE[]")
    shown = "2021-03-14 12:00:00-04"
    assert rows == [(shown, f"['{shown}']", *types), (None, "[]", *types)]


def test_frames_of_pandas_and_polars(connection: gpuql.Connection) -> None:
    pandas_frame = pd.DataFrame(
        {"t": pd.to_datetime(["2021-03-14 16:00"]).tz_localize("UTC").tz_convert("Asia/Tokyo")}
    )
    polars_frame = pl.DataFrame({"t": [NOON.astimezone(UTC)]})
    for frame in (pandas_frame, polars_frame):
        connection.register("frame", frame)
        assert connection.execute("SELECT t FROM frame").fetchall() == [(NOON,)]


def test_data_frames(connection: gpuql.Connection) -> None:
    connection.execute("CREATE TABLE m AS SELECT TIMESTAMPTZ '2021-03-14 12:00:00' t UNION ALL SELECT NULL")
    frame = connection.table("m")
    assert frame.schema == {"t": TIMESTAMPTZ}
    column = gpuql.col("t")
    shown = frame.select(column.cast("VARCHAR").alias("s"), column.cast("DATE").alias("d")).fetchall()
    assert shown == [("2021-03-14 12:00:00-04", datetime.date(2021, 3, 14)), (None, None)]
    for bound in (datetime.datetime(2021, 3, 14, 11, 59), NOON - datetime.timedelta(minutes=1)):
        assert frame.filter(column > bound).fetchall() == [(NOON,)]
        assert frame.filter(column <= bound).fetchall() == []
    assert "2021-03-14 12:00:00-04" in repr(frame.collect())
    assert frame.cast({"t": "TIMESTAMP"}).fetchall() == [(datetime.datetime(2021, 3, 14, 12),), (None,)]


def test_explain_says_that_constants_are_in_utc(connection: gpuql.Connection) -> None:
    connection.execute("CREATE TABLE m AS SELECT TIMESTAMPTZ '2021-03-14 12:00:00' t")
    assert "'2000-01-01 05:00:00+00'" in connection.explain("SELECT * FROM m WHERE t > '2000-01-01'")


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
def test_files_there_and_back(connection: gpuql.Connection, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"m.{ending}"
    query = "SELECT TIMESTAMPTZ '2021-03-14 12:00:00' t, 1 i UNION ALL SELECT NULL, 2"
    connection.execute(f"COPY ({query}) TO '{path}'")
    rows = connection.execute(f"SELECT t, typeof(t), i FROM '{path}' ORDER BY i").fetchall()
    name = "TIMESTAMP WITH TIME ZONE"
    assert rows == [(NOON, name, 1), (None, name, 2)]
    found = connection.execute(f"SELECT count(*) FROM '{path}' WHERE t >= '2021-03-14 12:00:00'").fetchall()
    assert found == [(1,)]
    if ending == "parquet":
        arrow_type = pq.read_schema(path).field("t").type
        assert pa.types.is_timestamp(arrow_type)
        assert arrow_type.tz is not None
    else:
        assert "2021-03-14 12:00:00-04" in path.read_text()


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_text_of_files_is_a_moment_where_every_value_has_an_offset(
    connection: gpuql.Connection, tmp_path: Path, ending: str
) -> None:
    def types_of(*values: str) -> str:
        path = tmp_path / f"m.{ending}"
        lines = ["t", *values] if ending == "csv" else [f'{{"t": "{value}"}}' for value in values]
        path.write_text("\n".join(lines) + "\n")
        return str(connection.execute(f"SELECT typeof(t) FROM '{path}' LIMIT 1").fetchall()[0][0])

    assert types_of("2020-01-01 00:00:00Z", "2020-01-01 00:00:00+02") == "TIMESTAMP WITH TIME ZONE"
    assert types_of("2020-01-01 00:00:00+02:30", "2020-01-01 00:00:00") == "VARCHAR"
    assert types_of("2020-01-01 00:00:01", "2020-01-01 00:00:00") == "TIMESTAMP"
    assert types_of("2020-01-01", "2020-01-02") == "DATE"


def test_copy_from_reads_text_in_the_session_s_zone(connection: gpuql.Connection, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("t\n2021-03-14 12:00:00\n2021-03-14 16:00:00+00\n2021-03-14 09:00:00 PST\n")
    connection.execute("CREATE TABLE m (t TIMESTAMPTZ)")
    connection.execute(f"COPY m FROM '{path}'")
    assert connection.execute("SELECT DISTINCT t FROM m").fetchall() == [(NOON,)]


# --- the setting ------------------------------------------------------------------------------------------------------


def test_plans_are_kept_by_zone(connection: gpuql.Connection) -> None:
    connection.execute("CREATE TABLE m AS SELECT TIMESTAMPTZ '2021-03-14 12:00:00' t, '2021-03-14 12:00' s")
    query = "SELECT t::VARCHAR, s::TIMESTAMPTZ = t, hour(t), t = '2021-03-14 12:00', t > ? FROM m"
    bound = datetime.datetime(2021, 3, 14, 11)
    for _ in range(2):
        connection.execute("SET TimeZone = 'America/New_York'")
        assert connection.execute(query, [bound]).fetchall() == [
            ("2021-03-14 12:00:00-04", True, 12, True, True)
        ]
        connection.execute("SET TimeZone = 'Europe/Berlin'")
        assert connection.execute(query, [bound]).fetchall() == [
            ("2021-03-14 17:00:00+01", False, 17, False, True)
        ]
    connection.execute("RESET TimeZone")
    assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [(local_zone(),)]


def test_now_is_when_the_transaction_began(connection: gpuql.Connection) -> None:
    connection.execute("BEGIN")
    began = connection.execute("SELECT now()").fetchall()
    assert connection.execute("SELECT now()").fetchall() == began
    assert connection.execute(
        "SELECT now() = current_timestamp, localtimestamp = now()::TIMESTAMP"
    ).fetchall() == [(True, True)]
    connection.execute("COMMIT")
    assert connection.execute("SELECT now() > ?", [began[0][0]]).fetchall() == [(True,)]


def test_show_and_set(connection: gpuql.Connection) -> None:
    connection.execute("SET TIME ZONE 'asia/tokyo'")
    assert connection.execute("SHOW timezone").fetchall() == [("Asia/Tokyo",)]
    with gpuql.connect(device="cpu") as other:
        assert other.execute("SELECT current_setting('timezone')").fetchall() == [(local_zone(),)]


@pytest.mark.parametrize(
    ("statement", "kind", "sqlstate", "column", "hint"),
    [
        ("SET TimeZone = 'Amerika/New_York'", BinderError, "22023", None, "America/New_York"),
        ("SELECT now() AT TIME ZONE 'Europe/Berlim'", BinderError, "22023", 8, "Europe/Berlin"),
        ("SELECT make_timestamptz(1, 1, 1, 1, 1, 1, 'Nowhere')", BinderError, "22023", 8, None),
        ("SELECT TIMESTAMPTZ '2020-01-01 00:00:00 Asia/Tokio'", ConversionError, "22018", None, "Asia/Tokyo"),
        ("SELECT CAST(1 AS TIMESTAMPTZ)", ConversionError, "42846", None, None),
        ("SELECT '10:00'::TIMETZ", NotSupportedError, "0A000", 17, None),
        ("SELECT current_time", NotSupportedError, "0A000", None, None),
        ("SELECT '2020-01-01'::TIMESTAMPTZ(3)", NotSupportedError, "0A000", None, None),
    ],
)
def test_errors(
    connection: gpuql.Connection,
    statement: str,
    kind: type[gpuql.errors.GpuqlError],
    sqlstate: str,
    column: int | None,
    hint: str | None,
) -> None:
    with pytest.raises(kind) as caught:
        connection.execute(statement)
    error: Any = caught.value
    assert error.sqlstate == sqlstate
    if column is not None:
        assert error.position is not None
        assert error.position.column >= column
    if hint is not None:
        assert hint in (error.hint or "")


# --- zones ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("America/New_York", "Europe/Dublin", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"),
        *("Asia/Gaza", "Pacific/Apia", "America/Nuuk", "Antarctica/Troll", "Etc/GMT+5", "UTC"),
    ],
)
def test_offsets_are_those_of_the_standard_library(name: str) -> None:
    zone, reference = (
        load_zone(find_zone(name)),
        zoneinfo.ZoneInfo.from_file(io.BytesIO(time_zones._file_of(name))),
    )
    generator = random.Random(1)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=UTC)
    changes = [start for start in zone.starts if 0 < start < 32_000_000_000]
    seconds = [generator.randrange(0, 250_000_000_000) for _ in range(2000)]
    seconds += [generator.choice(changes) + generator.randrange(-2, 3) for _ in range(1000) if changes]
    for second in seconds:
        moment = epoch + datetime.timedelta(seconds=second)
        offset = moment.astimezone(reference).utcoffset()
        assert offset is not None
        assert zone.offset_at(second) == offset.total_seconds(), moment


def test_zones_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's files do where the package is missing, and an error says what is missing where there are none."""
    from importlib import resources

    def missing(*_: object) -> None:
        raise ModuleNotFoundError("tzdata")

    monkeypatch.setattr(resources, "files", missing)
    if Path("/usr/share/zoneinfo/Asia/Tokyo").is_file():
        assert time_zones._file_of("Asia/Tokyo").startswith(b"TZif")
        assert "Asia/Tokyo" in time_zones._database_names()
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    with pytest.raises(ConversionError, match="time zone cannot be read"):
        time_zones._file_of("Asia/Tokyo")


def test_rules_of_years_to_come() -> None:
    """Days of a rule: the n-th or last weekday of a month, the n-th day with or without 29 February."""
    spring, autumn = time_zones._rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1_600_000_000)[:2]  # type: ignore[index]
    assert spring[1], autumn[1] == (-3600, -7200)
    julian = time_zones._rule("AAA3BBB,J60/2,300", 0)
    assert julian is not None
    first = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=julian[0][0])
    assert (first.month, first.day, first.hour) == (3, 1, 5)
    assert time_zones._rule("JST-9", 0) is None


def test_local_times_that_occur_twice_or_never() -> None:
    zone = TimeZone("x", (-(2**62), 1_000_000, 2_000_000), (0, 3600, 0), repeats=False)
    assert zone.second_of(1_000_000 + 1800) == 1_000_000 + 1800  # skipped: as if not changed
    assert zone.second_of(2_000_000 + 1800) == 2_000_000 + 1800  # twice: the later one
    assert zone.second_of(1_500_000) == 1_500_000 - 3600


def test_names_are_many() -> None:
    assert len(zone_names()) > 590
    assert find_zone("us/pacific") == "US/Pacific"
    assert find_zone("UTC+3") == "Etc/GMT-3"


@pytest.mark.parametrize(
    ("variable", "expected"), [("Asia/Tokyo", "Asia/Tokyo"), (":Asia/Tokyo", "Asia/Tokyo")]
)
def test_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch, variable: str, expected: str) -> None:
    monkeypatch.setenv("TZ", variable)
    assert local_zone() == expected
