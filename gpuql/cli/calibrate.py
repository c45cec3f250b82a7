"""``gpuql calibrate``: measures what work costs on this machine and keeps it for the choice of a device."""

from __future__ import annotations

import datetime

from gpuql.bench.pipeline_cost import pipeline_seconds
from gpuql.config import available_threads
from gpuql.device.calibration import (
    Calibration,
    calibration_file,
    cost_rows,
    load_calibration,
    measure_cpu,
    measure_gpu,
    save_calibration,
)
from gpuql.device.probe import cuda_support


def run_calibrate(*, show: bool, device: str, threads: int | None, folder: str | None) -> int:
    """Measure and keep, or with ``show`` only print what is known."""
    if show:
        _print(load_calibration())
        return 0
    threads = threads or available_threads()
    print(f"measuring {threads} threads, caches and disk", flush=True)
    measured = measure_cpu(threads, folder=folder)
    measured["cpu_pipeline_s"] = pipeline_seconds("cpu", threads)
    support = cuda_support()
    if device == "cpu":
        print("no GPU was asked for")
    elif not support.usable:
        print(f"no GPU: {support.obstacle}")
    else:
        print("measuring the GPU", flush=True)
        measured["gpu_pipeline_s"] = pipeline_seconds(
            "gpu", threads
        )  # opens the pool that measuring then uses
        measured |= measure_gpu()
    path = save_calibration(measured, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    _print(load_calibration(path))
    return 0


def _print(calibration: Calibration) -> None:
    for name, value, origin in cost_rows(calibration):
        print(f"{name:<36} {value:>12.4g}  {origin}")
    print(f"{calibration.source}; file: {calibration_file()}")
