"""Where each pipeline runs, and why, decided once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
