"""What Numba's CUDA simulator does not promise, and kernels rely on."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

_lock = threading.Lock()


def share_arrays_once() -> None:
    """Let all threads of a block have the same shared arrays.

    The simulator makes a shared array when the first thread comes to the line that asks for it. Two threads that come
    there at once would have one each, and what one of them adds to its own would be lost.
    """
    from numba.cuda.simulator import kernelapi

    shared: Any = kernelapi.FakeCUDAShared
    if shared.array is not _shared_array:
        shared.array = _shared_array


def _shared_array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> Any:
    """The array of the block for the line that asks for it; no other way to tell arrays from each other."""
    from numba.core import types
    from numba.np import numpy_support

    plain = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype
    caller = sys._getframe(1)
    place = caller.f_code.co_filename, caller.f_lineno
    with _lock:
        array = self._allocations.get(place)
        if array is None:
            array = self._allocations[place] = np.empty(shape, plain)
    return array
