"""``python -m gpuql.bench.errors_page``: docs/errors.md from the classes of errors."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpuql.bench.written_page import write_or_check
from gpuql_planner import errors, statement_errors
from gpuql_planner.errors import GpuqlError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

_INTRODUCTION = """\
# Errors

Every error is a `gpuql.GpuqlError` and belongs to the tree of PEP 249. Its class and `sqlstate` are there for programs,
its text is for people and may change. Codes are PostgreSQL's.

```python
import gpuql

connection = gpuql.connect()
connection.execute("CREATE TABLE t (quantity INTEGER, price VARCHAR)")
try:
    connection.execute("SELECT quantity,\\n    quanity * 2\\nFROM t")
except gpuql.GpuqlError as error:
    print(error)
    assert error.sqlstate == "42703"
    assert (error.position.line, error.position.column) == (2, 5)
    assert error.hint == "did you mean quantity?"
```

```
column not found: quanity
LINE 2:     quanity * 2
            ^
Hint: did you mean quantity?
```

`position` counts lines and columns from 1. Errors of values, such as a text that is no number, point at the expression
that met the value; broken rules of a table point at the name of the table. A statement that fails has changed nothing;
within a transaction, nothing more runs before `ROLLBACK` (25P02).

```python
connection.execute("INSERT INTO t VALUES (1, '2.50'), (2, 'free')")
try:
    connection.execute("SELECT quantity * price::DECIMAL(9, 2) FROM t").fetchall()
except gpuql.ConversionError as error:
    assert error.message == "could not cast text to DECIMAL(9,2): 'free'"
    assert error.position.column == 19
```

## Classes

All are in `gpuql.errors`, the broad ones in `gpuql` too; who catches a class catches those that are a kind of it. This
page is made by `make docs-errors`.

"""


def error_classes() -> Iterator[type[GpuqlError]]:
    """All classes of errors, in the order in which they are defined."""
    for module in (errors, statement_errors):
        for found in vars(module).values():
            if (
                inspect.isclass(found)
                and issubclass(found, GpuqlError)
                and found.__module__ == module.__name__
            ):
                yield found


def page() -> str:
    """Text of docs/errors.md."""
    lines = ["| SQLSTATE | class | is a | meaning |", "|---|---|---|---|"]
    for kind in sorted(error_classes(), key=lambda kind: (kind.sqlstate, kind.__name__)):
        broader = kind.__base__
        assert broader is not None, "an error has a base"
        meaning = (inspect.getdoc(kind) or "").partition("\n")[0]
        lines.append(f"| {kind.sqlstate} | `{kind.__name__}` | `{broader.__name__}` | {_plain(meaning)} |")
    return _INTRODUCTION + "\n".join(lines) + "\n"


def _plain(meaning: str) -> str:
    """Without references that only Sphinx reads."""
    return meaning.partition("; :mod:")[0].rstrip(".") + "."


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with ``--check`` say whether it is as it would be written."""
    return write_or_check(page, PAGE, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
