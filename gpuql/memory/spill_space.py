"""Files for rows that memory has no room for: in one folder, of limited size, gone whatever happens to the process.

A file is unlinked as soon as it is open, so the system frees its blocks when it is closed, by us or by a crash. Only a
crash between the two steps leaves a name behind, which the next process to use the folder removes.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from gpuql.memory import faults
from gpuql.memory.budget import format_bytes
from gpuql.thresholds import FREE_DISK_SHARE
from gpuql_planner.errors import InputError, InterfaceError, OutOfMemoryError

_PREFIX = "gpuql-spill-"
#: What the system says when there is no room for more bytes.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class SpillSpace:
    """A folder for spill files, and how many bytes they may have together. Thread-safe.

    Parameters
    ----------
    folder : made when the first file is.
    limit_bytes : None allows nine tenths of what the disk has free when the first file is made.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.num_files = 0
        self._lock = threading.Lock()
        self._disk_limit_bytes: int | None = None

    def new_file(self) -> SpillFile:
        """An empty file. Errors: OutOfMemoryError if the disk is full, InputError if the folder cannot be written."""
        try:
            descriptor = self._open()
        except OSError as error:
            if error.errno in _FULL:
                raise self.disk_is_full() from error
            raise InputError(
                f"temporary file cannot be made: {error.strerror} ({self.folder})",
                hint="set temp_directory to a folder that can be written",
            ) from error
        with self._lock:
            self.num_files += 1
        return SpillFile(self, descriptor)

    def _open(self) -> int:
        faults.passing(faults.FILE_WRITE)
        with self._lock:
            if self._disk_limit_bytes is None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                sweep(self.folder)
                free = shutil.disk_usage(self.folder).free
                self._disk_limit_bytes = int(FREE_DISK_SHARE * free)
        path = self.folder / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            path.unlink(missing_ok=True)  # a process that does not see this one may have swept it
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def disk_is_full(self) -> OutOfMemoryError:
        """The error for it."""
        return OutOfMemoryError(f"disk is full: {self.folder}", hint="set temp_directory to another disk")

    def take(self, num_bytes: int) -> None:
        """Account for bytes about to be written. Errors: OutOfMemoryError beyond the limit."""
        with self._lock:
            limit = self._disk_limit_bytes if self.limit_bytes is None else self.limit_bytes
            assert limit is not None, "a file was made before it is written"
            if self.used_bytes + num_bytes > limit:
                raise OutOfMemoryError(
                    f"temporary files would exceed their limit: {format_bytes(num_bytes)} more "
                    f"({format_bytes(self.used_bytes)} of {format_bytes(limit)} used, folder {self.folder})",
                    hint="raise max_temp_directory_size or memory_limit",
                )
            self.used_bytes += num_bytes

    def give(self, num_bytes: int, *, closed: bool) -> None:
        """Account for bytes that are free again."""
        with self._lock:
            self.used_bytes -= num_bytes
            self.num_files -= closed


class SpillFile:
    """Blocks of bytes, written behind one another and read from anywhere. Thread-safe.

    Closing it waits for nobody: the last one to write or read lets go of the descriptor, whose number the system would
    otherwise give to another file under their hands.
    """

    def __init__(self, space: SpillSpace, descriptor: int) -> None:
        self._space = space
        self._descriptor = descriptor
        self._num_bytes = 0
        self._users = 0
        self._is_open = True
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Bytes written."""
        return self._num_bytes

    def write(self, block: Any) -> int:
        """Append a block (of the buffer protocol); where it begins.

        Errors: OutOfMemoryError if the limit or the disk is reached, InputError for other failures.
        """
        view = memoryview(block).cast("B")
        with self._in_use() as descriptor:
            self._space.take(len(view))
            with self._lock:
                start = self._num_bytes
                self._num_bytes += len(view)
            try:
                faults.passing(faults.FILE_WRITE)
                done = 0
                while done < len(view):
                    done += os.pwrite(descriptor, view[done:], start + done)
            except OSError as error:
                if error.errno in _FULL:
                    raise self._space.disk_is_full() from error
                raise InputError(f"temporary file cannot be written: {error.strerror}") from error
            return start

    def read_into(self, start: int, target: np.ndarray[Any, Any]) -> None:
        """Fill ``target`` (uint8, contiguous) with the bytes from ``start``. Errors: InputError."""
        view = target.data
        done = 0
        with self._in_use() as descriptor:
            try:
                faults.passing(faults.FILE_READ)
                while done < len(view):
                    count = os.preadv(descriptor, [view[done:]], start + done)
                    if count == 0:
                        raise InputError("temporary file is shorter than what was written to it")
                    done += count
            except OSError as error:
                raise InputError(f"temporary file cannot be read: {error.strerror}") from error

    @contextmanager
    def _in_use(self) -> Iterator[int]:
        """The descriptor, which stays open inside the block. Errors: InterfaceError if the file is closed."""
        with self._lock:
            if not self._is_open:
                raise InterfaceError("rows are not there any more: they were closed")
            self._users += 1
        try:
            yield self._descriptor
        finally:
            with self._lock:
                self._users -= 1
            self._let_go()

    def close(self) -> None:
        """Free the bytes. Twice does no harm."""
        with self._lock:
            self._is_open = False
        self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            if self._is_open or self._users or self._descriptor < 0:
                return
            descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        self._space.give(self._num_bytes, closed=True)

    def __del__(self) -> None:
        self.close()


def sweep(folder: Path) -> int:
    """Remove names that crashed processes left in ``folder``; how many there were. Those of other users stay."""
    removed = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            number = entry.name.removeprefix(_PREFIX).partition("-")[0]
            if entry.name.startswith(_PREFIX) and number.isdecimal() and not _is_alive(int(number)):
                with suppress(FileNotFoundError, PermissionError):
                    os.unlink(entry.path)
                    removed += 1
    return removed


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
