"""Small catalogs for binding, without data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuql_planner.catalog import ColumnStatistics, Field, Table, View
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.logical.format import format_logical
from gpuql_planner.logical.nodes import Project
from gpuql_planner.logical.verify import verify
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.context import Parameters
from gpuql_planner.sql.statements import Query, Statement
from gpuql_planner.types import BIGINT, BOOLEAN, DATE, DOUBLE, INTEGER, VARCHAR, DataType, TypeId, decimal


@dataclass(frozen=True, eq=False)
class SchemaTable:
    """A table of which only the schema is known."""

    name: str
    fields: tuple[Field, ...]
    num_rows: int | None = None

    def statistics(self, name: str) -> ColumnStatistics:
        return ColumnStatistics()


class SchemaCatalog:
    """Tables and views by name; ``read_letters`` is its only table function."""

    def __init__(self, *relations: SchemaTable | View) -> None:
        self.relations: dict[str, Table | View] = {relation.name.lower(): relation for relation in relations}
        self.calls: list[tuple[str, list[object], dict[str, object]]] = []

    def resolve(self, name: str) -> Table | View | None:
        return self.relations.get(name.lower())

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        self.calls.append((name, list(arguments), named))
        return SchemaTable("letters", (Field("letter", VARCHAR),)) if name == "read_letters" else None

    def definitions(self, kind: str) -> dict[str, object]:
        return {}

    def search_path(self) -> tuple[str, ...]:
        return ("main",)

    def relation_names(self) -> list[str]:
        return [relation.name for relation in self.relations.values()]


def data_type(text: str) -> DataType:
    """Data type of a DuckDB type name."""
    if text.startswith("DECIMAL"):
        width, scale = text.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return decimal(int(width), int(scale))
    return DataType(TypeId(text))


def small_catalog() -> SchemaCatalog:
    """Tables t and u, and the view totals over t."""
    t = SchemaTable(
        "t",
        (
            Field("i", INTEGER),
            Field("s", VARCHAR),
            Field("n", decimal(15, 2)),
            Field("day", DATE),
            Field("b", BOOLEAN),
            Field("x", DOUBLE, nullable=False),
        ),
    )
    u = SchemaTable("u", (Field("i", BIGINT), Field("k", INTEGER)))
    return SchemaCatalog(
        t, u, View("totals", "SELECT i, sum(x) AS total FROM t GROUP BY i", ("key", "total"))
    )


TPCH_SCHEMA = """
region: r_regionkey BIGINT, r_name VARCHAR, r_comment VARCHAR
nation: n_nationkey BIGINT, n_name VARCHAR, n_regionkey BIGINT, n_comment VARCHAR
supplier: s_suppkey BIGINT, s_name VARCHAR, s_address VARCHAR, s_nationkey BIGINT, s_phone VARCHAR, s_acctbal DECIMAL(15;2), s_comment VARCHAR
customer: c_custkey BIGINT, c_name VARCHAR, c_address VARCHAR, c_nationkey BIGINT, c_phone VARCHAR, c_acctbal DECIMAL(15;2), c_mktsegment VARCHAR, c_comment VARCHAR
part: p_partkey BIGINT, p_name VARCHAR, p_mfgr VARCHAR, p_brand VARCHAR, p_type VARCHAR, p_size INTEGER, p_container VARCHAR, p_retailprice DECIMAL(15;2), p_comment VARCHAR
partsupp: ps_partkey BIGINT, ps_suppkey BIGINT, ps_availqty INTEGER, ps_supplycost DECIMAL(15;2), ps_comment VARCHAR
orders: o_orderkey BIGINT, o_custkey BIGINT, o_orderstatus VARCHAR, o_totalprice DECIMAL(15;2), o_orderdate DATE, o_orderpriority VARCHAR, o_clerk VARCHAR, o_shippriority INTEGER, o_comment VARCHAR
lineitem: l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INTEGER, l_quantity DECIMAL(15;2), l_extendedprice DECIMAL(15;2), l_discount DECIMAL(15;2), l_tax DECIMAL(15;2), l_returnflag VARCHAR, l_linestatus VARCHAR, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR, l_shipmode VARCHAR, l_comment VARCHAR
"""  # noqa: E501 - a table a line


def tpch_columns() -> dict[str, list[tuple[str, str]]]:
    """Table -> (column, type name) pairs."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for line in TPCH_SCHEMA.strip().splitlines():
        name, columns = line.split(": ")
        pairs = [column.replace(";", ",").split(" ") for column in columns.split(", ")]
        tables[name] = [(column, dtype) for column, dtype in pairs]
    return tables


def tpch_catalog() -> SchemaCatalog:
    """The eight TPC-H tables."""
    return SchemaCatalog(
        *(
            SchemaTable(name, tuple(Field(column, data_type(dtype)) for column, dtype in columns))
            for name, columns in tpch_columns().items()
        )
    )


def bind_one(text: str, catalog: SchemaCatalog | None = None, parameters: Parameters = None) -> Statement:
    """The only statement of a text, bound; its plan is verified."""
    [statement] = bind_statements(text, catalog or small_catalog(), parameters)
    if isinstance(statement, Query):
        assert len(statement.names) == len(statement.plan.outputs)
        verify(statement.plan)
    return statement


def bind_query(text: str, catalog: SchemaCatalog | None = None, parameters: Parameters = None) -> Query:
    """The only query of a text, bound."""
    statement = bind_one(text, catalog, parameters)
    assert isinstance(statement, Query)
    return statement


def plan_text(text: str, catalog: SchemaCatalog | None = None, parameters: Parameters = None) -> str:
    """Formatted plan of a query."""
    return format_logical(bind_query(text, catalog, parameters).plan)


def bind_expression(text: str) -> Expression:
    """The bound expression of ``SELECT text FROM t``."""
    plan = bind_query(f"SELECT {text} FROM t").plan
    assert isinstance(plan, Project)
    return plan.expressions[0][1]
