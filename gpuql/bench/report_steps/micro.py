"""Single operators: the cases of ``gpuql bench micro``, as a share of the measured copy bandwidth."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gpuql.bench.micro import largest_group_step, load_inputs, measure_case
from gpuql.bench.micro_cases import CASES, GROUP_COUNTS, Case, group_case
from gpuql.bench.report_steps.bandwidth import copy_rate
from gpuql.bench.report_steps.contract import StepContext, error_text
from gpuql.session import connect

#: Every so many counts of the group-by sweep: the whole sweep takes minutes to load.
_SWEEP_STRIDE = 4


def run(context: StepContext) -> None:
    """Record each case as it ends; a case that fails is recorded and the rest goes on."""
    num_rows = 2_000 if context.small else (50_000_000 if context.device == "gpu" else 10_000_000)
    bandwidth = copy_rate(context)
    cases: list[dict[str, Any]] = []
    reports = []
    context.record(num_rows=num_rows, copy_bytes_per_s=bandwidth, cases=cases)
    for case in chosen_cases(num_rows, every=_SWEEP_STRIDE):
        if context.seconds_left < 3:
            context.record(note=f"ended before {case.name}: no time left")
            break
        try:
            # A connection for each case: what an earlier one left on the device is let go.
            with connect(context.device, context.threads) as connection:
                connection.set_variable("device", "cpu")
                load_inputs(connection, case, num_rows)
                connection.set_variable("device", context.device)
                report = measure_case(connection, case, num_rows, 3, bandwidth)
        except Exception as error:  # recorded: the other cases still run
            cases.append({"name": case.name, "error": error_text(error)})
            context.say(f"{case.name}: {error_text(error)}")
        else:
            reports.append(report)
            cases.append(asdict(report))
            context.say(f"{case.name}: {report.ms:.2f} ms, {report.bandwidth_share:.0%} of copy bandwidth")
        context.record(cases=cases)
    step, groups = largest_group_step(reports)
    context.record(largest_group_step={"factor": step, "groups": groups})


def chosen_cases(num_rows: int, *, every: int) -> list[Case]:
    """The cases without the sweep first, then every ``every``-th count of the sweep that ``num_rows`` can have."""
    sweep = {group_case(groups): groups for groups in GROUP_COUNTS}
    wanted = {*GROUP_COUNTS[::every], 128, 129}
    single = [case for case in CASES if case.name not in sweep]
    return single + [
        case
        for case in CASES
        if case.name in sweep and sweep[case.name] in wanted and sweep[case.name] <= num_rows
    ]
