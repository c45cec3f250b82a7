"""Tables from packed group keys to slots, as ``GroupHash`` sinks fill them: growing and merging them.

In: int64 keys >= 0, of one word or several. Out: the slot of each key in an open-addressing table, in which -1 marks
empty slots.
"""
