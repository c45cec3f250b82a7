"""Readers: files and foreign frames come in, readable tables go out. One file per format.

Opening reads only what the schema needs; data is read when a query asks for columns. These modules load
pyarrow, so they are imported where a file or frame is met, not at the start.
"""
