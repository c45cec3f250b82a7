"""Variances of integers and decimals in generated code, from exact sums of the values and of their squares.

Of exact integers the textbook formula ``(n * sum(x * x) - sum(x) ** 2) / n ** 2`` cancels nothing: its numerator is
computed in 128 bits and rounded once. Floating point stays with the interpreter, which sums deviations from means.
"""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array
from gpuql.execution.fused.expressions import INT64
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql.expressions import bounds as ranges
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.int128 import words
from gpuql_planner.logical.expressions import Cast, Expression

VARIANCES = frozenset(("var_samp", "var_pop", "stddev_samp", "stddev_pop", "sem"))


def exact_argument(argument: Expression) -> Expression:
    """The integer or decimal that is cast to DOUBLE for the aggregate; else the argument itself."""
    if isinstance(argument, Cast) and argument.dtype.is_float and not argument.try_:
        source = argument.argument.dtype
        if source.is_integer or source.is_decimal:
            return argument.argument
    return argument


def square(operand: Operand, max_rows: int) -> Operand:
    """Its square, if that and the numerator of a variance of ``max_rows`` values fit; else NotFusible."""
    if not operand.is_integer or operand.bounds is None or operand.value.dtype == "uint64":
        raise NotFusible(f"variance of {operand.dtype} without a small range")
    largest = max(map(abs, operand.bounds))
    # n * sum(x * x) and sum(x) ** 2 are at most (n * largest) ** 2.
    if not ranges.within((0, largest * largest), INT64) or max_rows * largest >= 2**62 or max_rows >= 2**31:
        raise NotFusible("variance of numbers too large for 128 bits")
    value = ir.Arithmetic("int64", operand.value.nullable, "*", operand.value, operand.value)
    return Operand(value, operand.dtype, (0, largest * largest), early=operand.early)


def finish(
    function: str, counts: Array, total: Array, squares: Array, scale: int, xp: Any
) -> tuple[Array, Array]:
    """Values (float64) of a function of :data:`VARIANCES`, and where there are enough rows for one.

    ``counts`` and ``total`` are int64 (n,), ``squares`` int64 (n,) or wide (n, 2), as in ``gpuql_kernels.int128``; the
    values were multiplied by ``10 ** scale``.
    """
    wide = squares if squares.ndim == 2 else words.from_int64(xp, squares)
    product, _ = words.multiply(xp, words.from_int64(xp, counts), wide)
    numerator, _ = words.subtract(xp, product, words.multiply_int64(xp, total, total))
    rows = counts.astype(xp.float64)
    divisor = rows - 1 if function.endswith("samp") else rows
    enough = divisor > 0
    divisor = xp.where(enough, divisor, 1.0)
    values = words.to_float64(xp, numerator) / (xp.maximum(rows, 1.0) * divisor)
    if function.startswith("var"):
        return values / float(10 ** (2 * scale)), enough
    values = xp.sqrt(values) / float(10**scale)
    return (values / xp.sqrt(divisor) if function == "sem" else values), enough
