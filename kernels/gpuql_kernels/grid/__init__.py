"""Launching static CUDA kernels: the grid, the stream, and the types each kernel is compiled for.

In: arrays of CuPy, or of NumPy under Numba's simulator. Called by the ``gpu`` form of each kernel family.
"""
