"""Operators of tier 0: batches in, batches out; one file each.

A pipeline's transforms and sink are built from the planner's physical nodes by ``gpuql.execution``. ``contract`` says
how they are driven and what sinks leave behind.
"""
