"""What runs a fused pipeline: morsels on CPU threads, or one grid on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gpuql.columnar.batch import Batch
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.lower import FusedPipeline
from gpuql.operators.contract import RowsResult, RunContext
from gpuql_kernels.codegen.program import Program

#: Takes rows put out by the program: the batch and its place in the source order.
Consumer = Callable[[Batch, int], None]


class FusedDriver(Protocol):
    """One per executor; safe under several threads."""

    @property
    def on_grid(self) -> bool:
        """Whether rows are put out in no particular order, as a grid of GPU threads does."""

    def compile(self, program: Program) -> Any:
        """Generate code. The result has ``source``, its text, and goes back into the other methods."""

    def ready(self, fused: FusedPipeline, compiled: Any, inputs: Inputs, *, wait: bool) -> bool:
        """Whether a run now need not wait for the compiler; with ``wait`` it is waited for here, else it is started."""

    def run_emit(
        self,
        fused: FusedPipeline,
        compiled: Any,
        inputs: Inputs,
        context: RunContext,
        new_consumer: Callable[[], Consumer],
        *,
        in_order: bool,
    ) -> None:
        """Run a program that puts out rows; each worker hands its batches to a consumer of its own.

        With ``in_order`` the sequence numbers of batches order all rows as the source had them.
        """

    def run_aggregate(
        self, fused: FusedPipeline, compiled: Any, inputs: Inputs, context: RunContext
    ) -> RowsResult:
        """Run a program that ends in an aggregation."""
