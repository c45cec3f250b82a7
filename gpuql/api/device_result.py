"""The rows of a query as arrays where it ran: on a GPU nothing is copied to the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import finalize

from gpuql.api.result import distinct_names
from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql_planner.errors import ProgrammingError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.types import DataType


@dataclass(frozen=True, eq=False)
class DeviceColumn:
    """One column as arrays: CuPy's on a GPU, NumPy's elsewhere. Other libraries take it without a copy.

    CuPy, Numba, PyTorch, JAX and cuDF read it through ``__cuda_array_interface__`` or DLPack, if no row is NULL.

    Attributes
    ----------
    dtype : the SQL type.
    values : array, shape (n,) or (n, words)
        As wide as the type: BIGINT is int64, REAL float32. DATE is int32 days since 1970, TIMESTAMP int64 in its own
        unit, DECIMAL int64 without its point (two words, low one first, if a value has more than 18 digits). Texts are
        positions of ``offsets``. Rows that are NULL hold any value.
    validity : bool, shape (n,), False where NULL; None if no row is.
    offsets, data : of texts, int64 and uint8, else None
        Text ``i`` is ``data[offsets[i]:offsets[i + 1]]`` in UTF-8.
    """

    dtype: DataType
    values: Array
    validity: Array | None
    offsets: Array | None = None
    data: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface: dict[str, Any] = self._only_values().__cuda_array_interface__
        return interface

    @property
    def __array_interface__(self) -> dict[str, Any]:
        interface: dict[str, Any] = self._only_values().__array_interface__
        return interface

    def __dlpack__(self, **options: Any) -> Any:
        return self._only_values().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()

    def _only_values(self) -> Array:
        if self.offsets is not None:
            raise ProgrammingError("texts are no plain array: use values, offsets and data")
        if self.validity is not None:
            raise ProgrammingError("column has NULLs: use values and validity")
        return self.values


class DeviceResult(Mapping[str, DeviceColumn]):
    """Columns by name (repeated names get a number), in memory of the device until this object is let go.

    Made by :meth:`gpuql.DataFrame.to_device`. The bytes count against ``gpu_memory_limit``.
    """

    def __init__(
        self,
        outputs: Sequence[Attribute],
        names: Sequence[str],
        rows: Batch,
        device: str,
        release: Callable[[], None],
        metrics: Any = None,
    ) -> None:
        #: Where the arrays are: gpu, cudasim or cpu.
        self.device = device
        self.num_rows = rows.num_rows
        #: What the executor measured.
        self.metrics = metrics
        columns = (_device_column(rows[attribute]) for attribute in outputs)
        self._columns = dict(zip(distinct_names(names), columns, strict=True))
        finalize(self, release)

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return list(self._columns)

    def __getitem__(self, name: str) -> DeviceColumn:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        types = ", ".join(f"{name} {column.dtype}" for name, column in self._columns.items())
        return f"DeviceResult({self.num_rows} rows on {self.device}: {types})"


def _device_column(column: Column) -> DeviceColumn:
    strings = column.strings
    if strings is not None:
        return DeviceColumn(column.dtype, column.values, column.validity, strings.offsets, strings.data)
    return DeviceColumn(column.dtype, column.values, column.validity)
