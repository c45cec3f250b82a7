"""Fused pipelines: a pipeline as data (``program``), its Python source (``emit``), compiled for a device and cached.

In: a :class:`~gpuql_kernels.codegen.program.Program`. Out: a callable for morsels (``cpu``) or a kernel (``gpu``).
One emitter serves both: the drivers differ only in how rows are enumerated and how shared state is updated.
"""
