"""The out-of-core benchmark on little data: it runs, compares, and tells what broke its promise."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from gpuql.bench.out_of_core import CASES, PROMISED_SHARE, Report, format_report
from gpuql.bench.out_of_core_process import _checksums
from gpuql.cli.main import main


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuql.bench.out_of_core.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("gpuql.bench.out_of_core._WARM_ROWS", 3000)


def test_a_case_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    # The limit is larger than the input: what is tested is the benchmark, not how much memory Python takes.
    arguments = ["--input-mb", "1", "--limit-share", "100", "--only", "sort by text", "--device", "cpu"]
    assert main(["bench", "out-of-core", *arguments, "--threads", "1", "--json", str(report)]) == 0
    output = capsys.readouterr().out
    assert "1 of 1: rows as DuckDB's" in output
    document = json.loads(report.read_text())
    (case,) = document["cases"]
    assert case["verdict"] == "same rows"
    assert case["kept"]
    assert case["duckdb_limited"]
    assert case["peak_bytes"] >= case["baseline_bytes"] * 0.9 > 10_000_000
    assert document["limit_bytes"] == 100 * document["input_bytes"]


def test_errors_are_findings(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--input-mb", "1", "--only", "sort by text", "--device", "cpu", "--threads", "1"]
    assert main(["bench", "out-of-core", *arguments, "--set", "threads=none"]) == 1
    output = capsys.readouterr().out
    assert "InvalidParameterValue: setting threads must be a whole number" in output
    assert "0 of 1" in output


def test_unknown_cases_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "out-of-core", "--only", "nothing"]) == 1
    assert "no such case" in capsys.readouterr().err


def test_the_promise() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    fine = Report("x", "same rows", 2.0, 1.0, 1.0, peak_share=1.4, baseline_bytes=10, peak_bytes=20)
    assert fine.kept
    assert "2.0x" in format_report(fine)
    greedy = Report("x", "same rows", 2.0, 1.0, 1.0, peak_share=PROMISED_SHARE)
    assert not greedy.kept
    assert "MORE MEMORY" in format_report(greedy)
    wrong = Report("x", "OTHER ROWS than duckdb: row 0", peak_share=0.1)
    assert not wrong.kept
    assert "OTHER ROWS" in format_report(wrong)


def test_checksums_do_not_depend_on_batches_but_on_order() -> None:
    table = pa.table({"a": [3, 1, 2], "b": ["x", "", "zz"]})
    doubled = pa.concat_tables([table.slice(0, 1), table.slice(1, 2)])
    encoded = table.set_column(1, "b", table["b"].dictionary_encode())
    expected = _checksums(table.to_reader())
    assert _checksums(doubled.to_reader(max_chunksize=1)) == expected
    assert _checksums(encoded.to_reader()) == expected
    assert _checksums(table.take([1, 0, 2]).to_reader()) != expected
