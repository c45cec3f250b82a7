"""COPY: rows of a table or query to a file, or of a file into a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field, View
from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.functions import explicit_cast, make_call
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal, SortKey
from gpuql_planner.logical.nodes import LogicalNode, Project, Sort
from gpuql_planner.sql.bind_commands import error_at
from gpuql_planner.sql.bind_insert import bind_insert
from gpuql_planner.sql.bind_query import BoundQuery
from gpuql_planner.sql.command_syntax import CopySyntax, Name
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.copy_options import checked_options, format_of, option_values
from gpuql_planner.sql.expand_macros import expand_macros
from gpuql_planner.sql.names import known_name
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.sql.statements import CopyTo, Query, Statement
from gpuql_planner.statement_errors import (
    UndefinedColumn,
    UndefinedDatabase,
    UndefinedTable,
    WrongObjectType,
)
from gpuql_planner.types import DOUBLE, VARCHAR, DataType, TypeId

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


def bind_copy(queries: QueryBinder, syntax: CopySyntax) -> Statement:
    """COPY … TO, or COPY … FROM, which is an INSERT."""
    context = queries.context
    path = _path(queries, syntax)
    format_name = format_of(context, syntax, path)
    options = checked_options(context, syntax, format_name)
    if syntax.to_file:
        return _copy_to(queries, syntax, path, format_name, options)
    return _copy_from(queries, syntax, path, format_name, options)


def _path(queries: QueryBinder, syntax: CopySyntax) -> str:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    context = queries.context
    literal = ExpressionBinder(context, Scope(), queries, "COPY").bind(syntax.path)
    value = literal.value if isinstance(literal, Literal) else None
    if not isinstance(value, str) or not value:
        raise context.error(BinderError, "path of COPY must be a text constant", syntax.path)
    return value


def _table_node(context: BindContext, name: Name) -> exp.Table:
    """The tree of a table's name, which knows its place."""
    identifiers = [exp.to_identifier(part, quoted=True) for part in name.parts]
    for identifier in identifiers:
        identifier.meta["start"] = name.offset
    keys = ("this", "db", "catalog")
    if len(identifiers) > len(keys):
        raise error_at(context, UndefinedDatabase, f"name has too many parts: {name.text}", name.offset)
    return exp.Table(**dict(zip(keys, reversed(identifiers), strict=False)))


def _copy_to(
    queries: QueryBinder, syntax: CopySyntax, path: str, format_name: str, options: dict[str, object]
) -> CopyTo:
    context = queries.context
    if syntax.query is not None:
        source = queries.bind(expand_macros(context, syntax.query))
    else:
        assert syntax.table is not None, "COPY names a table or has a query"
        source = _chosen(context, queries.bind(_table_node(context, syntax.table)), syntax.columns)
    names = tuple(column.name for column in relation_of("", source.names, source.plan.outputs).columns)
    source = BoundQuery(source.plan, names)
    for name in ("force_quote", "partition_by"):
        given = options.get(name)
        if isinstance(given, tuple):
            options[name] = tuple(_spelled(context, names, one, syntax) for one in given)
    if options.get("partition_by") == "*":
        options["partition_by"] = names
    partitions = options.get("partition_by", ())
    assert isinstance(partitions, tuple), "names were checked"
    if partitions and len(set(partitions)) == len(names) and not options.get("write_partition_columns"):
        raise error_at(context, BinderError, "no column is left beside those of PARTITION_BY", syntax.offset)
    return _writing(source, path, format_name, options, partitions)


def copy_query(query: Query, path: str, format_name: str, given: Mapping[str, object]) -> CopyTo:
    """COPY of a bound query, with options by their names in SQL. Errors: BinderError, without a place."""
    options = option_values(given, format_name)
    names = tuple(column.name for column in relation_of("", query.names, query.plan.outputs).columns)
    for name in ("force_quote", "partition_by"):
        wanted = options.get(name)
        for column in wanted if isinstance(wanted, tuple) else ():
            if column not in names:
                hint = did_you_mean(str(column), list(names))
                raise UndefinedColumn(f"column not found: {column}", hint=hint)
    partitions = options.get("partition_by", ())
    assert isinstance(partitions, tuple), "names were checked"
    return _writing(BoundQuery(query.plan, names), path, format_name, options, partitions)


def _writing(
    source: BoundQuery, path: str, format_name: str, options: dict[str, object], partitions: tuple[str, ...]
) -> CopyTo:
    plan = _written(source, format_name, options)
    if partitions:
        places = [source.names.index(name) for name in partitions]
        plan = Sort(plan, tuple(SortKey(AttributeRef(plan.outputs[place])) for place in places))
    if format_name == "json":
        options["kinds"] = tuple(_json_kind(output.dtype) for output in source.plan.outputs)
    return CopyTo(Query(plan, source.names), path, format_name, tuple(sorted(options.items())))


def _chosen(context: BindContext, source: BoundQuery, columns: tuple[Name, ...]) -> BoundQuery:
    """The columns that are named, or all."""
    if not columns:
        return source
    folded = [name.lower() for name in source.names]
    items: list[tuple[Attribute, Expression]] = []
    names: list[str] = []
    for column in columns:
        wanted = column.text.lower()
        if wanted not in folded or len(column.parts) > 1:
            hint = did_you_mean(column.text, list(source.names))
            raise error_at(context, UndefinedColumn, f"column not found: {column.text}", column.offset, hint)
        output = source.plan.outputs[folded.index(wanted)]
        names.append(source.names[folded.index(wanted)])
        items.append((Attribute.fresh(output.name, output.dtype), AttributeRef(output)))
    return BoundQuery(Project(source.plan, tuple(items)), tuple(names))


def _spelled(context: BindContext, names: tuple[str, ...], wanted: str, syntax: CopySyntax) -> str:
    """The column of that name as the query spells it."""
    for name in names:
        if name.lower() == wanted.lower():
            return name
    offset = next(
        (
            part.offset
            for option in syntax.options
            if isinstance(option.value, tuple)
            for part in option.value
            if part.text == wanted
        ),
        syntax.offset,
    )
    raise error_at(
        context, UndefinedColumn, f"column not found: {wanted}", offset, did_you_mean(wanted, list(names))
    )


_NESTED = ("LIST", "STRUCT", "MAP", "ARRAY")


def _json_kind(dtype: DataType) -> str:
    """How JSON writes a value: as it is, as a text, or as whatever its Arrow value is."""
    if _holds_json(dtype):
        return "plain"
    if dtype.id.name in _NESTED:
        return "nested"
    if dtype.is_decimal:
        return "decimal"
    return "plain" if dtype.is_numeric or dtype.id in (TypeId.BOOLEAN, TypeId.NULL) else "text"


def _holds_json(dtype: DataType) -> bool:
    return dtype.id is TypeId.JSON or (dtype.is_nested and any(_holds_json(part) for _, part in dtype.fields))


def _written(source: BoundQuery, format_name: str, options: dict[str, object]) -> LogicalNode:
    """The rows as they are written: as they are, or as text where the file is one."""
    if format_name == "parquet":
        return source.plan
    dates, stamps = options.pop("dateformat", None), options.pop("timestampformat", None)
    items: list[tuple[Attribute, Expression]] = []
    for output in source.plan.outputs:
        value: Expression = AttributeRef(output)
        if output.dtype.id is TypeId.DATE and isinstance(dates, str):
            value = make_call("strftime", (value, Literal(dates, VARCHAR)))
        elif output.dtype.id is TypeId.TIMESTAMP and isinstance(stamps, str):
            value = make_call("strftime", (value, Literal(stamps, VARCHAR)))
        elif format_name == "json" and _holds_json(output.dtype):
            # Written anew: a line break in a document would end its line.
            document = make_call("json", (make_call("to_json", (value,)),))
            value = explicit_cast(document, VARCHAR)
        elif format_name == "json" and output.dtype.id.name in _NESTED:
            items.append((output, value))
            continue
        elif format_name == "json" and output.dtype.id is TypeId.REAL:
            value = explicit_cast(explicit_cast(value, DOUBLE), VARCHAR)
        elif output.dtype != VARCHAR:
            value = explicit_cast(value, VARCHAR)
        items.append((Attribute.fresh(output.name, value.dtype), value))
    return Project(source.plan, tuple(items))


_READERS = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json"}


def _copy_from(
    queries: QueryBinder, syntax: CopySyntax, path: str, format_name: str, options: dict[str, object]
) -> Statement:
    context = queries.context
    assert syntax.table is not None, "COPY FROM names a table"
    node = _table_node(context, syntax.table)
    with context.locating(node):
        table = context.catalog.resolve(known_name(queries, node))
    if table is None:
        hint = did_you_mean(syntax.table.text, context.catalog.relation_names())
        raise context.error(UndefinedTable, f"table does not exist: {syntax.table.text}", node, hint=hint)
    if isinstance(table, View):
        raise context.error(WrongObjectType, f"rows cannot be copied into a view: {syntax.table.text}", node)
    targets = [_target(context, table.fields, column) for column in syntax.columns] or list(table.fields)
    dates, stamps = options.pop("dateformat", None), options.pop("timestampformat", None)
    arguments: list[exp.Expr] = [exp.Literal.string(path)]
    if format_name == "csv":
        options = {("delim" if name == "delimiter" else name): value for name, value in options.items()}
        options.pop("compression", None)
        options["all_varchar"] = True
        if "header" not in options:
            options["header"] = _has_header(context, syntax, path, options, targets)
    with context.locating(syntax.path):
        found = context.catalog.table_function(_READERS[format_name], [path], dict(options))
    assert found is not None, "every format has a reader"
    names = [field.name for field in found.fields]
    if format_name == "json":
        names = [_among(names, target.name) for target in targets]
    if len(names) != len(targets):
        raise context.error(
            BinderError,
            f"number of columns differ: {path} has {len(names)}, {syntax.table.text} takes {len(targets)}",
            syntax.path,
        )
    if format_name == "csv":
        typed = {
            name: _READ_AS[target.dtype.id]
            for name, target in zip(names, targets, strict=True)
            if target.dtype.id in _READ_AS and not (target.dtype.is_temporal and (dates or stamps))
        }
        if typed:
            options["column_types"] = typed
    arguments += [_named_argument(name, value) for name, value in options.items()]
    source = exp.Table(this=exp.Anonymous(this=_READERS[format_name], expressions=arguments))
    values = [_read_value(name, target, dates, stamps) for name, target in zip(names, targets, strict=True)]
    select = exp.Select(expressions=values, from_=exp.From(this=source))
    into = exp.Schema(
        this=node, expressions=[exp.to_identifier(target.name, quoted=True) for target in targets]
    )
    for part in (*select.walk(), *into.walk()):
        part.meta.setdefault("start", syntax.table.offset)
    return bind_insert(queries, exp.Insert(this=into, expression=select))


#: What the reader makes of the text of a column; texts of other types are cast.
_READ_AS: dict[TypeId, str] = {
    **dict.fromkeys((TypeId.TINYINT, TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT), "BIGINT"),
    **dict.fromkeys((TypeId.UTINYINT, TypeId.USMALLINT, TypeId.UINTEGER), "BIGINT"),
    TypeId.UBIGINT: "UBIGINT",
    TypeId.DOUBLE: "DOUBLE",
    TypeId.DATE: "DATE",
    TypeId.TIMESTAMP: "TIMESTAMP",
}


def _named_argument(name: str, value: object) -> exp.Expr:
    if isinstance(value, dict):
        fields = [
            exp.PropertyEQ(this=exp.to_identifier(key, quoted=True), expression=exp.Literal.string(kind))
            for key, kind in value.items()
        ]
        return exp.PropertyEQ(this=exp.to_identifier(name), expression=exp.Struct(expressions=fields))
    return exp.PropertyEQ(this=exp.to_identifier(name), expression=exp.convert(value))


def _among(names: list[str], wanted: str) -> str:
    return next((name for name in names if name.lower() == wanted.lower()), "")


def _has_header(
    context: BindContext, syntax: CopySyntax, path: str, options: dict[str, object], targets: list[Field]
) -> bool:
    """Whether the first line is names: those of the table, or what cannot be a value of its columns."""
    with context.locating(syntax.path):
        found = context.catalog.table_function("read_csv", [path], {**options, "header": True})
    if found is None:
        return True
    names = [field.name.lower() for field in found.fields]
    wanted = [target.name.lower() for target in targets]
    if names == wanted:
        return True
    return any(
        target.dtype != VARCHAR and not _may_be_value(name, target.dtype)
        for name, target in zip(names, targets, strict=False)
    )


def _may_be_value(text: str, dtype: DataType) -> bool:
    from gpuql_planner.errors import GpuqlError
    from gpuql_planner.functions import coerce

    if not text or text.startswith("column"):
        return True
    try:
        coerce(Literal(text, VARCHAR), dtype)
    except GpuqlError:
        return False
    return True


def _target(context: BindContext, fields: tuple[Field, ...], column: Name) -> Field:
    for field in fields:
        if len(column.parts) == 1 and field.name.lower() == column.text.lower():
            return field
    hint = did_you_mean(column.text, [field.name for field in fields])
    raise error_at(context, UndefinedColumn, f"column not found: {column.text}", column.offset, hint)


def _read_value(name: str, target: Field, dates: object, stamps: object) -> exp.Expr:
    """The tree of a column of the file in the type of the table's column; NULL if the file has none."""
    if not name:
        return exp.Null()
    value: exp.Expr = exp.column(name, quoted=True)
    given = {TypeId.DATE: dates, TypeId.TIMESTAMP: stamps}.get(target.dtype.id)
    if isinstance(given, str):
        value = exp.Anonymous(this="strptime", expressions=[value, exp.Literal.string(given)])
    return exp.Cast(this=value, to=exp.DataType.build(str(target.dtype), dialect="duckdb"))
