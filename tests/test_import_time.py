"""Importing gpuql must cost next to nothing."""

from __future__ import annotations

import subprocess
import sys

import gpuql

HEAVY = ("numba", "cupy", "pyarrow", "rmm", "pandas", "polars", "duckdb", "sqlglot", "numpy")


def test_import_loads_nothing_heavy() -> None:
    program = f"import gpuql, sys; print([m for m in {HEAVY} if m in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_session_loads_no_compiler_and_no_arrow() -> None:
    heavy = ("numba", "cupy", "pyarrow", "rmm", "pandas", "polars", "duckdb")
    program = (
        "import gpuql, sys\n"
        "connection = gpuql.connect(device='cpu')\n"
        "assert connection.execute('SELECT 1 + 1').fetchall() == [(2,)]\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    for name in gpuql.__all__:
        assert getattr(gpuql, name) is not None


def test_unknown_name() -> None:
    assert not hasattr(gpuql, "no_such_name")
    assert set(gpuql.__all__) <= set(dir(gpuql))
