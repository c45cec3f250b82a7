"""Rewrites a logical plan into an equal, cheaper one: an ordered tuple of rules, one file each."""
