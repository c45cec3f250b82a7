"""SQL text in, placed pipelines out: pure host code on the standard library and sqlglot.

Stages, each a subpackage: ``sql`` (text to bound logical plan), ``logical`` (nodes and expressions),
``optimizer`` (an ordered tuple of rules), ``physical`` (pipelines as data). Nothing here touches an array.
"""
