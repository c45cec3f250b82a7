"""What work costs on this machine: measured by ``gpuql calibrate``, or cautious values until that was run.

The measurements live in a small file in the user's cache folder, with the identity of the machine that they were made
on. A file of another machine (a cache folder may be shared or copied) is left alone, and said to be so.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gpuql.device import measure_cuda, measure_host
from gpuql_planner.physical.device_costs import DeviceCosts

#: Changes when the meaning of a field does: files of other formats are not read.
FILE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class MachineCosts:
    """Rates and times of one machine. Units stand in the names; ``_s`` are seconds.

    The defaults hold until the machine is measured: a processor of 2015 with two memory channels, and a GPU behind a
    PCIe 3 slot, so that work goes to a GPU only where that pays even if transfers are slow.

    Attributes
    ----------
    threads : threads that the rates of all threads were measured with.
    cpu_read_bytes_per_s, cpu_read_one_thread_bytes_per_s : reading memory in order, on all threads and on one.
    cpu_gather_l2_ns, cpu_gather_llc_ns, cpu_gather_dram_ns : one of many independent random lookups, on one thread,
        in a table that fits the second cache level, the last one, and neither.
    cpu_latency_l2_ns, cpu_latency_llc_ns, cpu_latency_dram_ns : one lookup that waits for the one before.
    cpu_hash_build_rows_per_s, cpu_hash_probe_rows_per_s, cpu_sort_rows_per_s : static kernels, on one thread.
    disk_write_bytes_per_s, disk_read_bytes_per_s : the temporary folder.
    gpu_copy_bytes_per_s : copies within device memory; read and written bytes both count.
    gpu_read_bytes_per_s : a sum over device memory.
    upload_pageable_bytes_per_s … download_pinned_bytes_per_s : between host and device memory.
    gpu_launch_s, gpu_launch_and_wait_s : one kernel that does nothing; the latter with the host waiting for it.
    cpu_pipeline_s, gpu_pipeline_s : one pipeline of a query over few rows, from its start to its end; on a GPU that is
        mostly launches and waits.
    gpu_hash_build_rows_per_s, gpu_hash_probe_rows_per_s, gpu_sort_rows_per_s : static kernels.
    """

    threads: int = 1
    cpu_read_bytes_per_s: float = 15e9
    cpu_read_one_thread_bytes_per_s: float = 8e9
    cpu_gather_l2_ns: float = 1.5
    cpu_gather_llc_ns: float = 4.0
    cpu_gather_dram_ns: float = 12.0
    cpu_latency_l2_ns: float = 5.0
    cpu_latency_llc_ns: float = 30.0
    cpu_latency_dram_ns: float = 100.0
    cpu_hash_build_rows_per_s: float = 20e6
    cpu_hash_probe_rows_per_s: float = 25e6
    cpu_sort_rows_per_s: float = 25e6
    disk_write_bytes_per_s: float = 200e6
    disk_read_bytes_per_s: float = 400e6
    gpu_copy_bytes_per_s: float = 200e9
    gpu_read_bytes_per_s: float = 180e9
    upload_pageable_bytes_per_s: float = 4e9
    upload_pinned_bytes_per_s: float = 10e9
    download_pageable_bytes_per_s: float = 3e9
    download_pinned_bytes_per_s: float = 10e9
    cpu_pipeline_s: float = 50e-6
    gpu_pipeline_s: float = 500e-6
    gpu_launch_s: float = 20e-6
    gpu_launch_and_wait_s: float = 40e-6
    gpu_hash_build_rows_per_s: float = 300e6
    gpu_hash_probe_rows_per_s: float = 500e6
    gpu_sort_rows_per_s: float = 300e6

    def of_cpu(self, threads: int) -> DeviceCosts:
        """The processor with so many worker threads, as placement wants it: lookups and sorting scale with them."""
        return DeviceCosts(
            name="cpu",
            read_bytes_per_s=min(
                threads * self.cpu_read_one_thread_bytes_per_s,
                max(self.cpu_read_bytes_per_s, self.cpu_read_one_thread_bytes_per_s),
            ),
            probe_rows_per_s=threads * self.cpu_hash_probe_rows_per_s,
            build_rows_per_s=threads * self.cpu_hash_build_rows_per_s,
            sort_rows_per_s=threads * self.cpu_sort_rows_per_s,
            pipeline_s=self.cpu_pipeline_s,
        )

    def of_gpu(self, name: str = "gpu") -> DeviceCosts:
        """The GPU, with transfers from and to pageable memory, which is where columns lie."""
        return DeviceCosts(
            name=name,
            read_bytes_per_s=self.gpu_read_bytes_per_s,
            probe_rows_per_s=self.gpu_hash_probe_rows_per_s,
            build_rows_per_s=self.gpu_hash_build_rows_per_s,
            sort_rows_per_s=self.gpu_sort_rows_per_s,
            pipeline_s=self.gpu_pipeline_s,
            upload_bytes_per_s=self.upload_pageable_bytes_per_s,
            download_bytes_per_s=self.download_pageable_bytes_per_s,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Costs, and where they come from: ``source`` in words, ``measured`` the names of the fields that were measured."""

    costs: MachineCosts
    source: str
    measured: frozenset[str] = frozenset()


def calibration_file() -> Path:
    """``$GPUQL_CACHE_DIR/machine.json``, by default in ``gpuql`` under the user's cache folder."""
    configured = os.environ.get("GPUQL_CACHE_DIR")
    if configured:
        return Path(configured) / "machine.json"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuql" / "machine.json"


def machine_identity() -> dict[str, str | int]:
    """What must be the same for measurements to hold: processor, cores, and the GPU with its driver if there is one."""
    from gpuql.device.probe import cuda_support, device_names

    support = cuda_support()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "gpus": ", ".join(device_names()),
        "driver": support.driver or "",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load_calibration(path: Path | None = None) -> Calibration:
    """Measured costs of this machine, else the defaults; ``source`` says which, and why a file was not used."""
    path = calibration_file() if path is None else path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Calibration(MachineCosts(), "not measured: cautious defaults (gpuql calibrate measures)")
    except (OSError, ValueError) as error:
        return Calibration(MachineCosts(), f"defaults: cannot read {path}: {error}")
    if not isinstance(document, dict) or document.get("format") != FILE_FORMAT:
        return Calibration(MachineCosts(), f"defaults: {path} is of another version of gpuql")
    identity = machine_identity()
    if document.get("machine") != identity:
        changed = [name for name, value in identity.items() if document.get("machine", {}).get(name) != value]
        return Calibration(
            MachineCosts(), f"defaults: {path} was measured on another machine ({', '.join(changed)} differ)"
        )
    known = {field.name for field in fields(MachineCosts)}
    measured: dict[str, Any] = {
        name: value
        for name, value in document.get("costs", {}).items()
        if name in known and isinstance(value, int | float) and value > 0
    }
    return Calibration(
        MachineCosts(**measured), f"measured {document.get('measured_at', '')}", frozenset(measured)
    )


def save_calibration(measured: dict[str, float], measured_at: str, path: Path | None = None) -> Path:
    """Write measured fields of :class:`MachineCosts` with this machine's identity; returns the file.

    The file appears whole or not at all.
    """
    path = calibration_file() if path is None else path
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "format": FILE_FORMAT,
        "measured_at": measured_at,
        "machine": machine_identity(),
        "costs": measured,
    }
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix="machine-", suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")
    Path(draft).replace(path)
    return path


def measure_cpu(threads: int, *, num_rows: int = 1 << 22, folder: str | None = None) -> dict[str, float]:
    """Measure the fields that describe processor, memory and disk, with ``num_rows`` rows for hashing and sorting.

    Takes about ten seconds and ``threads`` · 128 MiB. A disk that cannot be written to is left out.
    """
    from gpuql_kernels.families import cpu_families

    measured: dict[str, float] = {
        "threads": threads,
        "cpu_read_bytes_per_s": measure_host.read_bytes_per_second(threads),
        "cpu_read_one_thread_bytes_per_s": measure_host.read_bytes_per_second(1),
    }
    for name, num_bytes in measure_host.access_sizes():
        measured[f"cpu_gather_{name}_ns"] = measure_host.gather_ns(num_bytes)
        measured[f"cpu_latency_{name}_ns"] = measure_host.latency_ns(num_bytes)
    measured |= _kernel_rates("cpu", cpu_families(), _same, num_rows)
    try:
        written, read = measure_host.disk_bytes_per_second(folder)
    except OSError:
        return measured
    return measured | {"disk_write_bytes_per_s": written, "disk_read_bytes_per_s": read}


def measure_gpu(*, num_rows: int = 1 << 24) -> dict[str, float]:
    """Measure the fields that describe the current CUDA device. Takes a few seconds, and 4 GiB of its memory."""
    import cupy

    from gpuql_kernels.families import gpu_families

    wait = measure_cuda.waiter("gpu")
    copied, read = measure_cuda.device_bytes_per_second()
    launches = measure_cuda.launch_seconds(cupy, wait)
    transfers = measure_cuda.transfer_bytes_per_second()
    return {
        "gpu_copy_bytes_per_s": copied,
        "gpu_read_bytes_per_s": read,
        **{f"{name}_bytes_per_s": rate for name, rate in transfers.items()},
        "gpu_launch_s": launches["twenty_arguments"],
        "gpu_launch_and_wait_s": launches["empty_and_wait"],
        **_kernel_rates("gpu", gpu_families(), cupy.asarray, num_rows),
    }


def _kernel_rates(device: str, kernels: Any, put: Callable[[Any], Any], num_rows: int) -> dict[str, float]:
    wait = measure_cuda.waiter(device)
    build, probe = measure_host.hash_rows_per_second(kernels, put(measure_host.sparse_keys(num_rows)), wait)
    return {
        f"{device}_hash_build_rows_per_s": build,
        f"{device}_hash_probe_rows_per_s": probe,
        f"{device}_sort_rows_per_s": measure_host.sort_rows_per_second(
            kernels, put(measure_host.random_words(num_rows)), wait
        ),
    }


def _same(array: Any) -> Any:
    return array


def cost_rows(calibration: Calibration) -> list[tuple[str, float, str]]:
    """Name, value and origin ("measured" or "default") of every cost, in the order of the fields."""
    return [
        (name, float(value), "measured" if name in calibration.measured else "default")
        for name, value in asdict(calibration.costs).items()
    ]
