"""Why a pipeline stays with the interpreter."""

from __future__ import annotations


class NotFusible(Exception):  # noqa: N818 - a decision, not an error: users never meet it
    """The generator cannot express part of a pipeline; the message is shown by EXPLAIN."""
