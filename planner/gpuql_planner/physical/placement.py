"""Where each pipeline runs, and why, decided once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gpuql_planner.physical.device_costs import PipelineSeconds
from gpuql_planner.physical.nodes import BuildScan, HashJoinProbe, Pipeline

#: Says why a pipeline cannot run on the chosen device (None if it can). Data about kernels, given by the session.
Refusal = Callable[[Pipeline], str | None]


def place(pipelines: Sequence[Pipeline], device: str, reason: str, refusal: Refusal) -> tuple[Pipeline, ...]:
    """Give every pipeline its device and reason.

    Parameters
    ----------
    pipelines : in plan order.
    device : "cpu", "gpu" or "cudasim", already chosen from the user's setting.
    reason : why that device was chosen, in words.
    refusal : a pipeline that is refused goes to the CPU, with the refusal as its reason. A probe must run where its
        build lies, so every pipeline that reads a refused build, or is read by a probe on the CPU, follows it.
    """
    if device == "cpu":
        return tuple(replace(pipeline, device=device, reason=reason) for pipeline in pipelines)
    refused = {index: why for index, p in enumerate(pipelines) if (why := refusal(p)) is not None}
    _follow_joins(pipelines, refused)
    return tuple(
        replace(pipeline, device="cpu", reason=refused[index])
        if index in refused
        else replace(pipeline, device=device, reason=reason)
        for index, pipeline in enumerate(pipelines)
    )


@dataclass(frozen=True, slots=True)
class DeviceDecision:
    """The device of a whole query, the reason for each of its pipelines, and what decided.

    ``saved_s`` are the seconds that the other device would have saved were it not for uploads; 0 where it was chosen,
    or would not have saved anything.
    """

    device: str
    reasons: tuple[str, ...]
    saved_s: float


def decide(
    names: tuple[str, str],
    host: Sequence[PipelineSeconds],
    accelerator: Sequence[PipelineSeconds],
    credit_s: float = 0.0,
) -> DeviceDecision:
    """Choose between host and accelerator by the sums over all pipelines: a query runs on one device.

    Parameters
    ----------
    names : of the host and of the accelerator, such as ("cpu", "gpu").
    host, accelerator : estimates of the same pipelines on each.
    credit_s : seconds that earlier queries over the same columns would have saved on the accelerator, had the columns
        been there. They count against the uploads, so that columns are sent once they would have paid for it: at worst
        twice the time of the best choice made with hindsight.
    """
    host_s = sum(estimate.total_s for estimate in host)
    upload_s = sum(estimate.upload_s for estimate in accelerator)
    work_s = sum(estimate.work_s for estimate in accelerator)
    total_s = work_s + upload_s
    first, second = names
    if work_s + max(0.0, upload_s - credit_s) < host_s:
        device, saved_s = second, 0.0
        if total_s < host_s:
            verdict = f"{second} {_duration(total_s)} < {first} {_duration(host_s)}"
        else:
            verdict = (
                f"{second} {_duration(work_s)} < {first} {_duration(host_s)}; uploads of {_duration(upload_s)} pay off "
                "as the columns are used again and again"
            )
    else:
        device, saved_s = first, max(0.0, host_s - work_s)
        verdict = f"{first} {_duration(host_s)} <= {second} {_duration(total_s)}"
        if upload_s > 0:
            verdict += f", {_duration(upload_s)} of it uploads"
    reasons = tuple(
        f"auto: {verdict}; this pipeline: {second} {_duration(there.total_s)}, {first} {_duration(here.total_s)}"
        for here, there in zip(host, accelerator, strict=True)
    )
    return DeviceDecision(device, reasons, saved_s)


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _follow_joins(pipelines: Sequence[Pipeline], refused: dict[int, str]) -> None:
    """Spread refusals along build edges until nothing changes."""
    changed = True
    while changed:
        changed = False
        for index, pipeline in enumerate(pipelines):
            for build in builds_read(pipeline):
                if (index in refused) != (build in refused):
                    other = build if index in refused else index
                    cause = index if index in refused else build
                    refused[other] = f"shares a join table with pipeline {cause}, which runs on the CPU"
                    changed = True


def builds_read(pipeline: Pipeline) -> tuple[int, ...]:
    """Pipelines whose join tables this one probes or scans."""
    own = (pipeline.source.build,) if isinstance(pipeline.source, BuildScan) else ()
    return (*own, *(step.build for step in pipeline.transforms if isinstance(step, HashJoinProbe)))
