"""``python -m gpuql.bench.gpu_fallbacks_page``: docs/gpu-fallbacks.md from what the engine knows of itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from gpuql.bench.written_page import write_or_check
from gpuql.execution.host_parts import host_forms

PAGE = Path(__file__).parents[2] / "docs" / "gpu-fallbacks.md"

_INTRODUCTION = """\
# What the CPU computes in a query on a GPU

Everything that is not on this page has a form on a GPU. What is on it is computed by the CPU while the rest of its
pipeline stays on the GPU: values go to the host and their results come back, of text only the distinct ones. `EXPLAIN`
names these parts under their pipeline:

```
  · on the CPU: md5 (computed by Python, once for each distinct value)
```

With `SET on_unsupported = 'error'` such a query is refused before it begins, and the error lists all parts of all
pipelines. What reads no column is computed once and does not count.

`gpuql bench coverage` runs the 99 queries of TPC-DS so, in Numba's simulator or on a GPU (`--device gpu`), over a
sample of the data, and prints for each what kept it from running there wholly. In the simulator nothing does.

This page is made by `make docs-gpu-fallbacks` from the tables of functions. A test compares it with
`tests/bench/gpu_fallbacks.txt`, which may only lose lines.

{count} entries.
"""
_TITLES = {
    "aggregate": "Aggregates",
    "cast": "Casts",
    "function": "Functions",
    "operator": "Operators",
}


def page() -> str:
    """Text of docs/gpu-fallbacks.md."""
    forms = host_forms()
    lines = [_INTRODUCTION.replace("{count}", str(len(forms)))]
    for kind, group in groupby(forms, key=lambda form: form[0]):
        by_reason: dict[str, list[str]] = {}
        for _, name, reason in group:
            by_reason.setdefault(reason, []).append(name)
        lines += [f"## {_TITLES[kind]}", "", "| reason | what |", "|---|---|"]
        for reason, names in sorted(by_reason.items()):
            shown = [f"`{name}`" if kind in ("aggregate", "function") else name for name in names]
            lines.append(f"| {reason} | {', '.join(shown)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with ``--check`` say whether it is as it would be written."""
    return write_or_check(page, PAGE, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
