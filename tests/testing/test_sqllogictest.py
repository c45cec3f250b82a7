"""The runner of sqllogictest files must fail when it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gpuql
from gpuql import Connection
from gpuql.testing.sqllogictest import Mismatch, parse_file, run_file


@pytest.fixture
def connection() -> Iterator[Connection]:
    with gpuql.connect(device="cpu", threads=1) as connection:
        yield connection


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "case.slt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "statement ok\nSELECT 1\n",
        "# words\nquery I\nSELECT 1\n----\n1\n",
        "query IT rowsort\nVALUES (2, 'b c'), (1, NULL)\n----\n1\tNULL\n2\tb c\n",
        "query II\nSELECT 1, 2\n----\n1 2\n",
        "query II valuesort\nVALUES (2, 1), (3, 0)\n----\n0\n1\n2\n3\n",
        "query RR\nSELECT 0.1 + 0.2, 'nan'::DOUBLE\n----\n0.30\tnan\n",
        "query T\nSELECT ''\n----\n(empty)\n",
        "statement error nope\nSELECT nope\n",
        "statement error\nSELECT nope\n----\nBinderError\n",
        "query I\nSELECT 1 WHERE false\n----\n",
        "halt\n\nstatement ok\nSELECT nope\n",
        "skipif gpuql # a reason\nstatement ok\nSELECT nope\n",
        "onlyif duckdb # a reason\nstatement ok\nSELECT nope\n",
    ],
)
def test_passes(text: str, tmp_path: Path, connection: Connection) -> None:
    run_file(write(tmp_path, text), connection, labels=("gpuql",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statement ok\nSELECT nope\n", "BinderError"),
        ("statement error\nSELECT 1\n", "no error, but 1 rows"),
        ("statement error fnord\nSELECT nope\n", "another error than 'fnord'"),
        ("query I\nSELECT 1\n----\n2\n", "rows differ"),
        ("query I\nSELECT 1\n----\n", "rows differ"),
        ("query I\nVALUES (1), (2)\n----\n2\n1\n", "rows differ"),
        ("query II\nSELECT 1\n----\n1\n", "1 columns, not 2"),
        ("query R\nSELECT 1.5\n----\n1.6\n", "rows differ"),
        ("query R\nSELECT NULL\n----\n0\n", "rows differ"),
    ],
)
def test_fails(text: str, message: str, tmp_path: Path, connection: Connection) -> None:
    with pytest.raises(Mismatch, match=message):
        run_file(write(tmp_path, text), connection)


@pytest.mark.parametrize("text", ["query X\nSELECT 1\n", "nonsense\nSELECT 1\n", "skipif gpuql\n"])
def test_malformed_files_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"case\.slt:1: "):
        parse_file(write(tmp_path, text))


def test_line_numbers(tmp_path: Path) -> None:
    records = parse_file(write(tmp_path, "# one\n\nstatement ok\nSELECT 1\n\nquery I\nSELECT 2\n----\n2\n"))
    assert [record.line for record in records] == [3, 6]
