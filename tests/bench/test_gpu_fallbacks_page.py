"""docs/gpu-fallbacks.md: it is as the code says, it only shrinks, and nothing else leaves the device."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import gpuql
from gpuql.bench.functions_page import AGGREGATES, TOPICS, statement
from gpuql.bench.gpu_fallbacks_page import PAGE, page
from gpuql.columnar.nested import host_column
from gpuql.columnar.strings import on_host
from gpuql.execution.host_parts import aggregate_reason, function_reason, host_forms
from gpuql.expressions import evaluate
from gpuql.expressions.host_calls import call_on_host
from gpuql_planner.functions.examples import function_of

LISTED = Path(__file__).with_name("gpu_fallbacks.txt")
#: They read constants of the statement on the host (a pattern, a unit, a separator) or fall back for HUGEINT only.
READS_CONSTANTS = {
    *("concat", "concat_operator", "concat_ws", "contains", "starts_with", "ends_with", "ilike", "like"),
    *("ilike_escape", "like_escape", "eq", "ne", "lt", "le", "gt", "ge", "or", "and", "coalesce"),
    *("zone_offset", "zone_bucket"),
    *("date_diff", "date_sub", "date_trunc", "whole_epoch", "from_epoch", "error", "gcd", "lcm"),
}


def test_page_is_as_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs-gpu-fallbacks"


def test_list_only_shrinks() -> None:
    listed = LISTED.read_text(encoding="utf-8").splitlines()
    found = [f"{kind} {name}" for kind, name, _ in host_forms()]
    grown = sorted(set(found) - set(listed))
    assert not grown, "these have no form on a GPU; write one on arrays rather than a longer list"
    assert listed == found, "take what has a form now off the list"


def test_functions_that_are_not_listed_stay_on_the_device() -> None:
    """No example of a function that is not listed calls what brings rows to the host."""
    to_host = {function.__code__ for function in (on_host, host_column, call_on_host)}
    met: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or frame.f_code not in to_host:
            return
        caller = frame.f_back
        while caller is not None and caller.f_code is not evaluate._call.__code__:
            caller = caller.f_back
        if caller is not None:
            met.add(caller.f_locals["call"].function)

    with gpuql.connect(device="cpu", tier="interpreted", threads=1) as connection:
        for topic, examples in TOPICS.items():
            for example in examples:
                sys.setprofile(note)
                with suppress(gpuql.GpuqlError):  # some are examples of an error
                    connection.execute(statement(topic, example)).fetchall()
                sys.setprofile(None)
    assert {name for name in met if function_reason(name) is None} <= READS_CONSTANTS


def test_aggregates_that_are_not_listed_stay_on_the_device() -> None:
    to_host = {function.__code__ for function in (on_host, host_column, call_on_host)}
    met: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        caller = frame.f_back
        if event == "call" and frame.f_code in to_host and caller is not None:
            met.add(str(caller.f_globals["__name__"]))

    with gpuql.connect(device="cpu", tier="interpreted", threads=1) as connection:
        for example in TOPICS[AGGREGATES]:
            several = "_n" if example.endswith(", 2)") else ""  # max(x, 2) is max_n in plans
            if example.startswith("json_group_"):  # string_agg in plans
                continue
            if aggregate_reason(function_of(example) + several) is not None:
                continue
            sys.setprofile(note)
            try:
                connection.execute(statement(AGGREGATES, example)).fetchall()
            finally:
                sys.setprofile(None)
    assert not {module for module in met if module.startswith("gpuql.operators")}
