"""COLLATE: comparisons and orders that do not see case or accents.

A collation is a function of both sides of a comparison, or of a sort key. What a value looks like it does not change.
"""

from __future__ import annotations

from sqlglot import exp

from gpuql_planner.errors import CatalogError
from gpuql_planner.functions import make_call
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.sql.context import BindContext

#: Function of each collation; None for one that compares as bytes do.
_FUNCTIONS: dict[str, str | None] = {
    "nocase": "lower",
    "noaccent": "strip_accents",
    "nfc": "nfc_normalize",
    "binary": None,
    "c": None,
    "posix": None,
}


def without_collation(node: exp.Expr) -> exp.Expr:
    """The expression that a COLLATE is said of."""
    while isinstance(node, exp.Paren) and isinstance(node.this, (exp.Paren, exp.Collate)):
        node = node.this
    return without_collation(node.this) if isinstance(node, exp.Collate) else node


def collation_of(context: BindContext, *nodes: exp.Expr) -> tuple[str, ...]:
    """Functions of the first collation that stands on one of the sides of a comparison."""
    for node in nodes:
        inner = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Collate):
            return _functions(context, inner)
    return ()


def _functions(context: BindContext, node: exp.Collate) -> tuple[str, ...]:
    written = node.expression
    parts = written.parts if isinstance(written, exp.Column) else [written]
    functions: list[str] = []
    for part in parts:
        name = str(part.name)
        if name.lower() not in _FUNCTIONS:
            raise context.error(
                CatalogError,
                f"collation does not exist: {name}",
                node,
                hint=f"known: {', '.join(_FUNCTIONS)}",
            )
        function = _FUNCTIONS[name.lower()]
        if function is not None:
            functions.append(function)
    return tuple(functions)


def collated(value: Expression, functions: tuple[str, ...]) -> Expression:
    """What is compared in place of a value."""
    for function in functions:
        value = make_call(function, (value,))
    return value
