"""Parts of a source of which nothing is known beforehand, brought into one form as far as the parts before tell."""

from __future__ import annotations

import threading

from gpuql.columnar.arrow_dictionary import GrowingDictionary
from gpuql.columnar.arrow_strings import string_array_to_arrow
from gpuql.columnar.column import Column
from gpuql.columnar.pieced import Form, has_nulls_only


class SteadyForms:
    """Remembers ranges and strings of columns, so that later parts are as wide, and share dictionaries. Thread-safe."""

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[int, int]] = {}
        self._dictionaries: dict[str, GrowingDictionary] = {}
        self._lock = threading.Lock()

    def steady(self, name: str, column: Column) -> Column:
        """The rows of column ``name`` in a form that fits all of its parts so far.

        Errors: ConversionError if text is not UTF-8.
        """
        if has_nulls_only(column) or not len(column):
            return column
        if column.dtype.is_bytes:
            return self._with_shared_strings(name, column)
        if column.bounds is None:
            return column
        with self._lock:
            low, high = self._bounds.get(name, column.bounds)
            bounds = min(low, column.bounds[0]), max(high, column.bounds[1])
            self._bounds[name] = bounds
        return Form(column.dtype, bounds, None).conform(column)

    def _with_shared_strings(self, name: str, column: Column) -> Column:
        strings = column.strings
        assert strings is not None, "a string column has strings"
        if not strings.unique:
            return column
        with self._lock:
            growing = self._dictionaries.setdefault(name, GrowingDictionary(column.dtype, name))
        shared = growing.with_entries([string_array_to_arrow(strings, column.dtype)], len(column))
        return column if shared is None else Form(column.dtype, None, shared.strings).conform(column)
