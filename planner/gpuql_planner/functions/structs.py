"""Functions over structs and maps, as in DuckDB 2.0."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.lists import make_element, make_list
from gpuql_planner.functions.nested_arguments import (
    Resolver,
    as_list,
    as_map,
    check_count,
    constant_integer,
    constant_text,
    joint_type,
    no_match,
    same_lists,
)
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction, RepeatedColumn, UndefinedColumn
from gpuql_planner.types import (
    BIGINT,
    BOOLEAN,
    INTEGER,
    NULL,
    UBIGINT,
    VARCHAR,
    DataType,
    TypeId,
    is_row,
    list_of,
    map_of,
    struct_of,
)


def make_struct(names: Sequence[str], values: Sequence[Expression]) -> Expression:
    """``{'name': value, ...}``; without names a row."""
    if not values:
        raise BinderError("a struct needs at least one field")
    folded = [name.lower() for name in names if name]
    for name in folded:
        if folded.count(name) > 1:
            raise RepeatedColumn(f"field name used twice in a struct: {name}")
    fields = [(name, value.dtype) for name, value in zip(names, values, strict=True)]
    return Call("struct_pack", tuple(values), struct_of(fields))


def make_field(value: Expression, place: int) -> Expression:
    """One field of a struct by its place from 0."""
    return Call("struct_extract", (value, Literal(place, BIGINT)), value.dtype.fields[place][1])


def make_named_field(value: Expression, name: str) -> Expression:
    """``value.name`` or ``value['name']`` of a struct."""
    place = None if is_row(value.dtype) else value.dtype.field(name)
    if place is None:
        known = [own for own, _ in value.dtype.fields if own]
        raise UndefinedColumn(f"field not found in struct: {name}", hint=did_you_mean(name, known))
    return make_field(value, place)


def _field_at(name: str, value: Expression, index: Expression) -> Expression:
    place = constant_integer(name, index)
    if not 1 <= place <= len(value.dtype.fields):
        raise UndefinedColumn(
            f"struct has no field at this place: {place} (fields: {len(value.dtype.fields)})"
        )
    return make_field(value, place - 1)


def make_subscript(value: Expression, index: Expression) -> Expression:
    """``value[index]``: an element, a field, or what a map has for a key."""
    if value.dtype.id is TypeId.MAP:
        return _map_value((value, index))
    if value.dtype.id is not TypeId.STRUCT:
        return make_element(value, index)
    if index.dtype.is_integer:
        if not is_row(value.dtype):
            raise UndefinedColumn("fields of a named struct have no numbers", hint="use the field's name")
        return _field_at("struct_extract", value, index)
    return make_named_field(value, constant_text("struct_extract", index))


def _struct(name: str, arguments: Sequence[Expression]) -> Expression:
    if arguments[0].dtype.id is not TypeId.STRUCT:
        raise no_match(name, arguments)
    return arguments[0]


def _extract(arguments: Sequence[Expression]) -> Expression:
    check_count("struct_extract", arguments, 2)
    return make_subscript(_struct("struct_extract", arguments), arguments[1])


def _extract_at(arguments: Sequence[Expression]) -> Expression:
    check_count("struct_extract_at", arguments, 2)
    return _field_at("struct_extract_at", _struct("struct_extract_at", arguments), arguments[1])


def _row(arguments: Sequence[Expression]) -> Expression:
    return make_struct([""] * len(arguments), arguments)


def _concat(arguments: Sequence[Expression]) -> Expression:
    if not arguments or any(argument.dtype.id is not TypeId.STRUCT for argument in arguments):
        raise no_match("struct_concat", arguments)
    names, values = [], []
    for argument in arguments:
        for place, (name, _) in enumerate(argument.dtype.fields):
            names.append(name)
            values.append(make_field(argument, place))
    return make_struct(names, values)


def make_changed(
    value: Expression, names: Sequence[str], values: Sequence[Expression], *, replace: bool
) -> Expression:
    """``struct_insert`` or, with ``replace``, ``struct_update``."""
    if value.dtype.id is not TypeId.STRUCT or is_row(value.dtype):
        raise no_match("struct_update" if replace else "struct_insert", (value, *values))
    fields = {name: make_field(value, place) for place, (name, _) in enumerate(value.dtype.fields)}
    for name, part in zip(names, values, strict=True):
        own = next((known for known in fields if known.lower() == name.lower()), None)
        if own is not None and not replace:
            raise RepeatedColumn(f"field name used twice in a struct: {name}")
        fields[own or name] = part
    return make_struct(list(fields), list(fields.values()))


def _keys(arguments: Sequence[Expression]) -> Expression:
    check_count("struct_keys", arguments, 1)
    value = _struct("struct_keys", arguments)
    if is_row(value.dtype):
        raise UndefinedColumn("a row has no names: struct_keys")
    return make_list([Literal(name, VARCHAR) for name, _ in value.dtype.fields])


def _values(arguments: Sequence[Expression]) -> Expression:
    check_count("struct_values", arguments, 1)
    value = _struct("struct_values", arguments)
    return _row([make_field(value, place) for place in range(len(value.dtype.fields))])


def _as_list_of_fields(name: str, arguments: Sequence[Expression]) -> tuple[Expression, Expression]:
    check_count(name, arguments, 2)
    value = _struct(name, arguments)
    if not is_row(value.dtype):
        raise NoMatchingFunction(f"{name} takes a row without names")
    dtype = joint_type(name, [*(part for _, part in value.dtype.fields), arguments[1].dtype], arguments)
    parts = [coerce(make_field(value, place), dtype) for place in range(len(value.dtype.fields))]
    return Call("list_value", tuple(parts), list_of(dtype)), coerce(arguments[1], dtype)


def _contains(arguments: Sequence[Expression]) -> Expression:
    return Call("list_contains", _as_list_of_fields("struct_contains", arguments), BOOLEAN)


def _position(arguments: Sequence[Expression]) -> Expression:
    return Call("list_position", _as_list_of_fields("struct_position", arguments), INTEGER)


# --- maps --------------------------------------------------------------------------------------------------------


def make_map(keys: Expression, values: Expression) -> Expression:
    """A map of two lists."""
    keys = as_list("map", keys, (keys, values))
    values = as_list("map", values, (keys, values))
    return Call("map", (keys, values), map_of(keys.dtype.element, values.dtype.element))


def _map(arguments: Sequence[Expression]) -> Expression:
    if not arguments:
        return make_map(make_list([]), make_list([]))
    check_count("map", arguments, 2)
    return make_map(*arguments)


def _key(name: str, arguments: Sequence[Expression]) -> tuple[Expression, Expression]:
    check_count(name, arguments, 2)
    found = as_map(name, arguments[0], arguments)
    (_, key), (_, value) = found.dtype.fields
    if key == NULL:
        return coerce(found, map_of(arguments[1].dtype, value)), arguments[1]
    return found, coerce(arguments[1], key)


def _map_value(arguments: Sequence[Expression]) -> Expression:
    found, key = _key("map_extract_value", arguments)
    return Call("map_extract_value", (found, key), found.dtype.fields[1][1])


def _map_extract(arguments: Sequence[Expression]) -> Expression:
    found, key = _key("map_extract", arguments)
    return Call("map_extract", (found, key), list_of(found.dtype.fields[1][1]))


def _map_contains(arguments: Sequence[Expression]) -> Expression:
    return Call("map_contains", _key("map_contains", arguments), BOOLEAN)


def _of_map(name: str, result: int) -> Resolver:
    """Keys (0), values (1) or entries (2) of a map as a list."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1)
        found = as_map(name, arguments[0], arguments)
        parts: list[DataType] = [*(part for _, part in found.dtype.fields), found.dtype.element]
        return Call(name, (found,), list_of(parts[result]))

    return resolve


def _cardinality(arguments: Sequence[Expression]) -> Expression:
    check_count("cardinality", arguments, 1)
    return coerce(Call("list_length", (as_map("cardinality", arguments[0], arguments),), BIGINT), UBIGINT)


def _from_entries(arguments: Sequence[Expression]) -> Expression:
    name = "map_from_entries"
    check_count(name, arguments, 1)
    entries = as_list(name, arguments[0], arguments)
    element = entries.dtype.element
    if element == NULL:
        element = struct_of((("key", NULL), ("value", NULL)))
        entries = coerce(entries, list_of(element))
    if element.id is not TypeId.STRUCT or len(element.fields) != 2:
        raise no_match(name, arguments)
    return Call(name, (entries,), map_of(element.fields[0][1], element.fields[1][1]))


def _map_concat(arguments: Sequence[Expression]) -> Expression:
    maps = [as_map("map_concat", argument, arguments) for argument in arguments if argument.dtype != NULL]
    if not maps:
        raise no_match("map_concat", arguments)
    joint = joint_type("map_concat", [one.dtype for one in maps], arguments)
    return Call("map_concat", tuple(coerce(one, joint) for one in maps), joint)


def _contains_value(arguments: Sequence[Expression]) -> Expression:
    check_count("map_contains_value", arguments, 2)
    values = _of_map("map_values", 1)((arguments[0],))
    lists = same_lists("map_contains_value", (values, make_list([arguments[1]])), arguments)
    return Call("list_contains", (lists[0], coerce(arguments[1], lists[0].dtype.element)), BOOLEAN)


STRUCT_FUNCTIONS: dict[str, Resolver] = {
    "row": _row,
    "struct_extract": _extract,
    "struct_extract_at": _extract_at,
    "struct_concat": _concat,
    "struct_keys": _keys,
    "struct_values": _values,
    "struct_contains": _contains,
    "struct_has": _contains,
    "struct_position": _position,
    "struct_indexof": _position,
    "map": _map,
    **dict.fromkeys(("map_extract", "element_at"), _map_extract),
    "map_extract_value": _map_value,
    "map_keys": _of_map("map_keys", 0),
    "map_values": _of_map("map_values", 1),
    "map_entries": _of_map("map_entries", 2),
    "map_contains": _map_contains,
    "map_contains_value": _contains_value,
    "map_from_entries": _from_entries,
    "map_concat": _map_concat,
    "cardinality": _cardinality,
}


def with_maps(functions: dict[str, Resolver]) -> dict[str, Resolver]:
    """Functions of other types that take maps and structs too, to replace those of ``functions``."""

    def either(name: str, of_map: Resolver) -> Resolver:
        def resolve(arguments: Sequence[Expression]) -> Expression:
            if arguments and arguments[0].dtype.id is TypeId.MAP:
                return of_map(arguments)
            return functions[name](arguments)

        return resolve

    def element(arguments: Sequence[Expression]) -> Expression:
        check_count("array_extract", arguments, 2)
        return make_subscript(*arguments)

    return {
        "length": either("length", _cardinality),
        "contains": either("contains", _map_contains),
        "array_extract": element,
        "list_extract": element,
        "list_element": element,
    }
