"""The runner of sqllogictest files must fail when it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gpuql
from gpuql import Connection
from gpuql.testing.slt import Mismatch, complete, parse_file, run_file
from gpuql.testing.slt.__main__ import main


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
        "query II\nVALUES (1, 2), (3, 4)\n----\n1\n2\n3\n4\n",
        "query T\nSELECT 'some text'\n----\n<REGEX>:s.*t\n",
        "query T\nSELECT 'some text'\n----\n<!REGEX>:x.*\n",
        "statement error\nSELECT nope\n----\n<REGEX>:Binder.*nope\n",
        "query I\nSELECT range FROM range(3)\n----\n3 values hashing to 996dc30fa92a088d53929ed16588ec72\n",
        "loop i 0 3\nquery I\nSELECT ${i}\n----\n${i}\n\nendloop\n",
        "foreach a 1 2\n\nforeach b 3 4\n\nquery II\nSELECT ${a}, ${b}\n----\n${a}\t${b}\n\nendloop\n\nendloop\n",
        "loop i 0 0\n\nstatement ok\nSELECT nope\n\nendloop\n\nstatement ok\nSELECT 1\n",
        "require parquet\n\nrequire something_else\n\nstatement ok\nSELECT nope\n",
        "mode skip\n\nstatement ok\nSELECT nope\n\nmode unskip\n\nstatement ok\nSELECT 1\n",
        "statement maybe\nSELECT nope\n",
        "statement ok\nCREATE TABLE t (a INTEGER)\n\nstatement ok con1\nINSERT INTO t VALUES (1)\n\n"
        "reconnect\n\nquery I nosort con2\nFROM t\n----\n1\n",
        "query I rowsort one\nSELECT 1\n\nquery I nosort one\nSELECT 3 - 2\n",
        "sleep 1 millisecond\n",
        "query T\nSELECT '{TEST_DIR}' = '__TEST_DIR__'\n----\ntrue\n",
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
        ("query ?\nSELECT 1\n----\n1\n", "types of the columns are left open"),
        ("query T\nSELECT 'a'\n----\n<REGEX>:b\n", "rows differ"),
        ("query T\nSELECT 'a'\n----\n<!REGEX>:a\n", "rows differ"),
        ("query I\nSELECT 1\n----\n1 values hashing to 00000000000000000000000000000000\n", "values hashing"),
        ("query I nosort one\nSELECT 1\n\nquery I nosort one\nSELECT 2\n", "labelled one"),
        ("loop i 0 3\n\nquery I\nSELECT ${i} % 2\n----\n${i}\n\nendloop\n", "rows differ"),
        ("statement error\nSELECT nope\n----\n<REGEX>:fnord\n", "another error"),
    ],
)
def test_fails(text: str, message: str, tmp_path: Path, connection: Connection) -> None:
    with pytest.raises(Mismatch, match=message):
        run_file(write(tmp_path, text), connection)


@pytest.mark.parametrize(
    "text",
    [
        "query X\nSELECT 1\n",
        "nonsense\nSELECT 1\n",
        "skipif gpuql\n",
        "endloop\n",
        "loop i 0\n\nendloop\n",
        "loop i 0 2\n\nstatement ok\nSELECT 1\n",
        "loop i 0 0\n\nstatement ok\nSELECT 1\n",
    ],
)
def test_malformed_files_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"case\.slt:1: "):
        parse_file(write(tmp_path, text))


def test_line_numbers(tmp_path: Path) -> None:
    records = parse_file(write(tmp_path, "# one\n\nstatement ok\nSELECT 1\n\nquery I\nSELECT 2\n----\n2\n"))
    assert [record.line for record in records] == [3, 6]


def test_complete_writes_what_the_engine_answers(tmp_path: Path, connection: Connection) -> None:
    path = write(
        tmp_path,
        "# kept\n\nstatement ok\nCREATE TABLE t AS SELECT a FROM range(3) r(a)\n\n"
        "query ? rowsort\n# inside\nSELECT a, a * 0.5::DOUBLE, 'x' || a\nFROM t\n\n"
        "query I\nSELECT 1\n----\n7\n8\n\nquery ?\nSELECT a FROM t WHERE a > 9\n----\n\n"
        "hash-threshold 2\n\nquery I\nFROM t\n\nstatement error\nSELECT nope\n----\nnope\n\n"
        "loop i 0 1\n\nquery I\nSELECT ${i}\n----\n${i}\n\nendloop\n",
    )
    assert complete(path, connection) == []
    assert path.read_text() == (
        "# kept\n\nstatement ok\nCREATE TABLE t AS SELECT a FROM range(3) r(a)\n\n"
        "query IRT rowsort\nSELECT a, a * 0.5::DOUBLE, 'x' || a\nFROM t\n----\n0\t0.0\tx0\n1\t0.5\tx1\n2\t1.0\tx2\n\n"
        "query I\nSELECT 1\n----\n1\n\nquery T\nSELECT a FROM t WHERE a > 9\n----\n\n"
        "hash-threshold 2\n\nquery I\nFROM t\n----\n3 values hashing to 996dc30fa92a088d53929ed16588ec72\n\n"
        "statement error\nSELECT nope\n----\nnope\n\nloop i 0 1\n\nquery I\nSELECT ${i}\n----\n${i}\n\nendloop\n"
    )
    with gpuql.connect(device="cpu") as another:
        assert run_file(path, another) == 7


def test_complete_reports_what_it_cannot_write(tmp_path: Path, connection: Connection) -> None:
    path = write(tmp_path, "statement ok\nSELECT nope\n\nquery I\nSELECT nope\n\nstatement error\nSELECT 1\n")
    before = path.read_text()
    problems = complete(path, connection)
    assert [problem.split(": ")[0].rpartition(":")[2] for problem in problems] == ["1", "4", "7"]
    assert path.read_text() == before


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "query ?\nSELECT 1 + 1\n")
    assert main([str(path)]) == 1
    assert "left open" in capsys.readouterr().err
    assert main(["--complete", str(tmp_path / "case.slt")]) == 0
    assert main(["--set", "tier=interpreted", str(path)]) == 0
    assert path.read_text() == "query I\nSELECT 1 + 1\n----\n2\n"
    write(tmp_path, "nonsense\n")
    assert main([str(tmp_path)]) == 2
    assert "case.slt:1: not a record" in capsys.readouterr().err
