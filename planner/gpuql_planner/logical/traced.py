"""Literals that remember where they come from, so that a plan can be used again with other values.

A statement's literals are its *slots*. While the statement is planned they stand in the plan as
:class:`TracedLiteral`, and every step that looks at a value is recorded in a :class:`Trace`:

- reading ``value`` (or finding two literals equal) makes the plan depend on exactly that outcome,
- :func:`derive` computes a literal from literals and remembers how, so that it can be computed again,
- ``estimate`` is for cost estimates, which may be wrong but never make a plan wrong; it is not recorded. Estimates
  that a plan's speed hangs on are: :meth:`Trace.note_estimate`.

With other values the plan means the same if all recorded outcomes come out as they did. What is not said explicitly
to be harmless is recorded, so a rule that nobody thought of makes plans less reusable, never wrong. Source: guards of
tracing compilers (Bolz et al., "Tracing the Meta-Level", ICOOOLPS 2009), applied to planning.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from gpuql_planner.errors import GpuqlError
from gpuql_planner.logical.expressions import Literal, LiteralValue
from gpuql_planner.thresholds import ESTIMATE_TOLERANCE
from gpuql_planner.types import BOOLEAN, TypeId

#: Computes a literal from literals; None says that it cannot.
Computation = Callable[..., Literal | None]

_TRUE = Literal(True, BOOLEAN)  # noqa: FBT003
#: What computations raise for values that they cannot work with.
_REFUSALS = (GpuqlError, ArithmeticError, ValueError)


@dataclass(frozen=True, eq=False)
class Origin:
    """A slot (``slot`` is its ordinal) or the result of a computation over ``arguments``."""

    slot: int = -1
    compute: Computation | None = None
    arguments: tuple[Literal, ...] = ()


class Trace:
    """The slots of a statement, and what planning it found out about their values."""

    def __init__(self, slots: Sequence[Literal]) -> None:
        self.slots = tuple(slots)
        self._origins = [Origin(slot) for slot in range(len(self.slots))]
        self._unbound = set(range(len(self.slots)))
        self._expected: dict[Origin, Literal | None] = {}
        self._derived: list[TracedLiteral] = []
        self._estimates: dict[Hashable, tuple[Callable[[SlotValues], float], float]] = {}

    def literal(self, slot: int) -> Literal:
        """The literal of a slot, to be put into the plan."""
        self._unbound.discard(slot)
        return TracedLiteral(self.slots[slot], self._origins[slot], self)

    def expect(self, origin: Origin, outcome: Literal | None) -> None:
        """The plan is right only where ``origin`` comes out as ``outcome``."""
        self._expected[origin] = outcome

    def derived(self, plain: Literal, origin: Origin) -> Literal:
        """The computed literal, to be put into the plan; for other values too there must be one of its type."""
        literal = TracedLiteral(plain, origin, self)
        self._derived.append(literal)
        return literal

    def pin(self, slot: int) -> None:
        """The plan is right only for this value of the slot."""
        self.expect(self._origins[slot], self.slots[slot])

    def pin_unbound(self) -> None:
        """Pin the slots that did not become literals of the plan: limits, positions, type parameters, names."""
        for slot in self._unbound:
            self.pin(slot)

    def note_estimate(self, key: Hashable, estimate: Callable[[SlotValues], float], outcome: float) -> None:
        """Another plan may be much faster where ``estimate`` is far from ``outcome``; noted once per ``key``."""
        self._estimates.setdefault(key, (estimate, outcome))

    def holds(self, values: SlotValues) -> bool:
        """Whether a plan made under this trace may be used for ``values``.

        Every recorded outcome must come out the same and every literal must be computable; then the plan is right.
        Estimates must be near what they were.
        """
        facts = len(self._expected), len(self._derived), len(self._estimates)
        if values.held == (self, facts):
            return True
        try:
            for literal in tuple(self._derived):
                values.literal(literal)
            right = all(
                _same(values.of(origin), outcome) for origin, outcome in tuple(self._expected.items())
            )
            holds = right and all(_near(e(values), outcome) for e, outcome in tuple(self._estimates.values()))
        except OtherPlanNeeded:
            return False
        if holds:
            values.held = self, facts
        return holds


class TracedLiteral(Literal):
    """A literal of a statement that is being planned. Equal to a plain literal of the same value and type."""

    def __init__(self, plain: Literal, origin: Origin, trace: Trace) -> None:
        vars(self).update(type=plain.type, _plain=plain, _origin=origin, _trace=trace)

    @property
    def value(self) -> LiteralValue:
        """The value; whoever asks makes the plan depend on it."""
        self.trace.expect(self.origin, self.untraced)
        return self.untraced.value

    @property
    def is_null(self) -> bool:
        """Never: NULL is no slot, and no value of a slot."""
        return False

    @property
    def estimate(self) -> LiteralValue:
        """The value, for estimates only."""
        return self.untraced.value

    @property
    def untraced(self) -> Literal:
        """The plain literal."""
        plain: Literal = vars(self)["_plain"]
        return plain

    @property
    def origin(self) -> Origin:
        """Where the value comes from."""
        origin: Origin = vars(self)["_origin"]
        return origin

    @property
    def trace(self) -> Trace:
        """Where uses of the value are recorded."""
        trace: Trace = vars(self)["_trace"]
        return trace

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Literal):
            return NotImplemented
        equal = self.untraced == other.untraced
        if equal and not (isinstance(other, TracedLiteral) and other.origin is self.origin):
            self.trace.expect(Origin(compute=_equal, arguments=(self, other)), _TRUE)
        return equal

    def __hash__(self) -> int:
        return hash(self.untraced)

    def __repr__(self) -> str:
        return f"Traced{self.untraced!r}"


def derive(compute: Computation, *literals: Literal) -> Literal | None:
    """``compute(*literals)``, to be computed again when the literals change.

    ``compute`` gets plain literals and must depend on nothing else. A result that is None, NULL or a truth value
    decides what the plan looks like: it is recorded, and plain.
    """
    traced = [literal for literal in literals if isinstance(literal, TracedLiteral)]
    if not traced:
        return compute(*literals)
    trace = traced[0].trace
    try:
        result = compute(*(literal.untraced for literal in literals))
    except _REFUSALS:
        for literal in traced:
            trace.expect(literal.origin, literal.untraced)
        raise
    origin = Origin(compute=compute, arguments=literals)
    if result is not None and result.value is not None and result.type.id is not TypeId.BOOLEAN:
        return trace.derived(result, origin)
    trace.expect(origin, result)
    return result


def decide(test: Callable[..., bool], *literals: Literal) -> bool:
    """``test(*literals)``; the plan depends on the answer, not on the values."""
    return derive(lambda *plain: _TRUE if test(*plain) else None, *literals) is not None


class OtherPlanNeeded(Exception):
    """A literal of the plan has no value of its type for the new values of the slots."""


class SlotValues:
    """Values for the slots of a statement, and what is computed from them."""

    def __init__(self, slots: Sequence[Literal]) -> None:
        self._slots = tuple(slots)
        self._known: dict[Origin, Literal | None] = {}
        #: A trace that holds for these values, and how much it knew then.
        self.held: tuple[Trace, tuple[int, int, int]] | None = None

    def of(self, origin: Origin) -> Literal | None:
        """What ``origin`` is for these values."""
        if origin.compute is None:
            return self._slots[origin.slot]
        if origin not in self._known:
            arguments = [self.literal(argument) for argument in origin.arguments]
            try:
                self._known[origin] = origin.compute(*arguments)
            except _REFUSALS as refusal:
                raise OtherPlanNeeded from refusal
        return self._known[origin]

    def literal(self, literal: Literal) -> Literal:
        """The plain literal that stands for ``literal``; OtherPlanNeeded if it is NULL or of another type."""
        if not isinstance(literal, TracedLiteral):
            return literal
        result = self.of(literal.origin)
        if result is None or result.value is None or result.type != literal.type:
            raise OtherPlanNeeded
        return result


def _equal(one: Literal, other: Literal) -> Literal:
    return Literal(one == other, BOOLEAN)


def _same(one: Literal | None, other: Literal | None) -> bool:
    """Equal down to the sign of a zero and the digits of a decimal."""
    if one is None or other is None:
        return one is other
    return (
        one.type == other.type
        and type(one.value) is type(other.value)
        and (one.value == other.value)
        and repr(one.value) == repr(other.value)
    )


def _near(one: float, other: float) -> bool:
    return one <= other * ESTIMATE_TOLERANCE and other <= one * ESTIMATE_TOLERANCE
