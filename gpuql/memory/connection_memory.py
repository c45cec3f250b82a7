"""The memory of a connection: one host budget and one folder of temporary files for all of its queries and tables."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gpuql.config import parse_bytes
from gpuql.memory.allocator import HoleWatch, return_freed_memory
from gpuql.memory.budget import Budget, format_bytes
from gpuql.memory.column_cache import ColumnCache
from gpuql.memory.query_memory import QueryMemory, host_memory
from gpuql.memory.spill_space import SpillSpace
from gpuql.thresholds import DEFAULT_MEMORY_SHARE
from gpuql_planner.errors import OutOfMemoryError


class MemorySettings(Protocol):
    """The settings that memory reads; see ``gpuql.config``."""

    @property
    def memory_limit(self) -> str:
        """Host bytes as text, or auto."""

    @property
    def temp_directory(self) -> str:
        """A folder, or auto."""

    @property
    def max_temp_directory_size(self) -> str:
        """Bytes as text, or auto."""


class ConnectionMemory:
    """Budget, spill space, and the columns of tables, kept as the settings say. Thread-safe."""

    def __init__(self, settings: MemorySettings) -> None:
        self.host = Budget("host memory", "memory_limit", 0)
        self._space = SpillSpace(Path(), None)
        self._folder: str | None = None
        self.columns = ColumnCache(self.host, lambda: self._space)
        self._lasting: weakref.WeakSet[QueryMemory] = weakref.WeakSet()
        self.apply(settings)

    def apply(self, settings: MemorySettings) -> None:
        """Follow changed settings. Files that are open stay where they are."""
        limit = parse_bytes(settings.memory_limit)
        self.host.limit_bytes = default_limit_bytes() if limit is None else limit
        if limit is not None and limit < default_limit_bytes():
            return_freed_memory(limit)
            self.host.after_giving = HoleWatch(limit).note_freed
        else:
            self.host.after_giving = None
        if settings.temp_directory != self._folder:
            self._folder = settings.temp_directory
            self._space = SpillSpace(_folder(settings.temp_directory), None)
        self._space.limit_bytes = parse_bytes(settings.max_temp_directory_size)

    @property
    def space(self) -> SpillSpace:
        """Where temporary files go now."""
        return self._space

    def open_query(self, check_cancelled: Callable[[], None], *, running: bool = True) -> QueryMemory:
        """Host memory of one query, or (not ``running``) of what outlives it; ``close`` must follow."""
        self.columns.settle()
        opened = host_memory(self.host, self._space, check_cancelled, running=running)
        if not running:
            self._lasting.add(opened)
        return opened

    def close_results(self) -> None:
        """Let go of the rows in files that results still have; reading them is an error from now on."""
        for opened in tuple(self._lasting):
            opened.close()


def host_failure(error: MemoryError, memory: ConnectionMemory) -> OutOfMemoryError:
    """A refused allocation as an error of gpuql."""
    limit = format_bytes(memory.host.limit_bytes)
    return OutOfMemoryError(
        f"the system refuses more host memory, though memory_limit allows {limit}: {error or 'out of memory'}",
        hint="lower memory_limit: rows then move to temporary files in time",
    )


def default_limit_bytes() -> int:
    """Most of the memory that this process may use: the machine's, or its container's if that is less."""
    return int(DEFAULT_MEMORY_SHARE * machine_memory_bytes())


def machine_memory_bytes() -> int:
    """Physical memory, or what the control group allows if that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            physical = min(physical, int(text))
    return physical


def _folder(setting: str) -> Path:
    if setting.strip().lower() != "auto":
        return Path(setting).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuql" / "spill"


class _Anything:
    """Settings of an unlimited memory."""

    memory_limit = str(1 << 62)
    temp_directory = "auto"
    max_temp_directory_size = "auto"


def unlimited_memory() -> QueryMemory:
    """A query's memory without a limit, for operators that run outside a query."""
    return ConnectionMemory(_Anything()).open_query(lambda: None)
