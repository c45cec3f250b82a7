"""What binding one statement needs throughout: its text, the catalog, parameters, and CTEs in reach."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlglot import exp

from gpuql_planner.catalog import Catalog
from gpuql_planner.errors import (
    GpuqlError,
    NotSupportedError,
    Origin,
    Position,
    did_you_mean,
)
from gpuql_planner.functions import python_literal
from gpuql_planner.logical.expressions import Attribute, Expression, Literal
from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.logical.traced import Trace
from gpuql_planner.sql.parse import TYPE_START, position_of_offset
from gpuql_planner.sql.scope import Scope
from gpuql_planner.statement_errors import UndefinedParameter, WrongParameters
from gpuql_planner.types import DataType

_shared_keys = itertools.count(1)

ErrorType = TypeVar("ErrorType", bound=GpuqlError)

#: Clauses that sqlglot calls otherwise than they are written.
_CLAUSES = {"key_expressions": "USING KEY"}

Parameters = Sequence[object] | Mapping[str, object] | None


def next_shared_key() -> int:
    """A key for a ``Shared`` that no other has."""
    return next(_shared_keys)


@dataclass
class CommonTable:
    """A WITH query: its tree, the environment it was written in, and the plan once bound for sharing."""

    name: str
    tree: exp.Expr
    column_names: tuple[str, ...]
    environment: dict[str, CommonTable]
    scope: Scope | None
    references: int = 0
    key: int = 0
    definition: LogicalNode | None = None
    names: tuple[str, ...] = ()
    is_recursive: bool = False
    #: Within its own step, the rows of the round before: key of the recursion and the columns' attributes.
    working: tuple[int, tuple[Attribute, ...]] | None = None
    is_used: bool = False

    def new_key(self) -> int:
        """Number that all uses of this definition share."""
        self.key = next_shared_key()
        return self.key


@dataclass
class BindContext:
    """State of binding one statement."""

    text: str
    catalog: Catalog
    parameters: Parameters = None
    views: tuple[str, ...] = ()
    integer_division: bool = False
    trace: Trace | None = None
    parameter_slots: Mapping[int | str, int] = field(default_factory=dict)
    #: By id, the SELECTs whose column names nothing can refer to.
    nameless: set[int] = field(default_factory=set)
    volatile_values: dict[str, Expression] = field(default_factory=dict)
    #: Parameters of lambda functions by folded name, depth and type.
    lambda_parameters: dict[tuple[str, int, DataType], Attribute] = field(default_factory=dict)
    #: By id, nodes and the offset of their first token. They are kept alive, so that ids stay theirs.
    _offsets: dict[int, tuple[exp.Expr, int]] = field(default_factory=dict)
    _positional_used: int = 0
    _names_used: set[str] = field(default_factory=set)
    _bound_placeholders: dict[int, Literal] = field(default_factory=dict)

    def position(self, node: exp.Expr | None) -> Position | None:
        """Where ``node`` begins in the text: its first token that sqlglot remembers."""
        if node is None:
            return None
        start: int | None = None
        for part in node.walk():
            offset = part.meta.get("start") if part._meta else None
            if isinstance(offset, int) and (start is None or offset < start):
                start = offset
        if start is None and node._meta:
            start = node.meta.get(TYPE_START)
        return None if start is None else position_of_offset(self.text, start)

    def origin(self, node: exp.Expr) -> Origin | None:
        """Where ``node`` begins, for errors when it is computed; None if its first part remembers no token."""
        path: list[exp.Expr] = []
        part: object = node
        offset: int | None = None
        while isinstance(part, exp.Expr):
            known = self._offsets.get(id(part))
            if known is not None:
                offset = known[1]
                break
            path.append(part)
            start = part._meta.get("start") if part._meta else None
            if isinstance(start, int):
                offset = start
                break
            following = part.args.get("db") or part.args.get("table") or part.this
            part = following if isinstance(following, exp.Expr) else next(iter(part.expressions), None)
        if offset is None:
            return None
        for passed in path:
            self._offsets[id(passed)] = passed, offset
        return Origin(self.text, offset)

    def error(
        self, kind: type[ErrorType], message: str, node: exp.Expr | None = None, *, hint: str | None = None
    ) -> ErrorType:
        """An error of that kind, pointing at ``node``."""
        return kind(message, position=self.position(node), statement=self.text, hint=hint)

    def unsupported(self, construct: str, node: exp.Expr | None = None) -> NotSupportedError:
        """NotSupportedError naming a construct."""
        return self.error(NotSupportedError, f"not supported: {construct}", node)

    @contextmanager
    def locating(self, node: exp.Expr | None) -> Iterator[None]:
        """Give errors raised inside, which know no position, that of ``node``."""
        try:
            yield
        except GpuqlError as error:
            if error.position is None and error.statement is None:
                error.position = self.position(node)
                error.statement = self.text
            raise

    @contextmanager
    def for_column(self, name: str) -> Iterator[None]:
        """Say of errors raised inside, which come from what a table keeps, that they concern column ``name``."""
        try:
            yield
        except GpuqlError as error:
            error.statement = error.statement or self.text
            error.hint = error.hint or f"for column {name}"
            raise

    def reject_other(self, node: exp.Expr, *understood: str) -> None:
        """NotSupportedError if ``node`` has a part beyond those understood, so that none is silently ignored."""
        for key, value in node.args.items():
            if value and key not in understood:
                part = value if isinstance(value, exp.Expr) else node
                spelled = _CLAUSES.get(key, key.strip("_").replace("_", " ").upper())
                raise self.unsupported(f"{spelled} here", part)

    def slot_literal(self, node: exp.Literal) -> Literal | None:
        """The literal for a constant of the text whose value the plan may leave open; None for any other."""
        slot = None if self.trace is None else node.meta.get("slot")
        return None if self.trace is None or slot is None else self.trace.literal(slot)

    def has_slots(self, tree: exp.Expr) -> bool:
        """Whether the plan may leave the value of a constant written in ``tree`` open."""
        return self.trace is not None and any("slot" in node.meta for node in tree.find_all(exp.Literal))

    def depend_on_constants(self, tree: exp.Expr) -> None:
        """Say that the plan is right only for the constants written in ``tree`` (a column is named after them)."""
        if self.trace is not None:
            for node in tree.find_all(exp.Literal):
                slot = node.meta.get("slot")
                if slot is not None:
                    self.trace.pin(slot)

    def _parameter_literal(self, name: int | str, value: object) -> Literal:
        slot = self.parameter_slots.get(name)
        return python_literal(value) if self.trace is None or slot is None else self.trace.literal(slot)

    def parameter(self, node: exp.Placeholder) -> Literal:
        """The literal for a placeholder: ``?`` in order of appearance, ``$1`` by number, ``$name`` by name."""
        known = self._bound_placeholders.get(id(node))
        if known is not None:  # the same tree bound again, as an alias or a GROUP BY position
            return known
        literal = self._resolve_parameter(node)
        self._bound_placeholders[id(node)] = literal
        return literal

    def _resolve_parameter(self, node: exp.Placeholder) -> Literal:
        name = str(node.this) if node.this else None
        if self.parameters is None:
            raise self.error(UndefinedParameter, f"parameter has no value: {_spelled(name)}", node)
        if name is not None and not name.isdigit():
            return self._named(name, node)
        if isinstance(self.parameters, Mapping):
            if name is not None:
                return self._named(name, node)
            raise self.error(
                UndefinedParameter, "parameter ? needs a sequence of values, not a mapping", node
            )
        index = int(name) - 1 if name is not None else int(node.meta.get("parameter_index", 0))
        if not 0 <= index < len(self.parameters):
            raise self.error(
                WrongParameters,
                f"parameter has no value: {_spelled(name or str(index + 1))} (values given: {len(self.parameters)})",
                node,
            )
        self._positional_used = max(self._positional_used, index + 1)
        with self.locating(node):
            return self._parameter_literal(index, self.parameters[index])

    def check_parameters(self) -> None:
        """InterfaceError if a value was given that no placeholder asked for."""
        if isinstance(self.parameters, Mapping):
            unused = [str(name) for name in self.parameters if name not in self._names_used]
            if unused:
                raise WrongParameters(f"no placeholder for parameter: ${unused[0]}", statement=self.text)
        elif self.parameters is not None and len(self.parameters) > self._positional_used:
            raise WrongParameters(
                f"more parameter values than placeholders: {len(self.parameters)} and {self._positional_used}",
                statement=self.text,
            )

    def _named(self, name: str, node: exp.Expr) -> Literal:
        if not isinstance(self.parameters, Mapping):
            raise self.error(
                UndefinedParameter, f"parameter ${name} needs a mapping of values, not a sequence", node
            )
        if name not in self.parameters:
            hint = did_you_mean(name, [str(key) for key in self.parameters])
            raise self.error(WrongParameters, f"parameter has no value: ${name}", node, hint=hint)
        self._names_used.add(name)
        with self.locating(node):
            return self._parameter_literal(name, self.parameters[name])


def _spelled(name: str | None) -> str:
    return "?" if name is None else f"${name}"
