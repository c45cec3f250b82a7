"""Benchmarks that check the rows before they time anything, and show losses as well as wins.

In: a suite of queries and the engines to compare. Out: a table for people, JSON for machines.
"""
