from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from gpuql.columnar.construct import column_to_python
from gpuql.io.json import open_json
from gpuql_planner.errors import BinderError, GpuqlError, InputError, NotSupportedError


def test_lines_and_arrays(tmp_path: Path) -> None:
    lines = tmp_path / "a.ndjson"
    lines.write_text(
        '{"a":1,"d":"2020-01-01","t":"2020-01-01 10:00:00","f":1.5,"b":true,"n":null}\n{"a":2,"s":"é"}\n'
    )
    table = open_json([str(lines)])
    assert table.num_rows == 2
    assert {f.name: str(f.dtype) for f in table.fields} == {
        "a": "BIGINT",
        "d": "DATE",
        "t": "TIMESTAMP",
        "f": "DOUBLE",
        "b": "BOOLEAN",
        "n": "VARCHAR",
        "s": "VARCHAR",
    }
    columns, _ = table.read(["a", "d", "n", "s"])
    assert column_to_python(columns["d"]) == [datetime.date(2020, 1, 1), None]
    assert column_to_python(columns["n"]) == [None, None]
    assert column_to_python(columns["s"]) == [None, "é"]
    array = tmp_path / "b.json"
    array.write_text('[{"a": 1}, {"a": null, "z": "x"}]')
    assert column_to_python(open_json([str(array)]).read(["a"])[0]["a"]) == [1, None]


def test_files_with_other_keys_and_types(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}\n')
    (tmp_path / "b.json").write_text('{"a": 2.5, "b": "x"}\n')
    table = open_json([str(tmp_path / "*.json")])
    columns, num_rows = table.read(["a", "b"])
    assert num_rows == 2
    assert column_to_python(columns["a"]) == [1.0, 2.5]
    assert column_to_python(columns["b"]) == [None, "x"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InputError),
        ("{", InputError),
        ("[1, 2]", InputError),
        ("[{]", InputError),
        ('{"a": {}}', NotSupportedError),
        ('{"a": 1}\n{"a": "x"}\n', GpuqlError),
        ("{}\n", InputError),
        ("[]", InputError),
    ],
)
def test_refusals(tmp_path: Path, text: str, error: type[Exception]) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(error):
        open_json([str(path)])


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(BinderError, match="format"):
        open_json([str(tmp_path)], format="xml")
