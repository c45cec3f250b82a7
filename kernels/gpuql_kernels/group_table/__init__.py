"""Tables from packed group keys to slots, as ``GroupHash`` sinks fill them: growing and merging them.

In: int64 keys >= 0. Out: the slot of each key in an open-addressing table whose empty slots hold -1.
"""
