"""Statements of :mod:`command_syntax`: schemas, macros, types, sequences, prepared statements, comments."""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING

from gpuql_planner.catalog import Table, View
from gpuql_planner.definitions import (
    DATABASE,
    MAIN_SCHEMA,
    SYSTEM_SCHEMAS,
    TEMPORARY_SCHEMA,
    Comment,
    Definition,
    Macro,
    NamedType,
    Overload,
    Parameter,
    PreparedText,
    Schema,
    Sequence,
    SequenceOptions,
)
from gpuql_planner.errors import (
    BinderError,
    GpuqlError,
    ParserError,
    did_you_mean,
)
from gpuql_planner.functions import explicit_cast
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.nodes import Project
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.command_syntax import (
    CommandSyntax,
    CommentSyntax,
    CopySyntax,
    CreateSchemaSyntax,
    DeallocateSyntax,
    DropSyntax,
    ExecuteSyntax,
    ExportSyntax,
    ImportSyntax,
    MacroSyntax,
    MaintenanceSyntax,
    Name,
    PragmaSyntax,
    PrepareSyntax,
    SequenceSyntax,
    ShowSyntax,
    TypeSyntax,
    UseSyntax,
)
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.data_types import bind_type
from gpuql_planner.sql.names import find_name, joined_name, make_name, schema_names
from gpuql_planner.sql.parse import ParsedStatement, position_of_offset
from gpuql_planner.sql.statements import (
    Define,
    DefineEnum,
    ExecutePrepared,
    ExportDatabase,
    ImportDatabase,
    NoOperation,
    Query,
    SetSearchPath,
    Statement,
    Undefine,
)
from gpuql_planner.statement_errors import (
    InvalidDefinition,
    InvalidOption,
    ReservedName,
    UndefinedColumn,
    UndefinedDatabase,
    UndefinedPrepared,
    UndefinedSchema,
    UndefinedTable,
    undefined,
)
from gpuql_planner.types import INTEGER_LIMITS, VARCHAR, TypeId, enum_of

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


def bind_command(queries: QueryBinder, parsed: ParsedStatement) -> Statement:
    """Any statement that has a ``syntax``."""
    context, syntax = queries.context, parsed.syntax
    match syntax:
        case CopySyntax():
            from gpuql_planner.sql.bind_copy import bind_copy

            return bind_copy(queries, syntax)
        case ShowSyntax():
            from gpuql_planner.sql.bind_show import bind_show

            return bind_show(queries, syntax)
        case PragmaSyntax():
            from gpuql_planner.sql.bind_show import bind_pragma

            return bind_pragma(queries, syntax)
        case ExecuteSyntax():
            return _bind_execute(queries, syntax)
        case PrepareSyntax():
            return _bind_prepare(context, syntax)
        case DeallocateSyntax(name=name):
            return Undefine("prepared", None if name is None else name.text, if_exists=True)
        case UseSyntax(name=name):
            return SetSearchPath((_schema_of(context, name.parts, name.offset),))
        case ExportSyntax(path=path, format=kind, options=options):
            return ExportDatabase(path, kind, options)
        case ImportSyntax(path=path):
            return ImportDatabase(path)
        case MaintenanceSyntax():
            return _bind_maintenance(context, syntax)
    return _bind_definition(queries, syntax)


def _bind_definition(queries: QueryBinder, syntax: CommandSyntax | None) -> Statement:
    context = queries.context
    match syntax:
        case CreateSchemaSyntax():
            return _bind_create_schema(context, syntax)
        case SequenceSyntax():
            return _bind_sequence(context, syntax)
        case MacroSyntax():
            return _bind_macro(context, syntax)
        case TypeSyntax():
            return _bind_create_type(queries, syntax)
        case DropSyntax():
            return _bind_drop(context, syntax)
        case CommentSyntax():
            return _bind_comment(context, syntax)
    raise ParserError("not a statement", statement=context.text)


def error_at(
    context: BindContext, kind: type[GpuqlError], message: str, offset: int, hint: str | None = None
) -> GpuqlError:
    """An error that points at a character of the text."""
    return kind(message, position=position_of_offset(context.text, offset), statement=context.text, hint=hint)


def _schema_of(context: BindContext, parts: collections.abc.Sequence[str], offset: int) -> str:
    """The schema that ``[catalog.]schema`` or a catalog means."""
    known = schema_names(context)
    by_folded = {name.lower(): name for name in known}
    if len(parts) == 1 and parts[0].lower() == DATABASE and DATABASE not in by_folded:
        return MAIN_SCHEMA
    if len(parts) == 2 and parts[0].lower() not in (DATABASE, "system"):
        raise error_at(context, UndefinedDatabase, f"database does not exist: {parts[0]}", offset)
    found = by_folded.get(parts[-1].lower())
    if found is None or len(parts) > 2:
        name = ".".join(parts)
        raise error_at(
            context, UndefinedSchema, f"schema does not exist: {name}", offset, did_you_mean(name, known)
        )
    return found


def bind_search_path(context: BindContext, text: str) -> SetSearchPath:
    """SET search_path or schema: schemas separated by commas."""
    offset = max(context.text.find(text), 0)
    names = [name.strip().strip('"') for name in text.split(",")]
    if not all(names):
        raise error_at(context, BinderError, f"search path has an empty name: {text!r}", offset)
    schemas = tuple(_schema_of(context, name.split("."), offset) for name in names)
    return SetSearchPath(schemas)


def _exclusive(context: BindContext, or_replace: bool, if_not_exists: bool, offset: int) -> None:  # noqa: FBT001
    if or_replace and if_not_exists:
        raise error_at(context, ParserError, "OR REPLACE and IF NOT EXISTS exclude each other", offset)


def _bind_create_schema(context: BindContext, syntax: CreateSchemaSyntax) -> Define:
    name = syntax.name
    if len(name.parts) > 2 or (len(name.parts) == 2 and name.parts[0].lower() != DATABASE):
        raise error_at(context, UndefinedDatabase, f"database does not exist: {name.parts[0]}", name.offset)
    schema = name.parts[-1]
    if schema.lower() in (*SYSTEM_SCHEMAS, MAIN_SCHEMA, TEMPORARY_SCHEMA):
        if schema.lower() == MAIN_SCHEMA and syntax.if_not_exists:
            return Define("schema", schema, Schema(schema), if_not_exists=True)
        raise error_at(
            context, ReservedName, f"schema of the system cannot be created: {schema}", name.offset
        )
    _exclusive(context, syntax.or_replace, syntax.if_not_exists, name.offset)
    return Define("schema", schema, Schema(schema), syntax.or_replace, syntax.if_not_exists)


def _new_definition_name(context: BindContext, name: Name, *, temporary: bool) -> str:
    with _locating(context, name):
        return make_name(context, name.parts, None, temporary=temporary)


class _locating:
    """Gives errors raised inside the position of a name."""

    def __init__(self, context: BindContext, name: Name) -> None:
        self._context, self._name = context, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, GpuqlError) and error.position is None:
            error.position = position_of_offset(self._context.text, self._name.offset)
            error.statement = self._context.text


def find_definition(
    context: BindContext, kind: str, parts: collections.abc.Sequence[str]
) -> Definition | None:
    """The definition of that name along the search path; None if there is none."""
    known = context.catalog.definitions(kind)
    if not known:
        return None
    if len(parts) > 1:
        schema = parts[-2] if parts[-2].lower() != DATABASE else MAIN_SCHEMA
        found = known.get(joined_name(schema, parts[-1]).lower())
    else:
        found = None
        for schema in (TEMPORARY_SCHEMA, *context.catalog.search_path(), MAIN_SCHEMA):
            found = found or known.get(joined_name(schema, parts[-1]).lower())
    assert found is None or isinstance(found, Definition), "catalogs keep definitions"
    return found


def _bind_sequence(context: BindContext, syntax: SequenceSyntax) -> Define:
    offset = syntax.name.offset
    _exclusive(context, syntax.or_replace, syntax.if_not_exists, offset)
    name = _new_definition_name(context, syntax.name, temporary=syntax.temporary)
    increment = 1 if syntax.increment is None else syntax.increment
    if increment == 0:
        raise error_at(context, InvalidOption, "increment of a sequence must not be zero", offset)
    low, high = INTEGER_LIMITS[TypeId.BIGINT]
    minimum = syntax.minimum if syntax.minimum is not None else (1 if increment > 0 else low)
    maximum = syntax.maximum if syntax.maximum is not None else (high if increment > 0 else -1)
    start = syntax.start if syntax.start is not None else (minimum if increment > 0 else maximum)
    for value in (increment, minimum, maximum, start):
        if not low <= value <= high:
            raise error_at(context, InvalidOption, f"number of a sequence is beyond BIGINT: {value}", offset)
    if minimum >= maximum:
        raise error_at(
            context, InvalidOption, f"MINVALUE must be less than MAXVALUE: {minimum} and {maximum}", offset
        )
    if not minimum <= start <= maximum:
        raise error_at(
            context,
            InvalidOption,
            f"START is beyond MINVALUE or MAXVALUE: {start}, {minimum} to {maximum}",
            offset,
        )
    options = SequenceOptions(name, start, increment, minimum, maximum, syntax.cycle, syntax.temporary)
    return Define("sequence", name, Sequence(options), syntax.or_replace, syntax.if_not_exists)


def _bind_macro(context: BindContext, syntax: MacroSyntax) -> Define:
    offset = syntax.name.offset
    _exclusive(context, syntax.or_replace, syntax.if_not_exists, offset)
    kinds = {overload.is_table for overload in syntax.overloads}
    if len(kinds) > 1:
        raise error_at(context, ParserError, "a macro is either scalar or a table", offset)
    is_table = kinds.pop()
    seen: set[int] = set()
    for overload in syntax.overloads:
        if len(overload.parameters) in seen:
            raise error_at(
                context,
                InvalidDefinition,
                f"macro has two bodies with the same number of parameters: {len(overload.parameters)}",
                overload.offset,
            )
        seen.add(len(overload.parameters))
    name = _new_definition_name(context, syntax.name, temporary=syntax.temporary)
    overloads = tuple(
        Overload(tuple(Parameter(one.name, one.default) for one in overload.parameters), overload.body)
        for overload in syntax.overloads
    )
    macro = Macro(name, overloads, is_table, syntax.temporary)
    from gpuql_planner.sql.expand_macros import check_macro

    for body, written in zip(overloads, syntax.overloads, strict=True):
        check_macro(context, syntax.name.parts[-1], body, written.offset, is_table=is_table)
    kind = "table macro" if is_table else "macro"
    return Define(kind, name, macro, syntax.or_replace, syntax.if_not_exists)


def _bind_create_type(queries: QueryBinder, syntax: TypeSyntax) -> Define | DefineEnum:
    from gpuql_planner.sql.expand_macros import expand_macros

    context = queries.context
    _exclusive(context, syntax.or_replace, syntax.if_not_exists, syntax.name.offset)
    name = _new_definition_name(context, syntax.name, temporary=False)
    if syntax.query is not None:
        bound = queries.bind(expand_macros(context, syntax.query))
        if len(bound.names) != 1:
            raise error_at(
                context, BinderError, "query of an ENUM's labels must have one column", syntax.name.offset
            )
        [output] = bound.plan.outputs
        text = (Attribute.fresh(output.name, VARCHAR), explicit_cast(AttributeRef(output), VARCHAR))
        query = Query(Project(bound.plan, (text,)), bound.names)
        return DefineEnum(name, query, syntax.or_replace, syntax.if_not_exists)
    if syntax.labels is not None:
        try:
            dtype = enum_of(syntax.labels)
        except ValueError as error:
            raise error_at(context, BinderError, str(error), syntax.name.offset) from None
    else:
        assert syntax.alias is not None, "a type is an alias if it is no ENUM"
        dtype = bind_type(context, syntax.alias)
    return Define("type", name, NamedType(name, dtype), syntax.or_replace, syntax.if_not_exists)


def _bind_drop(context: BindContext, syntax: DropSyntax) -> Statement:
    name, kind = syntax.name, syntax.kind
    if kind == "schema":
        schema = name.parts[-1]
        if schema.lower() in (MAIN_SCHEMA, TEMPORARY_SCHEMA, *SYSTEM_SCHEMAS):
            raise error_at(
                context, ReservedName, f"schema of the system cannot be dropped: {schema}", name.offset
            )
        known = context.catalog.definitions("schema")
        if schema.lower() not in known and not syntax.if_exists:
            hint = did_you_mean(schema, [one.name for one in known.values()])
            raise error_at(context, UndefinedSchema, f"schema does not exist: {schema}", name.offset, hint)
        return Undefine("schema", schema, syntax.if_exists, syntax.cascade)
    kinds = ("macro", "table macro") if kind == "macro" else (kind,)
    for one in kinds:
        found = find_definition(context, one, name.parts)
        if found is not None:
            return Undefine(one, found.name, syntax.if_exists, syntax.cascade)
    if syntax.if_exists:
        return NoOperation()
    names = [one.name for each in kinds for one in context.catalog.definitions(each).values()]
    raise error_at(
        context,
        undefined(kind),
        f"{kind} does not exist: {name.text}",
        name.offset,
        did_you_mean(name.text, names),
    )


_COMMENTED = ("table", "view", "column", "schema", "macro", "function", "sequence", "type")


def _bind_comment(context: BindContext, syntax: CommentSyntax) -> Statement:
    name, kind = syntax.name, syntax.kind
    if kind not in _COMMENTED:
        raise error_at(
            context,
            ParserError,
            f"nothing of this kind takes a comment: {kind.upper()}",
            name.offset,
            did_you_mean(kind, list(_COMMENTED)),
        )
    if kind == "schema":
        target = _schema_of(context, name.parts, name.offset)
    elif kind in ("table", "view", "column"):
        parts = name.parts[:-1] if kind == "column" else name.parts
        if not parts:
            raise error_at(context, ParserError, "a column is written as table.column", name.offset)
        with _locating(context, name):
            target = find_name(context, parts, None)
            relation = context.catalog.resolve(target)
        if relation is None or (kind != "column" and kind == "view" and not isinstance(relation, View)):
            raise error_at(context, undefined(kind), f"{kind} does not exist: {name.text}", name.offset)
        if kind == "table" and isinstance(relation, View):
            kind = "view"
        if kind == "column":
            target = f"{target}.{_column_name(context, relation, name)}"
    else:
        kind = "macro" if kind == "function" else kind
        found = find_definition(context, kind, name.parts)
        if found is None:
            raise error_at(context, undefined(kind), f"{kind} does not exist: {name.text}", name.offset)
        target = found.name
    key = f"{kind} {target}"
    if syntax.text is None:
        return Undefine("comment", key, if_exists=True)
    return Define("comment", key, Comment(key, syntax.text), or_replace=True)


def _column_name(context: BindContext, relation: Table | View, name: Name) -> str:
    known = [] if isinstance(relation, View) else [field.name for field in relation.fields]
    for column in known:
        if column.lower() == name.parts[-1].lower():
            return column
    hint = did_you_mean(name.parts[-1], known)
    raise error_at(context, UndefinedColumn, f"column not found: {name.text}", name.offset, hint)


def _bind_maintenance(context: BindContext, syntax: MaintenanceSyntax) -> NoOperation:
    """Tables need none of it: statistics and encodings are made with them. A name must be that of a table."""
    name = syntax.relation
    if name is not None and syntax.kind == "CHECKPOINT":
        if name.text.lower() != DATABASE:
            raise error_at(context, UndefinedDatabase, f"database does not exist: {name.text}", name.offset)
    elif name is not None:
        with _locating(context, name):
            found = context.catalog.resolve(find_name(context, name.parts, None))
        if found is None or isinstance(found, View):
            hint = did_you_mean(name.text, context.catalog.relation_names())
            raise error_at(context, UndefinedTable, f"table does not exist: {name.text}", name.offset, hint)
    return NoOperation()


def _bind_prepare(context: BindContext, syntax: PrepareSyntax) -> Define:
    from gpuql_planner.sql.bind import check_prepared

    check_prepared(context, syntax.statement)
    name = syntax.name.text
    return Define("prepared", name, PreparedText(name, syntax.text), or_replace=True)


def _bind_execute(queries: QueryBinder, syntax: ExecuteSyntax) -> ExecutePrepared:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.scope import Scope

    context, name = queries.context, syntax.name
    known = context.catalog.definitions("prepared")
    prepared = known.get(name.text.lower())
    if not isinstance(prepared, PreparedText):
        hint = did_you_mean(name.text, [one.name for one in known.values()])
        raise error_at(
            context, UndefinedPrepared, f"prepared statement does not exist: {name.text}", name.offset, hint
        )
    names: list[str] = []
    values: list[tuple[Attribute, Expression]] = []
    for argument in syntax.arguments:
        name_ = (argument.name or "").lower()
        if names and bool(name_) != bool(names[0]):
            raise error_at(
                context, ParserError, "arguments are given by position or by name, not both", argument.offset
            )
        if name_ and name_ in names:
            raise error_at(context, ParserError, f"argument is given twice: {name_}", argument.offset)
        value = ExpressionBinder(context, Scope(), queries, "EXECUTE").bind(argument.value)
        names.append(name_)
        values.append((Attribute.fresh(name_, value.dtype), value))
    query = Query(Project(ONE_ROW, tuple(values)), tuple(names))
    return ExecutePrepared(prepared.name, prepared.text, query, by_name=bool(names and names[0]))
