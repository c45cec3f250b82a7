"""The examples of docs/sql-queries.md run."""

from __future__ import annotations

import re
from pathlib import Path

import gpuql

PAGE = Path(__file__).parents[2] / "docs" / "sql-queries.md"


def test_examples_run_as_they_stand() -> None:
    examples = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) > 5
    with gpuql.connect(device="cpu") as connection:
        for example in examples:
            connection.execute(example)
