"""Window functions as a GPU computes them, under the simulator: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("topic", ["ranking", "values", "clauses"])
def test_simulated_gpu_gives_the_rows(topic: str) -> None:
    path = ROOT / "tests" / "sql" / f"windows_{topic}.slt"
    run = subprocess.run(
        [sys.executable, "-m", "gpuql.testing.slt", "--set", "device=cudasim", str(path)],
        cwd=ROOT,
        env=os.environ
        | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join([".", "kernels", "planner"])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
