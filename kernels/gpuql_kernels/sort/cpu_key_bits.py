"""Keys of several words as few words: bits that are the same in all rows left out, the others moved together."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.sort import cpu_loops
from gpuql_kernels.tasks import RunTasks
from gpuql_kernels.thresholds import KEY_BITS_TASK_ROWS, MAX_KEY_BIT_RUNS

Array = Any


def squeeze(words: list[Array], bits: list[int], run_tasks: RunTasks) -> tuple[list[Array], list[int]]:
    """Leave out bits that are the same in all rows: order only depends on the others. Empties ``words``."""
    num_rows = len(words[0])
    squeezed, sizes = [], []
    for size in bits:
        word = words.pop(0)
        runs = _runs(_varying(word, run_tasks))
        total = sum(length for _, length in runs)
        if total < size and len(runs) <= MAX_KEY_BIT_RUNS:
            if total:
                squeezed.append(_extract(word, runs, run_tasks))
                sizes.append(total)
        else:
            squeezed.append(word)
            sizes.append(size)
    return (squeezed, sizes) if squeezed else ([np.zeros(num_rows, np.uint64)], [1])


def _varying(word: Array, run_tasks: RunTasks) -> int:
    """Bits that are not the same in all rows."""
    parts = _num_chunks(word)
    found = np.empty(parts, np.uint64)
    first = word[0]

    def task(index: int) -> None:
        found[index] = cpu_loops.varying_bits(word[_chunk(index)], first)

    run_tasks(parts, task)
    return int(np.bitwise_or.reduce(found))


def _runs(mask: int) -> list[tuple[int, int]]:
    """(lowest bit, length) of the runs of ones, the most significant first."""
    runs = []
    position = 0
    while mask >> position:
        rest = mask >> position
        position += (rest & -rest).bit_length() - 1
        rest = mask >> position
        length = (~rest & (rest + 1)).bit_length() - 1
        runs.append((position, length))
        position += length
    return runs[::-1]


def _extract(word: Array, runs: list[tuple[int, int]], run_tasks: RunTasks) -> Array:
    table = np.array([(low, (1 << length) - 1, length) for low, length in runs], np.uint64)
    out = np.empty(len(word), np.uint64)
    run_tasks(_num_chunks(word), lambda i: cpu_loops.extract_runs(word[_chunk(i)], table, out[_chunk(i)]))
    return out


def pack_bits(words: list[Array], bits: list[int], run_tasks: RunTasks) -> list[Array]:
    """The keys as one string of bits cut into words of 64, the first from the front; the last is filled with zeros.

    Where everything fits one word, nothing is filled in: the bits stand at the low end.
    """
    if len(words) == 1:
        return words
    total = sum(bits)
    num_words = -(-total // 64)
    capacity = 64 * num_words if num_words > 1 else total
    packed = [np.zeros(len(words[0]), np.uint64) for _ in range(num_words)]

    def task(index: int) -> None:
        part = _chunk(index)
        end = 0  # bits of the string up to and including this word's
        for word, size in zip(words, bits, strict=True):
            start, end = end, end + size
            for target in range(start // 64, (end - 1) // 64 + 1):
                target_start, target_end = 64 * target, min(64 * (target + 1), capacity)
                keep = (1 << (end - max(start, target_start))) - 1
                up = max(0, target_end - end)
                down = max(0, end - target_end)
                cpu_loops.append_bits(
                    packed[target][part], word[part], np.uint64(keep), np.uint64(up), np.uint64(down)
                )

    run_tasks(_num_chunks(words[0]), task)
    return packed


def _num_chunks(word: Array) -> int:
    return -(-len(word) // KEY_BITS_TASK_ROWS)


def _chunk(index: int) -> slice:
    return slice(index * KEY_BITS_TASK_ROWS, (index + 1) * KEY_BITS_TASK_ROWS)
