"""Status codes of generated functions as errors."""

from __future__ import annotations

from gpuql.operators.hash_join_probe import ScalarSubqueryError
from gpuql_kernels.codegen import program as ir
from gpuql_planner.errors import ArithmeticOverflowError, InternalError


def raise_status(status: int) -> None:
    """Raise the error of a status code; FULL and OK are not errors."""
    if status in (ir.STATUS_OK, ir.STATUS_FULL):
        return
    if status == ir.STATUS_OVERFLOW:
        raise ArithmeticOverflowError("result of an arithmetic operation is out of range of its type")
    if status == ir.STATUS_SEVERAL_ROWS:
        raise ScalarSubqueryError("scalar subquery returned more than one row")
    raise InternalError(f"generated code left an unknown status: {status}")
