"""Why a pipeline stays with the interpreter."""

from __future__ import annotations


class NotFusible(Exception):
    """The generator cannot express part of a pipeline; the message is shown by EXPLAIN."""


class StatesDoNotFit(Exception):
    """Group states need more memory than is left; the rows have to be aggregated in smaller parts."""
