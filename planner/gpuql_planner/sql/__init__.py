"""SQL text to bound logical statements. The only importer of sqlglot.

In: text, parameters and a catalog. Out: typed statements whose queries are logical plans.
"""
