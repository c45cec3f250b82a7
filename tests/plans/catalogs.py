"""A catalog with the schema of TPC-H and the statistics of scale factor 1, and tables for small examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuql_planner.catalog import ColumnStatistics, Field, Table, View
from gpuql_planner.types import BIGINT, BOOLEAN, DATE, DOUBLE, INTEGER, VARCHAR, DataType, decimal

_TYPES = {
    "BIGINT": BIGINT,
    "INTEGER": INTEGER,
    "VARCHAR": VARCHAR,
    "DATE": DATE,
    "DOUBLE": DOUBLE,
    "BOOLEAN": BOOLEAN,
}

#: table rows, then per column: name, type, distinct values, stored minimum, stored maximum ("-" if unknown).
TPCH_SCALE_1 = """
region 5
  r_regionkey BIGINT 5 0 4
  r_name VARCHAR 5 - -
  r_comment VARCHAR 5 - -
nation 25
  n_nationkey BIGINT 25 0 24
  n_name VARCHAR 25 - -
  n_regionkey BIGINT 5 0 4
  n_comment VARCHAR 25 - -
supplier 10000
  s_suppkey BIGINT 10000 1 10000
  s_name VARCHAR 10000 - -
  s_address VARCHAR 10000 - -
  s_nationkey BIGINT 25 0 24
  s_phone VARCHAR 10000 - -
  s_acctbal DECIMAL(15,2) 9955 -99822 999972
  s_comment VARCHAR 10000 - -
customer 150000
  c_custkey BIGINT 150000 1 150000
  c_name VARCHAR 150000 - -
  c_address VARCHAR 150000 - -
  c_nationkey BIGINT 25 0 24
  c_phone VARCHAR 150000 - -
  c_acctbal DECIMAL(15,2) 140187 -99999 999999
  c_mktsegment VARCHAR 5 - -
  c_comment VARCHAR 149968 - -
part 200000
  p_partkey BIGINT 200000 1 200000
  p_name VARCHAR 199997 - -
  p_mfgr VARCHAR 5 - -
  p_brand VARCHAR 25 - -
  p_type VARCHAR 150 - -
  p_size INTEGER 50 1 50
  p_container VARCHAR 40 - -
  p_retailprice DECIMAL(15,2) 20899 90100 209899
  p_comment VARCHAR 131753 - -
partsupp 800000
  ps_partkey BIGINT 200000 1 200000
  ps_suppkey BIGINT 10000 1 10000
  ps_availqty INTEGER 9999 1 9999
  ps_supplycost DECIMAL(15,2) 99865 100 100000
  ps_comment VARCHAR 799124 - -
orders 1500000
  o_orderkey BIGINT 1500000 1 6000000
  o_custkey BIGINT 99996 1 149999
  o_orderstatus VARCHAR 3 - -
  o_totalprice DECIMAL(15,2) 1464556 85771 55528516
  o_orderdate DATE 2406 8035 10440
  o_orderpriority VARCHAR 5 - -
  o_clerk VARCHAR 1000 - -
  o_shippriority INTEGER 1 0 0
  o_comment VARCHAR 1482071 - -
lineitem 6001215
  l_orderkey BIGINT 1500000 1 6000000
  l_partkey BIGINT 200000 1 200000
  l_suppkey BIGINT 10000 1 10000
  l_linenumber INTEGER 7 1 7
  l_quantity DECIMAL(15,2) 50 100 5000
  l_extendedprice DECIMAL(15,2) 933900 90100 10494950
  l_discount DECIMAL(15,2) 11 0 10
  l_tax DECIMAL(15,2) 9 0 8
  l_returnflag VARCHAR 3 - -
  l_linestatus VARCHAR 2 - -
  l_shipdate DATE 2526 8036 10561
  l_commitdate DATE 2466 8065 10530
  l_receiptdate DATE 2554 8038 10591
  l_shipinstruct VARCHAR 4 - -
  l_shipmode VARCHAR 7 - -
  l_comment VARCHAR 4580667 - -
"""


@dataclass(eq=False)
class StatisticsTable:
    """A table of known facts and no rows."""

    name: str
    fields: tuple[Field, ...]
    num_rows: int | None
    columns: dict[str, ColumnStatistics] = field(default_factory=dict)

    def statistics(self, name: str) -> ColumnStatistics:
        return self.columns.get(name, ColumnStatistics())


@dataclass
class FixedCatalog:
    """Resolves the tables it was given."""

    tables: dict[str, Table]

    def resolve(self, name: str) -> Table | View | None:
        return self.tables.get(name.lower())

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        return None

    def definitions(self, kind: str) -> dict[str, object]:
        return {}

    def search_path(self) -> tuple[str, ...]:
        return ("main",)

    def relation_names(self) -> list[str]:
        return list(self.tables)


def parse_type(text: str) -> DataType:
    """A type by its SQL name."""
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", text)
    return decimal(int(match[1]), int(match[2])) if match else _TYPES[text]


def parse_tables(text: str) -> FixedCatalog:
    """Tables from lines as in :data:`TPCH_SCALE_1`; "?" is an unknown number, a trailing "null" a nullable column."""
    tables: dict[str, Table] = {}
    current: StatisticsTable | None = None
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if not line.startswith(" "):
            rows = None if words[1] == "?" else int(words[1])
            current = StatisticsTable(words[0], (), rows)
            tables[words[0]] = current
            continue
        assert current is not None, "columns follow their table"
        name, dtype, distinct, low, high, *rest = words
        nullable = "null" in rest
        count = None if distinct == "?" else int(distinct)
        unique = count is not None and count == current.num_rows and not nullable
        current.fields += (Field(name, parse_type(dtype), nullable=True),)
        current.columns[name] = ColumnStatistics(
            minimum=None if low == "-" else int(low),
            maximum=None if high == "-" else int(high),
            null_count=None if nullable else 0,
            distinct_count=count,
            unique=unique,
        )
    return FixedCatalog(tables)


def tpch_catalog() -> FixedCatalog:
    """TPC-H at scale factor 1."""
    return parse_tables(TPCH_SCALE_1)
