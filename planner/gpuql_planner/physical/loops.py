"""Which pipelines of a recursion's step must run in every round."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.physical.nodes import (
    BuildScan,
    HashJoinProbe,
    LimitSink,
    Loop,
    Pipeline,
    ResultScan,
)

#: Joins whose probe leaves marks in the table of the build side.
_MARKING = (JoinKind.RIGHT, JoinKind.FULL)


def pipelines_read(pipeline: Pipeline) -> list[int]:
    """Earlier pipelines whose results this one reads."""
    reads = [step.build for step in pipeline.transforms if isinstance(step, HashJoinProbe)]
    if isinstance(pipeline.source, ResultScan):
        reads.extend(pipeline.source.pipelines)
    if isinstance(pipeline.source, BuildScan):
        reads.append(pipeline.source.build)
    return reads


def repeated(pipelines: Sequence[Pipeline], first: int, changing: frozenset[int]) -> tuple[int, ...]:
    """Those from ``first`` on that depend on results of ``changing``, in order.

    A join table that such a pipeline leaves marks in is made anew for each round. All others are made once.
    """
    found = set(changing)
    size = 0
    while size != len(found):
        size = len(found)
        for index in range(first, len(pipelines)):
            pipeline = pipelines[index]
            if index in found or not found.isdisjoint(pipelines_read(pipeline)):
                found.add(index)
                found.update(
                    step.build
                    for step in pipeline.transforms
                    if isinstance(step, HashJoinProbe) and step.kind in _MARKING
                )
    return tuple(sorted(index for index in found if index >= first))


def limited_reader(pipelines: Sequence[Pipeline], loop: Loop) -> int | None:
    """The pipeline that may end a loop: nothing else reads the loop's rows, and it wants only the first of them.

    It must need nothing that comes after the loop, so that it can run on the rows of each round.
    """
    readers = [index for index, pipeline in enumerate(pipelines) if loop.result in pipelines_read(pipeline)]
    if len(readers) != 1 or readers[0] in loop.body:
        return None
    reader = pipelines[readers[0]]
    if not isinstance(reader.sink, LimitSink) or reader.sink.limit is None:
        return None
    reads = pipelines_read(reader)
    return readers[0] if reads.count(loop.result) == 1 and max(reads) == loop.result else None


def last_readers(pipelines: Sequence[Pipeline], loops: Sequence[Loop]) -> dict[int, list[int]]:
    """For each pipeline, the earlier ones whose results nobody reads after it.

    What a step reads is read until its loop ends; results of its own repeated pipelines are the loop's business.
    """
    outermost: dict[int, int] = {}
    own: set[int] = set()
    for loop in loops:
        own.update((loop.working, loop.total))
        for index in loop.body:
            outermost[index] = max(outermost.get(index, 0), loop.result)
    for index, result in outermost.items():
        while result in outermost:  # a loop within a loop
            result = outermost[result]
        outermost[index] = result
    last: dict[int, int] = {}
    for index, pipeline in enumerate(pipelines):
        for read in pipelines_read(pipeline):
            last[read] = max(last.get(read, 0), outermost.get(index, index))
    readers: dict[int, list[int]] = {}
    for read, index in last.items():
        if read not in outermost and read not in own:
            readers.setdefault(index, []).append(read)
    return readers
