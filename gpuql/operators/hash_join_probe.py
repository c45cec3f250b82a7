"""Probe side of a hash join, of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import null_column
from gpuql.expressions.comparison import compare, distinct_from
from gpuql.expressions.evaluate import evaluate
from gpuql.expressions.selection import referenced_attributes, select_rows
from gpuql.expressions.vectors import joint_validity
from gpuql.operators.contract import JoinTable, RunContext
from gpuql.operators.keys import encode_probe, key_size
from gpuql.thresholds import CHUNK_PAIR_BYTES, CHUNK_PAIRS, FILTERED_PROBE_ROWS
from gpuql_planner.errors import DataError
from gpuql_planner.logical.expressions import Call, Expression
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.physical.nodes import HashJoinProbe
from gpuql_planner.types import BOOLEAN


class ScalarSubqueryError(DataError):
    """A scalar subquery found a second row (SQLSTATE 21000)."""

    sqlstate = "21000"


class HashJoinProbeOperator:
    """Runs a :class:`HashJoinProbe` against the JoinTable of its build pipeline."""

    def __init__(self, node: HashJoinProbe) -> None:
        self._node = node
        build_ids = {attribute.id for attribute in node.build_outputs}
        self._probe_outputs = [
            attribute
            for attribute in node.outputs
            if attribute.id not in build_ids and (node.mark is None or attribute.id != node.mark.id)
        ]
        self._build_outputs = [attribute for attribute in node.outputs if attribute.id in build_ids]

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Rows that the kind puts out, in order of the probe rows (unmatched ones of outer joins last)."""
        table = context.results[self._node.build]
        assert isinstance(table, JoinTable), "a probe reads the table of a HashJoinBuild"
        match self._node.kind:
            case JoinKind.SEMI | JoinKind.ANTI:
                found = self._has_match(batch, table, context)
                if self._node.kind is JoinKind.ANTI:
                    found = ~found
                return batch.select(self._probe_outputs).take(context.xp.flatnonzero(found))
            case JoinKind.MARK:
                return self._mark(batch, table, context)
            case kind:
                if kind not in _KEEPS_PROBE_ROWS:
                    return self._pairs_out(batch, table, None, context)
                matched = context.xp.zeros(batch.num_rows, bool)
                pairs = self._pairs_out(batch, table, matched, context)
                if bool(matched.all()):
                    return pairs
                parts = [pairs, self._unmatched(batch, context.xp.flatnonzero(~matched), context)]
                return concat_batches(parts[not pairs.num_rows :], xp=context.xp)

    # --- build rows in blocks --------------------------------------------------------------------------------------

    def process_block(
        self, batch: Batch, table: JoinTable, found: Array, unknown: Array, context: RunContext
    ) -> Batch:
        """Rows that go on whatever other blocks of build rows hold; ``table`` is made of one of them.

        ``found`` and ``unknown`` (bool, of the batch's rows) gather over all blocks which rows have a match, and for
        which of a MARK join the condition is NULL for some build row. :meth:`process_rest` follows after the last one.
        """
        xp = context.xp
        match self._node.kind:
            case JoinKind.SEMI | JoinKind.ANTI | JoinKind.MARK:
                open_rows = xp.flatnonzero(~found)
                rest = batch.take(open_rows)
                has_match = self._has_match(rest, table, context)
                found[open_rows] = has_match
                if self._node.kind is JoinKind.MARK:
                    null = self._mark_unknown(rest, table, has_match, context)
                    if null is not None:
                        unknown[open_rows[null]] = True
                if self._node.kind is JoinKind.SEMI:
                    return rest.select(self._probe_outputs).take(xp.flatnonzero(has_match))
                if self._node.kind is JoinKind.MARK:  # no rows yet, but with the mark that later steps read
                    return self._marked(batch.slice(0, 0), found[:0], None, context)
                return batch.select(self._probe_outputs).slice(0, 0)
            case JoinKind.INNER | JoinKind.RIGHT:
                return self._pairs_out(batch, table, None, context)
            case _:
                return self._pairs_out(batch, table, found, context)

    def process_rest(self, batch: Batch, found: Array, unknown: Array, context: RunContext) -> Batch:
        """Rows that go on because of what no block of build rows held."""
        xp = context.xp
        match self._node.kind:
            case JoinKind.ANTI:
                return batch.select(self._probe_outputs).take(xp.flatnonzero(~found))
            case JoinKind.MARK:
                return self._marked(batch, found, unknown & ~found, context)
            case JoinKind.LEFT | JoinKind.FULL | JoinKind.SINGLE:
                return self._unmatched(batch, xp.flatnonzero(~found), context)
            case _:
                return self._unmatched(batch, xp.zeros(0, xp.int64), context)

    # --- candidate pairs ---------------------------------------------------------------------------------------------

    def _candidates(
        self, batch: Batch, table: JoinTable, context: RunContext
    ) -> Iterator[tuple[Array, Array]]:
        """Pairs (probe rows, build rows) with equal keys, in chunks, ordered by probe row."""
        xp = context.xp
        if not self._node.probe_keys:
            yield from _all_pairs(xp, batch.num_rows, table.num_rows, chunk_pairs(context))
            return
        if table.index.num_keys == 0 or batch.num_rows == 0:
            return
        keys = [evaluate(key, batch, context) for key in self._node.probe_keys]
        # Keys unknown to the build side are packed as -1, which no table holds.
        packed, _, _ = encode_probe(keys, table.encoding, context)
        possible = _possible_rows(table, packed, xp)
        if possible is not None:
            packed = packed[possible]
        kernel = context.kernels.hash_table
        step = len(packed) if table.index.unique else _probe_step(table, chunk_pairs(context))
        for start in range(0, len(packed), max(step, 1)):
            context.check_cancelled()
            probe_rows, build_rows = kernel.probe(table.index, packed[start : start + step])
            if start:
                probe_rows = probe_rows + start
            yield (probe_rows if possible is None else possible[probe_rows]), build_rows

    def _matches(self, batch: Batch, table: JoinTable, context: RunContext) -> Iterator[tuple[Array, Array]]:
        """Candidate pairs for which the residual is true."""
        residual = self._node.residual
        for probe_rows, build_rows in self._candidates(batch, table, context):
            if not residual or len(probe_rows) == 0:
                yield probe_rows, build_rows
                continue
            kept = select_rows(
                residual, _Pairs(batch, table.payload, probe_rows, build_rows).batch(residual), context
            )
            yield (probe_rows, build_rows) if kept is None else (probe_rows[kept], build_rows[kept])

    # --- kinds -------------------------------------------------------------------------------------------------------

    def _has_match(self, batch: Batch, table: JoinTable, context: RunContext) -> Array:
        xp = context.xp
        if not self._node.residual:
            if not self._node.probe_keys:
                return xp.full(batch.num_rows, table.num_rows > 0)
            if table.index.num_keys == 0:
                return xp.zeros(batch.num_rows, bool)
            keys = [evaluate(key, batch, context) for key in self._node.probe_keys]
            packed, _, _ = encode_probe(keys, table.encoding, context)
            contains = context.kernels.hash_table.contains
            possible = _possible_rows(table, packed, xp)
            if possible is None:
                return contains(table.index, packed)
            found = xp.zeros(batch.num_rows, bool)
            found[possible] = contains(table.index, packed[possible])
            return found
        found = xp.zeros(batch.num_rows, bool)
        for probe_rows, _ in self._matches(batch, table, context):
            found[probe_rows] = True
        return found

    def _mark(self, batch: Batch, table: JoinTable, context: RunContext) -> Batch:
        """Probe rows with the three-valued truth of "the condition holds for some build row"."""
        found = self._has_match(batch, table, context)
        return self._marked(batch, found, self._mark_unknown(batch, table, found, context), context)

    def _marked(self, batch: Batch, found: Array, unknown: Array | None, context: RunContext) -> Batch:
        """Probe rows with their marks: true where ``found``, NULL where ``unknown``."""
        xp, mark = context.xp, self._node.mark
        assert mark is not None, "a MARK join has a mark attribute"
        validity = None if unknown is None or not bool(unknown.any()) else ~unknown
        columns = {a.id: batch.columns[a.id] for a in self._probe_outputs}
        if any(a.id == mark.id for a in self._node.outputs):
            columns[mark.id] = Column(BOOLEAN, xp.ascontiguousarray(found), validity)
        return Batch(columns, batch.num_rows)

    def _mark_unknown(
        self, batch: Batch, table: JoinTable, found: Array, context: RunContext
    ) -> Array | None:
        """Rows without a match for which some build row makes the condition NULL."""
        xp = context.xp
        if table.num_rows == 0:
            return None
        node = self._node
        keys = [evaluate(key, batch, context) for key in node.probe_keys]
        if len(keys) == 1 and not node.residual:
            if 0 in node.null_safe:
                return None
            unknown = xp.full(batch.num_rows, table.has_null_key)
            if keys[0].validity is not None:
                unknown = unknown | ~keys[0].validity
            return unknown & ~found
        nullable = table.has_null_key or any(
            key.validity is not None and position not in node.null_safe for position, key in enumerate(keys)
        )
        if not nullable and not node.residual:
            return None
        # Several keys or a residual: the keys as equalities over all pairs decide, for rows that need it only.
        return self._unknown_by_pairs(batch, table, found, keys, context)

    def _unknown_by_pairs(
        self, batch: Batch, table: JoinTable, found: Array, keys: list[Column], context: RunContext
    ) -> Array:
        xp = context.xp
        unknown = xp.zeros(batch.num_rows, bool)
        open_rows = xp.flatnonzero(~found)
        part = Batch({**batch.columns, **{-1 - i: key for i, key in enumerate(keys)}}, batch.num_rows).take(
            open_rows
        )
        for probe_rows, build_rows in _all_pairs(xp, len(open_rows), table.num_rows, chunk_pairs(context)):
            context.check_cancelled()
            false, null = self._pair_truth(part, table, probe_rows, build_rows, context)
            unknown[open_rows[probe_rows[null & ~false]]] = True
        return unknown

    def _pair_truth(
        self, part: Batch, table: JoinTable, probe_rows: Array, build_rows: Array, context: RunContext
    ) -> tuple[Array, Array]:
        """For each pair: some conjunct is false; some conjunct is NULL."""
        xp = context.xp
        false, null = xp.zeros(len(probe_rows), bool), xp.zeros(len(probe_rows), bool)
        pairs = _Pairs(part, table.payload, probe_rows, build_rows)
        for position, build_key in enumerate(table.keys):
            left, right = part.columns[-1 - position].take(probe_rows), build_key.take(build_rows)
            if position in self._node.null_safe:
                false |= distinct_from(left, right, context)
                continue
            valid = joint_validity(left, right)
            differ = compare("ne", left, right, context)
            false |= differ if valid is None else differ & valid
            if valid is not None:
                null |= ~valid
        if self._node.residual:
            batch = pairs.batch(self._node.residual)
            truth = evaluate(Call("and", self._node.residual, BOOLEAN), batch, context)
            valid = xp.ones(len(truth), bool) if truth.validity is None else truth.validity
            false |= valid & ~truth.values
            null |= ~valid
        return false, null

    def _pairs_out(self, batch: Batch, table: JoinTable, found: Array | None, context: RunContext) -> Batch:
        """Matches, for INNER, LEFT, RIGHT, FULL, SINGLE and CROSS; rows that have one are noted in ``found``."""
        xp = context.xp
        parts: list[Batch] = []
        for probe_rows, build_rows in self._matches(batch, table, context):
            if self._node.kind in (JoinKind.RIGHT, JoinKind.FULL):
                assert table.matched is not None, "the build side keeps a mask of matched rows"
                table.matched[build_rows] = True
            if found is not None:
                self._check_single(found, probe_rows)
                found[probe_rows] = True
            if len(probe_rows) == 0 and parts:
                continue
            parts.append(self._assemble(batch, table, probe_rows, build_rows))
        if not parts:
            return self._unmatched(batch, xp.zeros(0, xp.int64), context)
        filled = [part for part in parts if part.num_rows] or parts[:1]
        return filled[0] if len(filled) == 1 else concat_batches(filled, xp=xp)

    def _check_single(self, matched: Array, probe_rows: Array) -> None:
        if self._node.kind is not JoinKind.SINGLE or len(probe_rows) == 0:
            return
        # Pairs are ordered by probe row, so a repetition stands next to its twin, or in an earlier chunk.
        repeated = bool((probe_rows[1:] == probe_rows[:-1]).any()) or bool(matched[probe_rows].any())
        if repeated:
            raise ScalarSubqueryError("scalar subquery returned more than one row")

    def _assemble(self, batch: Batch, table: JoinTable, probe_rows: Array, build_rows: Array) -> Batch:
        columns: dict[int, Column] = {}
        # Every probe row found exactly once is common (a foreign key): then probe columns pass through.
        whole = len(probe_rows) == batch.num_rows and table.index.unique and bool(self._node.probe_keys)
        for attribute in self._probe_outputs:
            column = batch.columns[attribute.id]
            columns[attribute.id] = column if whole else column.take(probe_rows)
        for attribute in self._build_outputs:
            columns[attribute.id] = table.payload.columns[attribute.id].take(build_rows)
        return Batch(columns, len(probe_rows))

    def _unmatched(self, batch: Batch, rows: Array, context: RunContext) -> Batch:
        columns = {a.id: batch.columns[a.id].take(rows) for a in self._probe_outputs}
        for attribute in self._build_outputs:
            columns[attribute.id] = null_column(attribute.dtype, len(rows), xp=context.xp)
        return Batch(columns, len(rows))


_KEEPS_PROBE_ROWS = (JoinKind.LEFT, JoinKind.FULL, JoinKind.SINGLE)


class _Pairs:
    """Columns of both sides at candidate pairs, gathered only as far as expressions read them."""

    def __init__(self, probe: Batch, build: Batch, probe_rows: Array, build_rows: Array) -> None:
        self._sides = ((probe, probe_rows), (build, build_rows))
        self._num_rows = len(probe_rows)

    def batch(self, expressions: tuple[Expression, ...]) -> Batch:
        columns: dict[int, Column] = {}
        for key in referenced_attributes(expressions):
            for side, rows in self._sides:
                if key in side.columns:
                    columns[key] = side.columns[key].take(rows)
                    break
        return Batch(columns, self._num_rows)


def chunk_pairs(context: RunContext) -> int:
    """Pairs to look at together."""
    return min(CHUNK_PAIRS, context.memory.part_bytes // CHUNK_PAIR_BYTES)


def _all_pairs(xp: Any, num_probe: int, num_build: int, at_once: int) -> Iterator[tuple[Array, Array]]:
    """Every pair, ordered by probe row, in chunks; a very long build side is cut too."""
    if num_probe == 0 or num_build == 0:
        return
    build_step = min(num_build, at_once)
    probe_step = max(1, at_once // build_step)
    for start in range(0, num_probe, probe_step):
        stop = min(start + probe_step, num_probe)
        for first in range(0, num_build, build_step):
            last = min(first + build_step, num_build)
            probe_rows = xp.repeat(xp.arange(start, stop), last - first)
            build_rows = xp.tile(xp.arange(first, last), stop - start)
            yield probe_rows, build_rows


def _possible_rows(table: JoinTable, packed: Array, xp: Any) -> Array | None:
    """Probe rows that the build side's key filter lets pass, ascending; None if there is no filter or it rejects few.

    One bit is looked up far faster than a hash table.
    """
    known = [position for position, bitmap in enumerate(table.filters) if bitmap is not None]
    if not known or len(packed) < FILTERED_PROBE_ROWS:
        return None
    position = known[0]
    bitmap, stride = table.filters[position], table.encoding.strides[position]
    assert bitmap is not None, "chosen so"
    codes = packed if stride == 1 else packed // stride
    if position:
        codes = codes % key_size(table.encoding.columns[position])
    passing = ((bitmap[codes >> 3] >> (codes & 7).astype(xp.uint8)) & 1).view(bool)
    passing &= packed >= 0
    if 2 * int(xp.count_nonzero(passing)) > len(packed):
        return None
    return xp.flatnonzero(passing)


def _probe_step(table: JoinTable, at_once: int) -> int:
    """Probe rows looked up together, so that the average number of matches stays within a chunk."""
    index = table.index
    used = index.num_buckets if index.slot_used is None else int(index.slot_used.sum())
    average = index.num_keys / max(1, used)
    return max(1024, int(at_once / max(average, 1.0)))
