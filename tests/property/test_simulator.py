"""The GPU path under Numba's CUDA simulator, which must be chosen before Numba is imported: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_simulated_gpu_gives_duckdbs_rows(seed: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.property.simulated", str(seed)],
        cwd=ROOT,
        env=os.environ
        | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join([".", "kernels", "planner"])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert "0 differences" in run.stdout
