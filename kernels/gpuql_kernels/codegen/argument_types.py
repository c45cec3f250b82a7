"""The types of a call's arguments: described without Numba, so that describing them costs a query nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class ArrayType:
    """What Numba distinguishes in arrays; ``dtype`` is NumPy's name, ``layout`` C, F or A."""

    dtype: str
    dimensions: int
    layout: Literal["C", "F", "A"]
    writeable: bool


#: An array, or the NumPy dtype name of a scalar.
ArgumentType = ArrayType | str


def argument_types(arguments: Sequence[Any]) -> tuple[ArgumentType, ...]:
    """Describe the arguments of a call."""
    return tuple(_argument_type(argument) for argument in arguments)


def _argument_type(argument: Any) -> ArgumentType:
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        layout: Literal["C", "F", "A"] = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        return ArrayType(argument.dtype.name, argument.ndim, layout, flags.writeable)
    if isinstance(argument, int) and not isinstance(argument, bool):
        return "uint64" if argument >= 2**63 else "int64"
    return np.asarray(argument).dtype.name


def numba_types(described: Sequence[ArgumentType]) -> tuple[Any, ...]:
    """The same as Numba types."""
    from numba import from_dtype, types

    result: list[Any] = []
    for argument in described:
        if isinstance(argument, str):
            result.append(from_dtype(np.dtype(argument)))
            continue
        element: Any = from_dtype(np.dtype(argument.dtype))
        result.append(
            types.Array(element, argument.dimensions, argument.layout, readonly=not argument.writeable)
        )
    return tuple(result)
