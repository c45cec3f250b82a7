"""A statement with its constants taken out: what two statements share that can share a plan.

In: a statement's text and parameters. Out: its shape, and the constants as *slots*, in order. Nothing is parsed: a
constant is recognised only where it can be nothing else, and everything else is part of the shape.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import GpuqlError
from gpuql_planner.functions import python_literal
from gpuql_planner.logical.expressions import Literal
from gpuql_planner.sql.bind_constants import number_literal
from gpuql_planner.sql.context import Parameters
from gpuql_planner.thresholds import MAX_SHAPE_CHARACTERS, MAX_SHAPE_LITERALS
from gpuql_planner.types import BOOLEAN, VARCHAR

#: Comments, quoted names and prefixed texts as a whole; then texts (group 1) and plain numbers (group 2).
_PARTS = re.compile(
    r"""--[^\n]* | "(?:[^"]|"")*" | (?<=[\w$])'(?:[^']|'')*' | ('(?:[^']|'')*')"""
    r""" | (?<![\w$.])([0-9]+(?:\.[0-9]+)?)(?![\w.$]) """,
    re.VERBOSE,
)
#: Spellings that could make a quote or a digit mean something else: such statements have no shape.
_UNUSUAL = re.compile(r"""[\\\x00{`]|/\*|\w\$|\$\w*\$""")


@dataclass(frozen=True)
class StatementShape:
    """What is left of a statement without its constants.

    Attributes
    ----------
    key : equal for statements that differ in the values of their slots only; types are part of it.
    slots : the constants, texts and numbers of the text first, then parameters.
    offsets : where in the text each slot of the text begins, and how it is spelled there.
    parameters : slot of a parameter by position (from 0) or name.
    """

    key: Hashable
    slots: tuple[Literal, ...]
    offsets: Mapping[int, tuple[int, str]]
    parameters: Mapping[int | str, int]


def statement_shape(text: str, parameters: Parameters = None) -> StatementShape | None:
    """The shape of a statement; None if it has none.

    Truth values and NULL are part of the shape, also as parameters.
    """
    if len(text) > MAX_SHAPE_CHARACTERS or _UNUSUAL.search(text) is not None:
        return None
    pieces: list[str] = []
    slots: list[Literal] = []
    offsets: dict[int, tuple[int, str]] = {}
    end = 0
    try:
        for part in _PARTS.finditer(text):
            string, number = part.groups()
            if string is not None:
                if "$" in string:  # could end a text that began with another dollar sign
                    return None
                spelled = string[1:-1].replace("''", "'")
                literal = Literal(spelled, VARCHAR)
            elif number is not None:
                spelled = number
                literal = number_literal(number)
            else:
                continue
            offsets[part.start()] = len(slots), spelled
            slots.append(literal)
            pieces.append(text[end : part.start()])
            end = part.end()
        pieces.append(text[end:])
        fixed, by_name = _take_parameters(parameters, slots)
        key = (
            "\x00".join(pieces),
            isinstance(parameters, Mapping),
            fixed,
            tuple(literal.type for literal in slots),
        )
        hash(key)
    except (GpuqlError, TypeError):  # reported when the statement is bound
        return None
    return None if len(slots) > MAX_SHAPE_LITERALS else StatementShape(key, tuple(slots), offsets, by_name)


def _take_parameters(
    parameters: Parameters, slots: list[Literal]
) -> tuple[tuple[object, ...], dict[int | str, int]]:
    """Add parameters to the slots; what stays in the shape, and which parameter became which slot."""
    fixed: list[object] = []
    taken: dict[int | str, int] = {}
    for name, value in _named(parameters):
        literal = python_literal(value)
        if literal.value is None or literal.type == BOOLEAN:
            fixed.append((name, literal))
            continue
        fixed.append(name)
        taken[name] = len(slots)
        slots.append(literal)
    return tuple(fixed), taken


def _named(parameters: Parameters) -> Iterator[tuple[int | str, object]]:
    if isinstance(parameters, Mapping):
        yield from parameters.items()
    elif parameters is not None:
        yield from enumerate(parameters)


def mark_slots(tree: exp.Expr, shape: StatementShape) -> None:
    """Note on each literal of the tree which slot it is (``meta["slot"]``).

    A slot that the parser understood otherwise is not marked, and so becomes part of what the plan depends on.
    """
    for node in tree.find_all(exp.Literal):
        found = shape.offsets.get(node.meta.get("start", -1))
        if found is None:
            continue
        slot, spelled = found
        if str(node.this) == spelled and node.is_string == (shape.slots[slot].type == VARCHAR):
            node.meta["slot"] = slot
