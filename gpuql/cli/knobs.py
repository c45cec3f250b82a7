"""``gpuql knobs``: the numbers that gpuql chose by itself."""

from __future__ import annotations

import itertools

from gpuql.knobs import knobs


def run_knobs() -> int:
    """Print name, value, unit, origin and meaning of each, by package; 0."""
    for package, members in itertools.groupby(knobs(), key=lambda knob: knob.package):
        print(package)
        for knob in members:
            value = f"{knob.value:,}" if isinstance(knob.value, int) else f"{knob.value:.4g}"
            print(f"  {knob.name} = {value} {knob.unit}  ({knob.origin})")
            print(f"      {knob.meaning}")
    return 0
