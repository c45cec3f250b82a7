"""A lowered expression together with what is known about its values."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql.columnar.column import StringArray
from gpuql_kernels.codegen import program as ir
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.types import DataType


@dataclass(frozen=True, eq=False)
class Operand:
    """A row expression of the program.

    ``bounds`` is a range of the stored integers (None if unknown or not an integer); ``strings`` is what the values
    point into for VARCHAR; ``early`` says that it reads source columns alone and cannot raise. ``build`` names the
    build pipeline and attribute that a plain column of a build side comes from.
    """

    value: ir.Value
    dtype: DataType
    bounds: tuple[int, int] | None = None
    strings: StringArray | None = None
    early: bool = True
    build: tuple[int, Attribute] | None = None

    @property
    def is_integer(self) -> bool:
        """Stored as one machine integer (not bool, not float)."""
        return self.value.dtype.startswith(("int", "uint"))
