"""The full text of errors, as users see them: ``*.txt`` hold statements and what each is answered with.

With ``GPUQL_UPDATE_ERRORS=1`` the files are written anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gpuql

STATEMENT, ERROR = "--- statement\n", "--- error\n"
SETUP = """
CREATE TABLE t (a INTEGER, b BIGINT, c VARCHAR, d DOUBLE, e DECIMAL(10, 2), f DATE, g TIMESTAMP);
INSERT INTO t VALUES (1, 2, 'x', 1.5, 3.25, DATE '2020-01-01', TIMESTAMP '2020-01-01 10:00:00');
CREATE TABLE u (a INTEGER NOT NULL, z INTEGER);
CREATE TABLE customers (customer_name VARCHAR, "Strange name." INTEGER);
CREATE VIEW v AS SELECT a FROM t;
"""
GOLDEN = sorted(Path(__file__).parent.glob("*.txt"))


def cases(text: str) -> list[tuple[str, str]]:
    found = []
    for part in text.split(STATEMENT)[1:]:
        statement, _, error = part.partition(ERROR)
        found.append((statement.removesuffix("\n"), error.strip("\n")))
    return found


def answer(connection: gpuql.Connection, statement: str) -> str:
    try:
        rows = connection.execute(statement).fetchall()
    except gpuql.GpuqlError as error:
        return f"{type(error).__name__} {error.sqlstate}\n{error}"
    return f"no error: {rows}"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_error_texts(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = cases(path.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    with gpuql.connect(device="cpu") as connection:
        connection.execute(SETUP)
        before = contents(connection)
        answers = [(statement, answer(connection, statement)) for statement, _ in written]
        assert contents(connection) == before, "a statement that fails changes nothing"
    if os.environ.get("GPUQL_UPDATE_ERRORS") == "1":
        text = "\n".join(f"{STATEMENT}{statement}\n{ERROR}{error}\n" for statement, error in answers)
        path.write_text(text, encoding="utf-8")
    for (statement, actual), (_, expected) in zip(answers, written, strict=True):
        assert actual == expected, statement
        assert not actual.startswith(("no error", "InternalError")), statement


def contents(connection: gpuql.Connection) -> dict[str, list[tuple[object, ...]]]:
    names = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def make_files(folder: Path) -> None:
    (folder / "empty.csv").write_bytes(b"")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_bytes(b"this is no Parquet file")
    (folder / "latin1.csv").write_bytes(b"a,b\n1,caf\xe9\n")
    (folder / "ragged.csv").write_bytes(b"a,b\n1,2\n3,4,5\n")
    (folder / "broken.json").write_bytes(b'{"a": 1}\n{"a": 2\n')
    (folder / "mixed.json").write_bytes(b'{"a": 1}\n{"a": "x"}\n')
    (folder / "people.csv").write_bytes(b"name,born\nAda,1815\n")
    (folder / "people_2.csv").write_bytes(b"name,died\nAda,1852\n")
    (folder / "folder.csv").mkdir()
