"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from pathlib import Path

from gpuql import __version__
from gpuql.device import measure_cuda, measure_host, open_device
from gpuql.memory.pool import open_pool


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, memory and versions, for reports."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "gpuql": __version__,
    }


def processor_name() -> str:
    """Model of the processor as the system names it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
        if match is not None:
            return match[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_resident_bytes() -> int:
    """Most memory that this process ever had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def copy_bytes_per_s(device: str, threads: int, num_bytes: int = 128 << 20) -> float:
    """Bytes per second copied in the memory that tables lie in when queries run on ``device``.

    Read and written bytes both count. A GPU's own memory, else the host's, with ``num_bytes`` for each thread.
    """
    if device == "gpu":
        open_pool(open_device("gpu").ordinal)  # else CuPy would keep what it allocates here from the pool
        return measure_cuda.device_bytes_per_second()[0]
    return measure_host.copy_bytes_per_second(threads, num_bytes)
