"""Connections: where statements are bound, planned once, run, and interrupted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from gpuql.api.dataframe import DataFrame, RunnableQuery
from gpuql.api.dbapi import Cursor, Description, Parameters, check_parameters
from gpuql.api.result import Result, Row
from gpuql.catalog.catalog import Acting, SessionCatalog
from gpuql.catalog.transactions import Session
from gpuql.changes import looks_before_it_changes
from gpuql.commands import run_command, table_of_values
from gpuql.config import Settings, SettingValue
from gpuql.device import Device, open_device
from gpuql.errors import GpuqlError, InterfaceError, NotSupportedError
from gpuql.interrupts import RunningQueries
from gpuql.memory.connection_memory import ConnectionMemory
from gpuql.plan_cache import Dependency, PlanCache, PlanCacheCounts, RecordingCatalog, cache_key
from gpuql.prepared import FinishedQuery, PreparedQuery, QueryHost, QueryTemplate
from gpuql.stack_room import room_for_deep_statements
from gpuql.thresholds import PLAN_CACHE_CAPACITY, TEMPLATE_VARIANTS
from gpuql_planner.catalog import Table, View
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.nodes import LogicalNode, Scan
from gpuql_planner.logical.traced import SlotValues, Trace
from gpuql_planner.session_zone import binding_in_zone
from gpuql_planner.sql.bind import bind_statement
from gpuql_planner.sql.change_statements import AlterTable, ChangeRows, Insert, RenameRelation, Truncate
from gpuql_planner.sql.parse import ParsedStatement, is_volatile, parse_statements
from gpuql_planner.sql.statement_shape import StatementShape, statement_shape
from gpuql_planner.sql.statement_subject import locate_in_statement, subject_position
from gpuql_planner.sql.statements import CreateTable, CreateView, Drop, Query, Statement
from gpuql_planner.statement_errors import AbortedTransaction, UndefinedFunction

if TYPE_CHECKING:
    from gpuql.execution.device_choice import DeviceChoice
    from gpuql.execution.executor import Executor, TableRows


_OUR_PACKAGES = ("gpuql", "gpuql_planner", "sqlglot")


def connect(device: str = "auto", threads: int | None = None, **settings: SettingValue) -> Connection:
    """Open a connection: a catalog of tables of its own, settings, and a device to run on.

    Parameters
    ----------
    device : auto (CPU or GPU, whichever is expected to be faster), cpu, gpu or cudasim.
    threads : worker threads on the CPU; all cores by default.
    settings : any other of ``gpuql.config.SETTINGS``.

    Errors: DeviceError if ``gpu`` is asked for and not usable, naming what is missing; CatalogError for an unknown
    setting.
    """
    if device == ":memory:" or "." in device or "/" in device:
        raise NotSupportedError(
            f"database files are not supported: {device}",
            hint="tables live in memory: gpuql.connect(). Its first argument is the device",
        )
    return Connection(Settings(), {"device": device, "threads": threads, **settings})


class Connection:
    """A session. Several threads may use one connection; each query sees the tables as they were when it was bound."""

    def __init__(self, defaults: Settings, changes: dict[str, Any]) -> None:
        self._settings = defaults
        self._devices: dict[str, Device] = {}
        self._executors: dict[tuple[str, int], Executor] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._running = RunningQueries()
        self._plans: PlanCache[PreparedQuery] = PlanCache(PLAN_CACHE_CAPACITY)
        self._templates: PlanCache[QueryTemplate] = PlanCache(PLAN_CACHE_CAPACITY, TEMPLATE_VARIANTS)
        self._plan_counts = {"repeated": 0, "reused": 0, "planned": 0}
        self._memory = ConnectionMemory(defaults)
        self._setting_values = self._settings, self._settings.as_dict()
        self._catalog = self._empty_catalog()
        self._session = self._catalog.session
        self._choices: dict[int, DeviceChoice] = {}
        self._host = QueryHost(
            lambda: self._settings, self._executor, self._device_choice, self._memory, self._running
        )
        self._cursor = self._cursor_of(self._session)
        for name, value in changes.items():
            self.set_variable(name, value)

    # --- statements ---

    def sql(self, text: str, parameters: Parameters = None) -> DataFrame:
        """A lazy DataFrame over the query; with several statements all but the last run now.

        A last statement that is no query (CREATE, INSERT ...) runs now too; the frame then holds what it returned.
        """
        with room_for_deep_statements(), self._statements_of(self._session):
            prepared = self._prepare_text(text, parameters)
        return DataFrame(prepared, self._prepare)

    def execute(self, text: str, parameters: Parameters = None) -> Cursor:
        """Run all statements; the cursor, and this connection's ``fetch`` methods, give the rows of the last one."""
        self._check_open()
        self._cursor = self._cursor_of(self._session).execute(text, parameters)
        return self._cursor

    def executemany(self, text: str, parameter_sets: Iterable[Parameters]) -> Cursor:
        """Run the text once per set of parameters."""
        self._check_open()
        self._cursor = self._cursor_of(self._session).executemany(text, parameter_sets)
        return self._cursor

    def explain(
        self, text: str, parameters: Parameters = None, *, analyze: bool = False, codegen: bool = False
    ) -> str:
        """The plan of a query as text."""
        return self.sql(text, parameters).explain(analyze=analyze, codegen=codegen)

    def cursor(self) -> Cursor:
        """A DB-API cursor.

        As in DuckDB it has transactions of its own; made while ``autocommit`` is False, it takes part in those of the
        connection.
        """
        self._check_open()
        own = self._session
        return self._cursor_of(own if not own.autocommit else Session())

    def _cursor_of(self, session: Session) -> Cursor:
        return Cursor(partial(self._run_text_of, session))

    @property
    def description(self) -> Description | None:
        """Columns of the last ``execute``."""
        return self._cursor.description

    def fetchone(self) -> Row | None:
        """Next row of the last ``execute``."""
        self._check_open()
        return self._cursor.fetchone()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Next rows of the last ``execute``."""
        self._check_open()
        return self._cursor.fetchmany(size)

    def fetchall(self) -> list[Row]:
        """Remaining rows of the last ``execute``."""
        self._check_open()
        return self._cursor.fetchall()

    def begin(self) -> None:
        """Begin a transaction. Errors: TransactionError within one."""
        self._check_open()
        with self._catalog.acting_as(self._session):
            self.change_transaction("begin")

    def commit(self) -> None:
        """Make the transaction's changes last; nothing to do without one. Errors: TransactionError on a conflict."""
        self._end_transaction("commit")

    def rollback(self) -> None:
        """Undo all that the transaction did; nothing to do without one."""
        self._end_transaction("rollback")

    def _end_transaction(self, kind: str) -> None:
        self._check_open()
        if self._session.transaction is not None:
            with self._catalog.acting_as(self._session):
                self.change_transaction(kind)

    @property
    def autocommit(self) -> bool:
        """Whether each statement outside of BEGIN and COMMIT takes effect at once, as it does unless set to False.

        False is PEP 249's way: the first statement begins a transaction, which :meth:`commit` or :meth:`rollback` ends.
        Setting it to True commits.
        """
        return self._session.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if value:
            self.commit()
        self._session.autocommit = bool(value)

    def change_transaction(self, kind: str) -> None:
        """Begin or end the transaction of whose statement runs: begin, "begin read only", commit or rollback."""
        if kind.startswith("begin"):
            self._catalog.begin(read_only=kind != "begin")
            return
        changed = self._catalog.commit() if kind == "commit" else self._catalog.rollback()
        for name in changed:
            self._forget_plans(name)
        self._memory.columns.settle()

    # --- tables ---

    def table(self, name: str) -> DataFrame:
        """The table or view called ``name``, or the file at that path."""
        self._check_open()
        _check_name(name)
        quoted = '"' + name.replace('"', '""') + '"'
        return self.sql(f"SELECT * FROM {quoted}")

    def register(self, name: str, relation: object) -> None:
        """Make a pandas, polars, Arrow, NumPy or gpuql frame known as table ``name``. Its data is read now."""
        self._check_open()
        _check_name(name)
        self._forget_plans(name)
        self._catalog.register(name, relation.collect() if isinstance(relation, DataFrame) else relation)
        registered = self._catalog.resolve(name)
        if not isinstance(registered, View | None):
            self.device.load_ahead(registered.num_rows or 0)

    def unregister(self, name: str) -> None:
        """Forget a registered table."""
        self._check_open()
        self._forget_plans(name)
        self._catalog.unregister(name)

    def read_parquet(self, path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
        """Rows of Parquet files: a path, a glob, a folder of hive partitions, or a list of paths."""
        return self._table_function("read_parquet", path, options)

    def read_csv(self, path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
        """Rows of CSV files; ``delim``, ``header``, ``nullstr`` and so on as in SQL's read_csv."""
        return self._table_function("read_csv", path, options)

    def read_json(self, path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
        """Rows of newline-delimited JSON files."""
        return self._table_function("read_json", path, options)

    def from_arrow(self, table: object) -> DataFrame:
        """A frame over an Arrow table, reader, or anything else with ``__arrow_c_stream__``."""
        return self._from_object(table)

    def from_pandas(self, frame: object) -> DataFrame:
        """A frame over a pandas DataFrame; its index is left out."""
        return self._from_object(frame)

    def from_polars(self, frame: object) -> DataFrame:
        """A frame over a polars DataFrame or LazyFrame."""
        return self._from_object(frame)

    def from_dict(self, columns: dict[str, object]) -> DataFrame:
        """A frame over a dictionary of equally long columns (lists or NumPy arrays)."""
        return self._from_object(columns)

    # --- the session itself ---

    @property
    def catalog(self) -> SessionCatalog:
        """Tables and views of this connection."""
        return self._catalog

    @property
    def settings(self) -> Settings:
        """Settings as they are now."""
        return self._settings

    @property
    def device(self) -> Device:
        """The device that queries run on; ``name`` and ``reason`` say which and why."""
        return self._device(self._settings.device)

    @property
    def memory(self) -> ConnectionMemory:
        """Budget and temporary files of this connection."""
        return self._memory

    @property
    def plan_counts(self) -> PlanCacheCounts:
        """How many queries so far were known, fitted a plan made for other constants, or were planned."""
        with self._lock:
            return PlanCacheCounts(**self._plan_counts)

    def set_variable(self, name: str, value: object) -> None:
        """Change a setting; None gives it its default back. Queries that run keep what they started with."""
        self._check_open()
        with self._lock:
            changed = self._settings.changed(name, value)
            self._device(changed.device)
            self._memory.apply(changed)
            self._settings = changed

    def interrupt(self) -> int:
        """Stop all queries of this connection (they raise InterruptError); returns how many there were."""
        return self._running.cancel_all()

    def close(self) -> None:
        """Stop all queries and let go of all tables, and of rows of results in files. Twice does no harm."""
        with self._lock:
            self._closed = True
            self._running.cancel_all()
            self._plans.clear()
            self._templates.clear()
            self._catalog = self._empty_catalog()
            executors = list(self._executors.values())
            self._executors.clear()
        for executor in executors:
            executor.close()
        self._memory.close_results()

    def __enter__(self) -> Connection:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @room_for_deep_statements()
    def statements(self, text: str) -> list[ParsedStatement]:
        """The statements of a text, each to be handed to :meth:`run_statement`; ParserError if one is not SQL."""
        return parse_statements(text)

    @room_for_deep_statements()
    def run_statement(self, statement: ParsedStatement, parameters: Parameters = None) -> Result:
        """Bind and run one parsed statement."""
        self._check_open()
        check_parameters(parameters)
        with self._statements_of(self._session):
            return self._run_parsed(statement, parameters)

    # --- for commands ---

    def run_query(self, query: Query) -> Result:
        """Rows of a bound query."""
        return self._prepare(query).run()

    def run_query_into(self, query: Query, rows: TableRows) -> None:
        """Let ``rows`` take the rows of a bound query as they come."""
        self._prepare(query).run_into(rows)

    def run_text(self, text: str, parameters: Parameters) -> Result:
        """Rows of the last statement of a text; plans of queries are kept as if the text had been given."""
        return self._prepare_text(text, parameters).run()

    def explain_query(self, query: Query, mode: str) -> str:
        """Plan of a bound query as text."""
        return self._prepare(query).explain(mode)

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], None]]:
        """Gives what raises InterruptError once :meth:`interrupt` was called, or KeyboardInterrupt after Ctrl-C."""
        with self._running.query() as token:
            yield token.check

    # --- inside ---

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("connection is closed")

    def _empty_catalog(self) -> SessionCatalog:
        return SessionCatalog(
            python_variable, self._memory.columns, self._values_of_settings, self._rows_of_plan
        )

    def _rows_of_plan(self, plan: LogicalNode, names: tuple[str, ...]) -> list[Row]:
        """Rows of a query that a statement needs in order to be bound."""
        return self._prepare(Query(plan, names)).run().fetchall()

    def _values_of_settings(self) -> Mapping[str, SettingValue]:
        """All settings by name; the same object until one changes."""
        if self._setting_values[0] is not self._settings:
            self._setting_values = self._settings, self._settings.as_dict()
        return self._setting_values[1]

    def _executor(self, settings: Settings) -> Executor:
        key = settings.device, settings.threads
        executor = self._executors.get(key)
        if executor is None:
            from gpuql.execution.executor import Executor

            with self._lock:
                self._check_open()
                executor = self._executors.get(key)
                if executor is None:
                    executor = Executor(self._device(settings.device), settings.threads)
                    self._executors[key] = executor
        return executor

    def _device_choice(self, settings: Settings) -> DeviceChoice | None:
        """Chooses the device of each query where that is left open and there are two; None otherwise."""
        if settings.device != "auto":
            return None
        device = self._device("auto")
        if not device.launches_kernels:
            return None
        with self._lock:
            choice = self._choices.get(settings.threads)
            if choice is None:
                from gpuql.device.calibration import load_calibration
                from gpuql.execution.device_choice import DeviceChoice

                costs = load_calibration().costs
                choice = DeviceChoice(costs.of_cpu(settings.threads), costs.of_gpu(device.name))
                self._choices[settings.threads] = choice
            return choice

    def _device(self, name: str) -> Device:
        with self._lock:
            if name not in self._devices:
                self._devices[name] = open_device(name)
            return self._devices[name]

    def _prepare(self, query: Query) -> PreparedQuery:
        self._check_open()
        return PreparedQuery(query, self._host)

    @room_for_deep_statements()
    def _run_text_of(self, session: Session, text: str, parameters: Parameters) -> Result:
        with self._statements_of(session):
            return self._prepare_text(text, parameters).run()

    def _statements_of(self, session: Session) -> Acting:
        """Let what runs inside belong to ``session``; an error aborts its transaction."""
        self._check_open()
        return self._catalog.acting_as(session, aborts=True)

    def _enter_transaction(self, statement: ParsedStatement) -> None:
        """Make sure that a statement may run, in a transaction that begins here if there is no autocommit."""
        if statement.command == "transaction":
            return
        session = self._catalog.session
        if session.transaction is None and not session.autocommit:
            self._catalog.begin()
        if session.transaction is not None and session.transaction.is_aborted:
            raise AbortedTransaction(
                "transaction is aborted by an error: nothing runs before ROLLBACK",
                position=subject_position(statement),
                statement=statement.text,
            )

    def _run_parsed(self, statement: ParsedStatement, parameters: Parameters) -> Result:
        self._enter_transaction(statement)
        bound, _ = self._bind(statement, parameters)
        return self._run_bound(bound, statement, parameters)

    def _run_bound(self, bound: Statement, parsed: ParsedStatement, parameters: Parameters) -> Result:
        """Run a statement. One that looks at rows before it changes them is bound to the table as nobody changes it."""
        try:
            if not looks_before_it_changes(bound):
                return self._run_command(bound)
            with self._catalog.changing_rows():
                if self._catalog.resolve(bound.table) is not bound.target:
                    bound, _ = self._bind(parsed, parameters)
                return self._run_command(bound)
        except GpuqlError as error:
            locate_in_statement(error, parsed)
            raise

    def _prepare_text(self, text: str, parameters: Parameters) -> RunnableQuery:
        self._check_open()
        if not isinstance(text, str):
            raise InterfaceError(f"statements must be text: {type(text).__name__}")
        check_parameters(parameters)
        key = cache_key(text, parameters, *self._bound_with())
        session = self._catalog.session
        plain = session.autocommit if session.transaction is None else not session.transaction.is_aborted
        known = None if key is None or not plain else self._plans.get(key, self._catalog)
        if known is not None:
            self._count("repeated")
            return known[0]
        shape = None if key is None or is_volatile(text) else statement_shape(text, parameters)
        reused = None if shape is None or not plain else self._reuse(key, shape, text)
        if reused is not None:
            self._count("reused")
            return reused
        trees = parse_statements(text)
        if not trees:
            return FinishedQuery(table_of_values([]))
        for tree in trees[:-1]:
            self._run_parsed(tree, None)
        self._enter_transaction(trees[-1])
        trace = None if shape is None or len(trees) > 1 else Trace(shape.slots)
        statement, dependencies = self._bind(trees[-1], parameters, shape, trace)
        if not isinstance(statement, Query):
            return FinishedQuery(self._run_bound(statement, trees[-1], parameters))
        self._count("planned")
        if shape is not None and trace is not None:
            template = QueryTemplate(statement, trace)
            prepared = PreparedQuery(template, self._host, SlotValues(shape.slots), text)
            if not _asks_for_time(text, dependencies):
                self._templates.put(self._template_key(shape), template, dependencies)
        else:
            prepared = PreparedQuery(statement, self._host, text=text)
        if key is not None and len(trees) == 1 and not _asks_for_time(text, dependencies):
            self._plans.put(key, prepared, dependencies)
        return prepared

    def _template_key(self, shape: StatementShape) -> Hashable:
        return shape.key, *self._bound_with()

    def _bound_with(self) -> tuple[Hashable, ...]:
        """What the meaning of a statement depends on besides its text and the relations that it names."""
        settings = self._settings
        return settings.integer_division, settings.timezone, self._catalog.search_path()

    def _reuse(self, key: Hashable, shape: StatementShape, text: str) -> PreparedQuery | None:
        """A query of this shape that was planned with other constants and fits these, kept under ``key``."""
        values = SlotValues(shape.slots)
        found = self._templates.get(
            self._template_key(shape), self._catalog, lambda template: template.accepts(values)
        )
        if found is None:
            return None
        template, dependencies = found
        prepared = PreparedQuery(template, self._host, values, text)
        self._plans.put(key, prepared, dependencies)
        return prepared

    def _count(self, answered: str) -> None:
        with self._lock:
            self._plan_counts[answered] += 1

    def _bind(
        self,
        statement: ParsedStatement,
        parameters: Parameters,
        shape: StatementShape | None = None,
        trace: Trace | None = None,
    ) -> tuple[Statement, tuple[Dependency, ...]]:
        catalog = RecordingCatalog(self._catalog)
        transaction = self._catalog.session.transaction
        bound = bind_statement(
            statement,
            catalog,
            parameters,
            integer_division=self._settings.integer_division,
            time_zone=self._settings.timezone,
            began=None if transaction is None else transaction.started_at,
            shape=shape,
            trace=trace,
        )
        return bound, catalog.dependencies

    def _forget_plans(self, relation_name: str) -> None:
        self._plans.forget(relation_name)
        self._templates.forget(relation_name)

    def _run_command(self, statement: Statement) -> Result:
        try:
            with binding_in_zone(self._settings.timezone):
                return run_command(statement, self)
        finally:
            match statement:
                case (
                    CreateTable(name=name)
                    | CreateView(name=name)
                    | Drop(name=name)
                    | Insert(table=name)
                    | ChangeRows(table=name)
                    | Truncate(table=name)
                    | AlterTable(table=name)
                    | RenameRelation(name=name)
                ):
                    self._forget_plans(name)
                    self._memory.columns.settle()

    def _table_function(self, name: str, argument: object, options: dict[str, object]) -> DataFrame:
        self._check_open()
        paths = [str(path) for path in argument] if isinstance(argument, (list, tuple)) else str(argument)
        table = self._catalog.table_function(name, [paths], options)
        if table is None:
            raise UndefinedFunction(f"table function not found: {name}")
        return self._scan(table)

    def _from_object(self, value: object) -> DataFrame:
        self._check_open()
        return self._scan(self._catalog.frame_table(value))

    def _scan(self, table: Table) -> DataFrame:
        columns = tuple(
            (Attribute.fresh(field.name, field.dtype, nullable=field.nullable), field.name)
            for field in table.fields
        )
        query = Query(Scan(table, columns), tuple(field.name for field in table.fields))
        return DataFrame(self._prepare(query), self._prepare)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InterfaceError(f"table name must be text that is not empty: {name!r}")


def _asks_for_time(text: str, dependencies: Sequence[Dependency]) -> bool:
    """Whether the statement, or a view that it reads, may ask what time it is."""
    return is_volatile(text) or any(
        isinstance(answer, View) and is_volatile(answer.sql) for _, answer in dependencies
    )


def python_variable(name: str) -> object | None:
    """Variable ``name`` of the code that called gpuql, or None: local first, then global."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return None
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    return value.collect() if isinstance(value, DataFrame) else value


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OUR_PACKAGES


# --- the connection that lasts as long as the process ---

_default: list[Connection] = []
_default_lock = threading.Lock()


def default_connection() -> Connection:
    """The connection behind ``gpuql.sql`` and its siblings; opened at first use."""
    with _default_lock:
        if not _default:
            _default.append(connect())
        return _default[0]


def sql(text: str, parameters: Parameters = None) -> DataFrame:
    """:meth:`Connection.sql` on the default connection."""
    return default_connection().sql(text, parameters)


def execute(text: str, parameters: Parameters = None) -> Cursor:
    """:meth:`Connection.execute` on the default connection."""
    return default_connection().execute(text, parameters)


def table(name: str) -> DataFrame:
    """:meth:`Connection.table` on the default connection."""
    return default_connection().table(name)


def register(name: str, relation: object) -> None:
    """:meth:`Connection.register` on the default connection."""
    default_connection().register(name, relation)


def read_parquet(path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
    """:meth:`Connection.read_parquet` on the default connection."""
    return default_connection().read_parquet(path, **options)


def read_csv(path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
    """:meth:`Connection.read_csv` on the default connection."""
    return default_connection().read_csv(path, **options)


def read_json(path: str | Path | Sequence[str | Path], **options: object) -> DataFrame:
    """:meth:`Connection.read_json` on the default connection."""
    return default_connection().read_json(path, **options)


def from_arrow(table: object) -> DataFrame:
    """:meth:`Connection.from_arrow` on the default connection."""
    return default_connection().from_arrow(table)


def from_pandas(frame: object) -> DataFrame:
    """:meth:`Connection.from_pandas` on the default connection."""
    return default_connection().from_pandas(frame)


def from_polars(frame: object) -> DataFrame:
    """:meth:`Connection.from_polars` on the default connection."""
    return default_connection().from_polars(frame)


def from_dict(columns: dict[str, object]) -> DataFrame:
    """:meth:`Connection.from_dict` on the default connection."""
    return default_connection().from_dict(columns)
