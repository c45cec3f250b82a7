"""What this machine offers for CUDA, found without importing anything heavy."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from dataclasses import dataclass


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


def _ask_driver() -> tuple[str | None, int]:
    try:
        library = ctypes.CDLL("libcuda.so.1" if ctypes.util.find_library("cuda") is None else "libcuda.so")
    except OSError:
        try:
            library = ctypes.CDLL("nvcuda.dll")
        except OSError:
            return None, 0
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    text = f"{version.value // 1000}.{version.value % 1000 // 10}"
    if library.cuInit(0) != 0 or library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return text, 0
    return text, count.value
