"""Which device these tests run on: a real one, or Numba's simulator if NUMBA_ENABLE_CUDASIM is 1."""

from __future__ import annotations

import os
from collections.abc import Callable

import gpuql

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
DEVICE = "cudasim" if SIMULATED else "gpu"

Connect = Callable[..., gpuql.Connection]
