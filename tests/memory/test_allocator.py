"""Freed memory goes back to the system where memory is limited; in processes of their own, as it is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest


def backend(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("first", ["", "import pyarrow; "])
def test_arrow_keeps_nothing_under_a_limit(first: str) -> None:
    code = f"{first}import gpuql; gpuql.connect(device='cpu', memory_limit='50MB'); "
    assert backend(code + "import pyarrow as pa; print(pa.default_memory_pool().backend_name)") == "system"


def test_without_a_limit_arrow_is_left_alone() -> None:
    print_backend = "import pyarrow as pa; print(pa.default_memory_pool().backend_name)"
    assert backend(f"import gpuql; gpuql.connect(device='cpu'); {print_backend}") == backend(print_backend)


def test_freed_blocks_are_returned() -> None:
    code = """
import gpuql, numpy as np
gpuql.connect(device='cpu', memory_limit='50MB')
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * 4096
blocks, between = [], []
for _ in range(200):
    blocks.append(np.ones(1 << 17))  # a megabyte each
    blocks.pop()  # once freed, the C library would take the next one from its heap
    blocks.append(np.ones(1 << 17))
    between.append(np.ones(64))  # and could not shrink the heap below these
before = resident()
blocks.clear()
print(before - resident() > 150 << 20)
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    assert backend(code) == "True"


def test_holes_in_the_heap_are_returned() -> None:
    code = """
import numpy as np
from gpuql.memory.allocator import return_holes
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * 4096
blocks = [np.ones(2048) for _ in range(6000)]  # 16 KB each, so that they are in the heap
kept = blocks[::3]  # and it cannot shrink below these
before = resident()
del blocks
freed = before - resident()
return_holes()
print(freed < 20 << 20 < before - resident())
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    assert backend(code) == "True"
