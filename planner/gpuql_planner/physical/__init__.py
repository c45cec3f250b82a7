"""Physical plan: pipelines as data, each with a device and a reason. No arrays, no execution.

In: an optimised logical plan. Out: a :class:`~gpuql_planner.physical.nodes.PhysicalPlan` for ``gpuql.execution``.
"""
