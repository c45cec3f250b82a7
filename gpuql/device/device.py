"""Opening a device by name."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuql.device.probe import cuda_support
from gpuql.thresholds import LOAD_AHEAD_ROWS
from gpuql_planner.errors import DeviceError

if TYPE_CHECKING:
    from gpuql_kernels.families import KernelFamilies


@dataclass(frozen=True)
class Device:
    """Where pipelines run.

    ``name`` is "cpu", "gpu" or "cudasim", ``reason`` says in words why it was chosen, ``ordinal`` is the CUDA device
    number (0 for the others).
    """

    name: str
    reason: str
    ordinal: int = 0

    @cached_property
    def xp(self) -> Any:
        """The array module: numpy, or cupy on a GPU."""
        if self.name != "gpu":
            return np
        import cupy

        return cupy

    @cached_property
    def kernels(self) -> KernelFamilies:
        """Static kernel families for the arrays of :attr:`xp`."""
        from gpuql_kernels.families import cpu_families, gpu_families

        return gpu_families() if self.launches_kernels else cpu_families()

    def load_ahead(self, num_rows: int) -> None:
        """Begin to load, on another thread, what queries over a table of ``num_rows`` will need.

        Few rows need nothing, and only the first call does anything.
        """
        if num_rows >= LOAD_AHEAD_ROWS and not self.launches_kernels:
            from gpuql_kernels.static_kernels import load_in_background

            load_in_background()

    @property
    def launches_kernels(self) -> bool:
        """Whether fused pipelines are CUDA kernels rather than loops over morsels."""
        return self.name != "cpu"


def open_device(name: str) -> Device:
    """Device called ``name``: auto, cpu, gpu (CUDA device 0), gpu:N or cudasim.

    Errors: DeviceError, naming what is missing, for a GPU that cannot be used, and for the simulator when Numba is
    already loaded without it.
    """
    if name == "cpu":
        return Device("cpu", "device = cpu")
    if name == "cudasim":
        return _open_simulator()
    support = cuda_support()
    kind, _, number = name.partition(":")
    if kind == "gpu" and (number.isdecimal() or name == "gpu"):
        if not support.usable:
            raise DeviceError(
                f"no usable GPU: {support.obstacle}",
                hint="gpuql doctor shows what is there; device = cpu works",
            )
        ordinal = int(number or 0)
        if ordinal >= support.num_devices:
            raise DeviceError(
                f"no GPU of this number: {ordinal} (devices: {support.num_devices}, numbered from 0)",
                hint="gpuql doctor shows what is there",
            )
        return Device("gpu", f"device = {name}", ordinal)
    if name != "auto":
        raise DeviceError(f"unknown device: {name}", hint="devices are auto, cpu, gpu, gpu:N, cudasim")
    if support.usable:
        return Device("gpu", f"auto: a GPU is usable (driver {support.driver})")
    return Device("cpu", f"auto: {support.obstacle}")


def _open_simulator() -> Device:
    """Numba reads NUMBA_ENABLE_CUDASIM once, when it is imported."""
    numba = sys.modules.get("numba")
    if numba is not None and not numba.config.ENABLE_CUDASIM:
        raise DeviceError(
            "the CUDA simulator must be chosen before Numba is loaded",
            hint="set NUMBA_ENABLE_CUDASIM=1 in the environment, or use cudasim in a process of its own",
        )
    if importlib.util.find_spec("numba_cuda") is None:
        raise DeviceError(
            "the CUDA simulator is not installed: it is a part of numba-cuda", hint="pip install numba-cuda"
        )
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    return Device("cudasim", "device = cudasim: Numba's CUDA simulator on NumPy arrays, for tests")
