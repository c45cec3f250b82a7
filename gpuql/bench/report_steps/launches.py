"""What a kernel launch costs through gpuql's launch path."""

from __future__ import annotations

from gpuql.bench.report_steps.contract import StepContext, StepUnavailable
from gpuql.device import measure_cuda, open_device
from gpuql.memory.pool import open_pool


def run(context: StepContext) -> None:
    """Record microseconds per launch."""
    if context.device == "cpu":
        raise StepUnavailable("the CPU launches no kernels")
    from gpuql_kernels.grid.gpu import launch_refusal

    device = open_device(context.device)
    if device.name == "gpu":
        open_pool(device.ordinal)
    if device.name == "gpu":
        refusal = launch_refusal()
        context.record(path="through Numba" if refusal else "straight to the driver", refusal=refusal)
        context.say(f"launches go {context.results['path']}{': ' if refusal else ''}{refusal}")
    seconds = measure_cuda.launch_seconds(
        device.xp, measure_cuda.waiter(device.name), 10 if context.small else 2000
    )
    for name, value in seconds.items():
        context.record(**{f"{name}_us": value * 1e6})
        context.say(f"{name.replace('_', ' ')}: {value * 1e6:.2f} us a launch")
