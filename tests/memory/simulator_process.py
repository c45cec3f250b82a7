"""Programs that need Numba's CUDA simulator, which is chosen when Numba is loaded: each has a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def simulated(program: str, folder: Path, *arguments: str, timeout_s: int = 600) -> tuple[Any, str]:
    """What a program beside this file prints as JSON, and what it says besides; it leaves no temporary files."""
    path = str(Path(__file__).with_name(program))
    finished = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", path, str(folder), *arguments],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert list(folder.iterdir()) == [], "temporary files stayed behind"
    return json.loads(finished.stdout), finished.stderr
