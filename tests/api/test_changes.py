"""What changes of tables mean to Python: error classes and places, transactions of cursors, readers, memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import gpuql
from gpuql.errors import (
    BinderError,
    CatalogError,
    CheckViolation,
    ForeignKeyViolation,
    GpuqlError,
    IntegrityError,
    NotNullViolation,
    NotSupportedError,
    ParserError,
    Position,
    TransactionError,
    TransactionStateError,
    UniqueViolation,
)


@pytest.fixture
def connection() -> Iterator[gpuql.Connection]:
    with gpuql.connect(device="cpu", threads=1) as opened:
        opened.execute(
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER NOT NULL CHECK (b > 0), c VARCHAR UNIQUE, "
            "g INTEGER AS (a + b), CONSTRAINT small CHECK (a < 100))"
        )
        opened.execute("INSERT INTO t VALUES (1, 1, 'x'), (2, 2, NULL)")
        opened.execute("CREATE TABLE child (x INTEGER REFERENCES t (a))")
        opened.execute("INSERT INTO child VALUES (2)")
        yield opened


VIOLATIONS: list[tuple[str, type[IntegrityError], str, str]] = [
    (
        "INSERT INTO t VALUES (1, 5, 'y')",
        UniqueViolation,
        "23505",
        "PRIMARY KEY constraint failed: t: several rows with a = 1",
    ),
    (
        "INSERT INTO t VALUES (3, 5, 'x')",
        UniqueViolation,
        "23505",
        "UNIQUE constraint failed: t: several rows with c = 'x'",
    ),
    ("UPDATE t SET a = 1", UniqueViolation, "23505", "a = 1"),
    ("INSERT INTO t VALUES (3, NULL, 'y')", NotNullViolation, "23502", "NOT NULL constraint failed: t.b"),
    ("UPDATE t SET b = NULL", NotNullViolation, "23502", "NOT NULL constraint failed: t.b"),
    (
        "INSERT INTO t VALUES (3, -1, 'y')",
        CheckViolation,
        "23514",
        "CHECK constraint failed: t: b > 0 (row with b = -1)",
    ),
    (
        "UPDATE t SET a = 100 WHERE a = 1",
        CheckViolation,
        "23514",
        "CHECK constraint small failed: t: a < 100",
    ),
    ("INSERT INTO child VALUES (9)", ForeignKeyViolation, "23503", "no row of t has a = 9"),
    ("DELETE FROM t WHERE a = 2", ForeignKeyViolation, "23503", "a row of child refers to a = 2"),
]


@pytest.mark.parametrize(
    ("statement", "kind", "sqlstate", "message"), VIOLATIONS, ids=[v[0] for v in VIOLATIONS]
)
def test_violations_name_table_rule_and_value(
    connection: gpuql.Connection, statement: str, kind: type[IntegrityError], sqlstate: str, message: str
) -> None:
    before = connection.execute("SELECT * FROM t ORDER BY a").fetchall()
    with pytest.raises(IntegrityError) as raised:
        connection.execute(statement)
    assert isinstance(raised.value, kind)
    assert raised.value.sqlstate == sqlstate
    assert message in raised.value.message
    assert connection.execute("SELECT * FROM t ORDER BY a").fetchall() == before


#: A caret stands where the error points.
PLACES: list[tuple[str, type[GpuqlError], str]] = [
    ("UPDATE t SET ^nothing = 1", BinderError, "column not found"),
    ("UPDATE t SET b = 1, ^b = 2", BinderError, "column set twice"),
    ("UPDATE t SET ^g = 1", BinderError, "generated"),
    ("UPDATE t SET b = ^nothing", BinderError, "column not found"),
    ("UPDATE t SET b = ^'x'", gpuql.ConversionError, "cannot convert"),
    ("UPDATE ^nothing SET b = 1", CatalogError, "table does not exist"),
    ("DELETE FROM ^nothing", CatalogError, "table does not exist"),
    ("DELETE FROM t WHERE ^nothing = 1", BinderError, "column not found"),
    ("DELETE FROM t RETURNING ^nothing", BinderError, "column not found"),
    ("INSERT INTO t (a, ^nothing) VALUES (1, 2)", BinderError, "column not found"),
    ("INSERT INTO t (a, ^g) VALUES (1, 2)", BinderError, "generated"),
    ("INSERT INTO t (a) VALUES (1) ON CONFLICT (^nothing) DO NOTHING", BinderError, "column not found"),
    ("INSERT INTO t (a) VALUES (1) RETURNING ^sum(a)", BinderError, "aggregate"),
    ("MERGE INTO t USING ^nothing AS s ON true WHEN MATCHED THEN DELETE", CatalogError, "does not exist"),
    (
        "MERGE INTO t USING child ON a = x WHEN MATCHED THEN UPDATE SET b = ^nothing",
        BinderError,
        "column not found",
    ),
    ("CREATE TABLE z (a INTEGER DEFAULT (^b))", BinderError, "may not name columns"),
    ("CREATE TABLE z (a INTEGER CHECK (^b > 1))", BinderError, "column not found"),
    ("CREATE TABLE z (a INTEGER REFERENCES ^nothing (a))", CatalogError, "table does not exist"),
    ("CREATE TABLE z (a INTEGER, PRIMARY KEY (^b))", BinderError, "column not found"),
    ("ALTER TABLE ^nothing ADD COLUMN z INTEGER", CatalogError, "table does not exist"),
    ("ALTER TABLE t DROP COLUMN ^nothing", BinderError, "column not found"),
    ("ALTER TABLE t DROP COLUMN ^a", CatalogError, "needed by"),
    ("ALTER TABLE t ALTER ^g SET DEFAULT 1", NotSupportedError, "generated"),
]


@pytest.mark.parametrize(("marked", "kind", "message"), PLACES, ids=[marked for marked, _, _ in PLACES])
def test_errors_point_at_their_cause(
    connection: gpuql.Connection, marked: str, kind: type[GpuqlError], message: str
) -> None:
    with pytest.raises(GpuqlError) as raised:
        connection.execute(marked.replace("^", ""))
    assert isinstance(raised.value, kind)
    assert message in str(raised.value)
    assert raised.value.position == Position(1, marked.index("^") + 1)


def test_statements_that_are_refused(connection: gpuql.Connection) -> None:
    for statement in (
        "ALTER TABLE t ADD CHECK (a > 1)",
        "CREATE TABLE z (a INTEGER AS (1) STORED, b INTEGER)",
    ):
        with pytest.raises(NotSupportedError):
            connection.execute(statement)
    with pytest.raises(ParserError):
        connection.execute("MERGE INTO t USING child ON a = x")
    connection.register("frame", {"a": [1]})
    with pytest.raises(CatalogError, match="registered frame"):
        connection.execute("DELETE FROM frame")


# --- transactions ---


def test_cursors_see_their_own_changes_and_no_others(connection: gpuql.Connection) -> None:
    one, other = connection.cursor(), connection.cursor()
    one.begin()
    one.execute("UPDATE t SET b = 50 WHERE a = 1")
    count = "SELECT count(*) FROM t WHERE b = 50"
    assert one.execute(count).fetchall() == [(1,)]
    assert other.execute(count).fetchall() == [(0,)]
    assert connection.execute(count).fetchall() == [(0,)]
    one.commit()
    assert other.execute(count).fetchall() == [(1,)]


def test_the_first_to_commit_wins(connection: gpuql.Connection) -> None:
    one, other = connection.cursor(), connection.cursor()
    one.begin()
    other.begin()
    one.execute("UPDATE t SET b = 50 WHERE a = 1")
    other.execute("UPDATE t SET b = 60 WHERE a = 2")
    one.commit()
    with pytest.raises(TransactionError) as raised:
        other.commit()
    assert raised.value.sqlstate == "40001"
    assert connection.execute("SELECT b FROM t ORDER BY a").fetchall() == [(50,), (2,)]
    other.begin()  # the transaction is over, so that it can be tried again
    other.execute("UPDATE t SET b = 60 WHERE a = 2")
    other.commit()
    assert connection.execute("SELECT b FROM t ORDER BY a").fetchall() == [(50,), (60,)]


def test_rows_appended_by_two_transactions_are_both_kept(connection: gpuql.Connection) -> None:
    connection.execute("CREATE TABLE log (a INTEGER)")
    one, other = connection.cursor(), connection.cursor()
    one.begin()
    other.begin()
    one.execute("INSERT INTO log VALUES (1)")
    other.execute("INSERT INTO log VALUES (2)")
    other.execute("INSERT INTO log VALUES (3)")
    assert other.execute("SELECT * FROM log").fetchall() == [(2,), (3,)]
    one.commit()
    other.commit()
    assert connection.execute("SELECT * FROM log ORDER BY a").fetchall() == [(1,), (2,), (3,)]


def test_a_key_and_what_refers_to_it_cannot_part_ways(connection: gpuql.Connection) -> None:
    one, other = connection.cursor(), connection.cursor()
    one.begin()
    other.begin()
    one.execute("INSERT INTO child VALUES (1)")
    other.execute("DELETE FROM t WHERE a = 1")
    one.commit()
    with pytest.raises(TransactionError):
        other.commit()
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_definitions_conflict_too(connection: gpuql.Connection) -> None:
    one, other = connection.cursor(), connection.cursor()
    one.begin()
    other.begin()
    one.execute("CREATE TABLE new (a INTEGER)")
    other.execute("CREATE TABLE new (b INTEGER)")
    one.commit()
    with pytest.raises(TransactionError, match="new"):
        other.commit()
    assert connection.execute("SELECT * FROM new").description[0][0] == "a"  # type: ignore[index]


def test_an_aborted_transaction_says_so(connection: gpuql.Connection) -> None:
    cursor = connection.cursor()
    cursor.begin()
    cursor.execute("UPDATE t SET b = 50")
    with pytest.raises(BinderError):
        cursor.execute("SELECT nothing FROM t")
    with pytest.raises(TransactionStateError, match="ROLLBACK"):
        cursor.execute("SELECT 1")
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    cursor.rollback()
    assert cursor.execute("SELECT max(b) FROM t").fetchall() == [(2,)]


def test_autocommit_off_is_as_pep_249_says(connection: gpuql.Connection) -> None:
    connection.autocommit = False
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t VALUES (3, 3, 'z')")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(3,)]
    connection.rollback()
    assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    cursor.execute("INSERT INTO t VALUES (3, 3, 'z')")
    connection.commit()
    cursor.execute("DELETE FROM t WHERE a = 3")
    connection.rollback()
    connection.rollback()  # nothing to do
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(3,)]
    cursor.execute("DELETE FROM t WHERE a = 3")
    connection.autocommit = True
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_updates_of_several_threads_are_all_kept() -> None:
    with gpuql.connect(device="cpu", threads=1) as connection:
        connection.execute("CREATE TABLE counter AS SELECT 0 AS n")
        errors: list[BaseException] = []

        def count() -> None:
            try:
                for _ in range(10):
                    connection.cursor().execute("UPDATE counter SET n = n + 1")
            except GpuqlError as error:
                errors.append(error)

        threads = [threading.Thread(target=count) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert connection.execute("SELECT n FROM counter").fetchall() == [(30,)]


def test_a_frame_keeps_the_rows_it_was_bound_to(connection: gpuql.Connection) -> None:
    frame = connection.sql("SELECT a, b FROM t ORDER BY a")
    connection.execute("UPDATE t SET b = 70")
    connection.execute("DELETE FROM child")
    connection.execute("DELETE FROM t WHERE a = 1")
    assert frame.fetchall() == [(1, 1), (2, 2)]
    query = "SELECT a, b FROM t ORDER BY a"
    assert connection.execute(query).fetchall() == [(2, 70)]
    connection.execute("UPDATE t SET b = 80")
    assert connection.execute(query).fetchall() == [(2, 80)]


def test_parameters_are_taken_in_every_clause(connection: gpuql.Connection) -> None:
    connection.execute("UPDATE t SET b = ? WHERE a = ?", [9, 1])
    assert connection.execute("UPDATE t SET b = b + $1 WHERE a = $2 RETURNING b", [1, 1]).fetchall() == [
        (10,)
    ]
    connection.execute(
        "INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (a) DO UPDATE SET b = excluded.b + ?", [1, 5, "q", 100]
    )
    assert connection.execute("SELECT b FROM t WHERE a = 1").fetchall() == [(105,)]
    merged = "MERGE INTO t USING (SELECT $k AS a) AS s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = $v RETURNING b"
    assert connection.execute(merged, {"k": 1, "v": 6}).fetchall() == [(6,)]
    connection.executemany("DELETE FROM child WHERE x = ?", [[2], [3]])
    assert connection.execute("SELECT count(*) FROM child").fetchall() == [(0,)]


# --- memory ---


def test_large_tables_are_changed_within_little_memory() -> None:
    rows = 300_000
    with gpuql.connect(device="cpu", threads=1, memory_limit="4MB") as connection:
        connection.execute(
            f"CREATE TABLE big AS SELECT a, a * 7919 % 1000003 AS b, 'text of row ' || a AS c FROM range({rows}) r(a)"
        )
        assert connection.execute("UPDATE big SET b = -a WHERE a % 3 = 0").fetchall() == [(rows // 3,)]
        assert connection.execute("DELETE FROM big WHERE a % 5 = 1").fetchall() == [(rows // 5,)]
        merged = connection.execute(
            f"MERGE INTO big USING (SELECT a + {rows // 2} AS a FROM range({rows}) r(a)) AS s ON big.a = s.a "
            "WHEN MATCHED AND s.a % 2 = 0 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.a, 0, 'new')"
        ).fetchall()
        kept = [a for a in range(rows) if a % 5 != 1]
        gone = {a for a in kept if a >= rows // 2 and a % 2 == 0}
        added = [a for a in range(rows // 2, rows // 2 + rows) if a >= rows or a % 5 == 1]
        assert merged == [(len(gone) + len(added),)]
        expected_b = sum(-a if a % 3 == 0 else a * 7919 % 1000003 for a in kept if a not in gone)
        left = [a for a in kept if a not in gone]
        assert connection.execute("SELECT count(*), sum(a), sum(b) FROM big").fetchall() == [
            (len(left) + len(added), sum(left) + sum(added), expected_b)
        ]
        assert connection.execute("SELECT c FROM big WHERE a = 12").fetchall() == [("text of row 12",)]
        connection.execute("CREATE TABLE keyed (a BIGINT PRIMARY KEY, b VARCHAR)")
        connection.execute(f"INSERT INTO keyed SELECT a, 'v' || a FROM range({rows}) r(a)")
        with pytest.raises(UniqueViolation):
            connection.execute(f"INSERT INTO keyed SELECT a, 'w' FROM range({rows - 1}, {rows + 10}) r(a)")
        assert connection.memory.host.used_bytes <= connection.memory.host.limit_bytes
