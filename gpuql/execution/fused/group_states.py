"""Where the states of dense groups are kept while rows arrive: how many copies, and how close to the threads."""

from __future__ import annotations

from gpuql.thresholds import GPU_SHARED_SHARE, GPU_STATE_REGISTERS
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.grid import SHARED_BYTES, WARP_LANES, shared_bytes


def cpu_states(
    keys: tuple[ir.KeyPart, ...], accumulators: tuple[ir.Accumulator, ...], domain: int
) -> ir.GroupDense:
    """One array per accumulator; with few groups several states each, as most rows would wait for the one before."""
    return ir.GroupDense(keys, accumulators, 8 if domain <= 8 else 4 if domain <= 64 else 1)


def grid_states(
    keys: tuple[ir.KeyPart, ...], accumulators: tuple[ir.Accumulator, ...], domain: int
) -> ir.GroupDense:
    """In registers if all fit, else in shared memory, else in arrays that all threads update.

    Shared states are made for a power of two of groups, so that few different kernels come up.
    """
    group_bytes = shared_bytes(accumulators)
    in_registers = domain * group_bytes <= 4 * GPU_STATE_REGISTERS
    shared_groups = domain if in_registers else 1 << (domain - 1).bit_length()
    room = int(GPU_SHARED_SHARE * SHARED_BYTES) // max(1, shared_groups * group_bytes)
    if room == 0:
        return ir.GroupDense(keys, accumulators)
    copies = min(WARP_LANES, 1 << (room.bit_length() - 1))
    return ir.GroupDense(keys, accumulators, copies, shared_groups, in_registers)
