"""Program to Python source that Numba compiles, for CPU morsels or for a CUDA grid.

The text depends on the shape of the query alone: literals, table sizes and key domains are arguments. Names are
positional (``a3`` is argument 3), so user text never reaches it.

Shape of a CPU function (one call per morsel of ``n`` rows)::

    for base in range(0, n, CHUNK):
        mask loop     early predicates, branch-free so that it vectorises
        select loop   positions of kept rows
        stage loops   one per filter or lookup that gives at most one match: each shrinks the selection without a
                      branch, so cache misses of many rows overlap and nothing is mispredicted
        row loop      what is left of the steps, and the sink, nested

It returns the number of source rows taken; fewer than ``n`` with status FULL asks for more room and a further call.
A CUDA kernel enumerates rows by grid stride, updates state by atomics and reports FULL for the whole launch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from gpuql_kernels.codegen import program as ir

#: Rows of a CPU chunk: mask and selection (5 bytes a row) stay in the first-level cache.
CHUNK_ROWS = 4096

_SMALL_UNSIGNED = ("uint8", "uint16", "uint32")
_INVERSE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def emit(program: ir.Program, target: str) -> str:
    """Source text of ``pipeline`` for ``target`` "cpu" or "cuda"; equal programs give equal text."""
    return _Emitter(program, target).source()


def state_names(sink: ir.Sink) -> list[str]:
    """Names of the sink's state arguments, in the order in which a caller passes them."""
    if isinstance(sink, ir.Emit):
        return [
            name
            for position, value in enumerate(sink.values)
            for name in ([f"o{position}", f"m{position}"] if value.nullable else [f"o{position}"])
        ]
    if isinstance(sink, ir.GroupHash):
        return ["table", "floats"]
    return [f"s{position}" for position in range(len(sink.accumulators))]


def parameter_names(program: ir.Program, target: str) -> list[str]:
    """All parameters of the generated function in order."""
    scratch = ["mask", "selection"] if target == "cpu" else []
    arguments = [f"a{position}" for position in range(len(program.arguments))]
    return ["n", "status", "capacity", "fanout", *scratch, *state_names(program.sink), *arguments]


class _Emitter:
    """Writes one function. ``_values`` memoises emitted expressions by identity within the current scope."""

    def __init__(self, program: ir.Program, target: str) -> None:
        self.program = program
        self.on_cpu = target == "cpu"
        self.target = target
        self.lines: list[str] = []
        self.depth = 1
        self.counter = 0
        self._values: dict[Hashable, tuple[str, str | None]] = {}
        self._truths: dict[int, tuple[str, str]] = {}
        self.selecting = False
        self.staged: set[int] = set()

    # --- text ---------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}_{self.counter}"

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines under ``header``; expressions memoised inside are forgotten after it."""
        self.line(header)
        self.depth += 1
        values, truths = dict(self._values), dict(self._truths)
        length = len(self.lines)
        yield
        if len(self.lines) == length:
            self.line("pass")
        self.depth -= 1
        self._values, self._truths = values, truths

    # --- the function -------------------------------------------------------------------------------------------

    def source(self) -> str:
        parameters = ", ".join(parameter_names(self.program, self.target))
        types = ", ".join(f"{a.kind} {a.dtype}" for a in self.program.arguments)
        if self.on_cpu:
            self.cpu_body()
            module, decorator = "cpu", "@njit(nogil=True, cache=True, error_model='numpy')"
            imports = "import numpy as np\nfrom numba import njit"
        else:
            self.cuda_body()
            module, decorator = "gpu", "@cuda.jit(cache=True)"
            imports = "import numpy as np\nfrom numba import cuda"
        header = f"{imports}\n\nfrom gpuql_kernels.scalar.{module} import *\n\n# {types}\n\n"
        return f"{header}\n{decorator}\ndef pipeline({parameters}):\n" + "\n".join(self.lines) + "\n"

    def cpu_body(self) -> None:
        self.open_state()
        steps = list(self.program.steps)
        early = list(itertools.takewhile(lambda step: isinstance(step, ir.Keep) and step.early, steps))
        staged = list(itertools.takewhile(_is_stage, steps[len(early) :]))
        rest = steps[len(early) + len(staged) :]
        for step in staged:
            if isinstance(step, ir.Probe):
                self.open_stage(step)
        with self.block(f"for base in range(0, n, {CHUNK_ROWS}):"):
            self.line(f"m = min({CHUNK_ROWS}, n - base)")
            for position, argument in enumerate(self.program.arguments):
                if argument.kind == "column":
                    self.line(f"c{position} = a{position}[base:base + m]")
            if early:
                self.mask_and_select([step.predicate for step in early if isinstance(step, ir.Keep)])
                self.selecting = True
            for step in staged:
                self.stage(step)
            with self.selected_rows("kept"):
                self.row_body(rest)
        self.close_state()
        self.line("return n")

    def mask_and_select(self, predicates: list[ir.Value]) -> None:
        with self.block("for i in range(m):"):
            truths = [self.truth(predicate) for predicate in predicates]
            self.line(f"mask[i] = {' & '.join(truths)}")
        self.line("kept = 0")
        with self.block("for i in range(m):"):
            self.line("selection[kept] = i")
            self.line("kept += mask[i]")

    @contextmanager
    def selected_rows(self, count: str) -> Iterator[None]:
        """Loop over the rows selected so far (``count`` of them), or over all rows of the chunk."""
        if not self.selecting:
            with self.block("for i in range(m):"):
                yield
            return
        with self.block(f"for position in range({count}):"):
            self.line("i = np.int64(selection[position])")
            yield

    # --- stages -------------------------------------------------------------------------------------------------

    def open_stage(self, probe: ir.Probe) -> None:
        """Arrays of a chunk in which a stage leaves its result: the matched row, or the mark, of each row."""
        number = self.ordinal(probe)
        if probe.kind == "mark":
            self.line(f"found{number} = np.empty({CHUNK_ROWS}, np.bool_)")
            self.line(f"known{number} = np.empty({CHUNK_ROWS}, np.bool_)")
        elif probe.kind not in ("semi", "anti"):
            assert probe.index is not None, "a stage looks up one row"
            assert probe.index.first is not None, "a stage looks up one row"
            dtype = self.program.arguments[probe.index.first].dtype
            self.line(f"rows{number} = np.empty({CHUNK_ROWS}, np.{dtype})")

    def stage(self, step: ir.Step) -> None:
        if isinstance(step, ir.Keep):
            self.refine(lambda: self.truth(step.predicate))
            return
        shrinks = step.kind in ("inner", "right", "semi")
        filters = [part for part in step.keys if part.filter is not None]
        if shrinks and filters:
            self.refine(lambda: " & ".join(self.passes_filter(part) for part in filters))
        if shrinks or step.kind == "anti":
            self.refine(lambda: self.lookup_stage(step, filtered=shrinks))
        else:
            with self.selected_rows("kept"):
                self.lookup_stage(step, filtered=False)
        self.staged.add(self.ordinal(step))

    def refine(self, condition: Callable[[], str]) -> None:
        """Loop that keeps the selected rows for which the emitted condition is true."""
        self.line(f"live = {'kept' if self.selecting else 'm'}")
        self.line("kept = 0")
        with self.selected_rows("live"):
            hit = condition()
            self.line("selection[kept] = i")
            self.line(f"kept += {hit}")
        self.selecting = True

    def passes_filter(self, part: ir.KeyPart) -> str:
        """Name of a bool: the row's key is among those of the bitmap."""
        code, test = self.key_code(replace(part, filter=None), checked=part.table is None)
        safe = self.name(f"{code} if {test} else np.int64(0)" if test else code, "g")
        bit = f"((a{part.filter}[{safe} >> 3] >> ({safe} & 7)) & 1) != 0"
        return self.name(f"({test}) & ({bit})" if test else bit, "t")

    def lookup_stage(self, probe: ir.Probe, *, filtered: bool) -> str:
        """Emit the lookup of one row and leave its result; gives the condition under which the row goes on."""
        number, index = self.ordinal(probe), probe.index
        assert index is not None, "stages have keys"
        self.bucket(probe, number, filtered=filtered)
        bucket = self.name(f"max(b{number}, np.int64(0))", "g")
        if index.first is None:
            starts = f"a{index.starts}"
            found = f"(b{number} >= 0) & ({starts}[{bucket}] < {starts}[{bucket} + 1])"
        else:
            self.line(f"r{number} = np.int64(a{index.first}[{bucket}])")
            self.line(f"r{number} = r{number} if b{number} >= 0 else np.int64(-1)")
            found = f"r{number} >= 0"
        if probe.residual is not None:
            self.line(f"e{number} = False")
            with self.block(f"if {found}:"):
                self.line(f"e{number} = {self.truth(probe.residual)}")
        else:
            self.line(f"e{number} = {found}")
        if probe.kind == "mark":
            self.mark(probe, number, f"e{number}")
            self.line(f"found{number}[i] = e{number}")
            self.line(f"known{number}[i] = u{number}")
        elif probe.kind not in ("semi", "anti"):
            self.line(f"rows{number}[i] = r{number} if e{number} else -1")
        if probe.matched is not None:
            with self.block(f"if e{number}:"):
                self.line(f"a{probe.matched}[r{number}] = True")
        return f"not e{number}" if probe.kind == "anti" else f"e{number}"

    def matched_row(self, number: int) -> str:
        """Variable with the build row that step ``number`` matched, -1 if none."""
        if number in self.staged and ("row", number) not in self._values:
            self._values["row", number] = self.name(f"np.int64(rows{number}[i])", "r"), None
        known = self._values.get(("row", number))
        return f"r{number}" if known is None else known[0]

    def cuda_body(self) -> None:
        self.open_state()
        with self.block("for i in range(cuda.grid(1), n, cuda.gridsize(1)):"):
            self.steps(list(self.program.steps))
        self.close_state()

    def row_body(self, steps: list[ir.Step]) -> None:
        if isinstance(self.program.sink, ir.Emit | ir.GroupHash):
            used = "count" if isinstance(self.program.sink, ir.Emit) else "status[1]"
            with self.block(f"if {used} + fanout > capacity:"):
                self.line(f"status[0] = {ir.STATUS_FULL}")
                self.close_state()
                self.line("return base + i")
        self.steps(steps)

    def open_state(self) -> None:
        """Bring state that lives in registers in from the state arrays."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit) and self.on_cpu:
            self.line("count = status[1]")
        if isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                start = f"s{position}[0]" if self.on_cpu else self.identity(accumulator)
                self.line(f"t{position} = {start}")

    def close_state(self) -> None:
        """Write register state back."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit) and self.on_cpu:
            self.line("status[1] = count")
        if isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                if self.on_cpu:
                    self.line(f"s{position}[0] = t{position}")
                else:
                    self.accumulate_shared(accumulator.kind, f"s{position}", "0", f"t{position}")

    @staticmethod
    def identity(accumulator: ir.Accumulator) -> str:
        if accumulator.kind == "min":
            return "MAX_INT64" if accumulator.dtype == "int64" else "NAN"
        if accumulator.kind == "max":
            return "MIN_INT64" if accumulator.dtype == "int64" else "NEGATIVE_INFINITY"
        return f"np.{accumulator.dtype}(0)"

    # --- steps --------------------------------------------------------------------------------------------------

    def steps(self, remaining: list[ir.Step]) -> None:
        if not remaining:
            self.sink()
            return
        step, rest = remaining[0], remaining[1:]
        if isinstance(step, ir.Keep):
            self.keep(step.predicate, lambda: self.steps(rest))
        else:
            self.probe(step, lambda: self.steps(rest))

    def keep(self, predicate: ir.Value, body: Callable[[], None]) -> None:
        """Nested tests, one per conjunct, so that later ones are evaluated only where earlier ones hold."""
        if isinstance(predicate, ir.Connective) and predicate.operator == "and":
            first, *others = predicate.operands
            rest = (
                others[0]
                if len(others) == 1
                else ir.Connective("bool", nullable=True, operator="and", operands=tuple(others))
            )
            self.keep(first, lambda: self.keep(rest, body))
            return
        truth = self.truth(predicate)
        with self.block(f"if {truth}:"):
            body()

    def ordinal(self, probe: ir.Probe) -> int:
        return next(position for position, step in enumerate(self.program.steps) if step is probe)

    def probe(self, probe: ir.Probe, body: Callable[[], None]) -> None:
        number = self.ordinal(probe)
        row = f"r{number}"
        multiple = probe.index is None or probe.index.first is None
        self.bucket(probe, number)
        if probe.kind in ("semi", "anti", "mark"):
            self.existence(probe, number, body, multiple=multiple)
        elif not multiple:
            self.line(f"{row} = np.int64(-1)")
            with self.block(f"if b{number} >= 0:"):
                self.line(f"{row} = np.int64(a{probe.index.first}[b{number}])")  # type: ignore[union-attr]
            self.unique_match(probe, row, body)
        elif probe.kind in ("inner", "right"):
            self.candidates(probe, number)
            with self.block(f"for q{number} in range(lo{number}, hi{number}):"):
                self.candidate_row(probe, number)
                self.unique_match(probe, row, body)
        else:
            self.outer_matches(probe, number, body)

    def bucket(self, probe: ir.Probe, number: int, *, filtered: bool = False) -> None:
        """Emit ``b<number>``: the bucket of the row's key, or -1. ``filtered``: the bitmaps were looked at before."""
        if probe.index is None:
            return
        tests, terms = [], []
        for part in (replace(part, filter=None) for part in probe.keys) if filtered else probe.keys:
            code, test = self.key_code(part, checked=len(probe.keys) > 1)
            if test:
                tests.append(test)
            terms.append(code if len(probe.keys) == 1 else f"{code} * a{part.stride}")
        index = probe.index
        key = self.name(" + ".join(terms), "k")
        if index.slot_keys is None:
            self.line(f"b{number} = {key} - a{index.minimum}")
            tests.append(f"(b{number} >= 0) & (b{number} < a{index.num_buckets})")
            inside = " & ".join(f"({test})" for test in tests)
            self.line(f"b{number} = b{number} if {inside} else np.int64(-1)")
            return
        self.line(f"b{number} = np.int64(-1)")
        with self.block(f"if {' and '.join(f'({test})' for test in tests) or 'True'}:"):
            table = f"a{index.slot_keys}, a{index.slot_used}, a{index.num_buckets} - 1, a{index.shift}"
            self.line(f"b{number} = find_slot({table}, {key})")

    def key_code(self, part: ir.KeyPart, *, checked: bool) -> tuple[str, str | None]:
        """Code of one key column and the condition under which it exists (None: always)."""
        value, valid = self.value(part.value)
        code = self.fresh("code")
        tests = []
        if valid is not None and part.null_code is None:
            tests.append(valid)
        if part.table is None:
            self.line(f"{code} = np.int64({value}) - a{part.minimum}")
        else:
            self.line(f"{code} = np.int64(a{part.table}[{value}])")
            tests.append(f"{code} >= 0")
        if (checked or part.filter is not None) and part.table is None:
            tests.append(f"({code} >= 0) & ({code} < a{part.cardinality})")
        test = " & ".join(f"({one})" for one in tests) or None
        if part.filter is not None:
            bit = f"(a{part.filter}[{code} >> 3] >> ({code} & 7)) & 1"
            test = f"{test} and {bit}" if test else bit
        if valid is not None and part.null_code is not None:
            found = self.fresh("found")
            self.line(f"{found} = bool({test or True})")
            with self.block(f"if not {valid}:"):
                self.line(f"{code} = a{part.null_code}")
                self.line(f"{found} = {code} >= 0")
            test = found
        return code, test

    def candidates(self, probe: ir.Probe, number: int) -> None:
        self.line(f"lo{number} = np.int64(0)")
        if probe.index is None:
            self.line(f"hi{number} = np.int64(a{probe.num_rows})")
            return
        self.line(f"hi{number} = np.int64(0)")
        with self.block(f"if b{number} >= 0:"):
            self.line(f"lo{number} = np.int64(a{probe.index.starts}[b{number}])")
            self.line(f"hi{number} = np.int64(a{probe.index.starts}[b{number} + 1])")

    def candidate_row(self, probe: ir.Probe, number: int) -> None:
        position = f"q{number}"
        row = position if probe.index is None else f"a{probe.index.rows}[{position}]"
        self.line(f"r{number} = np.int64({row})")

    def unique_match(self, probe: ir.Probe, row: str, body: Callable[[], None]) -> None:
        """At most one candidate, in ``row`` (-1 if none)."""
        if probe.kind in ("inner", "right"):
            with self.block(f"if {row} >= 0:"):
                if probe.residual is None:
                    self.matched(probe, row, body)
                else:
                    self.keep(probe.residual, lambda: self.matched(probe, row, body))
            return
        if probe.residual is not None:
            with self.block(f"if {row} >= 0:"):
                truth = self.truth(probe.residual)
                with self.block(f"if not ({truth}):"):
                    self.line(f"{row} = np.int64(-1)")
        if probe.matched is not None:
            with self.block(f"if {row} >= 0:"):
                self.line(f"a{probe.matched}[{row}] = True")
        body()

    def matched(self, probe: ir.Probe, row: str, body: Callable[[], None]) -> None:
        if probe.matched is not None:
            self.line(f"a{probe.matched}[{row}] = True")
        body()

    def outer_matches(self, probe: ir.Probe, number: int, body: Callable[[], None]) -> None:
        """LEFT, FULL and SINGLE with several candidates: one more turn puts out the unmatched row."""
        self.candidates(probe, number)
        if probe.kind == "single":
            with self.block(f"if hi{number} - lo{number} > 1:"):
                self.line(f"status[0] = {ir.STATUS_SEVERAL_ROWS}")
                self.line(f"hi{number} = lo{number}")
        self.line(f"any{number} = False")
        with self.block(f"for q{number} in range(lo{number}, hi{number} + 1):"):
            self.line(f"ok{number} = True")
            self.line(f"r{number} = np.int64(-1)")
            with self.block(f"if q{number} < hi{number}:"):
                self.candidate_row(probe, number)
                if probe.residual is not None:
                    self.line(f"ok{number} = {self.truth(probe.residual)}")
                with self.block(f"if ok{number}:"):
                    self.line(f"any{number} = True")
                    if probe.matched is not None:
                        self.line(f"a{probe.matched}[r{number}] = True")
            with self.block("else:"):
                self.line(f"ok{number} = not any{number}")
            with self.block(f"if ok{number}:"):
                body()

    def existence(self, probe: ir.Probe, number: int, body: Callable[[], None], *, multiple: bool) -> None:
        """SEMI, ANTI and MARK: emit ``e<number>`` and go on where it decides so."""
        found = f"e{number}"
        if probe.residual is None:
            if probe.index is None:
                self.line(f"{found} = a{probe.num_rows} > 0")
            else:
                self.line(f"{found} = False")
                with self.block(f"if b{number} >= 0:"):
                    if multiple:
                        starts = f"a{probe.index.starts}"
                        self.line(f"{found} = {starts}[b{number}] < {starts}[b{number} + 1]")
                    else:
                        self.line(f"{found} = a{probe.index.first}[b{number}] >= 0")
        else:
            self.line(f"{found} = False")
            if multiple:
                self.candidates(probe, number)
                with self.block(f"for q{number} in range(lo{number}, hi{number}):"):
                    self.candidate_row(probe, number)
                    with self.block(f"if {self.truth(probe.residual)}:"):
                        self.line(f"{found} = True")
                        self.line("break")
            else:
                assert probe.index is not None, "a unique index exists"
                with self.block(f"if b{number} >= 0:"):
                    self.line(f"r{number} = np.int64(a{probe.index.first}[b{number}])")
                    with self.block(f"if r{number} >= 0:"):
                        self.line(f"{found} = {self.truth(probe.residual)}")
        if probe.kind == "semi":
            with self.block(f"if {found}:"):
                body()
        elif probe.kind == "anti":
            with self.block(f"if not {found}:"):
                body()
        else:
            self.mark(probe, number, found)
            body()

    def mark(self, probe: ir.Probe, number: int, found: str) -> None:
        """Three-valued result of MARK: NULL if not found and a NULL key on either side could have matched."""
        unknown = [f"a{probe.has_null_key}"]
        for part in probe.keys:
            _, valid = self.value(part.value)
            if valid is not None and part.null_code is None:
                unknown.append(f"((not {valid}) and a{probe.num_rows} > 0)")
        self.line(f"u{number} = {found} or not ({' or '.join(unknown)})")

    # --- sinks --------------------------------------------------------------------------------------------------

    def sink(self) -> None:
        sink = self.program.sink
        if isinstance(sink, ir.Emit):
            self.emit_row(sink)
        elif isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                self.accumulate(accumulator, partial(self.local, accumulator, f"t{position}"))
        else:
            group = "group"
            terms = []
            for part in sink.keys:
                code, _ = self.key_code(part, checked=False)
                terms.append(code if len(sink.keys) == 1 else f"{code} * a{part.stride}")
            self.line(f"{group} = {' + '.join(terms)}")
            if isinstance(sink, ir.GroupDense) and sink.replicas > 1:
                self.line(f"{group} = {group} * {sink.replicas} + (i & {sink.replicas - 1})")
            if isinstance(sink, ir.GroupHash):
                self.line(f"{group} = group_slot(table, status, capacity, {group})")
                with self.block(f"if {group} >= 0:"):
                    self.accumulate_group(sink.accumulators, group)
            else:
                self.accumulate_group(sink.accumulators, group)

    def emit_row(self, sink: ir.Emit) -> None:
        pairs = [self.value(value) for value in sink.values]
        if self.on_cpu:
            where = "count"
            self.store_row(pairs, where)
            self.line("count += 1")
            return
        self.line("slot = cuda.atomic.add(status, 1, 1)")
        with self.block("if slot < capacity:"):
            self.store_row(pairs, "slot")

    def store_row(self, pairs: list[tuple[str, str | None]], where: str) -> None:
        sink = self.program.sink
        assert isinstance(sink, ir.Emit), "only Emit stores rows"
        for position, ((value, valid), node) in enumerate(zip(pairs, sink.values, strict=True)):
            self.line(f"o{position}[{where}] = {value}")
            if node.nullable:
                self.line(f"m{position}[{where}] = {valid or 'True'}")

    def accumulate_group(self, accumulators: tuple[ir.Accumulator, ...], group: str) -> None:
        for position, accumulator in enumerate(accumulators):
            state, index = self.state_of(position, group)
            if self.on_cpu:
                update = partial(self.local, accumulator, f"{state}[{index}]")
            else:
                update = partial(self.accumulate_shared, accumulator.kind, state, f"({index})")
            self.accumulate(accumulator, update)

    def state_of(self, position: int, group: str) -> tuple[str, str]:
        """Array and index of the state of accumulator ``position``."""
        sink = self.program.sink
        assert not isinstance(sink, ir.Emit), "only aggregates have states"
        if not isinstance(sink, ir.GroupHash):
            return f"s{position}", group
        array = "floats" if sink.accumulators[position].dtype.startswith("float") else "table"
        return array, f"{group}, {position + 1}"

    def accumulate(self, accumulator: ir.Accumulator, update: Callable[[str], None]) -> None:
        """Update with the row's value where the filter holds and the value is not NULL."""
        if accumulator.filter is not None:
            with self.block(f"if {self.truth(accumulator.filter)}:"):
                self.accumulate_value(accumulator, update)
        else:
            self.accumulate_value(accumulator, update)

    def accumulate_value(self, accumulator: ir.Accumulator, update: Callable[[str], None]) -> None:
        if accumulator.value is None:
            update("1")
            return
        value, valid = self.value(accumulator.value)
        text = {
            "count": "1",
            "sum_low": f"np.int64({value}) & 0xFFFFFFFF",
            "sum_high": f"np.int64({value}) >> 32",
        }.get(accumulator.kind, f"np.{accumulator.dtype}({value})")
        if valid is None:
            update(text)
            return
        with self.block(f"if {valid}:"):
            update(text)

    def local(self, accumulator: ir.Accumulator, state: str, value: str) -> None:
        """Update state that one thread owns."""
        if accumulator.kind in ("min", "max"):
            less = "float_less" if accumulator.dtype == "float64" else "integer_less"
            new = self.fresh("new")
            self.line(f"{new} = {value}")
            order = f"{new}, {state}" if accumulator.kind == "min" else f"{state}, {new}"
            with self.block(f"if {less}({order}):"):
                self.line(f"{state} = {new}")
        elif accumulator.kind in ("any", "seen"):
            self.line(f"{state} = {value}")
        else:
            self.line(f"{state} += {value}")

    def accumulate_shared(self, kind: str, state: str, group: str, value: str) -> None:
        """Update state that many threads share."""
        if kind in ("min", "max"):
            self.line(f"cuda.atomic.{kind}({state}, {group}, {value})")
        elif kind in ("any", "seen"):
            self.line(f"{state}[{group}] = {value}")
        else:
            self.line(f"cuda.atomic.add({state}, {group}, {value})")

    # --- expressions --------------------------------------------------------------------------------------------

    def value(self, node: ir.Value) -> tuple[str, str | None]:
        """Names (or short texts) of the value and of its validity; None means it is never NULL."""
        known = self._values.get(id(node))
        if known is None:
            known = self.write_value(node)
            self._values[id(node)] = known
        return known

    def truth(self, node: ir.Value) -> str:
        """Condition under which a BOOLEAN is true."""
        return self.truths(node)[0]

    def truths(self, node: ir.Value) -> tuple[str, str]:
        """Conditions under which a BOOLEAN is true, and is false; NULL is neither."""
        known = self._truths.get(id(node))
        if known is None:
            known = self.write_truths(node)
            self._truths[id(node)] = known
        return known

    def name(self, text: str, prefix: str = "v") -> str:
        """Assign ``text`` to a fresh variable."""
        variable = self.fresh(prefix)
        self.line(f"{variable} = {text}")
        return variable

    def write_truths(self, node: ir.Value) -> tuple[str, str]:
        if isinstance(node, ir.Compare):
            return self.comparison(node)
        if isinstance(node, ir.Connective):
            pairs = [self.truths(operand) for operand in node.operands]
            if node.operator == "and":
                yes, no = " & ".join(p[0] for p in pairs), " | ".join(p[1] for p in pairs)
            else:
                yes, no = " | ".join(p[0] for p in pairs), " & ".join(p[1] for p in pairs)
            true = self.name(f"({yes})", "t")
            return true, self.name(f"({no})", "f") if node.nullable else f"(not {true})"
        if isinstance(node, ir.Not):
            true, false = self.truths(node.operand)
            return false, true
        if isinstance(node, ir.IsNull):
            _, valid = self.value(node.operand)
            return ("False", "True") if valid is None else (f"(not {valid})", valid)
        value, valid = self.value(node)
        if valid is None:
            return value, f"(not {value})"
        return self.name(f"{valid} & {value}", "t"), self.name(f"{valid} & (not {value})", "f")

    def comparison(self, node: ir.Compare) -> tuple[str, str]:
        left, left_valid = self.value(node.left)
        right, right_valid = self.value(node.right)
        if node.left.dtype.startswith("float"):
            text = {
                "==": f"float_equal({left}, {right})",
                "!=": f"(not float_equal({left}, {right}))",
                "<": f"float_less({left}, {right})",
                ">": f"float_less({right}, {left})",
                "<=": f"(not float_less({right}, {left}))",
                ">=": f"(not float_less({left}, {right}))",
            }[node.operator]
            inverse = f"(not {text})"
        else:
            text = f"({left} {node.operator} {right})"
            inverse = f"({left} {_INVERSE[node.operator]} {right})"
        valid = _both(left_valid, right_valid)
        if valid is None:
            return self.name(text, "t"), inverse
        return self.name(f"({valid}) & {text}", "t"), f"(({valid}) & {inverse})"

    def write_value(self, node: ir.Value) -> tuple[str, str | None]:
        if isinstance(node, ir.Compare | ir.Connective | ir.Not | ir.IsNull):
            true, false = self.truths(node)
            if not node.nullable:
                return true, None
            return true, self.name(f"({true}) | ({false})", "n")
        match node:
            case ir.Column():
                prefix = "c" if self.on_cpu else "a"
                return self.load(node, f"{prefix}{node.array}[i]", node.validity, f"{prefix}{{}}[i]")
            case ir.Gather():
                return self.gather(node)
            case ir.Lookup():
                return self.lookup(node)
            case ir.Parameter():
                return f"a{node.argument}", None
            case ir.BuildRow():
                return self.matched_row(node.probe), None
            case ir.RowNumber():
                return "i", None
            case ir.Null():
                return f"np.{node.dtype}(0)", "False"
            case ir.Arithmetic():
                return self.arithmetic(node)
            case ir.Choose():
                return self.choose(node)
            case ir.Coalesce():
                return self.coalesce(node)
            case ir.Convert():
                value, valid = self.value(node.operand)
                return self.name(f"np.{node.dtype}({value})"), valid
            case ir.Rescale():
                value, valid = self.value(node.operand)
                return self.name(f"rescale_down({self.widened(value, node.operand)}, a{node.divisor})"), valid
            case ir.ScalarCall():
                pairs = [self.value(operand) for operand in node.operands]
                text = f"{node.function}({', '.join(value for value, _ in pairs)})"
                known: str | None = None
                for _, one in pairs:
                    known = _both(known, one)
                return self.name(text), None if known is None else self.name(known, "n")
            case ir.Mark():
                if node.probe in self.staged:
                    known = f"known{node.probe}[i]" if node.nullable else None
                    return f"found{node.probe}[i]", known
                return f"e{node.probe}", f"u{node.probe}" if node.nullable else None
        raise TypeError(f"unknown row expression: {type(node).__name__}")

    def load(
        self, node: ir.Value, text: str, validity: int | None, validity_text: str
    ) -> tuple[str, str | None]:
        if node.dtype in _SMALL_UNSIGNED:
            text = f"np.int64({text})"
        value = self.name(text)
        return value, None if validity is None else self.name(validity_text.format(validity), "n")

    def gather(self, node: ir.Gather) -> tuple[str, str | None]:
        row = self.matched_row(node.probe)
        step = self.program.steps[node.probe]
        assert isinstance(step, ir.Probe), "Gather names a probe"
        if step.kind not in ("left", "full", "single"):
            return self.load(node, f"a{node.array}[{row}]", node.validity, f"a{{}}[{row}]")
        safe = self.name(f"max({row}, np.int64(0))", "g")
        value, valid = self.load(node, f"a{node.array}[{safe}]", node.validity, f"a{{}}[{safe}]")
        present = f"({row} >= 0)"
        return value, self.name(present if valid is None else f"{present} & {valid}", "n")

    def lookup(self, node: ir.Lookup) -> tuple[str, str | None]:
        index, valid = self.value(node.index)
        if node.offset is not None:
            index = f"np.int64({index}) - a{node.offset}"
        if valid is not None:  # a NULL may hold anything: stay inside the array
            index = self.name(f"np.int64({index}) if {valid} else np.int64(0)", "g")
        elif node.offset is not None:
            index = self.name(index, "g")
        value, known = self.load(node, f"a{node.array}[{index}]", node.validity, f"a{{}}[{index}]")
        both = _both(valid, known)
        return value, None if both is None else self.name(both, "n")

    @staticmethod
    def widened(text: str, node: ir.Value, dtype: str = "int64") -> str:
        return text if node.dtype == dtype else f"np.{dtype}({text})"

    def arithmetic(self, node: ir.Arithmetic) -> tuple[str, str | None]:
        left, left_valid = self.value(node.left)
        right, right_valid = self.value(node.right)
        left = self.widened(left, node.left, node.dtype)
        right = self.widened(right, node.right, node.dtype)
        valid = _both(left_valid, right_valid)
        valid = None if valid is None else self.name(valid, "n")
        result = self.name(f"{left} {node.operator} {right}")
        if node.limits is not None:
            check = {"+": "add_overflows", "-": "subtract_overflows", "*": "multiply_overflows"}[
                node.operator
            ]
            low, high = node.limits
            test = f"{check}({left}, {right}, {result}) or {result} < {low} or {result} > {high}"
            with self.block(f"if {test if valid is None else f'{valid} and ({test})'}:"):
                self.line(f"status[0] = {ir.STATUS_OVERFLOW}")
        return result, valid

    def choose(self, node: ir.Choose) -> tuple[str, str | None]:
        value = self.fresh("v")
        valid = self.fresh("n") if node.nullable else None
        self.line(f"{value} = np.{_natural(node.dtype)}(0)")
        if valid:
            self.line(f"{valid} = True")

        def assign(result: ir.Value) -> None:
            text, known = self.value(result)
            self.line(f"{value} = np.{_natural(node.dtype)}({text})")
            if valid and known:
                self.line(f"{valid} = {known}")

        def branch(position: int) -> None:
            if position == len(node.branches):
                assign(node.otherwise)
                return
            condition, result = node.branches[position]
            with self.block(f"if {self.truth(condition)}:"):
                assign(result)
            with self.block("else:"):
                branch(position + 1)

        branch(0)
        return value, valid

    def coalesce(self, node: ir.Coalesce) -> tuple[str, str | None]:
        first, *others = node.operands
        text, known = self.value(first)
        if known is None:
            return text, None
        value, valid = self.name(f"np.{_natural(node.dtype)}({text})"), self.name(known, "n")
        for operand in others:
            with self.block(f"if not {valid}:"):
                text, known = self.value(operand)
                self.line(f"{value} = np.{_natural(node.dtype)}({text})")
                self.line(f"{valid} = {known or 'True'}")
        return value, valid if node.nullable else None


def _is_stage(step: ir.Step) -> bool:
    """Whether a step gives at most one row for each row, so that it can be a loop of its own."""
    if isinstance(step, ir.Keep):
        return True
    if step.index is None:
        return False
    if step.index.first is not None:
        return True
    return step.kind in ("semi", "anti", "mark") and step.residual is None


def _natural(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype


def _both(left: str | None, right: str | None) -> str | None:
    """Conjunction of two validities."""
    if left is None or right is None:
        return left or right
    return left if left == right else f"{left} & {right}"
