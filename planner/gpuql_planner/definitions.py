"""What a session knows by name besides tables and views: macros, sequences, types, prepared statements, variables.

All are immutable; a change puts another object under the name.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.logical.expressions import Literal
from gpuql_planner.types import DataType

#: Kinds of definitions, as ``Catalog.definitions`` takes them.
KINDS = ("schema", "macro", "table macro", "type", "sequence", "prepared", "variable", "comment")

#: The schema where names without one are created, that of temporary tables, and those of our own tables.
MAIN_SCHEMA = "main"
TEMPORARY_SCHEMA = "temp"
SYSTEM_SCHEMAS = ("information_schema", "pg_catalog")
#: The one database, and what it is called where DuckDB asks for its name.
DATABASE = "memory"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Parameter of a macro; ``default`` is the text of an expression, None if the argument must be given."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Overload:
    """A body of a macro: the text of an expression, or of a query."""

    parameters: tuple[Parameter, ...]
    body: str

    def __str__(self) -> str:
        shown = [
            one.name if one.default is None else f"{one.name} := {one.default}" for one in self.parameters
        ]
        return f"({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Macro:
    """CREATE MACRO: expanded where it is called."""

    name: str
    overloads: tuple[Overload, ...]
    is_table: bool = False
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class NamedType:
    """CREATE TYPE name AS type."""

    name: str
    dtype: DataType


@dataclass(frozen=True, slots=True)
class PreparedText:
    """PREPARE name AS text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """SET VARIABLE name = value."""

    name: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Schema:
    """CREATE SCHEMA name."""

    name: str


@dataclass(frozen=True, slots=True)
class Comment:
    """COMMENT ON something IS text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """CREATE SEQUENCE: values from ``start`` by ``increment`` within the limits; then from the other one if cyclic."""

    name: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cycle: bool = False
    temporary: bool = False


class Sequence:
    """A sequence and where it stands. Thread-safe.

    ``last_value`` is None before the first value is taken.
    """

    def __init__(self, options: SequenceOptions) -> None:
        self.options = options
        self.last_value: int | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return self.options.name

    def __repr__(self) -> str:
        return f"Sequence({self.options.name!r})"

    @property
    def name(self) -> str:
        """Its name in the catalog."""
        return self.options.name

    def take(self, count: int) -> list[range]:
        """The next ``count`` values, as runs. Errors: OutOfRangeError if there are fewer; then none is taken."""
        options = self.options
        step = options.increment
        first, last = (options.minimum, options.maximum) if step > 0 else (options.maximum, options.minimum)
        with self._lock:
            runs: list[range] = []
            following = options.start if self.last_value is None else self.last_value + step
            while count > 0:
                if not options.minimum <= following <= options.maximum:
                    if not options.cycle:
                        end = "maximum" if step > 0 else "minimum"
                        raise OutOfRangeError(f"sequence is at its {end}: {options.name} ({last})")
                    following = first
                length = min(count, (last - following) // step + 1)
                runs.append(range(following, following + length * step, step))
                count -= length
                following = runs[-1][-1] + step
            if runs:
                self.last_value = runs[-1][-1]
            return runs

    def current(self) -> int:
        """The value taken last. Errors: OutOfRangeError if none was."""
        if self.last_value is None:
            raise OutOfRangeError(f"no value was taken of the sequence yet: {self.options.name}")
        return self.last_value


Definition = Macro | NamedType | PreparedText | Variable | Schema | Comment | Sequence
