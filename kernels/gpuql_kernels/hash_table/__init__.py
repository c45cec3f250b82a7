"""Join indexes over packed int64 keys: direct-address where the domain is dense, open addressing otherwise.

In: int64 keys with nulls removed. Out: a :class:`~gpuql_kernels.hash_table.contract.JoinIndex`, and row pairs.
"""
