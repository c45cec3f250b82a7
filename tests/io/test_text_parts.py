"""CSV and JSON read in parts: the same rows, in order, in forms that settle."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_to_python
from gpuql.io.csv import open_csv
from gpuql.io.json import open_json
from gpuql_planner import types
from gpuql_planner.errors import ConversionError, InputError

ROWS = 40_000


def rows() -> list[dict[str, Any]]:
    return [
        {
            "k": i,
            "w": f"word {i % 20}",
            "t": f"a text, with {i} signs\nand lines" if i % 100 == 0 else f"text {i} é" + "x" * 40,
            "x": i / 4,
            "n": None if i % 3 else i,
            "d": f"2024-01-{1 + i % 28:02d}",
        }
        for i in range(ROWS)
    ]


def csv_text() -> str:
    def cell(value: Any) -> str:
        if value is None:
            return ""
        return f'"{value}"' if isinstance(value, str) and "\n" in value else str(value)

    lines = [",".join(cell(value) for value in row.values()) for row in rows()]
    return "k,w,t,x,n,d\n" + "\n".join(lines) + "\n"


def parts_of(table: Any, part_bytes: int) -> list[dict[str, Column]]:
    names = [field.name for field in table.fields]
    parts = []
    for columns, num_rows in table.read_parts(names, part_bytes=part_bytes):
        assert all(len(column) == num_rows for column in columns.values())
        parts.append(columns)
    return parts


def check(table: Any, part_bytes: int) -> list[dict[str, Column]]:
    whole, num_rows = table.read([field.name for field in table.fields])
    assert num_rows == ROWS
    parts = parts_of(table, part_bytes)
    expected = rows()
    for name in ("k", "w", "t", "x", "n"):
        joined = [value for part in parts for value in column_to_python(part[name])]
        assert joined == column_to_python(whole[name]) == [row[name] for row in expected]
    assert {field.name: str(field.dtype) for field in table.fields}["d"] == "DATE"
    return parts


def test_csv_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(), encoding="utf-8")
    parts = check(open_csv([str(path)]), 1 << 20)
    assert len(parts) > 2
    assert parts[-1]["k"].form == parts[-2]["k"].form == ("int32", 1)
    assert parts[-1]["k"].bounds == (0, ROWS - 1)
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    table = open_csv([str(packed)])
    assert table.estimated_bytes(["k"]) == path.stat().st_size
    assert len(check(table, 1 << 20)) > 2
    both = open_csv([str(path), str(packed)])
    assert sum(len(part["k"]) for part in parts_of(both, 1 << 20)) == 2 * ROWS


def test_csv_parts_of_little(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n", encoding="utf-8")
    assert [len(part["a"]) for part in parts_of(open_csv([str(path)]), 1 << 20)] == [0]
    path.write_text("a,b\n1,x\n", encoding="utf-8")
    assert [column_to_python(part["b"]) for part in parts_of(open_csv([str(path)]), 1)] == [["x"]]


def test_csv_value_of_another_type_in_a_later_part(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    beginning = "a\n" + "1234567890\n" * (33 << 17)
    path.write_text(beginning + "no number\n", encoding="utf-8")
    table = open_csv([str(path)])
    with pytest.raises(ConversionError, match=r"does not fit its column: .*a\.csv"):
        parts_of(table, 8 << 20)


def test_json_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows())
    path.write_text(text, encoding="utf-8")
    parts = check(open_json([str(path)]), 1 << 20)
    assert len(parts) > 5
    assert len({id(part["w"].strings) for part in parts[1:]}) == 1
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert len(check(open_json([str(packed)]), 1 << 20)) > 5
    array = tmp_path / "c.json"
    array.write_text(json.dumps(rows()), encoding="utf-8")
    assert len(check(open_json([str(array)]), 1 << 20)) == 1


def test_json_types_are_those_of_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuql.io.json.JSON_BLOCK_BYTES", 1000)
    path = tmp_path / "a.jsonl"
    lines = [{"number": 1, "text": "2024-01-01", "late": None, "day": "2024-02-03"} for _ in range(100)]
    lines += [{"number": 1.5, "text": "no date", "late": True, "day": "2024-02-04", "new": 7}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    table = open_json([str(path)])
    assert {field.name: field.dtype for field in table.fields} == {
        "number": types.DOUBLE,
        "text": types.VARCHAR,
        "late": types.BOOLEAN,
        "day": types.DATE,
        "new": types.BIGINT,
    }
    whole, _ = table.read(["text", "number", "late", "new"])
    assert column_to_python(whole["text"]) == ["2024-01-01"] * 100 + ["no date"]
    assert column_to_python(whole["number"]) == [1.0] * 100 + [1.5]
    assert column_to_python(whole["new"]) == [None] * 100 + [7]
    joined = [value for part in parts_of(table, 500) for value in column_to_python(part["text"])]
    assert joined == ["2024-01-01"] * 100 + ["no date"]
    path.write_text("\n".join(map(json.dumps, [*lines, {"number": "text"}])), encoding="utf-8")
    with pytest.raises((ConversionError, InputError), match="number"):
        open_json([str(path)])
