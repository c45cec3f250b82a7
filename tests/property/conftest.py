"""Connections shared by the sweeps, and their totals at the end of the run.

``GPUQL_PROPERTY_SEED`` and ``GPUQL_PROPERTY_SCALE`` (a factor on all numbers of cases) make other and longer sweeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import gpuql
from tests.property.engines import Oracle
from tests.property.sweep import Report, connect

_REPORT = Report()


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("GPUQL_PROPERTY_SEED", "1"))


@pytest.fixture(scope="session")
def scale() -> float:
    return float(os.environ.get("GPUQL_PROPERTY_SCALE", "1"))


@pytest.fixture(scope="session")
def oracle(seed: int) -> Oracle:
    return Oracle(seed)


@pytest.fixture(scope="session")
def interpreted(oracle: Oracle) -> Iterator[gpuql.Connection]:
    with connect(oracle, tier="interpreted") as connection:
        yield connection


@pytest.fixture(scope="session")
def compiled(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpuql.Connection]:
    with pytest.MonkeyPatch.context() as patch:
        if "GPUQL_CACHE_DIR" not in os.environ:
            patch.setenv("GPUQL_CACHE_DIR", str(tmp_path_factory.mktemp("generated")))
        with connect(oracle, tier="compiled") as connection:
            yield connection


@pytest.fixture(scope="session")
def report() -> Report:
    return _REPORT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REPORT.counts:
        terminalreporter.write_line(f"property tests: {_REPORT.summary()}")
