"""Steps of the GPU report, one module each.

In: a :class:`~gpuql.bench.report_steps.contract.StepContext`. Out: whatever the step recorded in it, as it went. Each
step runs in a process of its own, started by ``gpuql.bench.gpu_report``: it may crash, hang or lose the device.
"""
