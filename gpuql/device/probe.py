"""What this machine offers for CUDA, found without importing anything heavy."""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CudaSupport:
    """Devices, driver and packages.

    ``num_devices`` CUDA devices stand behind a driver of version ``driver`` ("13.0"; None without a driver);
    ``missing_packages`` names Python packages that gpuql needs for them and that are not installed.
    """

    driver: str | None
    num_devices: int
    missing_packages: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether queries can run on a GPU."""
        return self.num_devices > 0 and not self.missing_packages

    @property
    def obstacle(self) -> str:
        """Why not, in words; empty if usable."""
        if self.driver is None:
            return "no NVIDIA driver was found (libcuda)"
        if self.num_devices == 0:
            return f"the NVIDIA driver {self.driver} sees no device"
        if self.missing_packages:
            extra = "cuda13" if self.driver.split(".")[0] >= "13" else "cuda12"
            return f"not installed: {', '.join(self.missing_packages)} (pip install 'gpuql[{extra}]')"
        return ""


def cuda_support() -> CudaSupport:
    """Ask the driver, through its C interface, and the import system."""
    driver, num_devices = _ask_driver()
    packages = {"cupy": "cupy", "numba-cuda": "numba_cuda", "rmm": "rmm"}
    missing = tuple(name for name, module in packages.items() if importlib.util.find_spec(module) is None)
    return CudaSupport(driver, num_devices, missing)


def device_names() -> tuple[str, ...]:
    """Names of the CUDA devices as the driver gives them, such as "NVIDIA H200"; none without a driver."""
    library = _driver_library()
    _, num_devices = _ask_driver()
    names = []
    for ordinal in range(num_devices if library is not None else 0):
        device, text = ctypes.c_int(0), ctypes.create_string_buffer(128)
        library.cuDeviceGet(ctypes.byref(device), ordinal)
        library.cuDeviceGetName(text, len(text), device)
        names.append(text.value.decode(errors="replace"))
    return tuple(names)


def _driver_library() -> Any:
    """The driver's C interface, or None."""
    for name in ("libcuda.so.1", "libcuda.so", "nvcuda.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _ask_driver() -> tuple[str | None, int]:
    library = _driver_library()
    if library is None:
        return None, 0
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    text = f"{version.value // 1000}.{version.value % 1000 // 10}"
    if library.cuInit(0) != 0 or library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return text, 0
    return text, count.value
