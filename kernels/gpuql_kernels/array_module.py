"""Which array module an array belongs to, without loading one that is not in use."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def array_module(array: Any) -> Any:
    """CuPy for its arrays, NumPy for others. No array can be CuPy's before CuPy is loaded."""
    cupy = sys.modules.get("cupy")
    return np if cupy is None else cupy.get_array_module(array)
