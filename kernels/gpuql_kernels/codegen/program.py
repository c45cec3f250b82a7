"""A fused pipeline as data: typed row expressions, steps and a sink; arguments have positions, no names.

Arrays and scalars that a program reads are *arguments*, numbered in the order in which the caller passes them. Values
are typed by NumPy dtype names ("int32", "float64", "bool"). A nullable value is a pair (value, is it not NULL).
"""

from __future__ import annotations

from dataclasses import dataclass

# --- row expressions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Value:
    """Base of row expressions; ``dtype`` names the NumPy type, ``nullable`` whether it can be NULL."""

    dtype: str
    nullable: bool


@dataclass(frozen=True, eq=False)
class Column(Value):
    """Source column at the current row: argument ``array``, and argument ``validity`` if nullable."""

    array: int
    validity: int | None = None


@dataclass(frozen=True, eq=False)
class Gather(Value):
    """Column of the build side of step ``probe`` at the matched row (NULL if that step found none)."""

    probe: int
    array: int
    validity: int | None = None


@dataclass(frozen=True, eq=False)
class BuildRow(Value):
    """Number of the build row that step ``probe`` matched."""

    probe: int


@dataclass(frozen=True, eq=False)
class Lookup(Value):
    """``array[index - offset]``: a function tabulated over a dictionary or a small domain.

    ``offset`` is a scalar argument or None for zero. The result is NULL where ``index`` is, or where argument
    ``validity`` says so.
    """

    index: Value
    array: int
    validity: int | None = None
    offset: int | None = None


@dataclass(frozen=True, eq=False)
class Parameter(Value):
    """A scalar argument: a literal of the query. Never NULL."""

    argument: int


@dataclass(frozen=True, eq=False)
class RowNumber(Value):
    """Position of the current row in the source (CUDA only: CPU morsels keep the order by themselves)."""


@dataclass(frozen=True, eq=False)
class Null(Value):
    """NULL of a type."""


@dataclass(frozen=True, eq=False)
class Arithmetic(Value):
    """``+ - *`` on int64 or float64 operands, and IEEE "/" on float64.

    With ``limits`` a result that wraps or lies outside them sets status OVERFLOW; None: proved to fit.
    """

    operator: str
    left: Value
    right: Value
    limits: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Compare(Value):
    """``== != < <= > >=``; floats follow the total order in which NaN equals itself and is the greatest."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True, eq=False)
class Connective(Value):
    """Three-valued AND or OR (``operator`` "and"/"or") of BOOLEAN operands."""

    operator: str
    operands: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Not(Value):
    """Three-valued NOT."""

    operand: Value


@dataclass(frozen=True, eq=False)
class IsNull(Value):
    """True where the operand is NULL (never NULL itself)."""

    operand: Value


@dataclass(frozen=True, eq=False)
class Choose(Value):
    """CASE: the value of the first branch whose condition is true. Branches are evaluated only when taken."""

    branches: tuple[tuple[Value, Value], ...]
    otherwise: Value


@dataclass(frozen=True, eq=False)
class Coalesce(Value):
    """First operand that is not NULL."""

    operands: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Convert(Value):
    """Value-preserving numeric conversion (the caller proved that it fits), or integer to float."""

    operand: Value


@dataclass(frozen=True, eq=False)
class Rescale(Value):
    """Integer divided by a positive scalar argument, rounded half away from zero (DECIMAL to fewer digits)."""

    operand: Value
    divisor: int


@dataclass(frozen=True, eq=False)
class ScalarCall(Value):
    """A function of ``gpuql_kernels.scalar`` on values that are not NULL; NULL if an operand is."""

    function: str
    operands: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Mark(Value):
    """Result of the MARK probe at step ``probe``."""

    probe: int


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Keep:
    """Rows for which ``predicate`` is true. ``early``: over source columns alone and unable to raise."""

    predicate: Value
    early: bool


@dataclass(frozen=True, eq=False)
class KeyPart:
    """One column of a packed key.

    code = ``table[value - table_offset]`` if ``table`` is given (a translation of dictionary positions, -1 for "no
    such key"), else ``value - minimum``; out of ``0 .. cardinality - 1`` means no match. NULL has code ``null_code``
    (a scalar argument) if ``null_safe``, else it matches nothing. The packed key is the sum of code * stride.
    ``filter`` is a bitmap (uint8) of the codes that the index holds.
    ``null_in_index`` says that the index has a place for NULL after the codes, which no value may take for its own.
    All of ``minimum``, ``cardinality``, ``stride``, ``null_code`` are int64 scalar arguments.
    Group keys that do not fit one word are packed into several: ``word`` is the number of this part's word. Of a value
    that takes more than a word's 62 bits by itself, a part has the upper or lower 32 (``bits`` "high" or "low").
    """

    value: Value
    minimum: int
    cardinality: int
    stride: int
    null_code: int | None
    table: int | None = None
    filter: int | None = None
    null_in_index: bool = False
    word: int = 0
    bits: str = "all"


@dataclass(frozen=True, eq=False)
class IndexArguments:
    """Arguments of a JoinIndex: ``slot_keys`` is None for direct addressing, ``first`` None for repeated keys."""

    minimum: int
    num_buckets: int
    slot_keys: int | None
    slot_used: int | None
    shift: int | None
    first: int | None
    starts: int | None
    rows: int | None


@dataclass(frozen=True, eq=False)
class Probe:
    """Look up the row's key in a join index; later expressions see the matched row through ``Gather``.

    ``kind``: "inner", "left", "semi", "anti", "mark", "single", "right" or "full" (the last two also set the bool
    array argument ``matched`` at matched rows).
    ``index`` None means there are no keys: every build row (``num_rows``, a scalar argument) is a candidate.
    ``residual`` is a further condition on the pair. ``has_null_key`` (mark only) is a bool scalar argument.
    """

    kind: str
    keys: tuple[KeyPart, ...]
    index: IndexArguments | None
    num_rows: int
    residual: Value | None = None
    matched: int | None = None
    has_null_key: int | None = None


Step = Keep | Probe

# --- sinks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Emit:
    """Append each row's values to output arrays. One output array, and one validity array if nullable, per value."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Accumulator:
    """One state per group.

    ``kind``: "count" (rows, or rows where ``value`` is not NULL), "seen" (1 if there is a row), "sum" (int64 or
    float64 that cannot overflow), "sum_low"/"sum_high" (int64 halves: low 32 bits and the rest), "min", "max",
    "any" (some non-NULL value). ``filter`` keeps rows where it is true. ``dtype`` is the type of the state where it
    has an array of its own. min, max and any are meaningful only where a "count" over the same value and filter is
    positive.
    """

    kind: str
    value: Value | None
    filter: Value | None
    dtype: str


@dataclass(frozen=True, eq=False)
class Reduce:
    """Aggregate without keys: state arrays have length 1."""

    accumulators: tuple[Accumulator, ...]


@dataclass(frozen=True, eq=False)
class GroupDense:
    """Aggregate into arrays indexed by the packed key, which is always in range.

    With ``replicas`` (a power of two) each group has as many states side by side, taken in turn by successive rows,
    so that rows of one group do not wait for each other; the caller merges them.

    On a grid states may be kept closer to the rows: with ``shared_groups`` (at least the number of groups) by every
    block, ``replicas`` side by side; with ``in_registers``, for exactly so many groups, by every thread until it is
    done. Then the state arrays have one state per group, and nothing is left to merge.
    """

    keys: tuple[KeyPart, ...]
    accumulators: tuple[Accumulator, ...]
    replicas: int = 1
    shared_groups: int = 0
    in_registers: bool = False

    @property
    def copies(self) -> int:
        """States per group in the state arrays."""
        return 1 if self.shared_groups else self.replicas


@dataclass(frozen=True, eq=False)
class GroupHash:
    """Aggregate through an open-addressing table.

    State: ``table`` int64 (slots, ``row_words``): the words of the packed key (-1 in an empty slot), then the states,
    all of eight bytes, so that a group takes one cache line; ``floats`` is the same memory as float64.
    """

    keys: tuple[KeyPart, ...]
    accumulators: tuple[Accumulator, ...]

    @property
    def key_words(self) -> int:
        """Words of a packed key."""
        return 1 + max(part.word for part in self.keys)

    @property
    def row_words(self) -> int:
        """Words of a slot."""
        return self.key_words + len(self.accumulators)


Sink = Emit | Reduce | GroupDense | GroupHash


@dataclass(frozen=True, eq=False)
class Argument:
    """Declared type of one argument.

    ``kind`` is "column" (an array that is sliced by morsel), "array" (one that is passed whole) or "scalar".
    """

    kind: str
    dtype: str


@dataclass(frozen=True, eq=False)
class Program:
    """Arguments, steps in order, and the sink."""

    arguments: tuple[Argument, ...]
    steps: tuple[Step, ...]
    sink: Sink


#: Status codes that generated functions leave in ``status[0]``.
STATUS_OK = 0
STATUS_OVERFLOW = 1
STATUS_SEVERAL_ROWS = 2
STATUS_FULL = 3
