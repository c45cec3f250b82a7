"""Scalar functions by name: aliases, overloads and implicit casts end here, in canonical calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.functions import arithmetic, comparison, conditional
from gpuql_planner.functions.arrays import ARRAY_FUNCTIONS
from gpuql_planner.functions.calendar_functions import CALENDAR_FUNCTIONS
from gpuql_planner.functions.coercion import plain_text
from gpuql_planner.functions.encodings import ENCODINGS
from gpuql_planner.functions.enums import ENUM_FUNCTIONS
from gpuql_planner.functions.json_text import JSON_FUNCTIONS
from gpuql_planner.functions.lists import LIST_FUNCTIONS, with_lists
from gpuql_planner.functions.mathematics import MATHEMATICS
from gpuql_planner.functions.numeric import NUMERIC_FUNCTIONS
from gpuql_planner.functions.session_functions import SESSION_FUNCTIONS
from gpuql_planner.functions.strings import STRING_FUNCTIONS
from gpuql_planner.functions.structs import STRUCT_FUNCTIONS, with_maps
from gpuql_planner.functions.temporal import TEMPORAL_FUNCTIONS
from gpuql_planner.functions.text_measures import TEXT_MEASURES
from gpuql_planner.logical.expressions import Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction, UndefinedFunction
from gpuql_planner.types import NULL, VARCHAR

Resolver = Callable[[Sequence[Expression]], Expression]


def _binary(name: str, make: Callable[[Expression, Expression], Expression]) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) != 2:
            raise _wrong_count(name, len(arguments), "2")
        return make(arguments[0], arguments[1])

    return resolve


def _unary(name: str, make: Callable[[Expression], Expression]) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) != 1:
            raise _wrong_count(name, len(arguments), "1")
        return make(arguments[0])

    return resolve


def _variadic(name: str, make: Callable[[Sequence[Expression]], Expression]) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if not arguments:
            raise _wrong_count(name, 0, "at least 1")
        return make(arguments)

    return resolve


def _wrong_count(name: str, given: int, expected: str) -> BinderError:
    return NoMatchingFunction(f"wrong number of arguments for {name}: {given} (expected {expected})")


def _comparison(name: str) -> Resolver:
    return _binary(name, lambda left, right: comparison.make_comparison(name, left, right))


def _bits(name: str) -> Resolver:
    return _binary(name, lambda left, right: arithmetic.make_bit_operation(name, left, right))


def _extremum(name: str) -> Resolver:
    return _variadic(name, lambda arguments: conditional.make_extremum(name, arguments))


def _if(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) != 3:
        raise _wrong_count("if", len(arguments), "3")
    return conditional.make_if(*arguments)


def _type_name(argument: Expression) -> Expression:
    return Literal('"NULL"' if argument.dtype == NULL else str(argument.dtype), VARCHAR)


SCALAR_FUNCTIONS: dict[str, Resolver] = {
    "add": _binary("+", arithmetic.make_add),
    "subtract": _binary("-", arithmetic.make_subtract),
    "multiply": _binary("*", arithmetic.make_multiply),
    "divide": _binary("/", arithmetic.make_divide),
    "integer_divide": _binary("//", arithmetic.make_integer_divide),
    "modulo": _binary("%", arithmetic.make_modulo),
    "negate": _unary("-", arithmetic.make_negate),
    **{name: _comparison(name) for name in comparison.COMPARISONS},
    "and": _variadic("and", comparison.make_and),
    "or": _variadic("or", comparison.make_or),
    "not": _unary("not", comparison.make_not),
    "is_null": _unary("is_null", comparison.make_is_null),
    "is_not_null": _unary("is_not_null", comparison.make_is_not_null),
    "coalesce": _variadic("coalesce", conditional.make_coalesce),
    "greatest": _extremum("greatest"),
    "least": _extremum("least"),
    "nullif": _binary("nullif", conditional.make_nullif),
    "if": _if,
    **{name: _bits(name) for name in ("bit_and", "bit_or", "xor", "shift_left", "shift_right")},
    "bit_not": _unary("~", arithmetic.make_bit_not),
    "typeof": _unary("typeof", _type_name),
    **NUMERIC_FUNCTIONS,
    **STRING_FUNCTIONS,
    **TEMPORAL_FUNCTIONS,
    **ENUM_FUNCTIONS,
    **MATHEMATICS,
    **ENCODINGS,
    **TEXT_MEASURES,
    **CALENDAR_FUNCTIONS,
    **SESSION_FUNCTIONS,
    **LIST_FUNCTIONS,
    **ARRAY_FUNCTIONS,
    **STRUCT_FUNCTIONS,
    **JSON_FUNCTIONS,
}
SCALAR_FUNCTIONS.update(with_lists(SCALAR_FUNCTIONS))
SCALAR_FUNCTIONS.update(with_maps(dict(SCALAR_FUNCTIONS)))

#: Other spellings of scalar functions.
ALIASES: dict[str, str] = {
    "ifnull": "coalesce",
    "nvl": "coalesce",
    "iff": "if",
    "pow": "power",
    "ceiling": "ceil",
    "mod": "modulo",
    "truncate": "trunc",
    "len": "length",
    "char_length": "length",
    "character_length": "length",
    "lcase": "lower",
    "ucase": "upper",
    "substr": "substring",
    "position": "strpos",
    "instr": "strpos",
    "prefix": "starts_with",
    "suffix": "ends_with",
    "ord": "unicode",
    "greatest_common_divisor": "gcd",
    "least_common_multiple": "lcm",
    "roundbankers": "round_even",
    "to_hex": "hex",
    "to_binary": "bin",
    "from_hex": "unhex",
    "from_binary": "unbin",
    "to_base64": "base64",
    "formatreadablesize": "format_bytes",
    "editdist3": "levenshtein",
    "mismatches": "hamming",
    "regexp_like": "regexp_matches",
    "datesub": "date_sub",
    "current_catalog": "current_database",
    "user": "current_user",
    "gen_random_uuid": "uuid",
    "uuidv4": "uuid",
    "session_user": "current_user",
    "datediff": "date_diff",
    "datetrunc": "date_trunc",
    "datepart": "date_part",
    "dayofmonth": "day",
    "weekday": "dayofweek",
    "weekofyear": "week",
    "today": "current_date",
    "current_timestamp": "now",
    "get_current_timestamp": "now",
    "transaction_timestamp": "now",
    "current_localtimestamp": "localtimestamp",
    "current_localtime": "localtime",
}


#: Functions that see the ENUM itself; others see its label.
_KNOW_ENUMS = frozenset(
    {
        *comparison.COMPARISONS,
        *ENUM_FUNCTIONS,
        *("is_null", "is_not_null", "coalesce", "ifnull", "nvl", "greatest", "least", "nullif", "if", "iff"),
        *("typeof", "constant_or_null"),
        *JSON_FUNCTIONS,
    }
)


def is_scalar_function(name: str) -> bool:
    """Whether a scalar function of that name or alias exists (case-insensitive)."""
    folded = name.lower()
    return folded in SCALAR_FUNCTIONS or folded in ALIASES


def make_call(name: str, arguments: Sequence[Expression]) -> Expression:
    """Typed expression for ``name(arguments)``, casts inserted; shorthands such as nullif become CASE.

    Raises
    ------
    CatalogError
        No such function.
    BinderError
        Wrong number or types of arguments.
    """
    folded = name.lower()
    resolver = SCALAR_FUNCTIONS.get(ALIASES.get(folded, folded))
    if resolver is None:
        hint = did_you_mean(folded, [*SCALAR_FUNCTIONS, *ALIASES])
        raise UndefinedFunction(f"function does not exist: {name}", hint=hint)
    if folded not in _KNOW_ENUMS:
        arguments = [plain_text(argument) for argument in arguments]
    return resolver(arguments)
