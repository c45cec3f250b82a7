"""Four small tables with NULLs, as a catalog with true statistics and as DuckDB tables."""

from __future__ import annotations

from typing import Any

from tests.plans.catalogs import FixedCatalog, parse_tables

_SCHEMA = """
t 6
  a INTEGER 4 1 5 null
  b INTEGER 4 10 40 null
  id INTEGER 6 1 6
u 7
  a INTEGER 4 1 6 null
  c INTEGER 5 1 30 null
  k INTEGER 7 1 7
v 5
  b INTEGER 3 10 50 null
  c INTEGER 4 1 30 null
  s VARCHAR 3 - - null
e 0
  a INTEGER 0 - - null
  c INTEGER 0 - - null
"""

_CREATE = """
CREATE TABLE t AS SELECT * FROM (VALUES
    (1, 10, 1), (2, 20, 2), (2, NULL, 3), (NULL, 10, 4), (5, 40, 5), (3, 30, 6)) x(a, b, id);
CREATE TABLE u AS SELECT * FROM (VALUES
    (1, 1, 1), (2, 10, 2), (2, 20, 3), (NULL, 5, 4), (6, NULL, 5), (1, 30, 6), (3, NULL, 7)) x(a, c, k);
CREATE TABLE v AS SELECT * FROM (VALUES
    (10, 1, 'x'), (20, 10, 'y'), (NULL, 20, 'x'), (50, 30, NULL), (10, NULL, 'z')) x(b, c, s);
CREATE TABLE e(a INTEGER, c INTEGER);
"""


def small_catalog() -> FixedCatalog:
    """t, u, v and the empty e."""
    return parse_tables(_SCHEMA)


def create_small_tables(connection: Any) -> None:
    """The same tables in a DuckDB connection."""
    connection.execute(_CREATE)
