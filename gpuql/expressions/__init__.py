"""The interpreter's expressions: a bound expression and a batch in, a column out.

``evaluate`` is the definition of what every function means; the generator of fused pipelines is tested against it.
Operators call it. Inside this package a column of one row stands for a constant and broadcasts against any length.
"""
