"""Devices: the array module and the kernels that operators are handed, and why this device was chosen.

Operators never ask which device they run on; they use what the device object gives them.
"""

from gpuql.device.device import Device, open_device

__all__ = ["Device", "open_device"]
