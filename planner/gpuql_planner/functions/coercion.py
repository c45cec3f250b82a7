"""Implicit and explicit conversion of expressions: which casts exist, and literals that take another type."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from decimal import Decimal

from gpuql_planner.errors import ConversionError, InterfaceError, OutOfRangeError
from gpuql_planner.functions.text_literals import fit_decimal, is_beyond_python, parse_text, round_half_away
from gpuql_planner.functions.zoned_text import moment_as_datetime, parse_moment
from gpuql_planner.logical.expressions import Cast, Expression, Interval, Literal, LiteralValue
from gpuql_planner.logical.traced import decide, derive
from gpuql_planner.session_zone import session_zone
from gpuql_planner.statement_errors import DatatypeMismatch, InvalidParameterValue, UndefinedCast
from gpuql_planner.time_zones import find_zone, load_zone
from gpuql_planner.types import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTEGER_LIMITS,
    INTERVAL,
    MAX_DECIMAL_WIDTH,
    NULL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    DataType,
    TypeId,
    common_type,
    decimal,
    is_row,
)

#: Types whose values Python's own do not hold exactly, or that constants are not kept in.
_READ_WHEN_RUN = frozenset(
    {TypeId.TIMESTAMP_S, TypeId.TIMESTAMP_MS, TypeId.TIMESTAMP_NS, TypeId.UUID, TypeId.JSON}
)


def is_null_literal(expression: Expression) -> bool:
    """A NULL constant of any type."""
    return isinstance(expression, Literal) and expression.is_null


def is_string_literal(expression: Expression) -> bool:
    """A text constant, which takes the type of what it meets."""
    return isinstance(expression, Literal) and expression.type == VARCHAR and not expression.is_null


def is_integer_literal(expression: Expression) -> bool:
    """An integer constant, which takes a narrower integer type if its value fits."""
    return isinstance(expression, Literal) and expression.type.is_integer and not expression.is_null


def integer_literal(value: int) -> Literal:
    """Integer constant of the type DuckDB gives it: INTEGER, BIGINT or HUGEINT, whichever holds it first."""
    for dtype in (INTEGER, BIGINT, HUGEINT):
        low, high = INTEGER_LIMITS[dtype.id]
        if low <= value <= high:
            return Literal(value, dtype)
    raise OutOfRangeError(f"integer constant out of range: {value}")


def decimal_literal(value: Decimal) -> Literal:
    """Decimal constant with exactly its digits, or DOUBLE if it has more than 38 of them."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return Literal(float(value), DOUBLE)
    if exponent > 0:
        value = Decimal(int(value))
        digits, exponent = value.as_tuple().digits, 0
    scale = -exponent
    width = max(len(digits), scale, 1)
    if width > MAX_DECIMAL_WIDTH:
        return Literal(float(value), DOUBLE)
    return Literal(value, decimal(width, scale))


#: Units of NumPy's datetime64 whose values are dates.
_DATE_UNITS = ("[D]", "[W]", "[M]", "[Y]")


def _plain(value: object) -> object:
    """The Python value of a NumPy scalar, None for what pandas calls missing, anything else as it is.

    Errors: InterfaceError for an array of several values, OutOfRangeError for nanoseconds that would be lost.
    """
    kind = type(value).__name__
    if kind in ("NAType", "NaTType"):
        return None
    unit = str(getattr(value, "dtype", "")).removeprefix(kind)
    if kind == "timedelta64" and unit in ("[M]", "[Y]"):
        raise InterfaceError(f"value has no SQL type: {kind}{unit}")
    # Of pandas' timestamps and durations, Python's own classes know nothing below microseconds.
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise OutOfRangeError(f"nanoseconds that are not whole microseconds: {value}")
    if kind in ("datetime64", "timedelta64") and unit not in _DATE_UNITS:
        # In nanoseconds item() would give a plain number.
        rounded = value.astype(f"{kind}[us]")  # type: ignore[attr-defined]
        if value == value and rounded != value:
            raise OutOfRangeError(f"nanoseconds that are not whole microseconds: {value}")
        value = rounded
    item = getattr(value, "item", None)
    if not callable(item) or isinstance(value, (str, bytes)):
        return value
    if getattr(value, "size", 1) != 1:
        raise InterfaceError(f"value has no SQL type: {kind} of {getattr(value, 'size', 0)} values")
    return item()


def python_literal(value: object) -> Literal:
    """Constant for a Python value (parameter or DataFrame literal); InterfaceError for a type without SQL meaning."""
    value = _plain(value)
    match value:
        case Literal():
            return value
        case None:
            return Literal(None, NULL)
        case bool():
            return Literal(value, BOOLEAN)
        case int():
            return integer_literal(value)
        case float():
            return Literal(value, DOUBLE)
        case Decimal():
            return decimal_literal(value)
        case str():
            return Literal(value, VARCHAR)
        case bytes() | bytearray() | memoryview():
            return Literal(bytes(value), BLOB)
        case datetime.datetime():
            return Literal(_without_zone(value), TIMESTAMP if value.tzinfo is None else TIMESTAMPTZ)
        case datetime.date():
            return Literal(value, DATE)
        case datetime.time():
            return Literal(value.replace(tzinfo=None), TIME)
        case datetime.timedelta():
            microseconds = value.seconds * 1_000_000 + value.microseconds
            return Literal(Interval(days=value.days, microseconds=microseconds), INTERVAL)
        case Interval():
            return Literal(value, INTERVAL)
        case _:
            raise InterfaceError(f"value has no SQL type: {type(value).__name__}")


def _without_zone(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        return value
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def settled(expression: Expression) -> Expression:
    """The result of a function that hands its argument on: an integer constant no longer adapts to its neighbours."""
    return Cast(expression, expression.dtype) if is_integer_literal(expression) else expression


def plain_text(expression: Expression) -> Expression:
    """An ENUM as its label and JSON as its text, anything else as it is."""
    dtype = expression.dtype
    return coerce(expression, VARCHAR) if dtype.is_enum or dtype.id is TypeId.JSON else expression


def can_cast(source: DataType, target: DataType) -> bool:
    """Whether ``CAST(source AS target)`` exists; a value may still fail to convert."""
    if source == target or source.id is TypeId.NULL:
        return True
    if source.is_enum and target.is_enum:
        return False  # goes by way of the text
    if target.id is TypeId.NULL:
        return False
    if TypeId.VARCHAR in (source.id, target.id) or TypeId.JSON in (source.id, target.id):
        return True
    if source.is_nested or target.is_nested:
        return _can_cast_nested(source, target)
    number_like = (source.is_numeric or source.id is TypeId.BOOLEAN) and (
        target.is_numeric or target.id is TypeId.BOOLEAN
    )
    if number_like:
        return True
    if source.id is TypeId.TIMESTAMP_NS and target.id in (TypeId.TIMESTAMP_S, TypeId.TIMESTAMP_MS):
        return False
    if TypeId.TIMESTAMPTZ in (source.id, target.id):
        other = target if source.id is TypeId.TIMESTAMPTZ else source
        return other.is_timestamp or other.id is TypeId.DATE
    if source.is_timestamp or target.is_timestamp:
        other = target if source.is_timestamp else source
        return other.is_timestamp or other.id is TypeId.DATE or target.id is TypeId.TIME
    return (source.id, target.id) in {
        (TypeId.UUID, TypeId.BLOB),
    }


def _can_cast_nested(source: DataType, target: DataType) -> bool:
    if {source.id, target.id} <= {TypeId.LIST, TypeId.ARRAY}:
        same_size = not (source.is_array and target.is_array) or source.width == target.width
        return same_size and can_cast(source.element, target.element)
    if source.id is not target.id:
        return False
    if source.id is not TypeId.STRUCT or is_row(source) or is_row(target):
        pairs = list(zip(source.fields, target.fields, strict=False))
        same = len(source.fields) == len(target.fields)
        return same and all(can_cast(one, other) for (_, one), (_, other) in pairs)
    places = [(source.field(name), part) for name, part in target.fields]
    found = [(source.fields[place][1], part) for place, part in places if place is not None]
    return bool(found) and all(can_cast(one, other) for one, other in found)


def coerce(expression: Expression, dtype: DataType) -> Expression:
    """``expression`` as ``dtype``: itself, a literal of that type, or a Cast.

    Literals convert now, so ``'1995-01-01'`` compared with a DATE is a DATE constant.

    Raises
    ------
    ConversionError
        A literal's text is not a ``dtype``, or no cast exists between the two types.
    """
    source = expression.dtype
    if source == dtype:
        return expression
    if source.is_enum and dtype.is_enum:
        return coerce(coerce(expression, VARCHAR), dtype)
    if isinstance(expression, Literal):
        zone = session_zone() if dtype.id is TypeId.TIMESTAMPTZ else ""
        converted = derive(lambda literal: _convert_literal(literal, dtype, zone), expression)
        if converted is not None:
            return converted
    if not can_cast(source, dtype):
        raise UndefinedCast(f"no cast from {source} to {dtype}")
    return Cast(expression, dtype)


def explicit_cast(expression: Expression, dtype: DataType, *, try_: bool = False) -> Expression:
    """``CAST`` or ``TRY_CAST`` as written in a query. Constant text converts now, other constants keep their Cast."""
    if expression.dtype == dtype:
        return settled(expression)
    if expression.dtype.is_enum and dtype != VARCHAR:
        expression = coerce(expression, VARCHAR)
    if isinstance(expression, Literal) and expression.type in (VARCHAR, NULL) and not dtype.is_nested:
        try:
            converted = coerce(expression, dtype)
            if isinstance(converted, Cast):  # the text is read when the query runs
                return Cast(expression, dtype, try_)
            return settled(converted)
        except (ConversionError, OutOfRangeError):
            if try_:
                return Literal(None, dtype)
            raise
    if not can_cast(expression.dtype, dtype):
        if try_:
            return Literal(None, dtype)
        raise UndefinedCast(f"no cast from {expression.dtype} to {dtype}")
    return Cast(expression, dtype, try_)


def _convert_literal(literal: Literal, dtype: DataType, zone: str = "") -> Literal | None:
    """The literal as ``dtype`` if that is exact or a reading of text; None to leave the work to a Cast."""
    value = literal.value
    if value is None:
        return Literal(None, dtype)
    if literal.type.is_enum:
        assert isinstance(value, int), "a constant of an ENUM is the place of its label"
        return Literal(literal.type.labels[value], VARCHAR) if dtype == VARCHAR else None
    if dtype.is_enum:
        return _enum_literal(value, dtype) if isinstance(value, str) else None
    if dtype.is_nested:
        return None
    if dtype.id is TypeId.VARCHAR:
        text = _constant_text(value)
        return None if text is None else Literal(text, VARCHAR)
    if dtype.id is TypeId.TIMESTAMPTZ:
        return _moment_literal(value, zone)
    match value:
        case bool():
            return None
        case str() if dtype.id in _READ_WHEN_RUN or is_beyond_python(value, dtype):
            return None
        case str():
            return Literal(parse_text(value, dtype), dtype)
        case int():
            return _convert_number(Decimal(value), dtype)
        case Decimal():
            return _convert_number(value, dtype)
        case float() if dtype.id is TypeId.DOUBLE:
            return Literal(value, dtype)
        case datetime.datetime():
            return None
        case datetime.date() if dtype.id is TypeId.TIMESTAMP:
            return Literal(datetime.datetime.combine(value, datetime.time()), dtype)
        case _:
            return None


def _moment_literal(value: LiteralValue, zone: str) -> Literal | None:
    """TIMESTAMPTZ of a text, or of a date or timestamp that clocks of ``zone`` show."""
    if isinstance(value, str):
        moment = parse_moment(value, zone)
        if moment is None:
            raise ConversionError(
                f"cannot convert text to {TIMESTAMPTZ}: {value!r}", hint=_expected_moment(value)
            )
    elif isinstance(value, datetime.date):
        midnight = datetime.datetime.combine(value, datetime.time())
        local = value if isinstance(value, datetime.datetime) else midnight
        since = local - datetime.datetime(1970, 1, 1)
        second = load_zone(zone).second_of(since.days * 86_400 + since.seconds)
        moment = second * 1_000_000 + since.microseconds
    else:
        return None
    known = moment_as_datetime(moment)
    return None if known is None else Literal(known, TIMESTAMPTZ)


def _expected_moment(text: str) -> str:
    """What a TIMESTAMPTZ looks like, or a zone that is meant."""
    words = text.split()
    if len(words) > 2 and words[-1][:1].isalpha():
        try:
            find_zone(words[-1])
        except InvalidParameterValue as error:
            return error.hint or error.message
    return "YYYY-MM-DD HH:MM:SS, then an offset such as +02:00 or the name of a time zone"


def _enum_literal(label: str, dtype: DataType) -> Literal:
    if label not in dtype.labels:
        raise ConversionError(f"text is no label of the type: {label!r} ({dtype})")
    return Literal(dtype.labels.index(label), dtype)


def _constant_text(value: LiteralValue) -> str | None:
    """Text of a constant whose text form is beyond doubt."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case datetime.datetime():
            return None
        case datetime.date():
            return value.isoformat()
        case _:
            return None


def _convert_number(value: Decimal, dtype: DataType) -> Literal | None:
    if dtype.is_integer:
        low, high = INTEGER_LIMITS[dtype.id]
        whole = round_half_away(value, 0)
        return Literal(whole, dtype) if value == whole and low <= whole <= high else None
    if dtype.is_decimal:
        try:
            fitted = fit_decimal(value, dtype)
        except OutOfRangeError:
            return None
        return Literal(fitted, dtype) if fitted == value else None
    if dtype.id is TypeId.BOOLEAN:
        return Literal(value != 0, dtype)
    if dtype.id is TypeId.DOUBLE:
        return Literal(float(value), dtype)
    if dtype.id is TypeId.REAL and math.frexp(float(value))[0] * 2**24 % 1 == 0:
        return Literal(float(value), dtype)
    return None


def _literal_fits(literal: Expression, dtype: DataType) -> bool:
    assert isinstance(literal, Literal), "only literals adapt"
    limits = INTEGER_LIMITS.get(dtype.id)
    return limits is not None and decide(lambda plain: limits[0] <= plain.value <= limits[1], literal)


def unified_type(expressions: Sequence[Expression], *, construct: str) -> DataType:
    """Type that all expressions of a CASE, COALESCE, GREATEST, IN or comparison take.

    String literals follow the others; integer literals take a narrower integer type that holds them. Text columns
    do not mix with other types here (DuckDB asks for a cast). As in DuckDB, types combine from left to right, and an
    integer literal that meets a bare NULL or another literal first no longer adapts.
    """
    typed = [e for e in expressions if e.dtype.id is not TypeId.NULL]
    if not typed:
        return NULL
    if any(e.dtype.is_enum for e in typed):  # one type, or text where others are met
        first = typed[0].dtype
        if all(e.dtype == first for e in typed):
            return first
        if not all(e.dtype.is_enum or e.dtype == VARCHAR for e in typed):
            other = next(e.dtype for e in typed if not e.dtype.is_enum and e.dtype != VARCHAR)
            raise DatatypeMismatch(
                f"types do not mix in {construct}: ENUM and {other}", hint="add an explicit CAST to one side"
            )
        return VARCHAR
    if all(is_string_literal(e) for e in typed):
        return VARCHAR
    result, open_literal = NULL, None
    for position, expression in enumerate(e for e in expressions if not is_string_literal(e)):
        if open_literal is not None:
            dtype = expression.dtype
            adapts = not is_integer_literal(expression) and _literal_fits(open_literal, dtype)
            result = dtype if adapts else _mixable(open_literal.dtype, dtype, construct)
            open_literal = None
        elif is_integer_literal(expression) and position == 0:
            open_literal = expression
            result = expression.dtype
        elif result == NULL:
            result = expression.dtype
        elif not (is_integer_literal(expression) and _literal_fits(expression, result)):
            result = _mixable(result, expression.dtype, construct)
    return result


def _mixable(left: DataType, right: DataType, construct: str) -> DataType:
    common = common_type(left, right)
    if common is None or (common == VARCHAR and left != right and NULL not in (left, right)):
        raise DatatypeMismatch(
            f"types do not mix in {construct}: {left} and {right}", hint="add an explicit CAST to one side"
        )
    return common


def unify(expressions: Sequence[Expression], *, construct: str) -> tuple[DataType, tuple[Expression, ...]]:
    """:func:`unified_type`, and the expressions coerced to it."""
    dtype = unified_type(expressions, construct=construct)
    return dtype, tuple(coerce(expression, dtype) for expression in expressions)
