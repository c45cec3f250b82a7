"""The lazy DataFrame: each method returns another one; ``collect`` and the conversions run the query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral
from os import PathLike, fspath
from typing import Any, Protocol, TypeVar

from gpuql.api.binding import (
    Grouping,
    Scope,
    bind,
    bind_predicate,
    bind_sort_key,
    contains_aggregate,
    output_name,
)
from gpuql.api.device_result import DeviceResult
from gpuql.api.expressions import ColumnExpr, Expr, SortExpr, as_column, as_expr, as_sort_key, flatten
from gpuql.api.joining import join_plans
from gpuql.api.result import Result, Row
from gpuql.stack_room import room_for_deep_statements
from gpuql_planner import functions
from gpuql_planner.errors import BinderError
from gpuql_planner.logical.expressions import AggregateCall, Attribute, AttributeRef, Expression
from gpuql_planner.logical.nodes import Aggregate, Filter, Limit, LogicalNode, Project, Sort, UnionAll
from gpuql_planner.logical.visit import with_fresh_attributes
from gpuql_planner.session_zone import binding_in_zone
from gpuql_planner.sql.statements import Query
from gpuql_planner.statement_errors import DatatypeMismatch, InvalidRowCount, RepeatedColumn
from gpuql_planner.types import DataType, common_type

Named = tuple[str, Expr]
Verb = TypeVar("Verb", bound=Callable[..., Any])


class RunnableQuery(Protocol):
    """A query that a session can run again and again, planned at most once."""

    @property
    def query(self) -> Query:
        """The bound query."""

    @property
    def time_zone(self) -> str:
        """Name of the session's time zone."""

    def run(self) -> Result:
        """Run it."""

    def run_on_device(self) -> DeviceResult:
        """Run it; the rows stay where they were made."""

    def kept(self, *, on_device: bool) -> Query:
        """Run it; a query over a table of its rows."""

    def explain(self, mode: str) -> str:
        """Plan as text; ``mode`` is plan, analyze or codegen."""


def _binding(verb: Verb) -> Verb:
    """A verb that binds expressions: for the session's time zone, however deep they are."""

    @wraps(verb)
    def bound(self: DataFrame | GroupBy, *arguments: Any, **named: Any) -> Any:
        with room_for_deep_statements(), binding_in_zone(self.time_zone):
            return verb(self, *arguments, **named)

    return bound  # type: ignore[return-value]


class DataFrame:
    """A query that has not run yet.

    Immutable. Errors in names and types are raised by the method that introduces them, errors in the data when the
    query runs. It reads tables as they were when it was made.
    """

    def __init__(self, prepared: RunnableQuery, prepare: Callable[[Query], RunnableQuery]) -> None:
        self._prepared = prepared
        self._prepare = prepare

    # --- what it is ---

    @property
    def plan(self) -> LogicalNode:
        """Its logical plan, as bound."""
        return self._prepared.query.plan

    @property
    def time_zone(self) -> str:
        """Time zone of its session, in which TIMESTAMP WITH TIME ZONE has a date and a time of day."""
        return self._prepared.time_zone

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return list(self._names)

    @property
    def dtypes(self) -> list[DataType]:
        """SQL type of each column."""
        return [attribute.dtype for attribute in self.plan.outputs]

    @property
    def schema(self) -> dict[str, DataType]:
        """SQL type by column name."""
        return dict(zip(self._names, self.dtypes, strict=True))

    def explain(self, *, analyze: bool = False, codegen: bool = False) -> str:
        """The plan: pipelines with device, tier and reason. ``analyze`` runs it and adds rows and times."""
        return self._prepared.explain("codegen" if codegen else "analyze" if analyze else "plan")

    def __repr__(self) -> str:
        columns = ", ".join(f"{name} {dtype}" for name, dtype in zip(self._names, self.dtypes, strict=True))
        return f"<gpuql.DataFrame ({columns}); collect() runs it>"

    @property
    def _names(self) -> tuple[str, ...]:
        return self._prepared.query.names

    @property
    def _scope(self) -> Scope:
        return Scope(self._names, self.plan.outputs)

    def _with_plan(self, plan: LogicalNode, names: Sequence[str]) -> DataFrame:
        return DataFrame(self._prepare(Query(plan, tuple(names))), self._prepare)

    # --- columns ---

    @_binding
    def select(self, *expressions: Expr | str | Sequence[Expr | str], **named: Any) -> DataFrame:
        """Exactly these columns. Aggregates alone give one row: ``df.select(gpuql.sum("x"))``."""
        wanted = self._named(expressions, named)
        if any(contains_aggregate(expression) for _, expression in wanted):
            return self._aggregate([], wanted)
        return self._project(wanted)

    @_binding
    def with_columns(self, *expressions: Expr | str | Sequence[Expr | str], **named: Any) -> DataFrame:
        """All columns, and these; one of an existing name takes its place."""
        added = dict(self._named(expressions, named))
        kept: list[Named] = [(name, added.pop(name, ColumnExpr(name))) for name in self._names]
        return self._project([*kept, *added.items()])

    def rename(self, mapping: Mapping[str, str]) -> DataFrame:
        """Other names: ``{"old": "new"}``."""
        names = list(self._names)
        for old, new in mapping.items():
            names[self._scope.find(old)] = new
        _reject_duplicates(names)
        return self._with_plan(self.plan, names)

    def drop(self, *names: str | Sequence[str]) -> DataFrame:
        """Without these columns."""
        dropped = {self._scope.find(name) for name in flatten(names)}
        kept = [i for i in range(len(self._names)) if i not in dropped]
        if not kept:
            raise BinderError("drop() would leave no column")
        outputs = self.plan.outputs
        expressions = tuple((outputs[i], AttributeRef(outputs[i])) for i in kept)
        return self._with_plan(Project(self.plan, expressions), [self._names[i] for i in kept])

    @_binding
    def cast(self, dtypes: Mapping[str, DataType | str]) -> DataFrame:
        """With columns converted to other types."""
        return self.with_columns(
            *(ColumnExpr(name).cast(dtype).alias(name) for name, dtype in dtypes.items())
        )

    # --- rows ---

    @_binding
    def filter(self, *predicates: Expr | bool) -> DataFrame:
        """Rows for which all predicates are true."""
        bound = [bind_predicate(as_expr(predicate), self._scope) for predicate in flatten(predicates)]
        parts = tuple(part for predicate in bound for part in functions.split_conjuncts(predicate))
        return self._with_plan(Filter(self.plan, parts), self._names) if parts else self

    @_binding
    def sort(
        self,
        *by: Expr | SortExpr | str | Sequence[Expr | SortExpr | str],
        descending: bool | Sequence[bool] = False,
        nulls_last: bool | Sequence[bool] = True,
    ) -> DataFrame:
        """In order of the keys. NULLs come last unless asked otherwise, as in SQL here. Not stable."""
        keys = flatten(by)
        descending = [descending] * len(keys) if isinstance(descending, bool) else descending
        nulls_last = [nulls_last] * len(keys) if isinstance(nulls_last, bool) else nulls_last
        if not len(keys) == len(descending) == len(nulls_last):
            raise BinderError("descending and nulls_last need one value, or one per sort key")
        finished = (
            key if isinstance(key, SortExpr) else SortExpr(as_column(key), down, last)
            for key, down, last in zip(keys, descending, nulls_last, strict=True)
        )
        bound = tuple(bind_sort_key(as_sort_key(key), self._scope) for key in finished)
        return self._with_plan(Sort(self.plan, bound), self._names) if bound else self

    def limit(self, n: int, offset: int = 0) -> DataFrame:
        """At most ``n`` rows after the first ``offset``."""
        if not isinstance(n, Integral) or not isinstance(offset, Integral) or n < 0 or offset < 0:
            raise InvalidRowCount(
                f"limit and offset must be whole numbers and must not be negative: {n!r}, {offset!r}"
            )
        return self._with_plan(Limit(self.plan, int(n), int(offset)), self._names)

    def head(self, n: int = 5) -> DataFrame:
        """At most ``n`` rows."""
        return self.limit(n)

    @_binding
    def unique(self, subset: str | Sequence[str] | None = None) -> DataFrame:
        """Without duplicate rows (NULLs count as equal). With a ``subset``, any one row of each combination."""
        outputs = self.plan.outputs
        names = self._names if subset is None else [subset] if isinstance(subset, str) else subset
        positions = (
            {self._scope.find(name) for name in names} if subset is not None else set(range(len(outputs)))
        )
        keys: list[tuple[Attribute, Expression]] = []
        others: list[tuple[Attribute, AggregateCall]] = []
        for position, attribute in enumerate(outputs):
            if position in positions:
                keys.append((attribute, AttributeRef(attribute)))
            else:
                fresh = Attribute.fresh(attribute.name, attribute.dtype)
                others.append((fresh, functions.make_aggregate("first", [AttributeRef(attribute)])))
        plan: LogicalNode = Aggregate(self.plan, tuple(keys), tuple(others))
        if others:
            by_position = iter(keys), iter(others)
            order = [
                next(by_position[0] if i in positions else by_position[1])[0] for i in range(len(outputs))
            ]
            plan = Project(plan, tuple((attribute, AttributeRef(attribute)) for attribute in order))
        return self._with_plan(plan, self._names)

    def drop_nulls(self, subset: str | Sequence[str] | None = None) -> DataFrame:
        """Only rows without NULL, in the columns of ``subset`` or in any."""
        names = self._names if subset is None else [subset] if isinstance(subset, str) else subset
        return self.filter(*(ColumnExpr(name).is_not_null() for name in names))

    # --- several frames ---

    @_binding
    def union(self, *others: DataFrame) -> DataFrame:
        """Rows of all frames, by position, duplicates kept (UNION ALL)."""
        plans = [self.plan, *(with_fresh_attributes(other.plan)[0] for other in others)]
        if len({len(plan.outputs) for plan in plans}) != 1:
            widths = ", ".join(str(len(plan.outputs)) for plan in plans)
            raise BinderError(f"union needs frames of equally many columns: {widths}")
        attributes = []
        for position, name in enumerate(self._names):
            dtype = plans[0].outputs[position].dtype
            for plan in plans[1:]:
                common = common_type(dtype, plan.outputs[position].dtype)
                if common is None:
                    raise DatatypeMismatch(
                        f"union of types without a common type, column {name}: "
                        f"{dtype} and {plan.outputs[position].dtype}"
                    )
                dtype = common
            nullable = any(plan.outputs[position].nullable for plan in plans)
            attributes.append(Attribute.fresh(name, dtype, nullable=nullable))
        sources = tuple(_cast_outputs(plan, [a.dtype for a in attributes]) for plan in plans)
        return self._with_plan(UnionAll(sources, tuple(attributes)), self._names)

    @_binding
    def join(
        self,
        other: DataFrame,
        on: Expr | str | Sequence[Expr | str] | None = None,
        *,
        how: str = "inner",
        left_on: Expr | str | Sequence[Expr | str] | None = None,
        right_on: Expr | str | Sequence[Expr | str] | None = None,
        suffix: str = "_right",
    ) -> DataFrame:
        """Join on equal keys; NULL keys match nothing.

        ``how`` is inner, left, right, full, semi, anti or cross. The keys come out once where one side's value tells
        the other's (all kinds but full). Other columns of ``other`` whose name is taken get ``suffix``.
        """
        if on is not None:
            if left_on is not None or right_on is not None:
                raise BinderError("join takes either on, or left_on and right_on")
            left_on = right_on = on
        left_keys = [as_column(key) for key in _as_list(left_on)]
        right_keys = [as_column(key) for key in _as_list(right_on)]
        plan, names = join_plans(
            (self.plan, self._names),
            (with_fresh_attributes(other.plan)[0], other._names),
            left_keys,
            right_keys,
            how,
            suffix,
        )
        return self._with_plan(plan, names)

    @_binding
    def group_by(self, *keys: Expr | str | Sequence[Expr | str], **named: Any) -> GroupBy:
        """Groups of rows with equal keys (NULLs count as equal); follow with ``agg``."""
        return GroupBy(self, self._named(keys, named))

    # --- running it ---

    def collect(self) -> Result:
        """Run the query."""
        return self._prepared.run()

    def fetchall(self) -> list[Row]:
        """Run the query; rows as tuples of Python values."""
        return self.collect().fetchall()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Run the query; rows as dictionaries."""
        return self.collect().to_dicts()

    def to_arrow(self) -> Any:
        """Run the query; a ``pyarrow.Table``."""
        return self.collect().to_arrow()

    def to_arrow_reader(self) -> Any:
        """Run the query; a ``pyarrow.RecordBatchReader`` (see :meth:`Result.to_arrow_reader`)."""
        return self.collect().to_arrow_reader()

    def to_pandas(self) -> Any:
        """Run the query; a ``pandas.DataFrame``."""
        return self.collect().to_pandas()

    def to_polars(self) -> Any:
        """Run the query; a ``polars.DataFrame``."""
        return self.collect().to_polars()

    def to_numpy(self) -> dict[str, Any]:
        """Run the query; a NumPy array by column name."""
        return self.collect().to_numpy()

    def write_parquet(self, path: str | PathLike[str], **options: object) -> int:
        """Write the rows to a Parquet file, or a folder with ``partition_by``; how many there were.

        ``options`` are those of COPY: compression, compression_level, row_group_size, partition_by, overwrite, append.
        The file appears whole or not at all. Errors: InputError if it cannot be written.
        """
        return self._write(path, "parquet", options)

    def write_csv(self, path: str | PathLike[str], **options: object) -> int:
        """Write the rows as CSV; see :meth:`write_parquet`.

        ``options``: header, delimiter, quote, escape, nullstr, force_quote, dateformat, timestampformat, compression.
        """
        return self._write(path, "csv", options)

    def write_json(self, path: str | PathLike[str], **options: object) -> int:
        """Write the rows as JSON, one object a line, or with ``array=True`` as one array; see :meth:`write_parquet`."""
        return self._write(path, "json", options)

    def _write(self, path: str | PathLike[str], format_name: str, options: Mapping[str, object]) -> int:
        from gpuql.io.write import write_rows
        from gpuql_planner.sql.bind_copy import copy_query

        with room_for_deep_statements():
            copy = copy_query(self._prepared.query, fspath(path), format_name, options)
        with self._prepare(copy.query).run() as rows:
            return write_rows(rows.to_arrow_reader(), copy.path, copy.format, dict(copy.options))

    def cache(self, *, on_device: bool = False) -> DataFrame:
        """Run the query now; a frame over its rows, which are kept as those of a table are, as long as it lives.

        With ``on_device`` the columns are copied to the GPU at once (on the CPU this means nothing); like those of all
        tables they are let go there if memory runs short, and copied again when they are read.
        """
        return DataFrame(self._prepare(self._prepared.kept(on_device=on_device)), self._prepare)

    def to_device(self) -> DeviceResult:
        """Run the query; its columns stay where it ran, on a GPU as arrays of the GPU (see :class:`DeviceResult`).

        Errors: OutOfMemoryError if the result has no room there.
        """
        return self._prepared.run_on_device()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.collect().__arrow_c_stream__(requested_schema)

    def show(self, max_rows: int = 40) -> None:
        """Run the query and print its first rows."""
        from gpuql.api.table_text import format_result

        print(format_result(self.collect(), max_rows=max_rows))

    # --- building plans ---

    def _named(self, expressions: Sequence[Any], named: Mapping[str, Any]) -> list[Named]:
        positional = [as_column(expression) for expression in flatten(expressions)]
        wanted = [(self._name_of(expression), expression) for expression in positional]
        wanted += [(name, as_column(expression)) for name, expression in named.items()]
        _reject_duplicates([name for name, _ in wanted])
        return wanted

    def _name_of(self, expression: Expr) -> str:
        """Name of an output; a plain column's as its table spells it."""
        if isinstance(expression, ColumnExpr):
            return self._names[self._scope.find(expression.name)]
        return output_name(expression)

    def _project(self, wanted: Sequence[Named]) -> DataFrame:
        if not wanted:
            raise BinderError("select() needs at least one column")
        results = [(name, bind(expression, self._scope)) for name, expression in wanted]
        plan = Project(self.plan, _assignments(results))
        return self._with_plan(plan, [name for name, _ in wanted])

    def _aggregate(self, keys: Sequence[Named], wanted: Sequence[Named]) -> DataFrame:
        grouping = Grouping(list(_assignments([(name, bind(key, self._scope)) for name, key in keys])))
        results = [
            *(
                (name, AttributeRef(attribute))
                for (name, _), (attribute, _) in zip(keys, grouping.keys, strict=True)
            ),
            *((name, bind(expression, self._scope, grouping)) for name, expression in wanted),
        ]
        _reject_duplicates([name for name, _ in results])
        aggregate = Aggregate(self.plan, tuple(grouping.keys), tuple(grouping.aggregates))
        plan = Project(aggregate, _assignments(results))
        return self._with_plan(plan, [name for name, _ in results])


class GroupBy:
    """Groups of a DataFrame, waiting for what to compute of each."""

    def __init__(self, frame: DataFrame, keys: list[Named]) -> None:
        self._frame = frame
        self._keys = keys

    @property
    def time_zone(self) -> str:
        """Time zone of its frame's session."""
        return self._frame.time_zone

    @_binding
    def agg(self, *expressions: Expr | Sequence[Expr], **named: Any) -> DataFrame:
        """One row per group: the keys, then these. Their order is not defined."""
        return self._frame._aggregate(self._keys, self._frame._named(expressions, named))

    def len(self, name: str = "len") -> DataFrame:
        """Number of rows per group."""
        from gpuql.api.expressions import AggregateExpr

        return self.agg(AggregateExpr("count_star", ()).alias(name))


def _assignments(results: Sequence[tuple[str, Expression]]) -> tuple[tuple[Attribute, Expression], ...]:
    """Projected columns; one passed through keeps its attribute, the first time that it is."""
    assigned: dict[Attribute, Expression] = {}
    for name, expression in results:
        if isinstance(expression, AttributeRef) and expression.attribute not in assigned:
            assigned[expression.attribute] = expression
        else:
            attribute, _ = _fresh(name, expression)
            assigned[attribute] = expression
    return tuple(assigned.items())


def _fresh(name: str, expression: Expression) -> tuple[Attribute, Expression]:
    return Attribute.fresh(name, expression.dtype), expression


def _cast_outputs(plan: LogicalNode, dtypes: Sequence[DataType]) -> LogicalNode:
    if all(attribute.dtype == dtype for attribute, dtype in zip(plan.outputs, dtypes, strict=True)):
        return plan
    casts = [
        (attribute.name, functions.coerce(AttributeRef(attribute), dtype))
        for attribute, dtype in zip(plan.outputs, dtypes, strict=True)
    ]
    return Project(plan, _assignments(casts))


def _as_list(value: Expr | str | Sequence[Expr | str] | None) -> list[Expr | str]:
    if value is None:
        return []
    return [value] if isinstance(value, (Expr, str)) else list(value)


def _reject_duplicates(names: Sequence[str]) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            raise RepeatedColumn(
                f"column name appears twice: {name}", hint="give one of them another name with .alias()"
            )
