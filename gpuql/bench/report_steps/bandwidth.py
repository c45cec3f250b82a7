"""Bytes per second of host memory, device memory, and the way between them."""

from __future__ import annotations

from gpuql.bench.machine import copy_bytes_per_s
from gpuql.bench.report_steps.contract import StepContext
from gpuql.device import measure_cuda, measure_host, open_device
from gpuql.memory.pool import open_pool


def run(context: StepContext) -> None:
    """Record all rates; the copy rate of the device in use is what queries are compared with."""
    num_bytes = (16 << 20) if context.small else (128 << 20)
    context.record(
        host_copy_bytes_per_s=measure_host.copy_bytes_per_second(context.threads, num_bytes),
        host_read_bytes_per_s=measure_host.read_bytes_per_second(context.threads, num_bytes),
    )
    context.say(f"host copies {context.results['host_copy_bytes_per_s'] / 1e9:.1f} GB/s")
    if context.device == "gpu":
        open_pool(open_device("gpu").ordinal)
        copied, read = measure_cuda.device_bytes_per_second()
        context.record(device_copy_bytes_per_s=copied, device_read_bytes_per_s=read)
        context.say(f"device copies {copied / 1e9:.0f} GB/s, reads {read / 1e9:.0f} GB/s")
        for name, rate in measure_cuda.transfer_bytes_per_second().items():
            context.record(**{f"{name}_bytes_per_s": rate})
            context.say(f"{name.replace('_', ', ')} {rate / 1e9:.1f} GB/s")


def copy_rate(context: StepContext) -> float:
    """Copy rate of the memory that the tables of this run lie in; measured anew, as steps share no process."""
    return copy_bytes_per_s(context.device, context.threads, (16 << 20) if context.small else (128 << 20))
