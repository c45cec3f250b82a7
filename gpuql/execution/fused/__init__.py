"""Tier 1: one generated function per pipeline.

``lower`` turns a pipeline and the physical form of its inputs into a program and argument bindings, or says why it
cannot (:class:`~gpuql.execution.fused.refusal.NotFusible`); ``run_cpu`` and ``run_cuda`` drive the compiled program.
"""
