"""Runs a physical plan: pipelines in order, morsels in parallel, each pipeline fused where the generator can.

In: a ``PhysicalPlan`` and a device. Out: batches and metrics. Entry: ``executor.Executor.execute``.
"""
