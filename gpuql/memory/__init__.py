"""Device memory: one RMM pool serves CuPy and Numba. The only importer of rmm."""
