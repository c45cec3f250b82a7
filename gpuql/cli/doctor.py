"""``gpuql doctor``: what is installed, what the machine offers, and whether queries run."""

from __future__ import annotations

import platform
from importlib import metadata

from gpuql import __version__
from gpuql.bench.machine import memory_bytes, processor_name
from gpuql.config import available_threads
from gpuql.device.probe import cuda_support
from gpuql.errors import GpuqlError
from gpuql.session import connect

_PACKAGES = ("numpy", "numba", "llvmlite", "pyarrow", "sqlglot")
_GPU_PACKAGES = ("numba-cuda", "cupy-cuda12x", "cupy-cuda13x", "rmm-cu12", "rmm-cu13")


def run_doctor(device_name: str) -> int:
    """Print the findings; 1 if queries do not run on the device of this name."""
    from gpuql_kernels.codegen.cache import cache_directory

    support = cuda_support()
    print(f"gpuql        {__version__}, Python {platform.python_version()} on {platform.platform()}")
    print(
        f"processor    {processor_name()}, {available_threads()} threads, {memory_bytes() / 2**30:.1f} GiB memory"
    )
    print(f"packages     {', '.join(_installed(_PACKAGES))}")
    print(f"GPU packages {', '.join(_installed(_GPU_PACKAGES)) or 'none'}")
    driver = (
        f"NVIDIA driver {support.driver}, {support.num_devices} devices"
        if support.driver
        else "no NVIDIA driver"
    )
    print(f"GPU          {driver}; {'usable' if support.usable else support.obstacle}")
    print(f"code cache   {cache_directory()}")
    try:
        with connect(device_name) as connection:
            rows = connection.sql("SELECT sum(a) FROM (VALUES (1), (2), (NULL)) AS t(a)").fetchall()
            device = connection.device
    except GpuqlError as error:
        print(f"queries      FAIL: {type(error).__name__}: {error}")
        return 1
    right = rows == [(3,)]
    print(f"queries      {'run' if right else 'GIVE WRONG ROWS'} on {device.name} ({device.reason})")
    return 0 if right else 1


def _installed(packages: tuple[str, ...]) -> list[str]:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found
