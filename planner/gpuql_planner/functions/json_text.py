"""Functions over JSON: names, argument casts and result types, as in DuckDB 2.0. Text is taken for a document."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpuql_planner.errors import BinderError
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.lists import make_list
from gpuql_planner.functions.nested_arguments import Resolver, check_count, constant_text, no_match
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    JSON,
    NULL,
    REAL,
    SMALLINT,
    TIME,
    TIMESTAMP,
    TINYINT,
    UBIGINT,
    UINTEGER,
    USMALLINT,
    UTINYINT,
    UUID,
    VARCHAR,
    DataType,
    TypeId,
    list_of,
    struct_of,
    with_moments_as_text,
)


def _json(name: str, argument: Expression, arguments: Sequence[Expression]) -> Expression:
    if argument.dtype not in (VARCHAR, JSON, NULL):
        raise no_match(name, arguments)
    return coerce(argument, VARCHAR)


def _path(name: str, argument: Expression, arguments: Sequence[Expression], *, places: bool) -> Expression:
    """A path as text or, where ``places`` may be asked for, a place of an array."""
    if places and argument.dtype.is_integer:
        return coerce(argument, BIGINT)
    return _json(name, argument, arguments)


def _has_wildcard(path: Expression) -> bool:
    text = path.value if isinstance(path, Literal) else None
    return isinstance(text, str) and text.startswith("$") and "*" in text


def _with_path(name: str, result: DataType) -> Resolver:
    """A part of a document; of a path with wildcards, or a list of paths, a list of parts."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        document, asked = _json(name, arguments[0], arguments), arguments[1]
        if asked.dtype.is_list and isinstance(asked, Call) and asked.function == "list_value":
            return make_list([resolve((document, path)) for path in asked.arguments])
        path = _path(name, asked, arguments, places=True)
        if _has_wildcard(path):
            if result == BOOLEAN:
                raise InvalidParameterValue(f"path must not have wildcards: {name}")
            return Call(f"{name}_all", (document, path), list_of(result))
        return Call(name, (document, path), result)

    return resolve


def _path_optional(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1, 2)
        document = _json(name, arguments[0], arguments)
        paths = [_path(name, argument, arguments, places=False) for argument in arguments[1:]]
        if any(map(_has_wildcard, paths)):
            raise InvalidParameterValue(f"path must not have wildcards: {name}")
        return Call(name, (document, *paths), result)

    return resolve


def _of_document(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1)
        return Call(name, (_json(name, arguments[0], arguments),), result)

    return resolve


def _to_json(name: str, kinds: frozenset[TypeId] | None = None) -> Resolver:
    """Any value as JSON; text becomes a JSON string."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1)
        if kinds is not None and arguments[0].dtype.id not in kinds:
            raise no_match(name, arguments)
        return make_json(arguments[0])

    return resolve


def _with_moments_as_text(value: Expression) -> Expression:
    """The value with text in the session's time zone for every TIMESTAMPTZ, as JSON has it."""
    return coerce(value, with_moments_as_text(value.dtype))


def make_json(value: Expression) -> Expression:
    """``to_json(value)``."""
    if value.dtype == JSON:
        return value
    value = _with_moments_as_text(value)
    return Literal(None, JSON) if value.dtype == NULL else Call("to_json", (value,), JSON)


def _object(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) % 2:
        raise BinderError("json_object takes keys and values in turn")
    if any(key.dtype not in (VARCHAR, JSON) for key in arguments[::2]):
        raise BinderError("keys of json_object must be VARCHAR", hint="add an explicit CAST")
    return Call("json_object", tuple(map(_with_moments_as_text, arguments)), JSON)


def _array(arguments: Sequence[Expression]) -> Expression:
    return Call("json_array", tuple(map(_with_moments_as_text, arguments)), JSON)


def _two_documents(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        return Call(name, tuple(_json(name, argument, arguments) for argument in arguments), result)

    return resolve


# --- json_transform ----------------------------------------------------------------------------------------------

_TYPES: dict[str, DataType] = {
    **{
        str(dtype): dtype
        for dtype in (BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT, UTINYINT, USMALLINT)
    },
    **{
        str(dtype): dtype for dtype in (UINTEGER, UBIGINT, REAL, DOUBLE, VARCHAR, BLOB, DATE, TIME, TIMESTAMP)
    },
    **{str(dtype): dtype for dtype in (UUID, JSON, NULL)},
    "INT": INTEGER,
    "LONG": BIGINT,
    "TEXT": VARCHAR,
    "STRING": VARCHAR,
    "BOOL": BOOLEAN,
    "REAL": REAL,
}


def _transform(name: str, *, strict: bool) -> Resolver:
    """A document as values of the types that a constant structure gives."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        structure = constant_text(name, coerce(arguments[1], VARCHAR))
        try:
            shape = json.loads(structure)
        except ValueError as error:
            raise InvalidParameterValue(f"structure is not JSON: {name} ({error})") from None
        dtype = _shape_type(name, shape)
        function = "json_transform_strict" if strict else "json_transform"
        return Call(function, (_json(name, arguments[0], arguments),), dtype)

    return resolve


def _shape_type(name: str, shape: object) -> DataType:
    match shape:
        case str():
            found = _TYPES.get(shape.upper().strip('"'))
            if found is not None:
                return found
        case [element]:
            return list_of(_shape_type(name, element))
        case dict() if shape:
            return struct_of((str(key), _shape_type(name, part)) for key, part in shape.items())
    raise InvalidParameterValue(f"type of a structure is not known: {name} ({shape})")


# --- rows --------------------------------------------------------------------------------------------------------

#: Columns of json_each and json_tree.
ROW_FIELDS = (
    ("key", VARCHAR),
    ("value", JSON),
    ("type", VARCHAR),
    ("atom", JSON),
    ("id", UBIGINT),
    ("parent", UBIGINT),
    ("fullkey", VARCHAR),
    ("path", VARCHAR),
)


def make_rows(name: str, arguments: Sequence[Expression]) -> Expression:
    """The rows of ``json_each`` or ``json_tree`` as a list of structs."""
    check_count(name, arguments, 1, 2)
    document = _json(name, arguments[0], arguments)
    paths = [_path(name, argument, arguments, places=False) for argument in arguments[1:]]
    return Call(f"{name}_rows", (document, *paths), list_of(struct_of(ROW_FIELDS)))


_LISTS = frozenset({TypeId.LIST, TypeId.ARRAY, TypeId.NULL})
_STRUCTS = frozenset({TypeId.STRUCT, TypeId.NULL})

JSON_FUNCTIONS: dict[str, Resolver] = {
    **dict.fromkeys(("json_extract", "json_extract_path"), _with_path("json_extract", JSON)),
    **dict.fromkeys(
        ("json_extract_string", "json_extract_path_text"), _with_path("json_extract_string", VARCHAR)
    ),
    "json_value": _with_path("json_value", VARCHAR),
    "json_exists": _with_path("json_exists", BOOLEAN),
    "json_valid": _of_document("json_valid", BOOLEAN),
    "json_type": _path_optional("json_type", VARCHAR),
    "json_array_length": _path_optional("json_array_length", UBIGINT),
    "json_keys": _path_optional("json_keys", list_of(VARCHAR)),
    "json": _of_document("json", JSON),
    "json_pretty": _of_document("json_pretty", VARCHAR),
    "json_structure": _of_document("json_structure", JSON),
    **dict.fromkeys(("to_json", "json_quote"), _to_json("to_json")),
    "array_to_json": _to_json("array_to_json", _LISTS),
    "row_to_json": _to_json("row_to_json", _STRUCTS),
    "json_object": _object,
    "json_array": _array,
    "json_merge_patch": _two_documents("json_merge_patch", JSON),
    "json_contains": _two_documents("json_contains", BOOLEAN),
    **dict.fromkeys(("json_transform", "from_json"), _transform("json_transform", strict=False)),
    **dict.fromkeys(
        ("json_transform_strict", "from_json_strict"), _transform("json_transform_strict", strict=True)
    ),
}
