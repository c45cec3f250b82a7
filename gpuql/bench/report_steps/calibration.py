"""The costs that the choice of a device rests on, as ``gpuql calibrate`` measures them. Nothing is kept."""

from __future__ import annotations

from gpuql.bench.pipeline_cost import pipeline_seconds
from gpuql.bench.report_steps.contract import StepContext
from gpuql.device.calibration import measure_cpu, measure_gpu


def run(context: StepContext) -> None:
    """Record the fields of ``MachineCosts`` for the processor, then for the device."""
    costs = measure_cpu(context.threads, num_rows=1 << 12 if context.small else 1 << 22)
    costs["cpu_pipeline_s"] = pipeline_seconds("cpu", context.threads)
    context.record(costs=costs)
    context.say(f"processor measured, {costs['cpu_pipeline_s'] * 1e6:.0f} us a pipeline")
    if context.device == "gpu":
        costs["gpu_pipeline_s"] = pipeline_seconds(
            "gpu", context.threads
        )  # opens the pool that measuring then uses
        context.record(costs=costs)
        context.say(f"{costs['gpu_pipeline_s'] * 1e6:.0f} us a pipeline on the GPU")
        context.record(costs=costs | measure_gpu())
