"""Running statements from arguments, files and pipes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gpuql.cli.formats import write_result
from gpuql.cli.shell import run_shell
from gpuql.errors import InputError
from gpuql.session import Connection, connect
from gpuql_planner.statement_errors import BadFileContent


def run_statements(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Run what ``-c``, ``-f`` or standard input hold; a terminal gets the shell."""
    with connect(options.device, options.threads, **settings) as connection:
        if not options.command and not options.file and sys.stdin.isatty():
            return run_shell(connection, options.format, timer=options.timer)
        for text in _texts(options):
            run_text(connection, text, options.format, timer=options.timer)
    return 0


def run_text(connection: Connection, text: str, form: str, *, timer: bool) -> None:
    """Run the statements of a text one by one and print the rows of each."""
    for statement in connection.statements(text):
        started = time.perf_counter()
        result = connection.run_statement(statement)
        elapsed_ms = (time.perf_counter() - started) * 1000
        with result:
            write_result(result, sys.stdout, form)
        if timer:
            print(f"{elapsed_ms:.1f} ms", file=sys.stderr)


def _texts(options: argparse.Namespace) -> Iterator[str]:
    yield from options.command or ()
    for path in options.file or ():
        yield sys.stdin.read() if path == "-" else _text_of(path)
    if not options.command and not options.file:
        yield sys.stdin.read()


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"file cannot be read: {path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise BadFileContent(f"file is not UTF-8 text: {path}: byte at offset {error.start}") from error
