"""Aggregate functions that keep a few values per group: what a batch adds, how partial results merge, the end value.

In: rows with group numbers (:class:`rows.Rows`). Out: a row of partial results for each group, at the end its value.
"""
