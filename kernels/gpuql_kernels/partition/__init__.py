"""Splitting rows by hashes of their keys: hash columns in; row numbers, partition by partition, out."""
