"""How long generated pipelines and static kernels take to become machine code."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from gpuql.bench.data import suite_files
from gpuql.bench.engines import GpuqlEngine
from gpuql.bench.queries import load_queries
from gpuql.bench.report_steps.contract import StepContext, error_text
from gpuql.bench.suites import TPCH
from gpuql.bench.timing import time_once
from gpuql.session import connect
from gpuql_kernels.codegen.cpu import counter


def run(context: StepContext) -> None:
    """Pipelines of TPC-H at a tiny scale factor, compiled with an empty cache; then, on a GPU, the static kernels."""
    # A cache of its own: what other steps compiled must not be found.
    os.environ["GPUQL_CACHE_DIR"] = str(context.work_folder / "compile-times")
    clock = _CompilerClock() if context.device == "gpu" else None
    with connect(context.device, context.threads, tier="compiled") as connection:
        engine = GpuqlEngine(connection)
        connection.set_variable("device", "cpu")
        engine.load(suite_files(TPCH, context.scale_factor, context.data_folder), resident=True)
        connection.set_variable("device", context.device)
        queries: dict[str, dict[str, Any]] = {}
        for number, sql in load_queries("tpch", context.tpch_queries).items():
            if context.seconds_left < 3:
                context.record(note=f"ended before Q{number:02d}: no time left")
                break
            queries[f"Q{number:02d}"] = _measure(engine, sql, clock)
            context.record(queries=queries)
        total = sum(entry.get("first_ms", 0.0) - entry.get("second_ms", 0.0) for entry in queries.values())
        context.record(all_queries_ms=total)
        context.say(f"all pipelines of TPC-H: {total / 1000:.1f} s")
    if context.device == "gpu":
        _static_kernels(context)


def _measure(engine: GpuqlEngine, sql: str, clock: _CompilerClock | None) -> dict[str, Any]:
    """First execution against the second; on a GPU also the time inside the compiler, per kernel."""
    compiled = counter.compiled
    if clock is not None:
        clock.reset()
    try:
        result, first_ms = time_once(lambda: engine.execute(sql))
        second_ms = time_once(lambda: engine.execute(sql))[1]
    except Exception as error:  # recorded: the other queries still run
        return {"error": error_text(error)}
    entry = {
        "pipelines": len(result.metrics.pipelines),
        "fused": sum(pipeline.tier == "fused" for pipeline in result.metrics.pipelines),
        "first_ms": round(first_ms, 3),
        "second_ms": round(second_ms, 3),
    }
    if clock is None:
        return entry | {"compiled": counter.compiled - compiled}
    return entry | {"compiler_ms": [round(value, 3) for value in clock.times_ms]}


class _CompilerClock:
    """Time that numba-cuda spends in its compiler: PTX, and machine code from it. Nested calls count once."""

    def __init__(self) -> None:
        from numba.cuda.core import event

        self.times_ms: list[float] = []
        self._depth = 0
        self._started = 0.0
        clock = self

        class Listener(event.Listener):  # type: ignore[misc]
            def on_start(self, event: object) -> None:
                if clock._depth == 0:
                    clock._started = time.perf_counter()
                clock._depth += 1

            def on_end(self, event: object) -> None:
                clock._depth -= 1
                if clock._depth == 0:
                    clock.times_ms.append((time.perf_counter() - clock._started) * 1000)

        event.register("numba-cuda:compiler_lock", Listener())

    def reset(self) -> None:
        self.times_ms = []


def _static_kernels(context: StepContext) -> None:
    """PTX alone, and PTX with machine code for this device, of every static kernel."""
    import cupy

    from gpuql_kernels import ptx
    from gpuql_kernels.grid.gpu import cuda

    capability = cupy.cuda.Device().compute_capability
    target = (int(capability[:-1]), int(capability[-1]))
    kernels: dict[str, dict[str, Any]] = {}
    for name, (function, signature) in ptx.static_kernels().items():
        if context.seconds_left < 3:
            context.record(note="ended early: no time left")
            break
        text, ptx_ms = time_once(partial(ptx.compile_kernel, function, signature, target))
        try:
            _, all_ms = time_once(partial(cuda.jit(function).compile, signature))
        except Exception as error:  # recorded: the other kernels still compile
            kernels[name] = {"ptx_ms": ptx_ms, "error": error_text(error)}
        else:
            kernels[name] = {"ptx_ms": ptx_ms, "ptx_and_machine_code_ms": all_ms, "ptx_bytes": len(text)}
        context.record(static_kernels=kernels)
    context.record(
        static_kernels_ptx_ms=sum(entry["ptx_ms"] for entry in kernels.values()),
        static_kernels_all_ms=sum(entry.get("ptx_and_machine_code_ms", 0.0) for entry in kernels.values()),
    )
    context.say(f"{len(kernels)} static kernels: {context.results['static_kernels_all_ms'] / 1000:.1f} s")
