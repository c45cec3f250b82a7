"""The loops listed for warming up are those that queries call, and no more compilation is needed afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuql_kernels import static_kernels

PROGRAM = """
import sys
from gpuql_kernels import static_kernels
assert "numba" not in sys.modules
static_kernels.load_in_background()
static_kernels.wait_until_loaded()
assert "numba" in sys.modules
loaded = [dispatcher.signatures for dispatcher, _ in static_kernels._signatures()]
print(len(loaded), sum(map(bool, loaded)))
"""


def test_every_family_with_loops_lists_them() -> None:
    package = Path(static_kernels.__file__).parent
    families = sorted(path.parent.name for path in package.glob("*/cpu_loops.py"))
    assert families == list(static_kernels._FAMILIES)


def test_each_signature_compiles_once() -> None:
    first = static_kernels.compile_all()
    assert static_kernels.compile_all() == static_kernels.Warmup(0, first.compiled + first.loaded)


@pytest.mark.parametrize("warm", [True, False])
def test_only_what_is_on_disk_is_loaded_ahead(
    warm: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling everything in the background would slow down queries that need none of it."""
    if not warm:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    else:
        static_kernels.compile_all()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, env=environment
    )
    listed, loaded = map(int, done.stdout.split())
    assert loaded == (listed if warm else 0)
