"""Which machine, which versions, which source."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from gpuql.bench.machine import describe_machine
from gpuql.bench.report_steps.contract import StepContext
from gpuql.device import open_device

_PACKAGES = (
    *("numpy", "numba", "llvmlite", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x", "rmm-cu12", "rmm-cu13"),
    *("cuda-bindings", "cuda-core", "cuda-python", "pyarrow", "sqlglot", "duckdb", "polars", "tpcgen-cli"),
)


def run(context: StepContext) -> None:
    """Record host, packages, source and device."""
    context.record(
        host=describe_machine(),
        packages={name: version for name in _PACKAGES if (version := _version(name)) is not None},
        source=source_version(context.repository),
    )
    device = open_device(context.device)
    context.record(device={"name": device.name, "reason": device.reason})
    if context.device == "gpu":
        context.record(gpu=_describe_gpu())
        context.say(f"{context.results['gpu']['name']}, driver {context.results['gpu']['driver']}")


def source_version(repository: Path) -> dict[str, str | None]:
    """The commit, if this is a git checkout, and a hash over all Python files, which a copy without git has too."""
    digest = hashlib.sha256()
    for folder in ("gpuql", "kernels", "planner"):
        for path in sorted((repository / folder).rglob("*.py")):
            digest.update(path.relative_to(repository).as_posix().encode())
            digest.update(path.read_bytes())
    return {"commit": _commit(repository), "python_files_sha256": digest.hexdigest()}


def _commit(repository: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (repository / ".git").exists():
        return None
    found = subprocess.run(
        [git, "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else None


def _describe_gpu() -> dict[str, Any]:
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    free, total = runtime.memGetInfo()
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "l2_bytes": properties["l2CacheSize"],
        "memory_bytes": total,
        "free_bytes": free,
        "driver": _driver_version(),
        "cuda_driver_api": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
        "num_devices": runtime.getDeviceCount(),
    }


def _driver_version() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown (no nvidia-smi)"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return found.stdout.split("\n")[0].strip() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
