"""Every kind of statement and its errors: type, SQLSTATE, place, text, and that nothing else came of it.

``kinds/*.txt`` hold for each kind a statement that is right, and statements that fail with their answers. With
``GPUQL_UPDATE_ERRORS=1`` the answers are written anew; read the difference before committing it. A kind that the
planner knows and no file has an error for fails :func:`test_every_kind_has_errors`.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import gpuql
from gpuql.config import SETTINGS
from gpuql_planner.sql import bind, bind_alter, bind_commands, copy_options, parse_commands
from gpuql_planner.sql.bind import bind_statement
from gpuql_planner.sql.parse import ParsedStatement, parse_statements
from gpuql_planner.sql.statements import Statement

GOLDEN = sorted(Path(__file__).with_name("kinds").glob("*.txt"))
#: Hints that list everything there is, which grows.
LISTS = re.compile(r"((?:settings|options) are) .*")
KIND, STATEMENT, ERROR = "=== ", "--- statement\n", "--- error\n"
SETUP = """
CREATE TABLE t (a INTEGER, b BIGINT, c VARCHAR, d DOUBLE, e DECIMAL(10, 2), f DATE, g TIMESTAMP);
INSERT INTO t VALUES (1, 2, 'x', 1.5, 3.25, DATE '2020-01-01', TIMESTAMP '2020-01-01 10:00:00');
CREATE TABLE u (a INTEGER NOT NULL, z INTEGER);
INSERT INTO u VALUES (1, 2), (3, 4);
CREATE TABLE n (a INTEGER);
INSERT INTO n VALUES (NULL);
CREATE TABLE one (a INTEGER);
CREATE TABLE one_other (y INTEGER);
CREATE TABLE twice (a INTEGER);
INSERT INTO twice VALUES (1), (1);
CREATE TABLE k (id INTEGER PRIMARY KEY, v INTEGER UNIQUE, w INTEGER DEFAULT 1 CHECK (w > 0));
INSERT INTO k VALUES (1, 4, 1), (2, 5, 2), (3, 6, 3);
CREATE TABLE child (id INTEGER REFERENCES k (id));
INSERT INTO child VALUES (1);
CREATE TABLE gen (a INTEGER, g INTEGER GENERATED ALWAYS AS (a + 1));
INSERT INTO gen (a) VALUES (1);
CREATE TABLE people (name VARCHAR, born INTEGER);
CREATE VIEW v AS SELECT a FROM t;
CREATE SCHEMA s;
CREATE TABLE s.inner_table (a INTEGER);
CREATE SEQUENCE q;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE en (m mood);
CREATE MACRO m(x) AS x + 1;
PREPARE p AS SELECT $1 + 1;
PREPARE named AS SELECT $x + 1;
PREPARE ins AS INSERT INTO u VALUES ($1, 1);
SET VARIABLE x = 1;
"""
TABLES = ("t", "u", "n", "one", "twice", "k", "child", "gen", "people", "en", "s.inner_table")
#: What is not only in tables: names of everything, settings, definitions.
ELSEWHERE = (
    "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns() ORDER BY ALL",
    "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
    "SELECT schema_name FROM duckdb_schemas() ORDER BY ALL",
    "SELECT sequence_name, start_value FROM duckdb_sequences() ORDER BY ALL",
    "SELECT type_name FROM duckdb_types() WHERE NOT internal ORDER BY ALL",
    "SELECT function_name FROM duckdb_functions() WHERE NOT internal ORDER BY ALL",
    "SELECT getvariable('x'), current_schema()",
)


@dataclass(frozen=True)
class Kind:
    """A kind of statement: its title, one that is right, and those that fail with their answers."""

    title: str
    valid: str
    failing: tuple[tuple[str, str], ...]


def kinds_of(path: Path) -> list[Kind]:
    found = []
    for part in path.read_text(encoding="utf-8").split(KIND)[1:]:
        head, *cases = part.split(STATEMENT)
        title, _, valid = head.partition("\n")
        failing = []
        for case in cases:
            statement, _, error = case.partition(ERROR)
            failing.append((statement.removesuffix("\n"), error.strip("\n")))
        found.append(Kind(title, valid.strip(), tuple(failing)))
    return found


def written(kinds: list[Kind]) -> str:
    parts = []
    for kind in kinds:
        parts.append(f"{KIND}{kind.title}\n{kind.valid}\n\n")
        parts += [f"{STATEMENT}{statement}\n{ERROR}{error}\n\n" for statement, error in kind.failing]
    return "".join(parts).rstrip("\n") + "\n"


def answer(connection: gpuql.Connection, statement: str) -> str:
    try:
        rows = connection.execute(statement).fetchall()
    except gpuql.GpuqlError as error:
        place = "nowhere" if error.position is None else f"{error.position.line}:{error.position.column}"
        text = LISTS.sub(r"\1 …", str(error).replace(os.getcwd(), "…"))
        return f"{type(error).__name__} {error.sqlstate} {place}\n{text}"
    return f"no error: {rows}"


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gpuql.Connection]:
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    with gpuql.connect(device="cpu", threads=1) as opened:
        opened.execute(SETUP)
        yield opened


def make_files(folder: Path) -> None:
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_bytes(b"this is no Parquet file")
    (folder / "latin1.csv").write_bytes(b"a,b\n1,caf\xe9\n")
    (folder / "ragged.csv").write_bytes(b"a,b\n1,2\n3,4,5\n")
    (folder / "broken.json").write_bytes(b'{"a": 1}\n{"a": 2\n')
    (folder / "people.csv").write_bytes(b"name,born\nAda,1815\n")
    (folder / "holes.csv").write_bytes(b"a,z\n7,1\n,2\n")
    (folder / "keys.csv").write_bytes(b"id,v,w\n8,8,1\n1,9,1\n")
    (folder / "folder").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "there.txt").write_text("there")


def state(connection: gpuql.Connection, folder: Path) -> dict[str, object]:
    """All that a statement could change: rows, names, definitions, settings, files."""
    found: dict[str, object] = {
        name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES
    }
    found |= {query: connection.execute(query).fetchall() for query in ELSEWHERE}
    found["settings"] = connection.settings.as_dict()
    found["prepared"] = [connection.execute("EXECUTE p(1)").fetchall()]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found["files"] = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
    return found


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_errors(path: Path, tmp_path: Path, connection: gpuql.Connection) -> None:
    kinds = kinds_of(path)
    before = state(connection, tmp_path)
    answers = []
    for kind in kinds:
        answered = []
        for statement, _ in kind.failing:
            answered.append((statement, answer(connection, statement)))
            if connection.catalog.session.transaction is not None:
                connection.rollback()
            assert connection.execute("SELECT 42").fetchall() == [(42,)], statement
        answers.append(Kind(kind.title, kind.valid, tuple(answered)))
        assert state(connection, tmp_path) == before, (
            f"a statement of {kind.title} changed something and failed"
        )
    if os.environ.get("GPUQL_UPDATE_ERRORS") == "1":
        path.write_text(written(answers), encoding="utf-8")
    for now, expected in zip(answers, kinds, strict=True):
        for (statement, actual), (_, wanted) in zip(now.failing, expected.failing, strict=True):
            assert actual == wanted, statement
            assert not actual.startswith(("no error", "InternalError")), statement
            first, *lines = actual.split("\n")
            assert " nowhere" not in first, f"an error without a place: {statement}"
            assert any(set(line) <= {" ", "\t", "^"} and "^" in line for line in lines), statement


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_error_aborts_the_transaction(path: Path, tmp_path: Path, connection: gpuql.Connection) -> None:
    before = state(connection, tmp_path)
    for kind in kinds_of(path):
        for statement, error in kind.failing:
            if kind.title in ("BEGIN", "COMMIT", "ROLLBACK"):
                continue
            connection.execute("BEGIN; INSERT INTO one VALUES (1)")
            assert answer(connection, statement) == error, statement
            assert answer(connection, "SELECT 1").startswith("AbortedTransaction 25P02 1:1\n"), statement
            connection.execute("ROLLBACK")
    assert state(connection, tmp_path) == before


def test_every_kind_has_errors(connection: gpuql.Connection) -> None:
    """Each class of bound statement, each form that the planner matches, and each word that begins a command."""
    kinds = [kind for path in GOLDEN for kind in kinds_of(path)]
    assert all(kind.failing for kind in kinds)
    parsed = [statement for kind in kinds for statement in parse_statements(kind.valid)]
    bound = {type(bind_statement(statement, connection.catalog)) for statement in parsed}
    missing = {kind.__name__ for kind in get_args(Statement) if kind not in bound}
    assert not missing, f"no file has errors of these statements: {missing}"
    trees = [statement.tree for statement in parsed if statement.tree is not None]
    assert matched_classes(inspect.getsource(bind._bind)) <= {
        kind.__name__ for tree in trees for kind in type(tree).__mro__
    }
    actions = {type(action).__name__ for tree in trees for action in tree.args.get("actions") or ()}
    assert matched_classes(inspect.getsource(bind_alter._Alteration.bind)) <= actions
    syntax = {type(statement.syntax).__name__ for statement in parsed if statement.syntax is not None}
    assert matched_syntax(inspect.getsource(bind_commands.bind_command)) <= syntax
    assert {"statement", "explain", "reset", "transaction", "command"} <= {
        statement.command for statement in parsed
    }
    words = {first_word(statement) for statement in parsed}
    others = {"FORCE", "ANALYZE"}  # forms of CHECKPOINT and VACUUM
    assert set(parse_commands._STATEMENTS) <= words | others, "a command without errors"


def matched_classes(source: str) -> set[str]:
    """Names of sqlglot's classes in the patterns of a ``match``."""
    return set(re.findall(r"exp\.(\w+)\(\)", "\n".join(re.findall(r"case (.*):", source))))


def matched_syntax(source: str) -> set[str]:
    """Names of our own classes of syntax in the patterns of a ``match``."""
    return set(re.findall(r"case (\w+Syntax)\(", source))


def first_word(statement: ParsedStatement) -> str:
    return str(statement.tokens[0].text).upper()


def test_patterns_are_found() -> None:
    assert {"Create", "Insert", "Merge"} <= matched_classes(inspect.getsource(bind._bind))
    assert {"CopySyntax", "UseSyntax"} <= matched_syntax(inspect.getsource(bind_commands.bind_command))
    assert ast.parse(inspect.getsource(parse_commands)), "its table of words is read"


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_refuses_a_wrong_value(name: str, connection: gpuql.Connection) -> None:
    before = connection.settings
    with pytest.raises(gpuql.BinderError) as caught:
        connection.execute(f"SELECT 1;\nSET {name} = ''")
    error = caught.value
    assert error.sqlstate == "22023"
    assert error.position == gpuql.errors.Position(2, len(f"SET {name} = ") + 1)
    assert connection.settings == before
    with pytest.raises(gpuql.CatalogError) as caught_name:
        connection.execute(f"SET {name}x = 1")
    assert caught_name.value.hint is not None
    assert name in caught_name.value.hint


COPY_OPTIONS = sorted(
    (direction, written_format, option)
    for direction, formats in (("TO", copy_options._WRITTEN), ("FROM", copy_options._READ))
    for written_format, options in formats.items()
    for option, known in options.items()
    if known.name
)


@pytest.mark.parametrize(("direction", "file_format", "option"), COPY_OPTIONS)
def test_every_copy_option_refuses_a_wrong_value(
    direction: str, file_format: str, option: str, tmp_path: Path, connection: gpuql.Connection
) -> None:
    before = state(connection, tmp_path)
    wrong = "()" if option in ("partition_by", "force_quote") else "[1]"
    statement = f"COPY people {direction} 'people.csv' (FORMAT {file_format}, {option} {wrong})"
    with pytest.raises(gpuql.BinderError) as caught:
        connection.execute(statement)
    assert caught.value.sqlstate == "22023"
    assert caught.value.position == gpuql.errors.Position(1, statement.index(f"{option} {wrong}") + 1)
    assert state(connection, tmp_path) == before
