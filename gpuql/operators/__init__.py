"""Interpreted operators, one file each: whole batches in, whole batches out, through an array module.

They are the definition of what a plan means; the fused tier must agree with them row for row.
"""
