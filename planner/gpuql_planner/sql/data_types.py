"""SQL type names to data types."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gpuql_planner import types
from gpuql_planner.definitions import NamedType
from gpuql_planner.errors import BinderError, CatalogError, did_you_mean
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import DataType

_D = exp.DType

_SIMPLE_TYPES: dict[exp.DType, DataType] = {
    _D.BOOLEAN: types.BOOLEAN,
    _D.TINYINT: types.TINYINT,
    _D.SMALLINT: types.SMALLINT,
    _D.INT: types.INTEGER,
    _D.BIGINT: types.BIGINT,
    _D.INT128: types.HUGEINT,
    _D.UTINYINT: types.UTINYINT,
    _D.USMALLINT: types.USMALLINT,
    _D.UINT: types.UINTEGER,
    _D.UBIGINT: types.UBIGINT,
    _D.FLOAT: types.REAL,
    _D.DOUBLE: types.DOUBLE,
    _D.VARCHAR: types.VARCHAR,
    _D.CHAR: types.VARCHAR,
    _D.NCHAR: types.VARCHAR,
    _D.NVARCHAR: types.VARCHAR,
    _D.BPCHAR: types.VARCHAR,
    _D.TEXT: types.VARCHAR,
    _D.BINARY: types.BLOB,
    _D.VARBINARY: types.BLOB,
    _D.BLOB: types.BLOB,
    _D.DATE: types.DATE,
    _D.TIME: types.TIME,
    _D.TIMESTAMP: types.TIMESTAMP,
    _D.TIMESTAMPNTZ: types.TIMESTAMP,
    _D.DATETIME: types.TIMESTAMP,
    _D.TIMESTAMP_S: types.TIMESTAMP_S,
    _D.TIMESTAMP_MS: types.TIMESTAMP_MS,
    _D.TIMESTAMP_NS: types.TIMESTAMP_NS,
    _D.UUID: types.UUID,
    _D.TIMESTAMPTZ: types.TIMESTAMPTZ,
    _D.JSON: types.JSON,
    _D.INTERVAL: types.INTERVAL,
}

_DEFAULT_DECIMAL = (18, 3)


def bind_type(context: BindContext, node: exp.Expr) -> DataType:
    """Data type of a type name; NotSupportedError for types that gpuql does not have."""
    kind = node.this if isinstance(node, exp.DataType) else None
    if isinstance(kind, exp.Interval):
        return types.INTERVAL
    if kind in (_D.DECIMAL, _D.BIGDECIMAL):
        return _bind_decimal(context, node)
    if kind is _D.TIMESTAMPTZ and node.expressions:
        raise context.unsupported(f"type {node.sql('duckdb')} (it has no precision)", node)
    if isinstance(kind, exp.DType) and kind in _SIMPLE_TYPES and not node.args.get("nested"):
        return _SIMPLE_TYPES[kind]
    if kind is _D.ARRAY and len(node.expressions) == 1 and not node.args.get("values"):
        return types.list_of(bind_type(context, node.expressions[0]))
    if kind is _D.ARRAY and len(node.expressions) == 1:
        return _bind_array(context, node)
    if kind is _D.MAP and len(node.expressions) == 2:
        return types.map_of(*(bind_type(context, part) for part in node.expressions))
    if kind is _D.STRUCT and node.expressions and all(isinstance(p, exp.ColumnDef) for p in node.expressions):
        return types.struct_of((part.name, bind_type(context, part.kind)) for part in node.expressions)
    if kind is _D.ENUM:
        return enum_type(context, [str(label.this) for label in node.expressions], node)
    if kind is _D.USERDEFINED:
        return _bind_named(context, node)
    raise context.unsupported(f"type {node.sql('duckdb')}", node)


def _bind_array(context: BindContext, node: exp.Expr) -> DataType:
    """``element[size]``."""
    element = bind_type(context, node.expressions[0])
    sizes = node.args["values"]
    size = sizes[0].name if len(sizes) == 1 and isinstance(sizes[0], exp.Literal) else ""
    if not size.isdigit():
        raise context.error(BinderError, f"size of an array must be a number: {node.sql('duckdb')}", node)
    try:
        return types.array_of(element, int(size))
    except ValueError as error:
        raise context.error(BinderError, str(error), node) from None


def enum_type(context: BindContext, labels: Sequence[str], node: exp.Expr | None) -> DataType:
    """ENUM of these labels. BinderError if there is none, or one appears twice."""
    try:
        return types.enum_of(labels)
    except ValueError as error:
        raise context.error(BinderError, str(error), node) from None


def _bind_named(context: BindContext, node: exp.Expr) -> DataType:
    """A type that CREATE TYPE made."""
    from gpuql_planner.sql.bind_commands import find_definition

    name = str(node.args.get("kind") or "")
    found = find_definition(context, "type", [part.strip('"') for part in name.split(".")])
    if isinstance(found, NamedType):
        return found.dtype
    known = [one.name for one in context.catalog.definitions("type").values()]
    raise context.error(
        CatalogError, f"type does not exist: {name}", node, hint=did_you_mean(name, [*known, *_NAMES])
    )


_NAMES = sorted({str(dtype) for dtype in _SIMPLE_TYPES.values()})


def _bind_decimal(context: BindContext, node: exp.Expr) -> DataType:
    parameters = [str(parameter.this.this) for parameter in node.expressions]
    if not all(parameter.isdigit() for parameter in parameters):
        raise context.error(
            InvalidParameterValue, f"decimal width and scale must be numbers: {node.sql('duckdb')}", node
        )
    numbers = [int(parameter) for parameter in parameters]
    width, scale = (*numbers, 0)[:2] if numbers else _DEFAULT_DECIMAL
    try:
        return types.decimal(width, scale)
    except ValueError as error:
        raise context.error(InvalidParameterValue, str(error), node) from None
