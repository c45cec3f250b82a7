"""The interactive shell: statements end with a semicolon, commands begin with a dot."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from dataclasses import dataclass

from gpuql import __version__
from gpuql.cli.formats import FORMATS, write_result
from gpuql.errors import GpuqlError
from gpuql.session import Connection

_HELP = """\
.help              this text
.tables            tables and views
.format NAME       how rows are printed: table, csv, json, jsonl, markdown
.timer on|off      print how long statements take
.quit              leave (or Ctrl-D)
Statements end with a semicolon. Ctrl-C stops a running statement."""

#: Commands that are understood without their dot: no statement begins so, and who does not know the dot needs them.
_WORDS = ("help", "quit", "exit")


@dataclass
class ShellState:
    """What dot-commands change."""

    form: str
    timer: bool


def run_shell(connection: Connection, form: str, *, timer: bool) -> int:
    """Read and run until the end of input; an error is printed and the shell goes on."""
    with contextlib.suppress(ImportError):  # line editing and history, where Python was built with it
        importlib.import_module("readline")
    device = connection.device
    print(f"gpuql {__version__} on {device.name} ({device.reason}). Type .help for help.")
    state = ShellState(form, timer)
    pending = ""
    while True:
        try:
            line = input("  ...> " if pending else "gpuql> ")
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            pending = ""
            continue
        word = line.strip().rstrip(";").lower()
        if not pending and (word in _WORDS or word.startswith(".")):
            if not run_dot_command([f".{word}"] if word in _WORDS else line.split(), connection, state):
                return 0
            continue
        pending += line + "\n"
        if not pending.strip():
            pending = ""
        elif pending.rstrip().endswith(";"):
            run_and_print(connection, pending, state)
            pending = ""


def run_and_print(connection: Connection, text: str, state: ShellState) -> None:
    """Run statements and print rows or the error."""
    from gpuql.cli.main import report_error

    started = time.perf_counter()
    try:
        for statement in connection.statements(text):
            write_result(connection.run_statement(statement), sys.stdout, state.form)
    except GpuqlError as error:
        report_error(error)
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
    if state.timer:
        print(f"{(time.perf_counter() - started) * 1000:.1f} ms")


def run_dot_command(words: list[str], connection: Connection, state: ShellState) -> bool:
    """Carry out a dot-command; False to leave the shell."""
    match words:
        case [".quit" | ".exit"]:
            return False
        case [".tables"]:
            print("\n".join(sorted(connection.catalog.relation_names())))
        case [".format", form] if form in FORMATS:
            state.form = form
        case [".timer", "on" | "off" as switch]:
            state.timer = switch == "on"
        case [".help"]:
            print(_HELP)
        case _:
            print(f"not a command: {' '.join(words)}\n{_HELP}")
    return True
