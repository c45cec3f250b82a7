"""``python -m gpuql.bench.gpu_report``: tests and benchmarks on a GPU in one run, into one JSON file.

Made for a machine that is lent for minutes: each step runs in a process of its own, in order of value; one that
crashes, hangs or fails is recorded and the rest goes on; the file is rewritten as results come, so that a run that is
killed leaves them; what does not fit the time is skipped, and said to be.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuql.bench.data import cache_folder
from gpuql.bench.report_generation import DataGeneration
from gpuql.bench.report_steps.contract import StepContext, StepUnavailable, error_text, write_json
from gpuql.bench.report_steps.environment import source_version
from gpuql.bench.report_summary import summary_lines
from gpuql.config import available_threads

#: Changes when the meaning of a field of the file does.
FILE_FORMAT = 1

REPOSITORY = Path(__file__).parents[2]
_STEPS = "gpuql.bench.report_steps"


@dataclass(frozen=True)
class Step:
    """One step: ``function`` is "module:name" below ``gpuql.bench.report_steps``.

    It is begun only if ``least_s`` seconds are left, and ended after ``limit_s``. ``scale_factor`` is the data that it
    reads (0: none). ``quiet`` means that other work on the processor would falsify it.
    """

    name: str
    function: str
    least_s: float
    limit_s: float
    scale_factor: float = 0.0
    quiet: bool = False


#: Data for the steps that read TPC-H but measure nothing that grows with it.
_TINY_SCALE_FACTOR = 0.01


def report_steps(scale_factors: Sequence[float]) -> tuple[Step, ...]:
    """All steps, the most valuable first. Times are those of a GPU of the data-centre class with 16 cores."""
    tiny = min([_TINY_SCALE_FACTOR, *scale_factors])
    steps = [
        Step("environment", "environment:run", 5, 40),
        Step("launches", "launches:run", 5, 40),
        Step("bandwidth", "bandwidth:run", 5, 40, quiet=True),
        Step("fixed-cost", "fixed_cost:run", 5, 40, quiet=True),
        Step("tests", "gpu_tests:run", 30, 150),
    ]
    first, *rest = scale_factors or (None,)
    if first is not None:
        steps += [_tpch(first), _tpch(first, "duckdb")]
    steps.append(Step("leaks", "leaks:run", 10, 40))
    for factor in rest[:1]:
        steps += [_tpch(factor), _tpch(factor, "duckdb")]
    if first is not None:
        steps.append(Step("out-of-core", "out_of_core:run", 10, 60, (rest or [first])[0]))
    steps.append(Step("micro", "micro:run", 15, 90, quiet=True))
    steps.append(Step("calibration", "calibration:run", 10, 60, quiet=True))
    steps.append(Step("compile-times", "compile_times:run", 15, 60, tiny, quiet=True))
    for factor in rest[1:]:
        steps += [_tpch(factor), _tpch(factor, "duckdb")]
    steps += [_tpch(factor, "polars") for factor in scale_factors]
    steps += [_tpch(factor, "gpuql_cpu") for factor in scale_factors]
    return tuple(steps)


def _tpch(scale_factor: float, engine: str = "gpuql") -> Step:
    suffix = "" if engine == "gpuql" else f"-{engine.replace('_', '-')}"
    # Loading takes most of the time, and grows with the data.
    least, limit = 8 + 1.5 * scale_factor, 60 + 4 * scale_factor
    return Step(
        f"tpch-sf{scale_factor:g}{suffix}", f"tpch:run_{engine}", least, limit, scale_factor, quiet=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the report, or (inside it) one step. 0 unless no step could be done."""
    options = build_parser().parse_args(arguments)
    if options.run_step is not None:
        return _run_step(options)
    return Report(options).run()


def build_parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    parser = argparse.ArgumentParser(prog="python -m gpuql.bench.gpu_report", description=__doc__)
    parser.add_argument(
        "--output", metavar="FILE", help="where results go (default: bench/results/gpu-<date>.json)"
    )
    parser.add_argument("--device", choices=("gpu", "cudasim", "cpu"), default="gpu", help="default: gpu")
    parser.add_argument(
        "--budget-s", type=float, default=470.0, metavar="N", help="seconds for everything (default: 470)"
    )
    parser.add_argument(
        "--sf",
        type=_numbers,
        default=(1.0, 10.0, 30.0),
        metavar="LIST",
        help="TPC-H scale factors (default: 1,10,30)",
    )
    parser.add_argument("--steps", default="", metavar="LIST", help="only these steps (see --list)")
    parser.add_argument("--list", action="store_true", help="print the names of the steps and end")
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep what an earlier run of the same sources did, if FILE is there",
    )
    parser.add_argument(
        "--threads", type=int, default=available_threads(), metavar="N", help="default: all cores"
    )
    parser.add_argument(
        "--small", action="store_true", help="few rows and rounds: tries the report, measures nothing"
    )
    parser.add_argument("--data", metavar="DIR", help="folder of <table>.parquet, for a single scale factor")
    for name in ("run-step", "part", "work", "rows"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--step-s", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = (0.0,)
    if any(not 0 < number < float("inf") for number in numbers):
        raise argparse.ArgumentTypeError(f"numbers above 0 are needed, such as 1,10: {text!r}")
    return numbers


# --- inside a step's process -----------------------------------------------------------------------------------------


def _run_step(options: argparse.Namespace) -> int:
    step = _find(options.run_step, options.sf)
    context = StepContext(
        device=options.device,
        threads=options.threads,
        scale_factor=step.scale_factor,
        work_folder=Path(options.work),
        repository=REPOSITORY,
        small=options.small,
        deadline=time.monotonic() + options.step_s,
        part_file=Path(options.part),
        rows_folder=Path(options.rows),
        data_folder=options.data,
    )
    ended: dict[str, Any] = {"status": "done"}
    try:
        module, _, name = step.function.partition(":")
        getattr(importlib.import_module(f"{_STEPS}.{module}"), name)(context)
    except StepUnavailable as reason:
        ended = {"status": "skipped", "note": str(reason)}
    except Exception as error:  # this is the place where failures of a step are kept
        ended = {
            "status": "failed",
            "error": error_text(error),
            "traceback": [line.rstrip() for line in traceback.format_exception(error)[-6:]],
        }
    write_json(context.part_file, ended | {"results": context.results})
    return 0


def _find(name: str, scale_factors: Sequence[float]) -> Step:
    return next(step for step in report_steps(scale_factors) if step.name == name)


# --- the report ------------------------------------------------------------------------------------------------------


class Report:
    """One run of all chosen steps, and its file."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._started = time.monotonic()
        now = datetime.datetime.now(datetime.UTC)
        self._output = Path(options.output or REPOSITORY / "bench" / "results" / f"gpu-{now:%Y-%m-%d}.json")
        self.document: dict[str, Any] = {
            "report": "gpu",
            "format": FILE_FORMAT,
            "device": options.device,
            "small": options.small,
            "measured_at": now.isoformat(timespec="seconds"),
            "budget_s": options.budget_s,
            "threads": options.threads,
            "scale_factors": list(options.sf),
            "python_files_sha256": source_version(REPOSITORY)["python_files_sha256"],
            "complete": False,
            "steps": {},
        }
        self._refusal = self._add_to_existing() if options.add and self._output.exists() else ""

    def _add_to_existing(self) -> str:
        """Take over the steps that an earlier run of the same sources did; why not, or ""."""
        earlier = json.loads(self._output.read_text(encoding="utf-8"))
        for name in ("report", "format", "device", "small", "threads", "python_files_sha256"):
            if earlier.get(name) != self.document[name]:
                return f"{self._output} cannot be added to: its {name} is {earlier.get(name)!r}"
        self.document["scale_factors"] = sorted({*earlier["scale_factors"], *self.document["scale_factors"]})
        self.document["steps"] = {
            name: step for name, step in earlier["steps"].items() if step["status"] in ("done", "timed out")
        }
        return ""

    @property
    def _left_s(self) -> float:
        return float(self._options.budget_s) - (time.monotonic() - self._started)

    def run(self) -> int:
        """All chosen steps; 1 if none was done, 2 for a step that does not exist."""
        steps = report_steps(self._options.sf)
        wanted = [name.strip() for name in self._options.steps.split(",") if name.strip()]
        unknown = set(wanted) - {step.name for step in steps}
        if unknown or self._options.list:
            listing = ", ".join(step.name for step in steps)
            print(f"no such step: {', '.join(sorted(unknown))}; steps are {listing}" if unknown else listing)
            return 2 if unknown else 0
        if self._refusal:
            print(self._refusal)
            return 2
        done = {name for name, step in self.document["steps"].items() if step["status"] == "done"}
        chosen = [step for step in steps if (step.name in wanted if wanted else step.name not in done)]
        self._output.parent.mkdir(parents=True, exist_ok=True)
        self._write()
        factors = sorted({step.scale_factor for step in chosen if step.scale_factor})
        with (
            # A compiler that outlives the step that was ended may still write there.
            tempfile.TemporaryDirectory(prefix="gpuql-report-", ignore_cleanup_errors=True) as folder,
            DataGeneration([] if self._options.data else factors, self._options.threads) as generation,
        ):
            for step in chosen:
                self._take(step, Path(folder), generation)
        self.document["complete"] = True
        self._write()
        for line in summary_lines(self.document):
            print(line)
        print(f"{self.document['elapsed_s']:.0f} s; written to {self._output}", flush=True)
        return 0 if any(step["status"] == "done" for step in self.document["steps"].values()) else 1

    def _take(self, step: Step, folder: Path, generation: DataGeneration) -> None:
        print(f"[{time.monotonic() - self._started:5.0f} s] {step.name}", flush=True)
        if step.scale_factor and not self._options.data:
            missing = generation.wait(step.scale_factor, self._left_s - step.least_s)
            self.document["generation"] = generation.report()
            if missing:
                self._record(step, {"status": "skipped", "note": missing})
                return
        least = 1.0 if self._options.small else step.least_s
        if self._left_s < least:
            left = f"{max(0, self._left_s):.0f} s of {self._options.budget_s:g} s left"
            note = f"{left}, needs about {step.least_s:.0f} s"
            self._record(step, {"status": "skipped", "note": note})
            return
        if step.quiet:
            generation.pause()
        try:
            self.run_step(step, folder, min(step.limit_s, self._left_s - 1))
        finally:
            generation.go_on()

    def run_step(self, step: Step, folder: Path, limit_s: float) -> None:
        """Run a step in a process of its own, for ``limit_s`` at most, and record how it ended."""
        part, log = folder / f"{step.name}.json", folder / f"{step.name}.log"
        started = time.monotonic()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                self._command(step, part, folder, limit_s),
                env=self._environment(folder),
                stderr=errors,
                start_new_session=True,
            )
            seen = 0.0
            while process.poll() is None and time.monotonic() - started < limit_s:
                time.sleep(0.1)
                if part.exists() and part.stat().st_mtime != seen:
                    seen = part.stat().st_mtime
                    self._record(step, _read(part), quiet=True)
            overran = process.poll() is None
            _end(process)
        entry = _read(part)
        if overran:
            entry |= {"status": "timed out", "error": f"ended after {limit_s:.0f} s"}
        elif entry["status"] == "running":
            entry |= {"status": "failed", "error": f"the process ended with {_status(process.returncode)}"}
        if entry["status"] in ("failed", "timed out"):
            text = log.read_text(encoding="utf-8", errors="replace").strip()
            entry["standard_error"] = text.splitlines()[-12:]
        entry |= {"elapsed_s": round(time.monotonic() - started, 2), "limit_s": round(limit_s, 1)}
        self._record(step, entry)

    def _command(self, step: Step, part: Path, folder: Path, limit_s: float) -> list[str]:
        options = self._options
        command = [
            sys.executable,
            "-m",
            "gpuql.bench.gpu_report",
            "--run-step",
            step.name,
            "--part",
            str(part),
        ]
        # A second less than the parent waits: the step ends by itself and says what it left out.
        command += [
            "--work",
            str(folder),
            "--step-s",
            f"{max(0.5, limit_s - 1):.1f}",
            "--device",
            options.device,
        ]
        command += ["--threads", str(options.threads), "--sf", ",".join(map(str, options.sf))]
        command += ["--rows", str(_rows_folder(self.document["python_files_sha256"]))]
        command += ["--small"] if options.small else []
        return command + (["--data", options.data] if options.data else [])

    def _environment(self, folder: Path) -> dict[str, str]:
        environment = dict(os.environ)
        # Generated code is compiled afresh: first executions are those of a machine that has never run the query.
        environment["GPUQL_CACHE_DIR"] = str(folder / "code")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        if self._options.device == "cudasim":
            environment["NUMBA_ENABLE_CUDASIM"] = "1"
        return environment

    def _record(self, step: Step, entry: dict[str, Any], *, quiet: bool = False) -> None:
        entry["measured_at"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.document["steps"][step.name] = entry
        self._write()
        if not quiet:
            reason = entry.get("error") or entry.get("note") or entry.get("results", {}).get("note") or ""
            print(f"    {entry['status']}{': ' if reason else ''}{reason}", flush=True)

    def _write(self) -> None:
        self.document["elapsed_s"] = round(time.monotonic() - self._started, 1)
        write_json(self._output, self.document)


def _rows_folder(sources: str) -> Path:
    """Where rows of these sources are kept for the peers' steps, which may be of a later run."""
    return cache_folder() / "gpu-report-rows" / sources[:16]


def _read(part: Path) -> dict[str, Any]:
    if not part.exists():
        return {"status": "running", "results": {}}
    entry: dict[str, Any] = json.loads(part.read_text(encoding="utf-8"))
    return entry


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step and what it started: all of them are in the session that was made for it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _status(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


if __name__ == "__main__":
    sys.exit(main())
