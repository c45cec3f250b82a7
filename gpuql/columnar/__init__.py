"""Columns and batches: typed, encoded arrays with validity. Arrow comes in and goes out in ``arrow``."""
