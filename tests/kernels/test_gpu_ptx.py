"""Every static CUDA kernel compiles for every supported architecture, with neither driver nor device."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda, of the extra 'test', is not installed"
)


#: ``codegen.gpu.SUPPORTED_CAPABILITIES``, which cannot be read before numba-cuda is known to be there.
CAPABILITIES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_static_kernels_compile_to_ptx(capability: tuple[int, int]) -> None:
    from gpuql_kernels import ptx
    from gpuql_kernels.codegen.gpu import SUPPORTED_CAPABILITIES

    assert capability in SUPPORTED_CAPABILITIES
    assert len(CAPABILITIES) == len(SUPPORTED_CAPABILITIES)
    compiled = ptx.compile_static_kernels(capability)
    print(f"{len(compiled)} kernels for compute capability {capability}")
    assert len(compiled) >= 40
    assert set(compiled) == set(ptx.static_kernels())
    target = f".target sm_{capability[0]}{capability[1]}"
    for name, text in compiled.items():
        assert target in text, f"{name}: {target}"
        assert ".visible .entry" in text, name


def test_claiming_a_slot_is_one_atomic() -> None:
    from gpuql_kernels import ptx

    for name, (function, signature) in ptx.static_kernels().items():
        if "claim_slots" in name:
            text = ptx.compile_kernel(function, signature, (8, 0))
            assert "atom.global.cas" in text, name
            assert "atom.global.min" in text, name


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "float32"])
def test_halves_of_group_keys_compile_to_ptx(dtype: str) -> None:
    from gpuql_kernels.codegen import program as ir
    from gpuql_kernels.codegen.gpu import compile_ptx

    value: ir.Value = ir.Column(dtype, nullable=True, array=0, validity=1)
    if dtype.startswith("float"):
        value = ir.ScalarCall("int64", nullable=True, function="float_bits", operands=(value,))
    parts = tuple(
        ir.KeyPart(value, 2, 3, 4, 5, word=word, bits=bits) for word, bits in enumerate(("high", "low"))
    )
    arguments = [ir.Argument("column", dtype), ir.Argument("column", "bool")] + [
        ir.Argument("scalar", "int64")
    ] * 4
    text = compile_ptx(ir.Program(tuple(arguments), (), ir.GroupHash(parts, ())), (7, 5))
    assert "cas" in text


@pytest.mark.parametrize("words", [1, 2, 5])
def test_group_keys_of_several_words_compile_to_ptx(words: int) -> None:
    """Each word of a slot is claimed by a compare-and-swap of its own."""
    from gpuql_kernels.codegen import program as ir
    from gpuql_kernels.codegen.gpu import compile_ptx

    columns = [ir.Column("int64", nullable=False, array=position) for position in range(words)]
    first = words  # the scalars follow the columns
    parts = tuple(
        ir.KeyPart(column, first, first + 1, first + 2, None, word=word)
        for word, column in enumerate(columns)
    )
    arguments = [ir.Argument("column", "int64")] * words + [ir.Argument("scalar", "int64")] * 3
    count = ir.Accumulator("count", None, None, "int64")
    sink = ir.GroupHash(parts, (count,))
    assert (sink.key_words, sink.row_words) == (words, words + 1)
    text = compile_ptx(ir.Program(tuple(arguments), (), sink), (9, 0))
    assert text.count("atom.global.cas") + text.count("atom.cas") >= words
