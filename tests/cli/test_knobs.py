"""Thresholds: each has a place in a registry, a unit, an origin and a meaning, and ``gpuql knobs`` shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from gpuql.cli.main import main
from gpuql.knobs import REGISTRIES, knobs

ROOT = Path(__file__).parents[2]
PACKAGES = ("gpuql", "planner/gpuql_planner", "kernels/gpuql_kernels")
ORIGINS = ("measured", "bound", "cache", "judgement", "guess")

#: Folders whose numbers describe what they measure or print, and change nothing else.
REPORTING = ("gpuql/bench/", "gpuql/cli/", "gpuql/testing/", "gpuql/device/measure_")
#: Numba keeps compiled code under the time of the file that it stands in: what compiled loops read stands there too.
COMPILED = ("cpu_loops.py", "gpu_kernels.py", "gpu.py")
#: Facts that nobody chose: of the calendar, of types, of formats, of hashing, of the hardware; and codes and marks.
FACTS = {
    "gpuql/columnar/nested_fixed.py": {"_INTERVAL_WORDS"},
    "planner/gpuql_planner/functions/aggregates.py": {"_MAX_SEVERAL"},
    "gpuql/columnar/arrow_export.py": {"_CHUNK_BYTES"},
    "gpuql/columnar/construct.py": {"UUID_SHIFT"},
    "gpuql/columnar/two_words.py": {"INT64_MIN", "INT64_MAX", "_WORD"},
    "gpuql/device/calibration.py": {"FILE_FORMAT"},
    "gpuql/execution/fused/keys.py": {"PACKED_LIMIT"},
    "gpuql/execution/partitioned_probe.py": {"_NUMBER"},
    "gpuql/expressions/calendar.py": {"MICROSECONDS_PER_DAY", "_DAYS_PER_ERA", "_EPOCH_SHIFT"},
    "gpuql/columnar/arrow_nested.py": {"_CHUNK_ELEMENTS"},
    "gpuql/columnar/arrow_regex.py": {"_MAX_GROUP"},
    "gpuql/columnar/nested.py": {"_LENGTH_BYTES"},
    "gpuql/expressions/calendar_functions.py": {"_ORIGIN_MONTH"},
    "gpuql/expressions/zones.py": {"_SECOND"},
    "planner/gpuql_planner/time_zones.py": {"CYCLE_SECONDS", "_CYCLE_YEARS", "_DAY_SECONDS"},
    "gpuql/expressions/encodings.py": {"_MULTIPLIER"},
    "gpuql/expressions/mathematics.py": {"_BAR_WIDTH", "_HUGEINT_MAX"},
    "gpuql/expressions/temporal_arithmetic.py": {"_MILLION"},
    "gpuql/expressions/text_measures.py": {"_WINKLER_FROM", "_WINKLER_PREFIX", "_WINKLER_WEIGHT"},
    "gpuql/expressions/comparison.py": {"_MICROSECONDS_PER_DAY"},
    "gpuql/expressions/strings.py": {"TO_END"},
    "gpuql/io/parquet.py": {"_POSITION_BYTES"},
    "gpuql/io/parquet_footer.py": {"_PAGE_HEADER_BYTES"},
    "gpuql/io/pruning.py": {"_MICROSECONDS_PER_DAY"},
    "gpuql/memory/kept_column.py": {"NEVER"},
    "gpuql/expressions/json_text.py": {"_ANY_PLACE"},
    "gpuql/operators/contract.py": {"MATCHED"},
    "gpuql/operators/holistic.py": {"_WORD_DIGITS"},
    "gpuql/operators/key_hash.py": {"_NULL_WORD", "_LEVEL_STEP", "_MASK"},
    "gpuql/operators/keys.py": {"PACKED_LIMIT"},
    "gpuql/operators/partitioned_groups.py": {"PLACE"},
    "planner/gpuql_planner/functions/lists.py": {"_NO_BOUND"},
    "planner/gpuql_planner/sql/bind_series.py": {"_MONTHS_OF_YEAR"},
    "gpuql/operators/row_partitions.py": {"_ROW_NUMBER_BYTES"},
    "gpuql/operators/sort_keys.py": {"_FIRST_WORDS"},
    "gpuql/operators/window_aggregates.py": {"_LIMB_BITS"},
    "planner/gpuql_planner/physical/device_costs.py": {"_MEASURED_SORT_BITS"},
    "planner/gpuql_planner/errors.py": {"_SHOWN_BEFORE", "_SHOWN_AFTER"},
    "planner/gpuql_planner/sql/bind_limit.py": {"_NO_LIMIT"},
    "planner/gpuql_planner/sql/bind_sample.py": {"_HASHES"},
    "planner/gpuql_planner/functions/arithmetic.py": {"_WORD_DIGITS"},
    "planner/gpuql_planner/functions/strings.py": {"_NO_UPPER_END"},
    "planner/gpuql_planner/types.py": {
        "MAX_ARRAY_SIZE",
        "INFINITE_DATE",
        "INFINITE_TIMESTAMP",
        "MAX_DECIMAL_WIDTH",
    },
    "kernels/gpuql_kernels/codegen/grid.py": {"WARP_LANES", "SHARED_BYTES"},
    "kernels/gpuql_kernels/codegen/program.py": {
        "STATUS_OK",
        "STATUS_OVERFLOW",
        "STATUS_SEVERAL_ROWS",
        "STATUS_FULL",
    },
    "kernels/gpuql_kernels/grid/parameters.py": {"_SLOT_BYTES"},
    "kernels/gpuql_kernels/hash_table/cpu.py": {"_MULTIPLIER", "_MASK"},
    "kernels/gpuql_kernels/int128/words.py": {"_MASK32", "_MASK64"},
    "kernels/gpuql_kernels/string_match/contract.py": {"ANY_CHARACTER", "ANY_SEQUENCE"},
    "kernels/gpuql_kernels/string_match/cpu.py": {"_WORD_BYTES"},
}


def numeric_constants(path: Path) -> Iterator[str]:
    """Names in capitals that a module gives numbers."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name.isupper() and is_number(node.value):
            yield name


def is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def test_no_threshold_stands_outside_the_registries() -> None:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(REPORTING) or path.name in COMPILED or path.name == "thresholds.py":
                continue
            outside = set(numeric_constants(path)) - FACTS.get(place, set())
            if outside:
                found[place] = outside
    assert not found, f"move these to thresholds.py, or say here that they are facts: {found}"


def test_facts_are_still_there() -> None:
    for place, names in FACTS.items():
        assert names <= set(numeric_constants(ROOT / place)), place


def test_every_knob_is_described() -> None:
    listed = list(knobs())
    assert {knob.package for knob in listed} == {registry.partition(".")[0] for registry in REGISTRIES}
    for knob in listed:
        assert knob.name.isupper()
        assert knob.unit
        assert knob.origin.split(":")[0].split()[0].rstrip(",") in ORIGINS, knob
        assert knob.meaning.endswith("."), knob


def test_the_command_prints_them(capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["knobs"]) == 0
    printed = capsys.readouterr().out
    assert "CHUNK_ROWS = 4,096 rows" in printed
    assert all(f"  {knob.name} = " in printed for knob in knobs())
