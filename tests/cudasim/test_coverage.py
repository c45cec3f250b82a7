"""``gpuql bench coverage``: all of TPC-DS is planned in strict mode; a few queries run in the simulator."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gpuql
from gpuql.bench.coverage import Covered, refusals, summary
from gpuql.bench.queries import load_queries
from gpuql.cli.main import main
from gpuql.errors import NotSupportedError

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_ENABLE_CUDASIM") != "1", reason="asks for the simulator, not for a GPU"
)
SCHEMA = Path(__file__).with_name("tpcds_schema.sql")


def test_every_query_of_tpcds_is_planned_wholly_for_a_gpu() -> None:
    with gpuql.connect(device="cudasim") as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
        parts = {}
        for number, sql in load_queries("tpcds").items():
            explained = connection.explain(sql)
            if "on the CPU: " in explained:
                parts[number] = explained
            assert "[cpu" not in explained
    assert not parts


def test_refusals_are_counted_by_what_is_refused() -> None:
    error = NotSupportedError(
        "not wholly on the device, as on_unsupported = 'error' asks: pipeline 0: md5 (why); pipeline 2: md5 (why)"
    )
    assert refusals(error) == ("md5 (why)",)
    covered = [
        Covered(1, 3, (), {"fused": 2}, "same rows", 0.1),
        Covered(2, 0, ("md5 (why)",), {"fused": 1, "interpreted": 1}, "same rows", 0.1),
    ]
    assert summary(covered, "cudasim").splitlines() == [
        "1 of 2 queries ran wholly on cudasim; 2 gave DuckDB's rows, 1 of them none",
        "pipelines: 3 fused, 1 interpreted",
        "   1 queries: md5 (why)",
    ]


def test_queries_run_in_the_simulator(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    report = tmp_path / "coverage.json"
    arguments = ["--rows", "100", "--queries", "2,9,13,99", "--json", str(report)]
    assert main(["bench", "coverage", *arguments]) == 0
    output = capsys.readouterr().out
    assert "4 of 4 queries ran wholly on cudasim; 4 gave DuckDB's rows" in output
    assert report.exists()
