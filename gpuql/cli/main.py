"""Entry of the ``gpuql`` command: reads arguments, runs statements, turns errors into messages and exit codes.

Exit codes: 0 success; 1 an error in a statement or in the data; 2 wrong arguments; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from gpuql import __version__
from gpuql.cli.formats import FORMATS
from gpuql.config import SETTINGS, parse_bytes
from gpuql.errors import GpuqlError, InterruptError
from gpuql_planner.errors import did_you_mean

_EPILOG = """\
Without -c and -f, statements are read from standard input; on a terminal that is an interactive shell.

examples:
  gpuql -c "SELECT count(*) FROM 'trips/*.parquet'"
  gpuql -f report.sql --format csv > report.csv
  gpuql bench tpch --sf 1 --compare duckdb

settings (SET name = value, or --set name=value):
"""


class _Parser(argparse.ArgumentParser):
    """Says what a word that is no command may have been meant as."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; keeps the words for messages."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not isinstance(action, argparse._SubParsersAction) or value in action.choices:
            super()._check_value(action, value)
            return
        # The value of an option that is misspelt would otherwise be reported rather than the option.
        known = list(self._option_string_actions)
        for word in self._words[: self._words.index(value)]:
            option = word.partition("=")[0]
            if option.startswith("--") and not any(name.startswith(option) for name in known):
                hint = did_you_mean(option, known)
                raise argparse.ArgumentError(
                    None, f"no option of gpuql: {option}" + (f"; {hint}" if hint else "")
                )
        hint = did_you_mean(value, list(action.choices))
        if hint is None and os.path.exists(value):
            hint = f"to run a file: gpuql -f {value}"
        hint = hint or 'statements are given with -c "...", files with -f; gpuql --help lists the commands'
        raise argparse.ArgumentError(None, f"no command of gpuql: {value}; {hint}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away: end quietly, and keep the interpreter's exit from flushing into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except GpuqlError as error:
        report_error(error)
        return 130 if isinstance(error, InterruptError) else 1
    except (OSError, ImportError, UnicodeError) as error:
        report_error(error)
        return 1
    return code


def report_error(error: Exception) -> None:
    """Print an error for a person: its kind, the message, the line with a caret, a hint."""
    kind = type(error).__name__
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        kind = f"\x1b[1;31m{kind}\x1b[0m"
    print(f"{kind}: {error}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """All arguments of the command and its subcommands."""
    epilog = _EPILOG + "\n".join(
        f"  {setting.name:<18} {setting.description}" for setting in SETTINGS.values()
    )
    parser = _Parser(
        prog="gpuql",
        description="Run analytical SQL on files and frames, on a GPU or a CPU.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gpuql {__version__}")
    parser.add_argument(
        "-c", "--command", metavar="SQL", action="append", help="run these statements and exit"
    )
    parser.add_argument(
        "-f", "--file", metavar="FILE", action="append", help="run the statements of a file and exit"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="how rows are printed (default: table)"
    )
    parser.add_argument(
        "--timer", action="store_true", help="print how long each statement took, to standard error"
    )
    add_connection_arguments(parser)
    parser.set_defaults(run=_run_statements)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    _add_bench(commands)
    doctor = commands.add_parser(
        "doctor", help="show versions, devices and caches, and check that queries run"
    )
    _add_device_argument(doctor)
    doctor.set_defaults(run=_run_doctor)
    calibrate = commands.add_parser(
        "calibrate",
        help="measure what work costs on this machine, for the choice between CPU and GPU",
        description="Measures memory, caches, disk and GPU for some seconds and keeps the result in the cache folder, "
        "where device = auto finds it. SHOW PLACEMENT prints what is in use.",
    )
    calibrate.add_argument("--show", action="store_true", help="measure nothing; print what is known")
    calibrate.add_argument(
        "--threads", type=_at_least_one, metavar="N", help="worker threads on the CPU (default: all cores)"
    )
    calibrate.add_argument(
        "--device", choices=("auto", "cpu"), default="auto", help="cpu leaves a GPU out (default: auto)"
    )
    calibrate.add_argument(
        "--temp", metavar="DIR", help="folder whose disk is measured (default: the temporary folder)"
    )
    calibrate.set_defaults(run=_run_calibrate)
    knobs = commands.add_parser("knobs", help="list the numbers that gpuql chose by itself, and why")
    knobs.set_defaults(run=_run_knobs)
    warmup = commands.add_parser(
        "warmup", help="compile the static kernels now, so that no query waits for them"
    )
    add_connection_arguments(warmup)
    warmup.set_defaults(run=_run_warmup)
    return parser


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that become settings of the connection."""
    _add_device_argument(parser)
    parser.add_argument(
        "--threads", type=_at_least_one, metavar="N", help="worker threads on the CPU (default: all cores)"
    )
    parser.add_argument(
        "--set",
        type=_assignment,
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change any setting",
    )


def _add_device_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        type=_device,
        default="auto",
        metavar="D",
        help="where queries run: auto, cpu, gpu, gpu:N or cudasim (default: auto)",
    )


def connection_settings(options: argparse.Namespace) -> dict[str, str]:
    """Settings given with ``--set``."""
    return dict(options.set)


def _device(text: str) -> str:
    try:
        return str(SETTINGS["device"].convert(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: {text!r}") from None


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"NAME=VALUE is needed: {text!r}")
    return name.strip(), value.strip()


def _at_least_one(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number, 1 or more, is needed: {text!r}")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed: {text!r}")
    return number


def _size(text: str) -> str:
    try:
        known = parse_bytes(text) is not None
    except ValueError:
        known = False
    if not known:
        raise argparse.ArgumentTypeError(f"a size such as 4GB or 512MiB is needed: {text!r}")
    return text


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bench = commands.add_parser("bench", help="compare with other engines: rows first, then times")
    suites = bench.add_subparsers(title="suites", metavar="SUITE", required=True)
    _add_query_suite(suites, "tpch", "the 22 queries of TPC-H on generated data")
    _add_query_suite(suites, "tpcds", "the 99 queries of TPC-DS on generated data")
    _add_query_suite(suites, "clickbench", "the 43 queries of ClickBench on a generated log of page views")
    micro = suites.add_parser("micro", help="single operators beside the machine's memory bandwidth")
    micro.add_argument(
        "--rows",
        type=_at_least_one,
        default=10_000_000,
        metavar="N",
        help="rows of the input (default: 10 million)",
    )
    micro.add_argument("--runs", type=_at_least_one, default=3, metavar="R", help="timed runs (default: 3)")
    micro.add_argument("--only", metavar="TEXT", default="", help="only the cases whose name contains this")
    micro.add_argument("--compare", default="none", metavar="LIST", help="duckdb, polars, both, or none")
    _add_bench_arguments(micro)
    micro.set_defaults(run=_run_micro)
    _add_coverage(suites)
    out_of_core = suites.add_parser(
        "out-of-core", help="queries over more data than memory_limit allows, measured from outside"
    )
    out_of_core.add_argument(
        "--input-mb",
        type=_at_least_one,
        default=1200,
        metavar="N",
        help="megabytes of the two input tables in Parquet, about (default: 1200)",
    )
    out_of_core.add_argument(
        "--limit-share",
        type=_above_zero,
        default=0.1,
        metavar="X",
        help="memory_limit as a share of the input (default: 0.1)",
    )
    out_of_core.add_argument(
        "--only", metavar="TEXT", default="", help="only the cases whose name contains this"
    )
    out_of_core.add_argument(
        "--limited-only",
        action="store_true",
        help="do not run the queries without a limit, and DuckDB only for its rows",
    )
    out_of_core.add_argument(
        "--timeout",
        type=_at_least_one,
        default=1800,
        metavar="S",
        help="seconds until a process is given up (default: 1800)",
    )
    add_connection_arguments(out_of_core)
    out_of_core.add_argument("--json", metavar="FILE", help="also write all figures to this file")
    out_of_core.set_defaults(run=_run_out_of_core)


def _add_coverage(suites: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    coverage = suites.add_parser(
        "coverage",
        help="which queries of TPC-DS run wholly on a GPU or its simulator, and what keeps the rest",
    )
    coverage.add_argument(
        "--sf",
        dest="size",
        type=_above_zero,
        default=0.01,
        metavar="N",
        help="scale factor of the data that the sample is taken of (default: 0.01)",
    )
    coverage.add_argument(
        "--rows",
        type=_at_least_one,
        default=5000,
        metavar="N",
        help="rows of each sales table in the sample, about (default: 5000)",
    )
    coverage.add_argument("--queries", default="", metavar="LIST", help="such as 1,5,12-15 (default: all)")
    coverage.add_argument(
        "--data", metavar="DIR", help="folder of <table>.parquet (default: generated once into a cache)"
    )
    add_connection_arguments(coverage)
    coverage.add_argument("--json", metavar="FILE", help="also write all findings to this file")
    coverage.set_defaults(run=_run_coverage, device="cudasim")


def _add_query_suite(
    suites: argparse._SubParsersAction[argparse.ArgumentParser], name: str, title: str
) -> None:
    suite = suites.add_parser(name, help=title)
    if name == "clickbench":
        suite.add_argument(
            "--rows",
            dest="size",
            type=_at_least_one,
            default=10_000_000,
            metavar="N",
            help="rows of the table (default: 10 million, which take 1 GB in Parquet)",
        )
    else:
        suite.add_argument(
            "--sf",
            dest="size",
            type=_above_zero,
            default=1.0,
            metavar="N",
            help="scale factor; 1 is about 1 GB (default: 1)",
        )
    suite.add_argument("--compare", default="duckdb", metavar="LIST", help="duckdb, polars, both, or none")
    suite.add_argument("--queries", default="", metavar="LIST", help="such as 1,5,12-15 (default: all)")
    suite.add_argument(
        "--runs",
        type=_at_least_one,
        default=5,
        metavar="R",
        help="timed runs per query and engine (default: 5)",
    )
    suite.add_argument(
        "--data", metavar="DIR", help="folder of <table>.parquet (default: generated once into a cache)"
    )
    suite.add_argument(
        "--from",
        dest="source",
        choices=("memory", "parquet"),
        default="memory",
        help="tables loaded before timing, or read from Parquet by every query (default: memory)",
    )
    suite.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=_size,
        help="what every engine may take, such as 4GB (default: all)",
    )
    _add_bench_arguments(suite)
    suite.set_defaults(run=_run_suite, suite=name)


def _add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    add_connection_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="also write all figures to this file")
    parser.add_argument(
        "--on-unsupported",
        choices=("error", "fallback"),
        default="fallback",
        help="what happens to pipelines that the device or tier cannot run (default: fallback, and the table says so)",
    )


def _run_statements(options: argparse.Namespace) -> int:
    from gpuql.cli.statements import run_statements

    return run_statements(options, connection_settings(options))


def _run_doctor(options: argparse.Namespace) -> int:
    from gpuql.cli.doctor import run_doctor

    return run_doctor(options.device)


def _run_calibrate(options: argparse.Namespace) -> int:
    from gpuql.cli.calibrate import run_calibrate

    return run_calibrate(
        show=options.show, device=options.device, threads=options.threads, folder=options.temp
    )


def _run_knobs(options: argparse.Namespace) -> int:
    from gpuql.cli.knobs import run_knobs

    return run_knobs()


def _run_warmup(options: argparse.Namespace) -> int:
    from gpuql.cli.warmup import run_warmup

    return run_warmup(options.device, options.threads, connection_settings(options))


def _run_suite(options: argparse.Namespace) -> int:
    from gpuql.bench.query_suite import run_suite

    return run_suite(options, connection_settings(options))


def _run_coverage(options: argparse.Namespace) -> int:
    from gpuql.bench.coverage import run_coverage

    return run_coverage(options, connection_settings(options))


def _run_micro(options: argparse.Namespace) -> int:
    from gpuql.bench.micro import run_micro

    return run_micro(options, connection_settings(options))


def _run_out_of_core(options: argparse.Namespace) -> int:
    from gpuql.bench.out_of_core import run_out_of_core

    return run_out_of_core(options, connection_settings(options))
