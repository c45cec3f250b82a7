"""Machine code on disk belongs to the sources that it was made from."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gpuql_kernels import compiled_loop as module


@pytest.fixture
def function(tmp_path: Path) -> Any:
    """A function in a file of its own, beside which Numba keeps what it makes of it."""
    path = tmp_path / "loops_of_a_test.py"
    path.write_text("def add(one, other):\n    return one + other\n")
    specification = importlib.util.spec_from_file_location("loops_of_a_test", path)
    assert specification is not None
    assert specification.loader is not None
    loops = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loops)
    return loops.add


def compiled(function: Any) -> tuple[int, int]:
    """How many versions were loaded, and compiled."""
    dispatcher = module.compiled_loop(function)
    assert dispatcher(2, 3) == 5
    return sum(dispatcher.stats.cache_hits.values()), sum(dispatcher.stats.cache_misses.values())


def test_it_is_compiled_again_when_any_source_changed(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(function) == (0, 1)
    assert compiled(function) == (1, 0)
    monkeypatch.setattr(module, "source_fingerprint", lambda: "others")
    assert compiled(function) == (0, 1)
    assert compiled(function) == (1, 0)


def test_scalar_functions_and_all_loops_are_such_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    of_file = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: (read.append(f"{path.parent.name}/{path.name}"), of_file(path))[1]
    )
    module.source_fingerprint.__wrapped__()
    assert {
        "scalar/hashing.py",
        "scalar/arithmetic.py",
        "group_by/cpu_loops.py",
        "string_match/bytewise.py",
    } <= set(read)
