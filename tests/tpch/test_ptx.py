"""Every pipeline of TPC-H that fuses compiles to PTX for every supported architecture, without a driver."""

import pytest

from gpuql.execution.executor import Executor
from gpuql.execution.fused.lower import PipelineLowering
from gpuql.execution.fused.refusal import NotFusible
from gpuql.execution.pipeline_run import PipelineRunner

pytest.importorskip("numba_cuda", reason="compiling for CUDA takes the package numba-cuda")


class RecordingRunner(PipelineRunner):
    """Runs queries interpreted and keeps the program that each pipeline has on a GPU."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.programs = []
        self.refusals = []

    def _choose_tier(self, pipeline, inputs, context, settings, measured):
        try:
            self.programs.append(PipelineLowering(pipeline, inputs, context, on_grid=True).lower().program)
        except NotFusible as refusal:
            self.refusals.append(str(refusal))


@pytest.fixture(scope="module")
def programs(load, queries):
    con = load(tier="interpreted")
    executor = Executor(con.device, 1)
    lane = executor._lane
    recording = lane.runner = RecordingRunner(con.device, lane.workers, lane.driver)
    con._executors[con._settings.device, con._settings.threads] = executor
    for text in queries.values():
        con.execute(text).fetchall()
    return recording


def test_every_pipeline_of_tpch_compiles_to_ptx(programs, capsys):
    from gpuql_kernels.codegen.emit import emit
    from gpuql_kernels.codegen.gpu import SUPPORTED_CAPABILITIES, compile_ptx

    distinct = {emit(program, "cuda"): program for program in programs.programs}
    assert len(distinct) > 60
    compiled = 0
    for program in distinct.values():
        for capability in SUPPORTED_CAPABILITIES:
            ptx = compile_ptx(program, capability)
            assert f".target sm_{capability[0]}{capability[1]}" in ptx
            compiled += 1
    with capsys.disabled():
        print(
            f"\n{len(distinct)} pipelines of TPC-H: {compiled} PTX texts; {len(programs.refusals)} only pass rows"
        )


def test_what_does_not_fuse_only_passes_rows(programs):
    assert {reason for reason in programs.refusals if "pass through" not in reason} == set()
