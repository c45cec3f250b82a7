"""General unnesting: evaluate a correlated plan for all outer values at once.

The *domain* is the set of distinct values of the correlated attributes. It is pushed down the dependent plan until no
node below refers to the outer plan; every node on the way hands the domain's columns up, so that the result says for
which outer values each row holds. Where equalities bind all correlated attributes to columns of the inner plan, those
columns take the domain's place and nothing is joined.

Source: Neumann and Kemper, "Unnesting Arbitrary Queries" (BTW 2015).
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.errors import InternalError, NotSupportedError
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Expression,
    Literal,
    SortKey,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Repeat,
    Running,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Window,
)
from gpuql_planner.logical.visit import (
    conjuncts,
    free_attributes,
    map_expressions,
    output_set,
    pass_through,
    references,
    substitute,
    with_fresh_attributes,
)
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.optimizer.statistics import never_null, non_null_attributes
from gpuql_planner.types import BIGINT, BOOLEAN

Attributes = frozenset[Attribute]
Mapping = dict[Attribute, Attribute]
Pushed = tuple[LogicalNode, Mapping]

#: Kinds whose result has the rows of one side as they are, or not at all.
_LEFT_DECIDES = (JoinKind.LEFT, JoinKind.SINGLE, JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK)

#: Aggregates that give 0, not NULL, for no rows.
COUNTS = ("count", "count_star")


def fresh_shared_key() -> int:
    """A key for a ``Shared`` that no other has; negative, so that it never meets a key chosen by the binder."""
    return -Attribute.fresh("shared", BOOLEAN).id


def fresh_like(attribute: Attribute) -> Attribute:
    """A new attribute of the same name and type."""
    return Attribute.fresh(attribute.name, attribute.dtype, nullable=attribute.nullable)


def sorted_attributes(attributes: Attributes) -> list[Attribute]:
    """In order of creation, so that plans do not depend on hashing."""
    return sorted(attributes, key=lambda attribute: attribute.id)


class Domain:
    """The outer plan, and the distinct values of its correlated attributes, made when first asked for."""

    def __init__(self, outer_plan: LogicalNode, correlated: Attributes) -> None:
        self._outer = outer_plan
        self._correlated = correlated
        self._key = fresh_shared_key()
        self._recomputed = _is_cheap(outer_plan)
        self._values: dict[Attributes, tuple[int, Aggregate]] = {}
        self.pushed_shared: dict[tuple[int, Attributes], tuple[int, Project]] = {}

    def values(self, needed: Attributes) -> Pushed:
        """Distinct values of ``needed``, each use under attributes of its own."""
        known = self._values.get(needed)
        if known is None:
            known = self._values[needed] = (fresh_shared_key(), self._distinct(needed))
        key, definition = known
        names = tuple(map(fresh_like, definition.outputs))
        mapping = dict(zip(sorted_attributes(needed), names, strict=True))
        return Shared(key, definition, names), mapping

    def outer_plan(self) -> LogicalNode:
        """The outer plan to go on with; ask after all values were asked for, as it may have become shared."""
        if self._recomputed or not self._values:
            return self._outer
        source, copies = self._shared_outer()
        items = ((a, AttributeRef(copies[a])) for a in dict.fromkeys(self._outer.outputs))
        return Project(source, tuple(items))

    def _distinct(self, needed: Attributes) -> Aggregate:
        if self._recomputed:
            source, copies = with_fresh_attributes(self._outer)
        else:
            source, copies = self._shared_outer()
        wanted = sorted_attributes(needed)
        return Aggregate(source, tuple((fresh_like(a), AttributeRef(copies[a])) for a in wanted), ())

    def _shared_outer(self) -> Pushed:
        outputs = self._outer.outputs
        names = tuple(map(fresh_like, outputs))
        return Shared(self._key, self._outer, names), dict(zip(outputs, names, strict=True))


def _is_cheap(plan: LogicalNode) -> bool:
    """Reading the rows again costs less than keeping them."""
    while isinstance(plan, (Filter, Project)):
        plan = plan.input
    return isinstance(plan, (Scan, Shared))


def push_domain(node: LogicalNode, needed: Attributes, domain: Domain) -> Pushed:
    """``node`` for every value of the domain, and the output that holds each attribute of ``needed``.

    ``needed`` has at least the outer attributes that ``node`` refers to. All outputs of ``node`` stay outputs.
    """
    if free_attributes(node).isdisjoint(needed):
        values, mapping = domain.values(needed)
        return Join(node, values, JoinKind.CROSS), mapping
    if isinstance(node, Filter):
        return _push_filter(node, needed, domain)
    if isinstance(node, Join):
        return _push_join(node, needed, domain)
    if isinstance(node, UnionAll):
        return _push_union(node, needed, domain)
    if isinstance(node, (Sort, Limit)):
        return _push_limit(node, needed, domain)
    if isinstance(node, Shared):
        return _push_shared(node, needed, domain)
    if isinstance(node, Running):
        raise NotSupportedError(
            "not supported: ASOF and POSITIONAL joins, samples and computed limits that depend on an outer query"
        )
    below, mapping = push_domain(node.inputs[0], needed, domain)
    if isinstance(node, Aggregate) and not node.keys:
        return _push_total(node, below, mapping, domain)
    if isinstance(node, Aggregate):
        return group_by(node, below, mapping), mapping
    renamed = map_expressions(node, lambda e: substitute(e, _references(mapping)))
    if isinstance(renamed, Project):
        taken = frozenset(a for a, _ in renamed.expressions)
        extra = tuple(a for a in dict.fromkeys(mapping.values()) if a not in taken)
        return Project(below, (*renamed.expressions, *pass_through(extra))), mapping
    if isinstance(renamed, Repeat):
        return Repeat(below, renamed.count), mapping
    if isinstance(renamed, Window):  # rows of one outer value are a partition of their own
        domain_keys = tuple(AttributeRef(mapping[a]) for a in sorted_attributes(frozenset(mapping)))
        calls = tuple((a, replace(c, partition_by=(*domain_keys, *c.partition_by))) for a, c in renamed.calls)
        return Window(below, calls), mapping
    if isinstance(renamed, Unnest):
        return replace(renamed, input=below), mapping
    raise InternalError(f"plan node cannot be unnested: {type(node).__name__}")


def _references(mapping: Mapping) -> dict[Attribute, Expression]:
    return {outer: AttributeRef(inner) for outer, inner in mapping.items()}


def _push_filter(node: Filter, needed: Attributes, domain: Domain) -> Pushed:
    predicates = [part for predicate in node.predicates for part in conjuncts(predicate)]
    if free_attributes(node.input).isdisjoint(needed):
        bound = _bound_by_equality(predicates, needed, output_set(node.input))
        if needed <= bound.keys():
            return _replace_domain(node.input, predicates, bound)
    below, mapping = push_domain(node.input, needed, domain)
    return Filter(below, tuple(substitute(p, _references(mapping)) for p in predicates)), mapping


def _bound_by_equality(
    predicates: list[Expression], needed: Attributes, inner: Attributes
) -> dict[Attribute, tuple[Expression, Expression]]:
    """For each outer attribute, an inner expression that a conjunct equates with it, and that conjunct."""
    bound: dict[Attribute, tuple[Expression, Expression]] = {}
    for predicate in predicates:
        if not isinstance(predicate, Call) or predicate.function != "eq":
            continue
        for one, other in (predicate.arguments, predicate.arguments[::-1]):
            if isinstance(one, AttributeRef) and one.attribute in needed and one.attribute not in bound:
                used = references(other)
                if used and used <= inner:
                    bound[one.attribute] = (other, predicate)
                    break
    return bound


def _replace_domain(
    below: LogicalNode, predicates: list[Expression], bound: dict[Attribute, tuple[Expression, Expression]]
) -> Pushed:
    """Columns of the inner plan stand for the correlated attributes: an equality to NULL was never true."""
    mapping = {outer: fresh_like(outer) for outer in sorted_attributes(frozenset(bound))}
    items = tuple((mapping[outer], bound[outer][0]) for outer in mapping)
    known = non_null_attributes(below)
    not_null = [Call("is_not_null", (e,), BOOLEAN) for _, e in items if not never_null(e, known)]
    used = {id(predicate) for _, predicate in bound.values()}
    rest = [p for p in predicates if id(p) not in used]
    local = [*(p for p in rest if references(p) <= output_set(below)), *not_null]
    over_outer = [p for p in rest if not references(p) <= output_set(below)]
    if local:
        below = Filter(below, tuple(local))
    node: LogicalNode = Project(below, (*pass_through(below.outputs), *items))
    if over_outer:
        node = Filter(node, tuple(substitute(p, _references(mapping)) for p in over_outer))
    return node, mapping


def _push_join(node: Join, needed: Attributes, domain: Domain) -> Pushed:
    in_left = free_attributes(node.left) & needed
    in_right = free_attributes(node.right) & needed
    if node.kind is JoinKind.RIGHT:
        in_right = needed
    elif node.kind is JoinKind.FULL:
        in_left = in_right = needed
    elif node.kind in _LEFT_DECIDES or not in_right or in_left:
        in_left = needed
    else:
        in_right = needed  # an inner join whose left side is independent
    left, left_mapping = push_domain(node.left, in_left, domain) if in_left else (node.left, {})
    right, right_mapping = push_domain(node.right, in_right, domain) if in_right else (node.right, {})
    mapping = {**right_mapping, **left_mapping}
    equalities = [
        domain_equality(left_mapping[a], right_mapping[a], left, right)
        for a in sorted_attributes(frozenset(left_mapping) & frozenset(right_mapping))
    ]
    conditions = tuple(substitute(c, _references(mapping)) for c in node.conditions)
    kind = JoinKind.INNER if node.kind is JoinKind.CROSS and equalities else node.kind
    joined = Join(left, right, kind, (*conditions, *equalities), node.mark)
    if kind is JoinKind.RIGHT:  # its left side has NULLs where there was no match
        return joined, right_mapping
    if kind is not JoinKind.FULL:
        return joined, mapping
    either = {a: fresh_like(a) for a in sorted_attributes(needed)}
    items = []
    for a, merged in either.items():
        sides = (AttributeRef(left_mapping[a]), AttributeRef(right_mapping[a]))
        items.append((merged, Call("coalesce", sides, a.dtype)))
    return Project(joined, (*pass_through(joined.outputs), *items)), either


def _push_union(node: UnionAll, needed: Attributes, domain: Domain) -> Pushed:
    mapping = {a: fresh_like(a) for a in sorted_attributes(needed)}
    sources = []
    for source in node.sources:
        pushed, inner = push_domain(source, needed, domain)
        extra = tuple((fresh_like(a), AttributeRef(inner[a])) for a in mapping)
        sources.append(Project(pushed, (*pass_through(source.outputs), *extra)))
    return UnionAll(tuple(sources), (*node.attributes, *mapping.values())), mapping


def _push_shared(node: Shared, needed: Attributes, domain: Domain) -> Pushed:
    """An outer plan that a subquery within it shares: it still runs once, now for every value of the domain."""
    order = sorted_attributes(needed)
    known = domain.pushed_shared.get((node.key, needed))
    if known is None:
        below, inner = push_domain(node.definition, needed, domain)
        extra = tuple((fresh_like(a), AttributeRef(inner[a])) for a in order)
        definition = Project(below, (*pass_through(node.definition.outputs), *extra))
        known = domain.pushed_shared[node.key, needed] = (fresh_shared_key(), definition)
    mapping = {a: fresh_like(a) for a in order}
    return Shared(*known, (*node.attributes, *mapping.values())), mapping


def _push_limit(node: Sort | Limit, needed: Attributes, domain: Domain) -> Pushed:
    """A limit counts rows per outer value: one row of each group is an aggregate, no row is no row."""
    if isinstance(node, Sort) and node.limit is None and not node.offset:
        return push_domain(node.input, needed, domain)
    if node.limit is None and not node.offset:
        return push_domain(node.input, needed, domain)
    if node.limit == 0:
        pushed, mapping = push_domain(node.input, needed, domain)
        return Limit(pushed, 0), mapping
    source, keys = node.input, node.keys if isinstance(node, Sort) else ()
    if isinstance(node, Limit):
        while isinstance(source, Project) and _only_renames(source):
            source = source.input
        if isinstance(source, Sort) and source.limit is None and output_set(node) <= output_set(source):
            keys, source = source.keys, source.input
        else:
            source = node.input
    pushed, mapping = push_domain(source, needed, domain)
    order = tuple(
        SortKey(substitute(k.expression, _references(mapping)), k.descending, k.nulls_first) for k in keys
    )
    if node.limit != 1 or node.offset:
        return _numbered(pushed, node, order, mapping), mapping
    firsts = [
        (fresh_like(a), AggregateCall("first", (AttributeRef(a),), a.dtype, order_by=order))
        for a in node.outputs
    ]
    groups = pass_through(dict.fromkeys(mapping.values()))
    picked = Aggregate(pushed, groups, tuple(firsts))
    renamed = tuple((a, AttributeRef(f)) for a, (f, _) in zip(node.outputs, firsts, strict=True))
    return Project(picked, (*renamed, *groups)), mapping


def _numbered(
    pushed: LogicalNode, node: Sort | Limit, order: tuple[SortKey, ...], mapping: Mapping
) -> LogicalNode:
    """Rows with numbers within the limit, counted for each outer value."""
    keys = [Attribute.fresh("key", key.expression.dtype) for key in order]
    groups = pass_through(dict.fromkeys(mapping.values()))
    kept = pass_through(a for a in pushed.outputs)
    computed = tuple((key, item.expression) for key, item in zip(keys, order, strict=True))
    number = Attribute.fresh("row", BIGINT, nullable=False)
    call = WindowCall(
        "row_number",
        (),
        BIGINT,
        partition_by=tuple(expression for _, expression in groups),
        order_by=tuple(
            replace(item, expression=AttributeRef(key)) for key, item in zip(keys, order, strict=True)
        ),
    )
    window = Window(Project(pushed, (*kept, *computed)), ((number, call),))
    row = AttributeRef(number)
    within = [Call("gt", (row, Literal(node.offset, BIGINT)), BOOLEAN)]
    if node.limit is not None:
        within.append(Call("le", (row, Literal(node.offset + node.limit, BIGINT)), BOOLEAN))
    outputs = (*pass_through(node.outputs), *groups)
    return Project(Filter(window, tuple(within)), tuple(dict.fromkeys(outputs)))


def _only_renames(node: Project) -> bool:
    return all(isinstance(e, AttributeRef) and e.attribute == a for a, e in node.expressions)


def _push_total(node: Aggregate, below: LogicalNode, mapping: Mapping, domain: Domain) -> Pushed:
    """An aggregate without keys has a row for every outer value, also for those whose group is empty."""
    grouped, restored = zero_for_missing(group_by(node, below, mapping))
    values, mapped = domain.values(frozenset(mapping))
    equalities = [domain_equality(mapped[a], mapping[a], values, grouped) for a in mapped]
    joined = Join(values, grouped, JoinKind.LEFT, tuple(equalities))
    items = ((a, restored.get(a, AttributeRef(a))) for a, _ in node.aggregates)
    return Project(joined, (*items, *pass_through(mapped.values()))), mapped


def domain_equality(
    outer: Attribute, inner: Attribute, left: LogicalNode, right: LogicalNode, *, three_valued: bool = False
) -> Expression:
    """``outer`` is the same value as ``inner``, NULL included; a plain equality where that says the same."""
    sides = (outer in non_null_attributes(left), inner in non_null_attributes(right))
    plain = all(sides) if three_valued else any(sides)
    function = "eq" if plain else "is_not_distinct_from"
    return Call(function, (AttributeRef(outer), AttributeRef(inner)), BOOLEAN)


def group_by(aggregate: Aggregate, below: LogicalNode, mapping: Mapping) -> Aggregate:
    """``aggregate`` over ``below``, with the columns that stand for the correlation as further keys."""
    renamed = map_expressions(aggregate, lambda e: substitute(e, _references(mapping)))
    assert isinstance(renamed, Aggregate), "expressions change, not the node"
    correlation = pass_through(dict.fromkeys(mapping[a] for a in sorted_attributes(frozenset(mapping))))
    return Aggregate(below, (*correlation, *renamed.keys), renamed.aggregates)


def zero_for_missing(aggregate: Aggregate) -> tuple[Aggregate, dict[Attribute, Expression]]:
    """Counts give 0 for no rows, but NULL when a join finds no group.

    Returns
    -------
    tuple
        The aggregate with its counts under new attributes, and for each old one the expression that is 0 where
        the group is missing.
    """
    renamed: dict[Attribute, Attribute] = {
        a: Attribute.fresh(a.name, a.dtype) for a, c in aggregate.aggregates if c.function in COUNTS
    }
    calls = tuple((renamed.get(a, a), call) for a, call in aggregate.aggregates)
    restored: dict[Attribute, Expression] = {
        old: Call("coalesce", (AttributeRef(new), Literal(0, old.dtype)), old.dtype)
        for old, new in renamed.items()
    }
    return replace(aggregate, aggregates=calls), restored
