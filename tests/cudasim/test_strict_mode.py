"""Strict mode: what a GPU has no form of is refused before anything runs, and all of it is listed."""

from __future__ import annotations

import os

import pytest

import gpuql

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_ENABLE_CUDASIM") != "1", reason="asks for the simulator, not for a GPU"
)

STRICT = [
    ("SELECT upper(s), a + 1 FROM t", ()),
    ("SELECT md5(s) FROM t", ("pipeline 0: md5 (",)),
    ("SELECT s FROM t WHERE regexp_matches(s, 'a')", ("regexp_matches (regular expressions",)),
    (
        "SELECT trim(s), string_agg(s, ',') FROM t GROUP BY ALL HAVING max(a)::VARCHAR > '1'",
        ("trim (", "string_agg (", "CAST of INTEGER to VARCHAR ("),
    ),
    ("SELECT unnest([a, 2]) FROM t", ("UNNEST (", "list_value (")),
    ("SELECT md5('constant')", ()),
]


@pytest.mark.parametrize(("query", "refused"), STRICT, ids=[query for query, _ in STRICT])
def test_strict_mode_lists_all(query: str, refused: tuple[str, ...]) -> None:
    with gpuql.connect(device="cudasim") as connection:
        connection.execute("CREATE TABLE t (a INTEGER, s VARCHAR)")
        rows = connection.execute(query).fetchall()
        explained = connection.explain(query)
        connection.execute("SET on_unsupported = 'error'")
        if not refused:
            assert connection.execute(query).fetchall() == rows
            assert "on the CPU" not in explained
            return
        with pytest.raises(gpuql.NotSupportedError) as caught:
            connection.execute(query).fetchall()
        for part in refused:
            assert part in caught.value.message
            assert part.removeprefix("pipeline 0: ") in explained
        connection.execute("SET device = 'cpu'")
        assert connection.execute(query).fetchall() == rows, "on the CPU nothing is refused"
