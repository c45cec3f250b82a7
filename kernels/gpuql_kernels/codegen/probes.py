"""Lookups in join indexes as lines of source, nested around what follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.expressions import ExpressionEmitter


class ProbeEmitter(ExpressionEmitter):
    """Emits probes of every kind; ``body`` emits what a row that goes on meets next."""

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
        """Position of a probe among the steps, by which its variables are named."""
        return next(position for position, step in enumerate(self.program.steps) if step is probe)

    def probe(self, probe: ir.Probe, body: Callable[[], None]) -> None:
        """A lookup around ``body``."""
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
            code, test = self.key_code(part, checked=len(probe.keys) > 1 or part.null_in_index)
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
            self.line(f"{code} = {self.key_bits(part, value)} - a{part.minimum}")
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

    @staticmethod
    def key_bits(part: ir.KeyPart, value: str) -> str:
        """Text of the part's bits of a value."""
        if part.bits == "all":
            return f"np.int64({value})"
        unsigned = part.value.dtype == "uint64"
        if part.bits == "high":
            return f"np.int64({value} >> np.uint64(32))" if unsigned else f"(np.int64({value}) >> 32)"
        return (
            f"np.int64({value} & np.uint64(0xFFFFFFFF))" if unsigned else f"(np.int64({value}) & 0xFFFFFFFF)"
        )

    def candidates(self, probe: ir.Probe, number: int) -> None:
        """Emit the range ``lo`` to ``hi`` of positions of build rows with the row's key."""
        self.line(f"lo{number} = np.int64(0)")
        if probe.index is None:
            self.line(f"hi{number} = np.int64(a{probe.num_rows})")
            return
        self.line(f"hi{number} = np.int64(0)")
        with self.block(f"if b{number} >= 0:"):
            self.line(f"lo{number} = np.int64(a{probe.index.starts}[b{number}])")
            self.line(f"hi{number} = np.int64(a{probe.index.starts}[b{number} + 1])")

    def candidate_row(self, probe: ir.Probe, number: int) -> None:
        """Emit the build row at the position of the candidate loop."""
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
        """Remember the match for RIGHT and FULL, and go on."""
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
