"""What the GPU kernels ask of the array module exists in NumPy and, where it is installed, in CuPy."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import gpuql_kernels
from gpuql_kernels.array_module import array_module

ROOT = Path(gpuql_kernels.__path__[0])


def names_used() -> set[str]:
    files = [*ROOT.glob("*/gpu.py"), *ROOT.glob("int128/*.py")]
    return {name for file in files for name in re.findall(r"\bxp\.(\w+)", file.read_text())}


def test_array_module_of_numpy_arrays() -> None:
    assert array_module(np.zeros(1)) is np
    assert array_module(3) is np


def test_names_exist_in_numpy() -> None:
    assert len(names_used()) > 10
    assert not [name for name in names_used() if not hasattr(np, name)]


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_names_exist_in_cupy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cupy

    assert not [name for name in names_used() if not hasattr(cupy, name)]
