"""128-bit signed integers as two 64-bit words per row: int64 arrays in, int64 arrays out.

Called by expressions and aggregates for HUGEINT and DECIMAL beyond 18 digits whose values do not fit one word. The
functions use only array operations found in NumPy and CuPy alike, so one source serves both devices.
"""
