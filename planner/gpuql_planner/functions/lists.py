"""List functions: names, argument casts and result types, as in DuckDB 2.0."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.errors import BinderError
from gpuql_planner.functions.aggregates import is_aggregate_function, make_aggregate
from gpuql_planner.functions.coercion import coerce, is_string_literal, unify
from gpuql_planner.functions.nested_arguments import (
    Resolver,
    as_list,
    check_count,
    constant_text,
    list_and_element,
    no_match,
    same_lists,
)
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Expression,
    Lambda,
    Literal,
)
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    NULL,
    REAL,
    UBIGINT,
    VARCHAR,
    DataType,
    TypeId,
    list_of,
    struct_of,
)

#: Bound of a slice that is left out.
_NO_BOUND = 2**62


def make_list(elements: Sequence[Expression]) -> Expression:
    """``[a, b, ...]``."""
    if not elements:
        return Call("list_value", (), list_of(NULL))
    dtype, values = unify(elements, construct="a list")
    return Call("list_value", values, list_of(dtype))


def make_slice(
    value: Expression, begin: Expression | None, end: Expression | None, step: Expression | None
) -> Expression:
    """``value[begin:end:step]`` of a list or text; bounds that are left out reach to the ends."""
    arguments = [
        value,
        Literal(1, BIGINT) if begin is None else begin,
        Literal(_NO_BOUND, BIGINT) if end is None else end,
    ]
    if step is not None:
        arguments.append(step)
    return _slice(arguments)


def _slice(arguments: Sequence[Expression]) -> Expression:
    check_count("list_slice", arguments, 3, 4)
    value = arguments[0]
    bounds = tuple(coerce(bound, BIGINT) for bound in arguments[1:])
    if value.dtype == VARCHAR:
        if len(bounds) > 2:
            raise InvalidParameterValue("slices of text have no step")
        return Call("text_slice", (value, *bounds), VARCHAR)
    value = as_list("list_slice", value, arguments)
    return Call("list_slice", (value, *bounds), value.dtype)


def make_element(value: Expression, index: Expression) -> Expression:
    """``value[index]`` of a list or text."""
    if value.dtype == VARCHAR:
        return Call("text_element", (value, coerce(index, BIGINT)), VARCHAR)
    value = as_list("list_extract", value, (value, index))
    if not (index.dtype.is_numeric or index.dtype == NULL or is_string_literal(index)):
        raise no_match("list_extract", (value, index))
    return Call("list_extract", (value, coerce(index, BIGINT)), value.dtype.element)


def _element(arguments: Sequence[Expression]) -> Expression:
    check_count("list_extract", arguments, 2)
    return make_element(*arguments)


def _of_list(name: str, result: DataType | None = None) -> Resolver:
    """One list to ``result``, or to a list of the same type."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1)
        values = as_list(name, arguments[0], arguments)
        return Call(name, (values,), values.dtype if result is None else result)

    return resolve


def _unique(arguments: Sequence[Expression]) -> Expression:
    return coerce(_of_list("list_unique", BIGINT)(arguments), UBIGINT)


def _length(arguments: Sequence[Expression]) -> Expression:
    check_count("array_length", arguments, 1, 2)
    values = as_list("array_length", arguments[0], arguments)
    if len(arguments) == 2 and not (isinstance(arguments[1], Literal) and arguments[1].value == 1):
        raise InvalidParameterValue("array_length takes dimension 1 only")
    return Call("list_length", (values,), BIGINT)


def _with_element(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        return Call(name, list_and_element(name, arguments[0], arguments[1], arguments), result)

    return resolve


def _position(arguments: Sequence[Expression]) -> Expression:
    return coerce(_with_element("list_position", BIGINT)(arguments), INTEGER)


def _append(arguments: Sequence[Expression]) -> Expression:
    check_count("list_append", arguments, 2)
    values, element = list_and_element("list_append", arguments[0], arguments[1], arguments)
    return Call("list_append", (values, element), values.dtype)


def _prepend(arguments: Sequence[Expression]) -> Expression:
    check_count("list_prepend", arguments, 2)
    values, element = list_and_element("list_prepend", arguments[1], arguments[0], arguments)
    return Call("list_prepend", (values, element), values.dtype)


def _push_front(arguments: Sequence[Expression]) -> Expression:
    check_count("array_push_front", arguments, 2)
    return _prepend((arguments[1], arguments[0]))


def _concat(arguments: Sequence[Expression]) -> Expression:
    if not arguments:
        raise NoMatchingFunction("wrong number of arguments for list_concat: 0 (expected at least 1)")
    if all(argument.dtype == NULL for argument in arguments):
        return Literal(None, list_of(NULL))
    lists = same_lists("list_concat", arguments, arguments)
    return Call("list_concat", lists, lists[0].dtype)


def make_concat_operator(left: Expression, right: Expression) -> Expression:
    """``left || right`` of lists: NULL if either is."""
    lists = same_lists("||", (left, right), (left, right))
    return Call("list_concat_operator", lists, lists[0].dtype)


def _two_lists(name: str, result: DataType | None = None) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        lists = same_lists(name, arguments, arguments)
        return Call(name, lists, lists[0].dtype if result is None else result)

    return resolve


def _flatten(arguments: Sequence[Expression]) -> Expression:
    check_count("flatten", arguments, 1)
    values = as_list("flatten", arguments[0], arguments)
    if values.dtype.element == NULL:
        values = coerce(values, list_of(list_of(NULL)))
    if values.dtype.element.is_array:
        values = coerce(values, list_of(list_of(values.dtype.element.element)))
    if values.dtype.element.id is not TypeId.LIST:
        raise no_match("flatten", arguments)
    return Call("flatten", (values,), values.dtype.element)


def _zip(arguments: Sequence[Expression]) -> Expression:
    lists = list(arguments)
    shortest: Expression = Literal(False, BOOLEAN)  # noqa: FBT003
    if lists and lists[-1].dtype == BOOLEAN:
        shortest = lists.pop()
    if not lists:
        raise NoMatchingFunction("wrong number of arguments for list_zip: 0 (expected at least 1)")
    lists = [as_list("list_zip", argument, arguments) for argument in lists]
    row = struct_of(("", argument.dtype.element) for argument in lists)
    return Call("list_zip", (shortest, *lists), list_of(row))


def _sort(name: str) -> Resolver:
    """list_sort and its kin: a list, then constants for the order and the place of NULLs."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1, 2 if name == "list_reverse_sort" else 3)
        values = as_list(name, arguments[0], arguments)
        words = [constant_text(name, argument).upper().strip() for argument in arguments[1:]]
        reverse = name == "list_reverse_sort"
        descending = reverse
        if words and not reverse:
            descending = _is_descending(name, words.pop(0))
        nulls_first = _nulls_first(name, words[0]) if words else False
        function = "list_grade_up" if name == "list_grade_up" else "list_sort"
        flags = (Literal(descending, BOOLEAN), Literal(nulls_first, BOOLEAN))
        result = list_of(BIGINT) if function == "list_grade_up" else values.dtype
        return Call(function, (values, *flags), result)

    return resolve


def _is_descending(name: str, word: str) -> bool:
    if word not in ("ASC", "DESC"):
        raise InvalidParameterValue(f"order must be ASC or DESC: {name} ({word})")
    return word == "DESC"


def _nulls_first(name: str, word: str) -> bool:
    if word not in ("NULLS FIRST", "NULLS LAST"):
        raise InvalidParameterValue(f"place of NULLs must be NULLS FIRST or NULLS LAST: {name} ({word})")
    return word == "NULLS FIRST"


def _aggregate(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) < 2:
        check_count("list_aggregate", arguments, 2)
    return aggregate_of_list(constant_text("list_aggregate", arguments[1]), arguments[0], arguments[2:])


def aggregate_of_list(function: str, values: Expression, others: Sequence[Expression]) -> Expression:
    """An aggregate function over the elements of each list, in their order."""
    if not is_aggregate_function(function):
        raise BinderError(f"aggregate function does not exist: {function}")
    name = f"list_{function}"
    values = as_list(name, values, (values, *others))
    if not all(isinstance(other, Literal) for other in others):
        raise InvalidParameterValue(f"arguments beside the list must be constants: {name}")
    call = element_aggregate(function, values.dtype.element, others)[1]
    return Call("list_aggregate", (values, Literal(function, VARCHAR), *others), call.dtype)


def element_aggregate(
    function: str, element: DataType, others: Sequence[Expression]
) -> tuple[Attribute, AggregateCall]:
    """The aggregate call of ``list_aggregate`` over elements, and the attribute that stands for them."""
    attribute = Attribute.fresh("element", element)
    return attribute, make_aggregate(function, (AttributeRef(attribute), *others))


def _named_aggregate(function: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if not arguments:
            check_count(f"list_{function}", arguments, 1)
        return aggregate_of_list(function, arguments[0], arguments[1:])

    return resolve


def _to_string(arguments: Sequence[Expression]) -> Expression:
    check_count("array_to_string", arguments, 2)
    values = as_list("array_to_string", arguments[0], arguments)
    return Call("array_to_string", (coerce(values, list_of(VARCHAR)), coerce(arguments[1], VARCHAR)), VARCHAR)


def _resize(arguments: Sequence[Expression]) -> Expression:
    check_count("list_resize", arguments, 2, 3)
    filler = arguments[2] if len(arguments) > 2 else Literal(None, NULL)
    values, element = list_and_element("list_resize", arguments[0], filler, arguments)
    return Call("list_resize", (values, coerce(arguments[1], BIGINT), element), values.dtype)


def _select(arguments: Sequence[Expression]) -> Expression:
    check_count("list_select", arguments, 2)
    values = as_list("list_select", arguments[0], arguments)
    places = as_list("list_select", arguments[1], arguments)
    return Call("list_select", (values, coerce(places, list_of(BIGINT))), values.dtype)


def _where(arguments: Sequence[Expression]) -> Expression:
    check_count("list_where", arguments, 2)
    values = as_list("list_where", arguments[0], arguments)
    mask = as_list("list_where", arguments[1], arguments)
    return Call("list_where", (values, coerce(mask, list_of(BOOLEAN))), values.dtype)


def _repeat(arguments: Sequence[Expression]) -> Expression:
    check_count("repeat", arguments, 2)
    values = as_list("repeat", arguments[0], arguments)
    return Call("list_repeat", (values, coerce(arguments[1], BIGINT)), values.dtype)


def _pop(name: str, begin: int, end: int) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1)
        return _slice((arguments[0], Literal(begin, BIGINT), Literal(end, BIGINT)))

    return resolve


def _numbers(name: str) -> Resolver:
    """A distance of two lists of floats of the same length."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        lists = [as_list(name, argument, arguments) for argument in arguments]
        if not all(one.dtype.element.is_numeric or one.dtype.element == NULL for one in lists):
            raise no_match(name, arguments)
        single = all(one.dtype.element == REAL for one in lists)
        element = REAL if single else DOUBLE
        return Call(name, tuple(coerce(one, list_of(element)) for one in lists), element)

    return resolve


def _range(name: str) -> Resolver:
    """A list of whole numbers; generate_series includes its end."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1, 3)
        for argument in arguments:
            if not (argument.dtype.is_numeric or argument.dtype == NULL):
                raise no_match(name, arguments)
        numbers = [coerce(argument, BIGINT) for argument in arguments]
        if len(numbers) == 1:
            numbers.insert(0, Literal(0, BIGINT))
        if len(numbers) == 2:
            numbers.append(Literal(1, BIGINT))
        function = "list_series" if name == "generate_series" else "list_range"
        return Call(function, tuple(numbers), list_of(BIGINT))

    return resolve


def _texts(name: str, counts: tuple[int, int]) -> Resolver:
    """Text arguments to a list of texts."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, *counts)
        return Call(name, tuple(coerce(argument, VARCHAR) for argument in arguments), list_of(VARCHAR))

    return resolve


def _extract_all(arguments: Sequence[Expression]) -> Expression:
    name = "regexp_extract_all"
    check_count(name, arguments, 2, 4)
    group = coerce(arguments[2], BIGINT) if len(arguments) > 2 else Literal(0, BIGINT)
    texts = [coerce(argument, VARCHAR) for argument in (arguments[0], arguments[1], *arguments[3:])]
    return Call(name, (texts[0], texts[1], group, *texts[2:]), list_of(VARCHAR))


def make_transform(values: Expression, function: Lambda) -> Expression:
    """``list_transform(values, function)``."""
    return Call("list_transform", (values, function), list_of(function.dtype))


def make_list_filter(values: Expression, function: Lambda) -> Expression:
    """``list_filter(values, function)``."""
    return Call("list_filter", (values, function), values.dtype)


def is_in_list(element: Expression, values: Expression) -> Expression:
    """``element IN values``."""
    return _with_element("list_contains", BOOLEAN)((values, element))


_AGGREGATES = [
    "approx_count_distinct",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "count",
    "first",
    "last",
    "max",
    "mean",
    "median",
    "min",
    "product",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "any_value",
    "mode",
    "entropy",
    "kurtosis",
    "skewness",
    "sem",
    "mad",
    "histogram",
    "kurtosis_pop",
]

_sort_list = _sort("list_sort")

LIST_FUNCTIONS: dict[str, Resolver] = {
    "list_value": make_list,
    "list_pack": make_list,
    "list_extract": _element,
    "list_element": _element,
    "array_extract": _element,
    "list_slice": _slice,
    "array_slice": _slice,
    "array_length": _length,
    "list_append": _append,
    "array_append": _append,
    "array_push_back": _append,
    "list_prepend": _prepend,
    "array_prepend": _prepend,
    "array_push_front": _push_front,
    "array_pop_back": _pop("array_pop_back", 1, -2),
    "array_pop_front": _pop("array_pop_front", 2, _NO_BOUND),
    **dict.fromkeys(("list_concat", "list_cat", "array_concat", "array_cat"), _concat),
    **dict.fromkeys(
        ("list_contains", "list_has", "array_contains", "array_has"), _with_element("list_contains", BOOLEAN)
    ),
    "list_equals_any": _with_element("list_equals_any", BOOLEAN),
    **dict.fromkeys(
        ("list_position", "list_indexof", "array_position", "array_indexof"),
        _position,
    ),
    **dict.fromkeys(("list_distinct", "array_distinct"), _of_list("list_distinct")),
    **dict.fromkeys(("list_unique", "array_unique"), _unique),
    **dict.fromkeys(("list_reverse", "array_reverse"), _of_list("list_reverse")),
    **dict.fromkeys(("list_sort", "array_sort"), _sort_list),
    **dict.fromkeys(("list_reverse_sort", "array_reverse_sort"), _sort("list_reverse_sort")),
    **dict.fromkeys(("list_grade_up", "array_grade_up", "grade_up"), _sort("list_grade_up")),
    **dict.fromkeys(
        ("list_aggregate", "array_aggregate", "list_aggr", "array_aggr", "aggregate"), _aggregate
    ),
    **dict.fromkeys(("list_has_any", "array_has_any", "array_overlap"), _two_lists("list_has_any", BOOLEAN)),
    **dict.fromkeys(("list_has_all", "array_has_all"), _two_lists("list_has_all", BOOLEAN)),
    **dict.fromkeys(("list_intersect", "array_intersect"), _two_lists("list_intersect")),
    **dict.fromkeys(("list_zip", "array_zip"), _zip),
    **dict.fromkeys(("list_resize", "array_resize"), _resize),
    **dict.fromkeys(("list_select", "array_select"), _select),
    **dict.fromkeys(("list_where", "array_where"), _where),
    "flatten": _flatten,
    "array_to_string": _to_string,
    "list_cosine_similarity": _numbers("list_cosine_similarity"),
    "list_cosine_distance": _numbers("list_cosine_distance"),
    "list_distance": _numbers("list_distance"),
    **dict.fromkeys(("list_inner_product", "list_dot_product"), _numbers("list_inner_product")),
    **dict.fromkeys(
        ("list_negative_inner_product", "list_negative_dot_product"), _numbers("list_negative_inner_product")
    ),
    "range": _range("range"),
    "generate_series": _range("generate_series"),
    **dict.fromkeys(
        ("string_split", "str_split", "split", "string_to_array"), _texts("string_split", (2, 2))
    ),
    **dict.fromkeys(
        ("regexp_split_to_array", "string_split_regex", "str_split_regex"),
        _texts("regexp_split_to_array", (2, 3)),
    ),
    "regexp_extract_all": _extract_all,
    **{f"{kind}_{name}": _named_aggregate(name) for kind in ("list", "array") for name in _AGGREGATES},
}


def _or_list(name: str, of_list: Resolver, others: Resolver) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if any(argument.dtype.id in (TypeId.LIST, TypeId.ARRAY) for argument in arguments[:2]):
            return of_list(arguments)
        return others(arguments)

    return resolve


def with_lists(functions: dict[str, Resolver]) -> dict[str, Resolver]:
    """Functions of other types that take lists too, to replace those of ``functions``."""
    own: dict[str, Resolver] = {
        "length": _length,
        "concat": _concat,
        "contains": LIST_FUNCTIONS["list_contains"],
        "repeat": _repeat,
        "concat_operator": lambda arguments: make_concat_operator(*arguments),
    }
    return {name: _or_list(name, resolver, functions[name]) for name, resolver in own.items()}
