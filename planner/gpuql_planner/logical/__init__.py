"""Logical plan: what a query means. Frozen typed nodes and expressions, with a visitor, a verifier and a formatter.

In: the binder and the DataFrame API build nodes. Out: the optimizer rewrites them, ``physical`` lowers them.
"""
