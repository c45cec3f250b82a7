"""Planner expressions to row expressions: picks widths by range analysis, tabulates what runs over few values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.construct import stored_value
from gpuql.columnar.strings import sorted_dictionary
from gpuql.execution.fused.arguments import ArgumentList, Inputs
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql.expressions import bounds as ranges
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import JoinTable, RunContext
from gpuql.thresholds import TABULATED_VALUES
from gpuql_kernels.codegen import program as ir
from gpuql_planner.errors import GpuqlError
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Expression,
    InList,
    Literal,
)
from gpuql_planner.logical.visit import is_volatile, walk
from gpuql_planner.types import BOOLEAN, INFINITE_DATE, DataType, TypeId

INT64 = (-(2**63), 2**63 - 1)

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*"}
#: Functions that can give a value for NULL arguments, so they are not tabulated over the non-NULL ones.
_NOT_STRICT = frozenset(
    {
        "and", "or", "coalesce", "is_null", "is_not_null", "is_distinct_from", "is_not_distinct_from",
        "concat", "concat_ws", "greatest", "least", "hash", "error",
    }
)  # fmt: skip

_NESTED = (TypeId.LIST, TypeId.STRUCT, TypeId.MAP)


class ExpressionLowering:
    """Lowers expressions over an environment of operands, one per attribute."""

    def __init__(self, arguments: ArgumentList, context: RunContext, inputs: Inputs) -> None:
        self.arguments = arguments
        self.context = context
        self.inputs = inputs
        tables = [result for result in inputs.results.values() if isinstance(result, JoinTable)]
        self.max_build_rows = max((table.num_rows for table in tables), default=0)
        self._environment: dict[int, Callable[[], Operand]] = {}
        self._attributes: dict[int, Operand] = {}
        self._memo: dict[int, tuple[Expression, Operand]] = {}

    def lower(self, expression: Expression) -> Operand:
        """Operand of an expression; raises NotFusible."""
        known = self._memo.get(id(expression))
        if known is not None:
            return known[1]
        if _compares_or_makes_nested(expression):
            raise NotFusible("lists, structs and maps have no generated form")
        operand = self._lower(expression)
        self._memo[id(expression)] = (expression, operand)
        return operand

    def define(self, key: int, make: Callable[[], Operand]) -> None:
        """Give attribute ``key`` an operand, made when it is first read."""
        self._environment[key] = make
        self._attributes.pop(key, None)

    def known(self) -> frozenset[int]:
        """Keys of the attributes that have operands."""
        return frozenset(self._environment)

    def keep_only(self, keys: frozenset[int]) -> None:
        """Take back the operands of all other attributes: a transform that defined them turned out not to fuse."""
        for key in self._environment.keys() - keys:
            del self._environment[key]
            self._attributes.pop(key, None)

    def forget(self) -> None:
        """Drop all attributes: a projection is about to define those that go on."""
        self._environment.clear()
        self._attributes.clear()

    # --- dispatch -----------------------------------------------------------------------------------------------

    def _lower(self, expression: Expression) -> Operand:
        match expression:
            case AttributeRef():
                return self._attribute(expression.attribute)
            case Literal():
                return self._literal(expression)
            case Call():
                return self._call(expression)
            case Cast():
                return self._cast(expression)
            case Case():
                return self._case(expression)
            case InList():
                return self._in_list(expression)
        raise NotFusible(f"no generated form of {type(expression).__name__}")

    def _attribute(self, attribute: Attribute) -> Operand:
        operand = self._attributes.get(attribute.id)
        if operand is None:
            make = self._environment.get(attribute.id)
            if make is None:
                raise NotFusible(f"column has no generated form: {attribute.name}")
            operand = self._attributes[attribute.id] = make()
        return operand

    def _literal(self, literal: Literal) -> Operand:
        dtype = literal.type
        if literal.value is None:
            physical = "bool" if dtype == BOOLEAN else "float64" if dtype.is_float else "int8"
            strings = self._dictionary([b""])[0] if dtype.is_bytes else None
            return Operand(ir.Null(physical, nullable=True), dtype, (0, 0), strings)
        stored = stored_value(literal.value, dtype)
        if isinstance(stored, bytes):
            strings, _ = self._dictionary([stored])
            return Operand(self._parameter(0, "int8"), dtype, None, strings)
        if isinstance(stored, bool):
            return Operand(self._parameter(stored, "bool"), dtype)
        if isinstance(stored, float):
            return Operand(
                self._parameter(stored, "float32" if dtype.id is TypeId.REAL else "float64"), dtype
            )
        if isinstance(stored, int) and INT64[0] <= stored <= INT64[1]:
            return Operand(self._parameter(stored, "int64"), dtype, (stored, stored))
        raise NotFusible(f"literal needs more than 64 bits: {literal.value!r}")

    def _dictionary(self, entries: list[bytes]) -> tuple[StringArray, dict[bytes, int]]:
        """Sorted dictionary of a few literals, on the device, and the position of each."""
        host, position = sorted_dictionary(entries)
        xp = self.context.xp
        return StringArray(
            xp.asarray(host.offsets), xp.asarray(host.data), host.unique, host.sorted
        ), position

    def _parameter(self, value: float, dtype: str) -> ir.Parameter:
        return ir.Parameter(dtype, nullable=False, argument=self.arguments.scalar(value, dtype))

    def _call(self, call: Call) -> Operand:
        function = call.function
        if function in ("and", "or"):
            operands = [self.lower(argument) for argument in call.arguments]
            values = tuple(operand.value for operand in operands)
            nullable = any(value.nullable for value in values)
            early = all(operand.early for operand in operands)
            return Operand(ir.Connective("bool", nullable, function, values), BOOLEAN, early=early)
        if function == "not":
            operand = self.lower(call.arguments[0])
            return Operand(
                ir.Not("bool", operand.value.nullable, operand.value), BOOLEAN, early=operand.early
            )
        if function in ("is_null", "is_not_null"):
            return self._null_test(call)
        if function == "coalesce":
            return self._coalesce(call)
        if function in _COMPARISONS:
            return self._comparison(call)
        if function in _ARITHMETIC and not self._is_calendar(call):
            return self._arithmetic(call)
        if function == "negate" and call.dtype.limits is not None:
            return self._negate(call)
        if function == "divide":
            return self._divide(call)
        return self.tabulate(call)

    @staticmethod
    def _is_calendar(call: Call) -> bool:
        return any(argument.dtype.id is TypeId.INTERVAL for argument in call.arguments) or (
            call.dtype.id is TypeId.INTERVAL
        )

    # --- booleans and NULL --------------------------------------------------------------------------------------

    def _null_test(self, call: Call) -> Operand:
        operand = self.lower(call.arguments[0])
        test: ir.Value = ir.IsNull("bool", nullable=False, operand=operand.value)
        if call.function == "is_not_null":
            test = ir.Not("bool", nullable=False, operand=test)
        return Operand(test, BOOLEAN, early=operand.early)

    def _coalesce(self, call: Call) -> Operand:
        operands = [self.lower(argument) for argument in call.arguments]
        strings = self._same_strings(operands, call.dtype)
        dtype = _widest([operand.value.dtype for operand in operands])
        nullable = all(operand.value.nullable for operand in operands)
        value = ir.Coalesce(dtype, nullable, tuple(operand.value for operand in operands))
        return Operand(value, call.dtype, _union(operands), strings, all(o.early for o in operands))

    @staticmethod
    def _same_strings(operands: list[Operand], dtype: DataType) -> StringArray | None:
        if not dtype.is_bytes:
            return None
        strings = operands[0].strings
        if strings is None or any(operand.strings is not strings for operand in operands):
            raise NotFusible("strings of several dictionaries are combined")
        return strings

    # --- comparisons --------------------------------------------------------------------------------------------

    def _comparison(self, call: Call) -> Operand:
        left_type, right_type = call.arguments[0].dtype, call.arguments[1].dtype
        if left_type.id is TypeId.VARCHAR:
            return self._string_comparison(call)
        unordered = left_type.is_bytes or left_type.id in (TypeId.INTERVAL, TypeId.NULL)
        if unordered or left_type != right_type:
            raise NotFusible(f"comparison of {left_type} and {right_type}")
        left, right = (self.lower(argument) for argument in call.arguments)
        left, right = self._narrow_literal(left, right), self._narrow_literal(right, left)
        if left.value.dtype == "uint64" or right.value.dtype == "uint64":
            raise NotFusible("comparison of UBIGINT")
        nullable = left.value.nullable or right.value.nullable
        value = ir.Compare("bool", nullable, _COMPARISONS[call.function], left.value, right.value)
        return Operand(value, BOOLEAN, early=left.early and right.early)

    def _narrow_literal(self, operand: Operand, other: Operand) -> Operand:
        """A literal in the width of the column that it is compared with, so that the loop stays narrow."""
        if not (
            isinstance(operand.value, ir.Parameter) and operand.value.dtype == "int64" and operand.bounds
        ):
            return operand
        if not other.is_integer or other.value.dtype not in ("int8", "int16", "int32"):
            return operand
        limits = np.iinfo(other.value.dtype)
        if not ranges.within(operand.bounds, (int(limits.min), int(limits.max))):
            return operand
        return Operand(self._parameter(operand.bounds[0], other.value.dtype), operand.dtype, operand.bounds)

    def _string_comparison(self, call: Call) -> Operand:
        if any(isinstance(argument, Literal) for argument in call.arguments):
            return self.tabulate(call)
        left, right = (self.lower(argument) for argument in call.arguments)
        same = left.strings is right.strings and left.strings is not None and left.strings.unique
        if not same or (call.function not in ("eq", "ne") and not (left.strings and left.strings.sorted)):
            raise NotFusible("strings of different dictionaries are compared")
        nullable = left.value.nullable or right.value.nullable
        value = ir.Compare("bool", nullable, _COMPARISONS[call.function], left.value, right.value)
        return Operand(value, BOOLEAN, early=left.early and right.early)

    def _in_list(self, expression: InList) -> Operand:
        few = len(expression.options) <= 8 and expression.argument.dtype.limits is not None
        constant = all(isinstance(o, Literal) and o.value is not None for o in expression.options)
        if few and constant:
            tests = tuple(Call("eq", (expression.argument, option), BOOLEAN) for option in expression.options)
            return self.lower(tests[0] if len(tests) == 1 else Call("or", tests, BOOLEAN))
        return self.tabulate(expression)

    # --- arithmetic ---------------------------------------------------------------------------------------------

    def _arithmetic(self, call: Call) -> Operand:
        left, right = (self.lower(argument) for argument in call.arguments)
        nullable = left.value.nullable or right.value.nullable
        early = left.early and right.early
        operator = _ARITHMETIC[call.function]
        if call.dtype.is_float:
            dtype = "float32" if call.dtype.id is TypeId.REAL else "float64"
            return Operand(
                ir.Arithmetic(dtype, nullable, operator, left.value, right.value), call.dtype, early=early
            )
        if not (left.is_integer and right.is_integer):
            raise NotFusible(f"{call.function} of {left.dtype} and {right.dtype}")
        self._require_int64(left, right)
        if call.dtype.id is TypeId.DATE and any(_may_be_infinite(side) for side in (left, right)):
            raise NotFusible(f"{call.function} of a date that may be infinite")
        reach = None
        if left.bounds is not None and right.bounds is not None:
            reach = ranges.BINARY[call.function](left.bounds, right.bounds)
        limits = call.dtype.limits
        assert limits is not None, "exact arithmetic has limits"
        if reach is not None and ranges.within(reach, limits) and ranges.within(reach, INT64):
            value = ir.Arithmetic("int64", nullable, operator, left.value, right.value)
            return Operand(value, call.dtype, reach, early=early)
        if not ranges.within(limits, INT64):
            raise NotFusible(f"{call.function} may need 128-bit arithmetic")
        value = ir.Arithmetic("int64", nullable, operator, left.value, right.value, limits)
        return Operand(value, call.dtype, limits, early=False)

    @staticmethod
    def _require_int64(*operands: Operand) -> None:
        if any(operand.value.dtype == "uint64" for operand in operands):
            raise NotFusible("arithmetic on UBIGINT")

    def _negate(self, call: Call) -> Operand:
        operand = self.lower(call.arguments[0])
        if not operand.is_integer or operand.bounds is None:
            raise NotFusible(f"negate of {operand.dtype}")
        reach = ranges.negate(operand.bounds)
        limits = call.dtype.limits
        assert limits is not None, "the caller checked"
        if not (ranges.within(reach, limits) and ranges.within(reach, INT64)):
            raise NotFusible("negate may overflow")
        value = ir.Arithmetic(
            "int64", operand.value.nullable, "-", self._parameter(0, "int64"), operand.value
        )
        return Operand(value, call.dtype, reach, early=operand.early)

    def _divide(self, call: Call) -> Operand:
        left, right = (self.lower(argument) for argument in call.arguments)
        if call.dtype.id is not TypeId.DOUBLE:
            raise NotFusible(f"divide of {call.dtype}")
        nullable = left.value.nullable or right.value.nullable
        value = ir.Arithmetic("float64", nullable, "/", left.value, right.value)
        return Operand(value, call.dtype, early=left.early and right.early)

    # --- casts and CASE -----------------------------------------------------------------------------------------

    def _cast(self, cast: Cast) -> Operand:
        source, target = cast.argument.dtype, cast.type
        if source == target:
            return self.lower(cast.argument)
        if target.id is TypeId.DOUBLE and source.is_numeric:
            return self._to_double(self.lower(cast.argument))
        exact = source.is_integer or source.is_decimal
        if exact and (target.is_integer or target.is_decimal) and not cast.try_:
            operand = self.lower(cast.argument)
            if operand.is_integer and operand.bounds is not None:
                return self._rescale(operand, target)
            raise NotFusible(f"cast of {source} to {target} needs a checked conversion")
        if source.id is TypeId.DATE and target.id is TypeId.TIMESTAMP:
            operand = self.lower(cast.argument)
            if operand.bounds is not None:
                return self._scaled_up(operand, 86_400_000_000, target)
        return self.tabulate(cast)

    def _to_double(self, operand: Operand) -> Operand:
        value = ir.Convert("float64", operand.value.nullable, operand.value)
        result: ir.Value = value
        if operand.dtype.is_decimal and operand.dtype.scale:
            divisor = self._parameter(float(10**operand.dtype.scale), "float64")
            result = ir.Arithmetic("float64", operand.value.nullable, "/", value, divisor)
        return Operand(result, DataType(TypeId.DOUBLE), early=operand.early)

    def _scaled_up(self, operand: Operand, factor: int, target: DataType) -> Operand:
        assert operand.bounds is not None, "the caller checked"
        reach = operand.bounds[0] * factor, operand.bounds[1] * factor
        limits = target.limits
        if limits is None or not (ranges.within(reach, limits) and ranges.within(reach, INT64)):
            raise NotFusible(f"cast to {target} may overflow")
        if factor == 1:
            return Operand(operand.value, target, operand.bounds, early=operand.early)
        value = ir.Arithmetic(
            "int64", operand.value.nullable, "*", operand.value, self._parameter(factor, "int64")
        )
        return Operand(value, target, reach, early=operand.early)

    def _rescale(self, operand: Operand, target: DataType) -> Operand:
        digits = target.scale - operand.dtype.scale
        if digits >= 0:
            return self._scaled_up(operand, 10**digits, target)
        assert operand.bounds is not None, "the caller checked"
        reach = ranges.scale_down(operand.bounds, -digits)
        if target.limits is None or not ranges.within(reach, target.limits):
            raise NotFusible(f"cast to {target} may overflow")
        divisor = self.arguments.scalar(10**-digits, "int64")
        value = ir.Rescale("int64", operand.value.nullable, operand.value, divisor)
        return Operand(value, target, reach, early=operand.early)

    def _case(self, case: Case) -> Operand:
        if case.type.id is TypeId.VARCHAR:
            return self._string_case(case)
        if case.type.is_bytes:
            raise NotFusible(f"CASE of {case.type}")
        branches = [(self.lower(condition), self.lower(value)) for condition, value in case.branches]
        results = [*(value for _, value in branches), self.lower(case.otherwise)]
        if any(result.dtype.id in (TypeId.INTERVAL, TypeId.BLOB) for result in results):
            raise NotFusible(f"CASE of type {case.type}")
        value = ir.Choose(
            _widest([result.value.dtype for result in results]),
            any(result.value.nullable for result in results),
            tuple((condition.value, result.value) for condition, result in branches),
            results[-1].value,
        )
        early = all(operand.early for operand in (*results, *(condition for condition, _ in branches)))
        return Operand(value, case.type, _union(results), early=early)

    def _string_case(self, case: Case) -> Operand:
        """CASE whose results are string literals: positions in a dictionary of these literals."""
        results = [*(value for _, value in case.branches), case.otherwise]
        if not all(isinstance(result, Literal) for result in results):
            raise NotFusible("CASE gives strings of several columns")
        texts = [result.value.encode() for result in results if isinstance(result.value, str)]  # type: ignore[attr-defined]
        strings, position = self._dictionary(texts or [b""])

        def code(result: Literal) -> ir.Value:
            if result.value is None:
                return ir.Null("int32", nullable=True)
            assert isinstance(result.value, str), "a VARCHAR literal is a str"
            return self._parameter(position[result.value.encode()], "int32")

        conditions = [self.lower(condition) for condition, _ in case.branches]
        codes = [code(result) for result in results if isinstance(result, Literal)]
        value = ir.Choose(
            "int32",
            any(one.nullable for one in codes),
            tuple((condition.value, one) for condition, one in zip(conditions, codes, strict=False)),
            codes[-1],
        )
        early = all(condition.early for condition in conditions)
        return Operand(value, case.type, None, strings, early)

    # --- tabulation ---------------------------------------------------------------------------------------------

    def tabulate(self, expression: Expression) -> Operand:
        """Evaluate over every possible value of the one column that the expression reads; rows look it up."""
        attribute = _only_attribute(expression)
        if attribute is None:
            raise NotFusible(f"no generated form of {_describe(expression)}")
        operand = self._attribute(attribute)
        domain = self._domain(attribute, operand)
        if domain is None:
            return self._computed_ahead(expression, attribute)
        try:
            table = evaluate(expression, Batch({attribute.id: domain}, len(domain)), self.context)
        except GpuqlError as error:
            raise NotFusible(f"{_describe(expression)} fails for some value: {error.message}") from error
        if table.values.ndim != 1:
            raise NotFusible(f"{_describe(expression)} gives values of several words")
        if len(table) == 1 and len(domain) != 1:
            table = table.take(self.context.xp.zeros(len(domain), np.int64))
        key = object()
        array = self.arguments.array((key, "values"), table.values)
        validity = None
        if table.validity is not None:
            validity = self.arguments.array((key, "validity"), table.validity)
        offset = None
        if operand.strings is None and domain.bounds is not None:
            offset = self.arguments.scalar(domain.bounds[0], "int64")
        nullable = operand.value.nullable or validity is not None
        value = ir.Lookup(str(table.values.dtype), nullable, operand.value, array, validity, offset)
        return Operand(value, expression.dtype, _exact_bounds(table), table.strings, operand.early)

    def _computed_ahead(self, expression: Expression, attribute: Attribute) -> Operand:
        """Let the interpreter compute a function of one source column for all rows before the program runs."""
        column = self.inputs.batch.columns.get(attribute.id)
        if column is None or expression.dtype.is_bytes:
            raise NotFusible(f"no generated form of {_describe(expression)} over many values")
        try:
            result = self.inputs.compute(expression)
        except GpuqlError as error:
            raise NotFusible(f"{_describe(expression)} fails for some value: {error.message}") from error
        if result.values.ndim != 1:
            raise NotFusible(f"{_describe(expression)} gives values of several words")
        dtype = str(result.values.dtype)
        array = self.arguments.add(
            ("computed", id(expression)), "column", dtype, lambda run: run.compute(expression).values
        )
        validity = None
        if result.validity is not None:
            validity = self.arguments.add(
                ("computed validity", id(expression)),
                "column",
                "bool",
                lambda run: run.compute(expression).validity,
            )
        value = ir.Column(dtype, validity is not None, array, validity)
        return Operand(value, expression.dtype, result.bounds)

    def _domain(self, attribute: Attribute, operand: Operand) -> Column | None:
        """All values that the operand can have, each once, or None if they are too many."""
        if operand.strings is not None:
            size = len(operand.strings)
            if size > max(TABULATED_VALUES // 64, min(TABULATED_VALUES, self.inputs.batch.num_rows // 4)):
                return None
            return Column(
                attribute.dtype, self.context.xp.arange(size, dtype=np.int32), None, operand.strings
            )
        if operand.bounds is None or not operand.is_integer:
            return None
        low, high = operand.bounds
        if high - low >= TABULATED_VALUES:
            return None
        values = self.context.xp.arange(low, high + 1, dtype=np.int64)
        return Column(attribute.dtype, values, None, None, operand.bounds)


def _compares_or_makes_nested(expression: Expression) -> bool:
    """Whether positions of nested values would have to mean what the values do; columns are passed on as they are."""
    if expression.dtype.is_nested:
        return not isinstance(expression, AttributeRef)
    if isinstance(expression, InList):
        return expression.argument.dtype.is_nested
    return (
        isinstance(expression, Call)
        and expression.function not in ("is_null", "is_not_null")
        and (expression.function in _COMPARISONS or expression.function in _NOT_STRICT)
        and any(argument.dtype.is_nested for argument in expression.arguments)
    )


def _only_attribute(expression: Expression) -> Attribute | None:
    """The one column that a strict expression reads; None if there are several, or NULL could give a value."""
    found: set[Attribute] = set()
    if is_volatile(expression):
        return None
    for part in walk(expression):
        if isinstance(part, AttributeRef):
            found.add(part.attribute)
        elif isinstance(part, Case) or (isinstance(part, Call) and part.function in _NOT_STRICT):
            return None
        elif isinstance(part, Call) and any(e.dtype.id in _NESTED for e in (part, *part.arguments)):
            return None  # a list or struct of NULL is not NULL
    return found.pop() if len(found) == 1 else None


def _describe(expression: Expression) -> str:
    if isinstance(expression, Call):
        return f"function {expression.function}"
    return f"{type(expression).__name__.lower()} to {expression.dtype}"


def _exact_bounds(table: Column) -> tuple[int, int] | None:
    if table.strings is not None or table.values.dtype.kind not in "iu" or len(table.values) == 0:
        return None
    return int(table.values.min()), int(table.values.max())


def _union(operands: list[Operand]) -> tuple[int, int] | None:
    reach = operands[0].bounds
    for operand in operands[1:]:
        reach = ranges.union(reach, operand.bounds)
    return reach


def _widest(dtypes: list[str]) -> str:
    """Common NumPy type; integers of any width go to int64 when they differ."""
    if len(set(dtypes)) == 1:
        return dtypes[0]
    if "uint64" in dtypes or "bool" in dtypes:
        raise NotFusible("values of different kinds are combined")
    return "float64" if any(dtype.startswith("float") for dtype in dtypes) else "int64"


def _may_be_infinite(operand: Operand) -> bool:
    """Whether a date may be one of those that stand for infinity."""
    if operand.dtype.id is not TypeId.DATE:
        return False
    bounds = operand.bounds
    return bounds is None or bounds[0] <= -INFINITE_DATE or bounds[1] >= INFINITE_DATE
