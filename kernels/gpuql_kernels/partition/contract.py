"""What the partitioning kernels mean.

Hashes are uint64 (n,), the same on every device and for every form of the same values. Their leading bits decide; they
are independent of the hash that tables use (``scalar.hashing``), so that the keys of one partition spread over a table.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = Any

#: 2**64 divided by the golden ratio, and an odd number without structure.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SECOND_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)


class PartitionKernels(Protocol):
    """The family; implemented by ``cpu`` and ``gpu`` with equal results."""

    def mix(self, hashes: Array, values: Array, /) -> Array:
        """Hashes (a new array) of rows hashed so far to ``hashes`` and of ``values`` (int64) behind that."""

    def hash_strings(self, offsets: Array, data: Array, rows: Array | None, /) -> Array:
        """Hash as int64 of each string at positions ``rows`` (None: all) of ``offsets`` (int64), ``data`` (uint8)."""

    def split(self, hashes: Array, num_bits: int, /) -> tuple[Array, Array]:
        """Rows by partition, which is the number that the leading ``num_bits`` (0 to 16) of a hash make.

        Returns
        -------
        rows : int64 (n,)
            Row numbers, partition after partition, ascending in each.
        bounds : int64 (2**num_bits + 1,), on the host
            Partition ``p`` is ``rows[bounds[p]:bounds[p + 1]]``.
        """
