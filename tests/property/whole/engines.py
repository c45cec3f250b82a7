"""DuckDB and gpuql connections of several configurations over the tables of one world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import duckdb

import gpuql
from tests.property.engines import Outcome, run, run_duckdb
from tests.property.whole.rows import rows_problem
from tests.property.whole.world import World

#: Of a thousand queries so many run in a configuration, and its settings.
CONFIGURATIONS: dict[str, tuple[int, dict[str, str | int | bool]]] = {
    "interpreted": (400, {}),
    "optimizer off": (190, {"optimizer": False}),
    "batches of 3": (190, {"batch_rows": 3}),
    "memory limit 4 MB": (160, {"memory_limit": "4MB"}),
    "plans verified": (55, {"verify_plans": True}),
    "compiled": (5, {"tier": "compiled"}),
}
_USUAL: dict[str, str | int | bool] = {
    "tier": "interpreted",
    "optimizer": True,
    "batch_rows": 131_072,
    "verify_plans": False,
    "memory_limit": "auto",
}


class Engines:
    """Connections over one world; close when done."""

    def __init__(self, world: World, *, device: str = "cpu") -> None:
        statements = world.statements()
        self._stack = ExitStack()
        self.duckdb = self._stack.enter_context(duckdb.connect(config={"threads": 1}))
        for statement in statements:
            self.duckdb.execute(statement)
        self.plain = self.duckdb.cursor()
        self.plain.execute("PRAGMA disable_optimizer")
        self.gpuql = self._stack.enter_context(gpuql.connect(device=device))
        self.gpuql.set_variable("threads", 2)
        for statement in statements:
            self.gpuql.execute(statement)

    def close(self) -> None:
        """Close all connections."""
        self._stack.close()

    def expected(self, sql: str) -> Outcome:
        """What DuckDB answers."""
        return _answer(self.duckdb, sql)

    def found(self, name: str, sql: str) -> Outcome:
        """What gpuql answers in configuration ``name``."""
        for setting, value in (_USUAL | CONFIGURATIONS[name][1]).items():
            self.gpuql.set_variable(setting, value)
        return run(self.gpuql, sql)

    def is_doubtful(self, sql: str, expected: Outcome) -> bool:
        """Whether DuckDB without its optimizer gives other rows than with it."""
        other = _answer(self.plain, sql)
        if other.kind != "rows":
            return False
        return rows_problem(expected, other, is_ordered=False) is not None


@contextmanager
def opened(world: World, device: str = "cpu") -> Iterator[Engines]:
    """Connections that are closed at the end of the block."""
    engines = Engines(world, device=device)
    try:
        yield engines
    finally:
        engines.close()


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
    try:
        return run_duckdb(connection, sql)
    except (ValueError, OverflowError) as error:  # dates that Python has not
        return Outcome("unreadable", message=str(error))
