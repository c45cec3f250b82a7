"""The static kernel families of one device, handed to operators as ``RunContext.kernels``."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql_kernels.group_by.contract import GroupByKernels
from gpuql_kernels.hash_table.contract import HashTableKernels
from gpuql_kernels.partition.contract import PartitionKernels
from gpuql_kernels.sort.contract import SortKernels
from gpuql_kernels.string_match.contract import StringMatchKernels
from gpuql_kernels.window.contract import WindowKernels


@dataclass(frozen=True, slots=True)
class KernelFamilies:
    """One member per family; each implements the protocol of the family's ``contract``."""

    hash_table: HashTableKernels
    group_by: GroupByKernels
    sort: SortKernels
    string_match: StringMatchKernels
    partition: PartitionKernels
    window: WindowKernels


def cpu_families() -> KernelFamilies:
    """Families over NumPy arrays. Loads no compiler: compiled loops are imported by the first large input."""
    from gpuql_kernels.group_by import cpu as group_by
    from gpuql_kernels.hash_table import cpu as hash_table
    from gpuql_kernels.partition import cpu as partition
    from gpuql_kernels.sort import cpu as sort
    from gpuql_kernels.string_match import cpu as string_match
    from gpuql_kernels.window import cpu as window

    return KernelFamilies(hash_table, group_by, sort, string_match, partition, window)


def gpu_families() -> KernelFamilies:
    """Families over CuPy arrays, or over NumPy arrays under Numba's simulator. Compiled at their first launch."""
    from gpuql_kernels.group_by import gpu as group_by
    from gpuql_kernels.hash_table import gpu as hash_table
    from gpuql_kernels.partition import gpu as partition
    from gpuql_kernels.sort import gpu as sort
    from gpuql_kernels.string_match import gpu as string_match
    from gpuql_kernels.window import gpu as window

    return KernelFamilies(hash_table, group_by, sort, string_match, partition, window)
