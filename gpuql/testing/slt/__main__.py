"""``python -m gpuql.testing.slt``: runs files, or writes an engine's answers into them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gpuql
from gpuql.testing.slt.complete import complete
from gpuql.testing.slt.records import parse_file
from gpuql.testing.slt.runner import Mismatch, Runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if anything differs, 2 for a file that is not understood."""
    parser = argparse.ArgumentParser(prog="python -m gpuql.testing.slt", description=__doc__)
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of *.slt and *.test"
    )
    parser.add_argument(
        "--engine", choices=("gpuql", "duckdb"), help="what runs them (default: gpuql; duckdb completes)"
    )
    parser.add_argument(
        "--label", action="append", default=[], help="for skipif and onlyif, besides the engine's name"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of gpuql")
    parser.add_argument("--complete", action="store_true", help="write the answers into the files")
    options = parser.parse_args(arguments)
    engine = options.engine or ("duckdb" if options.complete else "gpuql")
    opener, errors = _engine(engine, options.set)
    labels = (engine, *options.label)
    worst = 0
    for path in _files(options.paths):
        try:
            with closing(opener()) as connection:
                if options.complete:
                    problems, count = (
                        complete(path, connection, labels, errors=errors),
                        len(parse_file(path, labels)),
                    )
                else:
                    problems, count = _run(path, connection, labels, errors, match_text=engine == "gpuql")
        except (ValueError, OSError) as error:
            print(error, file=sys.stderr)
            worst = 2
            continue
        print(f"{path}: {count} records" + (f", {len(problems)} not as the file says" if problems else ""))
        for problem in problems:
            print(f"\n{problem}", file=sys.stderr)
        worst = max(worst, 1 if problems else 0)
    return worst


def _run(
    path: Path, connection: Any, labels: Sequence[str], errors: type[Exception], *, match_text: bool
) -> tuple[list[str], int]:
    problems = []
    records = parse_file(path, labels)
    with Runner(connection, errors=errors, match_text=match_text) as runner:
        for record in records:
            try:
                runner.run(record)
            except Mismatch as mismatch:
                problems.append(str(mismatch))
    return problems, len(records)


def _engine(name: str, settings: Sequence[str]) -> tuple[Callable[[], Any], type[Exception]]:
    if name == "duckdb":
        import duckdb

        return duckdb.connect, duckdb.Error
    chosen: dict[str, Any] = dict(setting.split("=", 1) for setting in settings)
    return lambda: gpuql.connect(**chosen), gpuql.GpuqlError


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted([*path.rglob("*.slt"), *path.rglob("*.test")])
        else:
            yield path


if __name__ == "__main__":
    sys.exit(main())
