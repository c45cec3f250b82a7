"""Logical plan → pipelines.

Each node continues the pipeline of its input or, if it must see all rows first, ends it in a sink and starts a new
pipeline that reads the sink. The right side of a join becomes a build pipeline, the left side goes on as the probe.
What a node must hand up travels down as ``required``, so that nothing else is kept in tables and results.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression, Lambda, Literal
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Recursive,
    Repeat,
    Running,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
    WorkingScan,
)
from gpuql_planner.logical.visit import (
    compares_column_with_constant,
    conjuncts,
    output_set,
    references,
    substitute,
    walk,
)
from gpuql_planner.optimizer.cardinality import equality_sides, estimate_rows
from gpuql_planner.optimizer.cost import evaluation_order
from gpuql_planner.optimizer.statistics import is_unique
from gpuql_planner.physical.loops import repeated
from gpuql_planner.physical.nodes import (
    AggregateSink,
    BuildScan,
    CollectSink,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    LimitSink,
    Loop,
    PhysicalPlan,
    Pipeline,
    ProjectExec,
    RepeatExec,
    ResultScan,
    RunningSink,
    Sink,
    SortSink,
    Source,
    TableScan,
    Transform,
    UnnestExec,
    ValuesSource,
    WindowSink,
)
from gpuql_planner.physical.placement import Refusal, place
from gpuql_planner.physical.verify import sink_outputs
from gpuql_planner.physical.window_steps import window_steps
from gpuql_planner.thresholds import EXISTENCE_RATIO

Required = frozenset[Attribute]

_ONE_SIDED = (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK)


def lower(
    plan: LogicalNode,
    names: tuple[str, ...],
    *,
    device: str,
    reason: str = "the only device in use",
    refusal: Refusal = lambda pipeline: None,
) -> PhysicalPlan:
    """Pipelines that compute ``plan``.

    Parameters
    ----------
    plan : without DependentJoin and subquery expressions (after ``optimizer.optimize``).
    names : result column names, one per output of ``plan``.
    device, reason, refusal : see :func:`gpuql_planner.physical.placement.place`.
    """
    lowering = _Lowering()
    lowering.finish_last(lowering.lower(plan, output_set(plan)), plan.outputs)
    pipelines = place(lowering.pipelines, device, reason, refusal)
    return PhysicalPlan(pipelines, plan.outputs, names, tuple(lowering.loops))


@dataclass(frozen=True)
class _Draft:
    """A pipeline without its sink, and how many rows it is expected to pass on."""

    source: Source
    transforms: tuple[Transform, ...]
    rows: float

    def then(self, transform: Transform, rows: float) -> _Draft:
        return _Draft(self.source, (*self.transforms, transform), rows)


class _Lowering:
    def __init__(self) -> None:
        self.pipelines: list[Pipeline] = []
        self.shared: dict[int, int] = {}
        self.loops: list[Loop] = []
        #: Of recursions whose step is being lowered: pipelines with the last rows and with all rows, by key.
        self.working: dict[tuple[int, bool], tuple[int, tuple[Attribute, ...]]] = {}

    # --- pipelines ---------------------------------------------------------------------------------------------

    def finish(self, draft: _Draft, sink: Sink) -> int:
        """Close a pipeline; its index."""
        self.pipelines.append(Pipeline(draft.source, draft.transforms, sink, "", "", draft.rows))
        return len(self.pipelines) - 1

    def finish_last(self, draft: _Draft, outputs: Iterable[Attribute]) -> None:
        """Collect the result, unless that would only copy what the last pipeline sorted, limited or collected."""
        wanted = tuple(dict.fromkeys(outputs))
        reused = self.unchanged_result(draft, wanted)
        last = len(self.pipelines) - 1
        if reused is None or reused != last or isinstance(self.pipelines[last].sink, AggregateSink):
            self.finish(draft, CollectSink(wanted))

    def unchanged_result(self, draft: _Draft, wanted: tuple[Attribute, ...]) -> int | None:
        """The pipeline whose kept rows the draft only reads again, under the same attributes."""
        source = draft.source
        if draft.transforms or not isinstance(source, ResultScan) or len(source.pipelines) != 1:
            return None
        taken = {attribute: origins[0] for attribute, origins in source.columns}
        return source.pipelines[0] if all(taken.get(a) == a for a in wanted) else None

    def read(self, index: int, attributes: Iterable[Attribute], rows: float) -> _Draft:
        """Start a pipeline on the rows kept by an earlier one."""
        return _Draft(ResultScan((index,), tuple((a, (a,)) for a in attributes)), (), rows)

    # --- nodes -------------------------------------------------------------------------------------------------

    def lower(self, node: LogicalNode, required: Required) -> _Draft:
        """A draft whose rows have at least the attributes ``required``, a subset of the node's outputs."""
        rows = estimate_rows(node)
        match node:
            case Scan(table, columns, predicates):
                kept = tuple(pair for pair in columns if pair[0] in required)
                available = frozenset(attribute for attribute, _ in kept)
                usable = tuple(p for p in predicates if references(p) <= available)
                return _Draft(TableScan(table, kept, usable), (), rows)
            case Values(attributes, values):
                return _Draft(_values(attributes, values, required), (), rows)
            case Filter():
                return self.lower_filter(node, required, rows)
            case Project():
                return self.lower_project(node, required, rows)
            case Join():
                return self.lower_join(node, required, rows)
            case Aggregate():
                return self.lower_aggregate(node, required, rows)
            case Window():
                return self.lower_window(node, required, rows)
            case Sort(below, keys, limit, offset):
                needed = required.union(*(references(key.expression) for key in keys))
                kept_attributes = _ordered(node.outputs, required)
                sort = SortSink(keys, kept_attributes, limit, offset)
                return self.read(self.finish(self.lower(below, needed), sort), kept_attributes, rows)
            case Limit(below, limit, offset):
                kept_attributes = _ordered(node.outputs, required)
                limited = LimitSink(kept_attributes, limit, offset)
                return self.read(self.finish(self.lower(below, required), limited), kept_attributes, rows)
            case UnionAll():
                return self.lower_union(node, required, rows)
            case Repeat(below, count):
                return self.lower(below, required | references(count)).then(RepeatExec(count), rows)
            case Unnest(below, lists, keep_empty, ordinality):
                read = frozenset().union(*(references(expression) for _, expression in lists))
                draft = self.lower(below, required.difference(node.made) | read)
                return draft.then(UnnestExec(lists, keep_empty, ordinality), rows)
            case Shared():
                return self.lower_shared(node, required, rows)
            case Recursive():
                return self.lower_recursive(node, rows)
            case Running():
                return self.lower_running(node, required, rows)
            case WorkingScan(key, attributes, total):
                index, origins = self.working[key, total]
                uses = zip(attributes, origins, strict=True)
                taken = tuple((use, (origin,)) for use, origin in uses if use in required)
                return _Draft(ResultScan((index,), taken), (), rows)
        raise InternalError(f"plan node cannot be lowered: {type(node).__name__}")

    def lower_filter(self, node: Filter, required: Required, rows: float) -> _Draft:
        predicates = [part for predicate in node.predicates for part in conjuncts(predicate)]
        draft = self.lower(node.input, required.union(*map(references, predicates)))
        if isinstance(draft.source, TableScan) and not draft.transforms and not draft.source.predicates:
            hints = tuple(p for p in predicates if _is_zone_map_predicate(p))
            draft = replace(draft, source=replace(draft.source, predicates=hints))
        if draft.transforms and isinstance(draft.transforms[-1], FilterExec):
            predicates = [*draft.transforms[-1].predicates, *predicates]
            draft = replace(draft, transforms=draft.transforms[:-1])
        if not predicates:
            return draft
        ordered = evaluation_order(predicates, (node.input,))
        return draft.then(FilterExec(ordered), rows)

    def lower_project(self, node: Project, required: Required, rows: float) -> _Draft:
        kept = tuple(pair for pair in node.expressions if pair[0] in required)
        draft = self.lower(node.input, frozenset().union(*(references(e) for _, e in kept)))
        if all(isinstance(e, AttributeRef) and e.attribute == a for a, e in kept):
            return draft
        return replace(_project(draft, kept), rows=rows)

    def lower_aggregate(self, node: Aggregate, required: Required, rows: float) -> _Draft:
        aggregates = tuple(pair for pair in node.aggregates if pair[0] in required)
        used = [expression for _, expression in (*node.keys, *aggregates)]
        draft = self.lower(node.input, frozenset().union(*map(references, used)))
        sink = AggregateSink(node.keys, aggregates)
        index = self.finish(draft, sink)
        return self.read(index, _ordered(sink_outputs(sink), required), rows)

    def lower_window(self, node: Window, required: Required, rows: float) -> _Draft:
        """One sink for each order of rows that the calls need."""
        steps = window_steps([(a, call) for a, call in node.calls if a in required])
        later: list[Required] = []
        needed = required
        for step in reversed(steps):
            later.append(needed)
            needed = (needed - {a for a, _ in step.calls}).union(
                *(references(call) for _, call in step.calls)
            )
        draft = self.lower(node.input, needed)
        available = node.input.outputs
        for step, wanted in zip(steps, reversed(later), strict=True):
            kept = _ordered(available, wanted)
            limit = node.limit if len(steps) == 1 else None
            sink = WindowSink(step.keys, tuple(step.calls), kept, limit)
            available = (*kept, *(a for a, _ in step.calls))
            draft = self.read(self.finish(draft, sink), available, rows)
        return draft

    def lower_union(self, node: UnionAll, required: Required, rows: float) -> _Draft:
        positions = [i for i, attribute in enumerate(node.attributes) if attribute in required]
        indices: list[int] = []
        origins: list[tuple[Attribute, ...]] = []
        for source in node.sources:
            wanted = tuple(source.outputs[i] for i in positions)
            draft = self.lower(source, frozenset(wanted))
            if (
                isinstance(draft.source, ResultScan) and not draft.transforms
            ):  # already kept: read it from there
                taken = dict(draft.source.columns)
                for part, pipeline in enumerate(draft.source.pipelines):
                    indices.append(pipeline)
                    origins.append(tuple(taken[a][part] for a in wanted))
            else:
                indices.append(self.finish(draft, CollectSink(tuple(dict.fromkeys(wanted)))))
                origins.append(wanted)
        columns = tuple(
            (node.attributes[position], tuple(origin[i] for origin in origins))
            for i, position in enumerate(positions)
        )
        return _Draft(ResultScan(tuple(indices), columns), (), rows)

    def lower_shared(self, node: Shared, required: Required, rows: float) -> _Draft:
        index = self.shared.get(node.key)
        definition = node.definition
        if index is None:
            draft = self.lower(definition, output_set(definition))
            known = self.unchanged_result(draft, definition.outputs)
            if known is None:
                known = self.finish(draft, CollectSink(tuple(dict.fromkeys(definition.outputs))))
            index = self.shared[node.key] = known
        pairs = zip(node.attributes, definition.outputs, strict=True)
        columns = tuple((use, (origin,)) for use, origin in pairs if use in required)
        return _Draft(ResultScan((index,), columns), (), rows)

    def lower_running(self, node: Running, required: Required, rows: float) -> _Draft:
        carried = tuple(pair for pair in node.carried if pair[0] in required)
        number = node.number if node.number in required else None
        sink = RunningSink(_ordered(node.input.outputs, required), number, node.marker, carried)
        index = self.finish(self.lower(node.input, frozenset(sink.inputs)), sink)
        return self.read(index, _ordered(node.outputs, required), rows)

    # --- recursion ---------------------------------------------------------------------------------------------

    def lower_recursive(self, node: Recursive, rows: float) -> _Draft:
        """The anchor, places for the rows of a round and of all rounds, the step, and the loop over it."""
        anchor, anchor_outputs = self.collect(node.anchor)
        working = self.place(node.attributes)
        total = self.finish(_Draft(ValuesSource(node.attributes, ()), (), 0.0), CollectSink(node.attributes))
        self.working[node.key, False] = working
        self.working[node.key, True] = total, node.attributes
        first = len(self.pipelines)
        step, step_outputs = self.collect(node.step)
        body = repeated(self.pipelines, first, frozenset((working[0], total)))
        columns = tuple(zip(node.attributes, zip(anchor_outputs, step_outputs, strict=True), strict=True))
        union = _Draft(ResultScan((anchor, step), columns), (), rows)
        result = self.finish(union, CollectSink(node.attributes))
        if step in body:
            loop = Loop(result, anchor, anchor_outputs, step, step_outputs, working[0], total, body)
            self.loops.append(loop)
        return self.read(result, node.attributes, rows)

    def collect(self, node: LogicalNode) -> tuple[int, tuple[Attribute, ...]]:
        """A pipeline that keeps all rows of ``node``, and the attributes that they have there."""
        draft = self.lower(node, output_set(node))
        return self.finish(draft, CollectSink(node.outputs)), node.outputs

    def place(self, attributes: tuple[Attribute, ...]) -> tuple[int, tuple[Attribute, ...]]:
        """A pipeline of no rows, whose result is replaced while the plan runs."""
        fresh = tuple(Attribute.fresh(a.name, a.dtype) for a in attributes)
        return self.finish(_Draft(ValuesSource(fresh, ()), (), 0.0), CollectSink(fresh)), fresh

    # --- joins -------------------------------------------------------------------------------------------------

    def lower_join(self, node: Join, required: Required, rows: float) -> _Draft:
        if node.kind is JoinKind.MARK and node.mark not in required:
            return self.lower(node.left, required)  # a mark that nobody reads changes nothing
        keys, null_safe, residual = split_conditions(node)
        if node.kind in (JoinKind.SEMI, JoinKind.ANTI) and keys and _left_is_smaller(node):
            return self.lower_existence(node, keys, null_safe, residual, required, rows)
        if node.kind is not JoinKind.INNER:
            return self.lower_hash_join(node, keys, null_safe, residual, required, rows)
        equal = _equal_probe_columns(keys, null_safe)
        residual = tuple(substitute(condition, equal) for condition in residual)
        taken_over = required & equal.keys()
        probe_columns = frozenset().union(*(references(equal[a]) for a in taken_over))
        draft = self.lower_hash_join(
            node, keys, null_safe, residual, (required - taken_over) | probe_columns, rows
        )
        if not taken_over:
            return draft
        outputs = _ordered(node.outputs, required)
        return _project(draft, tuple((a, equal.get(a, AttributeRef(a))) for a in outputs))

    def lower_hash_join(
        self,
        node: Join,
        keys: list[tuple[Expression, Expression]],
        null_safe: frozenset[int],
        residual: tuple[Expression, ...],
        required: Required,
        rows: float,
    ) -> _Draft:
        """The right side built, the left side probing."""
        residual_uses: Required = frozenset().union(*map(references, residual))
        left_set, right_set = output_set(node.left), output_set(node.right)
        probe_keys = tuple(left for left, _ in keys)
        build_keys = tuple(right for _, right in keys)

        build_outputs = () if node.kind in _ONE_SIDED else _ordered(node.right.outputs, required)
        payload = _ordered(
            node.right.outputs, required.union(residual_uses) if build_outputs else residual_uses
        )
        build_draft = self.lower(node.right, frozenset(payload).union(*map(references, build_keys)))
        build = HashJoinBuild(
            build_keys,
            payload,
            null_safe,
            unique=_keys_unique(node.right, build_keys),
            existence_only=node.kind in _ONE_SIDED and not residual,
        )
        build_index = self.finish(build_draft, build)

        left_required = (required | residual_uses) & left_set
        draft = self.lower(node.left, left_required.union(*map(references, probe_keys)))
        kind = JoinKind.INNER if node.kind is JoinKind.CROSS else node.kind
        outputs = _ordered(node.outputs, required)
        probe = HashJoinProbe(
            build_index, kind, probe_keys, residual, outputs, build_outputs, node.mark, null_safe
        )
        draft = draft.then(probe, rows)
        if kind not in (JoinKind.RIGHT, JoinKind.FULL):
            return draft
        matched = self.finish(draft, CollectSink(outputs))
        null_attributes = tuple(a for a in outputs if a not in right_set)
        rest = _Draft(BuildScan(build_index, build_outputs, null_attributes, matched=False), (), rows)
        unmatched = self.finish(rest, CollectSink(outputs))
        return _Draft(ResultScan((matched, unmatched), tuple((a, (a, a)) for a in outputs)), (), rows)

    def lower_existence(
        self,
        node: Join,
        keys: list[tuple[Expression, Expression]],
        null_safe: frozenset[int],
        residual: tuple[Expression, ...],
        required: Required,
        rows: float,
    ) -> _Draft:
        """SEMI or ANTI with the left side built: right rows mark what they match, then the left rows are read."""
        residual_uses: Required = frozenset().union(*map(references, residual))
        left_set, right_set = output_set(node.left), output_set(node.right)
        build_keys = tuple(left for left, _ in keys)
        probe_keys = tuple(right for _, right in keys)
        payload = _ordered(node.left.outputs, required | (residual_uses & left_set))
        build_draft = self.lower(node.left, frozenset(payload).union(*map(references, build_keys)))
        unique = _keys_unique(node.left, build_keys)
        build_index = self.finish(build_draft, HashJoinBuild(build_keys, payload, null_safe, unique=unique))
        draft = self.lower(node.right, (residual_uses & right_set).union(*map(references, probe_keys)))
        probe = HashJoinProbe(build_index, JoinKind.RIGHT, probe_keys, residual, (), (), None, null_safe)
        self.finish(draft.then(probe, draft.rows), CollectSink(()))
        kept = _ordered(node.left.outputs, required)
        return _Draft(BuildScan(build_index, kept, (), matched=node.kind is JoinKind.SEMI), (), rows)


def _left_is_smaller(node: Join) -> bool:
    return estimate_rows(node.right) > EXISTENCE_RATIO * estimate_rows(node.left)


def _equal_probe_columns(
    keys: list[tuple[Expression, Expression]], null_safe: frozenset[int]
) -> dict[Attribute, Expression]:
    """Build columns that an inner join equates with a probe column, which then need not be kept.

    Equal floating-point numbers may differ (-0.0 and 0.0), so those are kept.
    """
    return {
        right.attribute: left
        for position, (left, right) in enumerate(keys)
        if isinstance(left, AttributeRef) and isinstance(right, AttributeRef)
        if position not in null_safe and not right.dtype.is_float
    }


def split_conditions(
    node: Join,
) -> tuple[list[tuple[Expression, Expression]], frozenset[int], tuple[Expression, ...]]:
    """Pairs of left and right keys, which of them are null-safe (by position), and the conjuncts left over."""
    keys: list[tuple[Expression, Expression]] = []
    null_safe: set[int] = set()
    residual: list[Expression] = []
    for condition in (part for whole in node.conditions for part in conjuncts(whole)):
        pair = equality_sides(condition, node)
        if pair is None:
            residual.append(condition)
            continue
        if isinstance(condition, Call) and condition.function == "is_not_distinct_from":
            null_safe.add(len(keys))
        keys.append(pair)
    ordered = evaluation_order(residual, (node.left, node.right))
    return keys, frozenset(null_safe), ordered


def _keys_unique(node: LogicalNode, keys: tuple[Expression, ...]) -> bool:
    return is_unique(node, [key.attribute for key in keys if isinstance(key, AttributeRef)])


def _ordered(attributes: Iterable[Attribute], wanted: Required) -> tuple[Attribute, ...]:
    return tuple(dict.fromkeys(attribute for attribute in attributes if attribute in wanted))


def _values(
    attributes: tuple[Attribute, ...], rows: tuple[tuple[object, ...], ...], required: Required
) -> ValuesSource:
    positions = [i for i, attribute in enumerate(attributes) if attribute in required]
    kept = tuple(tuple(row[i] for i in positions) for row in rows)
    return ValuesSource(tuple(attributes[i] for i in positions), kept)  # type: ignore[arg-type]


def _project(draft: _Draft, items: tuple[tuple[Attribute, Expression], ...]) -> _Draft:
    """Add a projection, merged into the one before unless that would compute something twice."""
    last = draft.transforms[-1] if draft.transforms else None
    if isinstance(last, ProjectExec):
        uses: dict[Attribute, int] = {}
        for _, expression in items:
            for part in walk(expression):
                # What stands in a lambda function would be computed for each element; its parameters come from nowhere.
                inside = references(part) if isinstance(part, Lambda) else ()
                for attribute in (part.attribute,) if isinstance(part, AttributeRef) else inside:
                    uses[attribute] = uses.get(attribute, 0) + 1
        below = dict(last.expressions)
        trivial = (AttributeRef, Literal)
        if all(count == 1 or isinstance(below[a], trivial) for a, count in uses.items() if a in below):
            merged = tuple((a, substitute(e, below)) for a, e in items)
            return replace(draft, transforms=(*draft.transforms[:-1], ProjectExec(merged)))
    return draft.then(ProjectExec(items), draft.rows)


def _is_zone_map_predicate(predicate: Expression) -> bool:
    """Comparisons of one column with constants: what a reader can test against a row group's minimum and maximum."""
    arguments = predicate.arguments if isinstance(predicate, Call) else ()
    if isinstance(predicate, Call) and predicate.function in ("is_null", "is_not_null"):
        return isinstance(arguments[0], AttributeRef)
    if isinstance(predicate, Call) and predicate.function in ("eq", "lt", "le", "gt", "ge", "ne"):
        return compares_column_with_constant(arguments)
    return False
