"""How states of groups are merged, as data that compiled loops read."""

from __future__ import annotations

#: Sums and counts; smallest and largest value (NaN is the largest); any of both, if it is there.
ADD, MINIMUM, MAXIMUM, ANY = range(4)

#: Kind of each accumulator of ``codegen.program.Accumulator``.
MERGE_KINDS = {
    "count": ADD,
    "sum": ADD,
    "sum_low": ADD,
    "sum_high": ADD,
    "min": MINIMUM,
    "max": MAXIMUM,
    "seen": MAXIMUM,
    "any": ANY,
}
