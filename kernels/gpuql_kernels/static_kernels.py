"""Compiled loops of the static families on the CPU: compiled ahead once per machine, loaded ahead in each process.

Each ``cpu_loops`` module lists, as ``SIGNATURES``, the argument types that its loops meet. Numba keeps their machine
code on disk; loading all of it takes some tenths of a second, most of them for Numba itself.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FAMILIES = (
    "group_by",
    "group_merge",
    "hash_table",
    "partition",
    "sort",
    "string_match",
    "window",
)


@dataclass(frozen=True, slots=True)
class Warmup:
    """Loops that were compiled, and those whose machine code was on disk."""

    compiled: int
    loaded: int


def compile_all() -> Warmup:
    """Compile all loops, or load those that are on disk."""
    compiled = loaded = 0
    for dispatcher, signature in _signatures():
        before = sum(dispatcher.stats.cache_misses.values())
        dispatcher.compile(signature)
        missed = sum(dispatcher.stats.cache_misses.values()) > before
        compiled += missed
        loaded += not missed
    _marker().touch()
    return Warmup(compiled, loaded)


class _Loader:
    """Loads all loops on a thread, if they are on disk. Ends early, and is waited for, at the end of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._work, name="gpuql-loader", daemon=True)
            self._thread.start()
            atexit.register(self._stop)

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        if not _marker().exists():
            return  # to compile them now would slow down queries that may need none of them
        for dispatcher, signature in _signatures():
            if self._stopped:
                return
            dispatcher.compile(signature)

    def _stop(self) -> None:
        self._stopped = True
        self.wait()


_loader = _Loader()


def load_in_background() -> None:
    """Import Numba and load the loops, on a thread; only the first call does anything."""
    _loader.start()


def wait_until_loaded() -> None:
    """Wait for what :func:`load_in_background` began."""
    _loader.wait()


def _signatures() -> Iterator[tuple[Any, str]]:
    for family in _FAMILIES:
        loops = importlib.import_module(f"gpuql_kernels.{family}.cpu_loops")
        for dispatcher, signatures in loops.SIGNATURES.items():
            for signature in signatures:
                yield dispatcher, signature


def _marker() -> Path:
    """A file beside the machine code, which says that it is complete for these sources, versions and this CPU."""
    import llvmlite.binding
    import numba
    import numpy as np

    from gpuql_kernels.compiled_loop import source_fingerprint

    cpu_name = llvmlite.binding.get_host_cpu_name()
    versions = f"{numba.__version__} {np.__version__} {cpu_name} {source_fingerprint()}"
    digest = hashlib.sha256(versions.encode())
    dispatcher, _ = next(_signatures())
    return Path(dispatcher.stats.cache_path) / f"gpuql-static-{digest.hexdigest()[:16]}"
