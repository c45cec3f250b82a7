"""What Python code holds: lazy frames, expressions and results.

In: method calls by column name. Out: logical plans, which a session runs; results as rows, Arrow, pandas, polars.
"""
