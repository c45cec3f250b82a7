"""Freed memory goes back to the system where memory is limited; in processes of their own, as it is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpuql.memory import allocator


def backend(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
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


def test_holes_are_returned_as_queries_free_memory_but_not_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, returned = [100.0], []

    def return_holes() -> None:
        returned.append(now[0])
        now[0] += 0.03

    monkeypatch.setattr(allocator, "return_holes", return_holes)
    monkeypatch.setattr(allocator.time, "monotonic", lambda: now[0])
    watch = allocator.HoleWatch(32_000)
    watch.note_freed(999)
    assert not returned
    watch.note_freed(1)
    assert len(returned) == 1
    now[0] += 0.9
    watch.note_freed(32_000)
    assert len(returned) == 1, "it took a thirtieth of a second, so a whole one has to pass"
    now[0] += 0.2
    watch.note_freed(1)
    assert len(returned) == 2


def test_a_connection_with_a_limit_of_its_own_looks_for_holes() -> None:
    code = """
import gpuql
from gpuql.memory import allocator
looked = []
allocator.return_holes = lambda: looked.append(1)
with gpuql.connect(device='cpu', memory_limit='2MB') as connection:
    connection.execute("SELECT count(*) FROM (SELECT i FROM range(200000) r(i) GROUP BY i)").fetchall()
    print(bool(looked), end=' ')
with gpuql.connect(device='cpu') as connection:
    looked.clear()
    connection.execute("SELECT count(*) FROM (SELECT i FROM range(200000) r(i) GROUP BY i)").fetchall()
    print(bool(looked))
"""
    assert backend(code) == "True False"
