"""Temporary files: their limit, their errors, and that nothing is left of them, whatever ends the process."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import gpuql
from gpuql.errors import BinderError, InputError, InterfaceError, OutOfMemoryError
from gpuql.memory import faults
from gpuql.memory.spill_space import SpillFile, SpillSpace, sweep

ROOT = Path(__file__).resolve().parents[2]
BLOCK = np.arange(256, dtype=np.uint8)


def read(file: SpillFile, start: int, num_bytes: int) -> bytes:
    target = np.empty(num_bytes, np.uint8)
    file.read_into(start, target)
    return target.tobytes()


def failing(number: int) -> Callable[[], BaseException]:
    return lambda: OSError(number, os.strerror(number))


@pytest.fixture
def space(tmp_path: Path) -> SpillSpace:
    return SpillSpace(tmp_path / "deep" / "spill", None)


def test_blocks_come_back_and_no_name_is_ever_seen(space: SpillSpace) -> None:
    assert not space.folder.exists()
    one, other = space.new_file(), space.new_file()
    assert list(space.folder.iterdir()) == []
    places = [file.write(BLOCK[i:]) for i in range(100) for file in (one, other)]
    assert places[:4] == [0, 0, 256, 256]
    assert read(one, places[-2], 157) == BLOCK[99:].tobytes()
    assert one.num_bytes == other.num_bytes == sum(range(157, 257))
    assert (space.used_bytes, space.num_files) == (2 * one.num_bytes, 2)
    one.close()
    one.close()
    assert (space.used_bytes, space.num_files) == (other.num_bytes, 1)
    del other
    gc.collect()
    assert (space.used_bytes, space.num_files) == (0, 0)


def test_the_folder_is_private(space: SpillSpace) -> None:
    space.new_file().close()
    assert space.folder.stat().st_mode & 0o777 == 0o700


def test_the_limit_counts_all_files(space: SpillSpace) -> None:
    space.limit_bytes = 600
    one, other = space.new_file(), space.new_file()
    one.write(BLOCK)
    other.write(BLOCK)
    with pytest.raises(OutOfMemoryError) as caught:
        other.write(BLOCK)
    text = str(caught.value)
    assert "256 B more (512 B of 600 B used" in text
    assert "max_temp_directory_size" in text
    assert str(space.folder) in text
    one.close()
    assert read(other, other.write(BLOCK), 256) == BLOCK.tobytes()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_out_of_memory(space: SpillSpace, number: int) -> None:
    with faults.injected(faults.Fault(faults.FILE_WRITE, 1, failing(number))):
        with pytest.raises(OutOfMemoryError, match="disk is full") as caught:
            space.new_file()
        assert "temp_directory" in str(caught.value)
    file = space.new_file()
    with (
        faults.injected(faults.Fault(faults.FILE_WRITE, 1, failing(number))),
        pytest.raises(OutOfMemoryError, match="disk is full"),
    ):
        file.write(BLOCK)
    assert read(file, file.write(BLOCK), 256) == BLOCK.tobytes()
    file.close()
    assert space.used_bytes == 0


def test_broken_disks_are_input_errors(space: SpillSpace) -> None:
    file = space.new_file()
    start = file.write(BLOCK)
    for point, work in (
        (faults.FILE_WRITE, lambda: file.write(BLOCK)),
        (faults.FILE_READ, lambda: read(file, start, 256)),
        (faults.FILE_WRITE, space.new_file),
    ):
        fault = faults.Fault(point, 1, failing(errno.EIO))
        with faults.injected(fault), pytest.raises(InputError, match="Input/output error"):
            work()
    with pytest.raises(InputError, match="shorter than what was written"):
        read(file, start, 2000)
    assert read(file, start, 256) == BLOCK.tobytes()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    space = SpillSpace(tmp_path / "file", None)
    with pytest.raises(InputError, match="temporary file cannot be made: File exists") as caught:
        space.new_file()
    assert "temp_directory" in str(caught.value)
    assert space.num_files == 0


def test_a_closed_file_says_so(space: SpillSpace) -> None:
    file = space.new_file()
    start = file.write(BLOCK)
    file.close()
    with pytest.raises(InterfaceError):
        file.write(BLOCK)
    with pytest.raises(InterfaceError):
        read(file, start, 256)
    assert space.used_bytes == 0


def test_closing_while_others_read_gives_nobody_another_file(space: SpillSpace) -> None:
    """The number of a closed descriptor is used again at once: reads must never see the next file's bytes."""
    wrong: list[object] = []
    for _ in range(150):
        file = space.new_file()
        file.write(np.full(4096, 1, np.uint8))
        start = threading.Barrier(3)

        def work(file: SpillFile = file, start: threading.Barrier = start) -> None:
            start.wait()
            for _ in range(10):
                try:
                    seen = set(read(file, 0, 4096))
                except InterfaceError:
                    return
                if seen != {1}:
                    wrong.append(seen)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.wait()
        file.close()
        others = [space.new_file() for _ in range(3)]
        for other in others:
            other.write(np.full(4096, 2, np.uint8))
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
    assert not wrong
    assert (space.used_bytes, space.num_files) == (0, 0)


def test_sweeping_removes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"gpuql-spill-{dead.pid}-abc"
    kept = [
        tmp_path / f"gpuql-spill-{os.getpid()}-abc",
        tmp_path / "gpuql-spill-x-abc",
        tmp_path / "notes.txt",
    ]
    for path in (left, *kept):
        path.write_bytes(b"rows")
    space = SpillSpace(tmp_path, None)
    space.new_file()
    assert not left.exists()
    assert all(path.exists() for path in kept)
    assert sweep(tmp_path) == 0


SPILLS = """
import sys, time
import pyarrow as pa
import gpuql
connection = gpuql.connect(device="cpu", threads=2, memory_limit="2MB", temp_directory=sys.argv[1])
connection.register("t", pa.table({"a": range(1_000_000)}))
result = connection.sql("SELECT a * 7919 % 1000003 AS b, -a AS c FROM t").collect()
assert result.metrics.memory.spilled_bytes > 2_000_000
print(connection.memory.space.used_bytes, flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "spill"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "kernels", "planner"))
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SPILLS, str(folder)], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        used_bytes = int(process.stdout.readline())
        assert used_bytes > 1_000_000
        descriptors = Path(f"/proc/{process.pid}/fd")
        files = [os.readlink(entry) for entry in descriptors.iterdir() if entry.is_symlink()]
        assert any(str(folder) in name and name.endswith("(deleted)") for name in files)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(folder.iterdir()) == []


def _exit_at_once() -> None:
    gc.collect()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_take_the_rows_away(tmp_path: Path) -> None:
    with gpuql.connect(
        device="cpu", threads=1, memory_limit="2MB", temp_directory=str(tmp_path)
    ) as connection:
        connection.register("t", pa.table({"a": range(1_000_000)}))
        result = connection.sql("SELECT a * 3 AS b FROM t").collect()
        assert connection.memory.space.used_bytes > 0
        child = multiprocessing.get_context("fork").Process(target=_exit_at_once)
        child.start()
        child.join(120)
        assert child.exitcode == 0
        assert sum(row[0] for row in result.iter_rows()) == 3 * sum(range(1_000_000))


def test_limits_reach_the_user(tmp_path: Path) -> None:
    settings = {"memory_limit": "1MB", "max_temp_directory_size": "100KB", "temp_directory": str(tmp_path)}
    with gpuql.connect(device="cpu", threads=1, **settings) as connection:
        connection.register("t", pa.table({"a": range(1_000_000)}))
        with pytest.raises(OutOfMemoryError, match="temporary files would exceed their limit") as caught:
            connection.sql("SELECT a * 7919 % 1000003 AS b FROM t").collect()
        assert "max_temp_directory_size" in str(caught.value)
        assert connection.memory.host.used_bytes == 0
        assert connection.memory.space.used_bytes == 0
        connection.set_variable("max_temp_directory_size", "1GB")
        assert len(connection.sql("SELECT a * 7919 % 1000003 AS b FROM t").collect()) == 1_000_000
        with pytest.raises(BinderError, match="memory_limit"):
            connection.set_variable("memory_limit", "lots")


def test_explain_analyze_tells_what_moved(tmp_path: Path) -> None:
    sql = "SELECT a * 7919 % 1000003 AS b, a FROM t ORDER BY b"
    with gpuql.connect(
        device="cpu", threads=1, memory_limit="4MB", temp_directory=str(tmp_path)
    ) as connection:
        connection.register("t", pa.table({"a": range(1_000_000)}))
        text = connection.explain(sql, analyze=True)
        assert re.search(
            r"host memory: at most [\d,]+ bytes held; [\d,]{9,} moved to files, [\d,]+ read again", text
        )
        assert re.search(r" in \d+ parts; spilled [\d,]{9,} bytes;", text)
        connection.set_variable("memory_limit", "1GB")
        assert "moved to files" not in connection.explain(sql, analyze=True)


def test_the_folder_may_change_between_queries(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with gpuql.connect(device="cpu", threads=1, memory_limit="1MB", temp_directory=str(first)) as connection:
        connection.register("t", pa.table({"a": range(300_000)}))
        before = connection.sql("SELECT a * 3 AS b FROM t").collect()
        connection.set_variable("temp_directory", str(second))
        after = connection.sql("SELECT a * 3 AS b FROM t").collect()
        assert sum(row[0] for row in before) == sum(row[0] for row in after)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
    assert list(first.iterdir()) == list(second.iterdir()) == []


def test_no_folder_is_made_when_nothing_spills(tmp_path: Path) -> None:
    with gpuql.connect(device="cpu", threads=1, temp_directory=str(tmp_path / "unused")) as connection:
        assert connection.sql("SELECT 1 AS a").collect().fetchall() == [(1,)]
    assert not (tmp_path / "unused").exists()
