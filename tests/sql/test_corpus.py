"""The SQL corpus under every configuration, and under DuckDB, whose dialect it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import gpuql
from gpuql.testing.slt import Mismatch, Runner, parse_file

CORPUS = sorted(Path(__file__).parent.glob("*.slt"))

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "interpreted": {"tier": "interpreted"},
    "compiled": {"tier": "compiled"},
    "unoptimized": {"optimizer": False},
    "verified": {"verify_plans": True},
    "one-row-batches": {"tier": "interpreted", "batch_rows": 1},
    "three-row-batches-two-threads": {"tier": "interpreted", "batch_rows": 3, "threads": 2},
}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus(path: Path, configuration: str) -> None:
    settings = {"threads": 1, **CONFIGURATIONS[configuration]}
    failures = []
    with gpuql.connect(device="cpu", **settings) as connection, Runner(connection) as runner:
        for record in parse_file(path, labels=("gpuql", configuration)):
            try:
                runner.run(record)
            except Mismatch as mismatch:
                failures.append(str(mismatch))
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus_is_right_by_duckdb(path: Path) -> None:
    with duckdb.connect() as connection, Runner(connection, errors=duckdb.Error, match_text=False) as runner:
        for record in parse_file(path, labels=("duckdb",)):
            runner.run(record)
