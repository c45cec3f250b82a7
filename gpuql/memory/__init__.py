"""Memory: budgets that queries reserve from, rows that move to slower memory when a budget runs out, device pools.

Three tiers: device memory (one RMM pool serves CuPy and Numba), host memory, files. A query reserves before it
allocates; what it keeps between steps stands in a :class:`RowStore`, which gives bytes back by moving its rows one tier
down. The only importer of rmm.
"""
