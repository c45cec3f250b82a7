"""The numbers that gpuql chose by itself: thresholds of the code, what they decide, and how each was found.

None is a setting. They stand in one module of each package; the test of this module fails on one that stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, get_args, get_origin, get_type_hints

#: Modules whose annotated constants are thresholds.
REGISTRIES = ("gpuql_planner.thresholds", "gpuql_kernels.thresholds", "gpuql.thresholds")


@dataclass(frozen=True)
class Knob:
    """One threshold.

    ``origin`` says how the value was found: measured, bound (on work or memory), cache (a level's usual size),
    judgement, or guess (where nothing is known), with a reason where there is one.
    """

    package: str
    name: str
    value: float
    unit: str
    origin: str
    meaning: str


def knobs() -> Iterator[Knob]:
    """All thresholds, package by package, in the order of their modules."""
    for registry in REGISTRIES:
        module = import_module(registry)
        for name, hint in get_type_hints(module, include_extras=True).items():
            if get_origin(hint) is Annotated:
                _, unit, origin, meaning = get_args(hint)
                yield Knob(registry.partition(".")[0], name, getattr(module, name), unit, origin, meaning)
