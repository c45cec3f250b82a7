"""Insertion on the CPU; see ``contract``. Not safe for several threads on one table."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def insert(table: Array, status: Array, keys: Array, /) -> Array:
    """See ``contract.GroupTableKernels.insert``."""
    from gpuql_kernels.group_table import cpu_loops

    slots = np.empty(len(keys), np.int64)
    insert_all = cpu_loops.insert if keys.ndim == 1 else cpu_loops.insert_words
    insert_all(table, status, keys, slots)
    return slots
