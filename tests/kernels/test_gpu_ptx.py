"""Every static CUDA kernel compiles for every supported architecture, with neither driver nor device."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda, of the extra 'test', is not installed"
)


def test_static_kernels_compile_to_ptx() -> None:
    from gpuql_kernels import ptx
    from gpuql_kernels.codegen.gpu import SUPPORTED_CAPABILITIES

    names = set(ptx.static_kernels())
    assert len(names) >= 40
    for capability in SUPPORTED_CAPABILITIES:
        compiled = ptx.compile_static_kernels(capability)
        assert set(compiled) == names
        target = f".target sm_{capability[0]}{capability[1]}"
        for name, text in compiled.items():
            assert target in text, f"{name}: {target}"
            assert ".visible .entry" in text, name
    print(f"{len(names)} kernels for {len(SUPPORTED_CAPABILITIES)} architectures")


def test_claiming_a_slot_is_one_atomic() -> None:
    from gpuql_kernels import ptx

    for name, (function, signature) in ptx.static_kernels().items():
        if "claim_slots" in name:
            text = ptx.compile_kernel(function, signature, (8, 0))
            assert "atom.global.cas" in text, name
            assert "atom.global.min" in text, name
