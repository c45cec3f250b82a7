"""``pytest -m gpu``, one process as long as the device lives, and a new one without what already ran if it is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from gpuql.bench.report_steps.contract import StepContext, StepUnavailable

#: Folders whose tests need a device, or run in the simulator instead.
FOLDERS = ("tests/cudasim", "tests/gpu")
#: A test that takes longer is taken to hang.
_HANG_SECONDS = 90.0
_MAX_RESTARTS = 6


def run(context: StepContext) -> None:
    """Record how many tests passed, failed, were skipped or hung, and the errors of those that failed."""
    if context.device == "cpu":
        raise StepUnavailable("tests of the GPU need a GPU or the simulator")
    folders = [folder for folder in FOLDERS if (context.repository / folder).is_dir()]
    if not folders:
        raise StepUnavailable(f"no tests at {context.repository}")
    events = context.work_folder / f"tests-{os.getpid()}.jsonl"
    events.unlink(missing_ok=True)
    outcome = TestOutcomes()
    for attempt in range(_MAX_RESTARTS):
        ended = _run_once(context, folders, events, outcome)
        context.record(**outcome.summary(), restarts=attempt)
        if ended == "complete" or context.seconds_left < 5:
            break
        context.say(f"restarted: {ended}")
    summary = outcome.summary()
    counts = ", ".join(f"{count} {kind}" for kind, count in summary["counts"].items())
    context.record(complete=ended == "complete", ended=ended)
    context.say(f"{counts} ({ended})")
    for name, error in list(summary["not_passed"].items())[:20]:
        context.say(f"{name}: {error}")


class TestOutcomes:
    """What each test did, read from the events that a test process writes."""

    __test__ = False

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.warnings: set[str] = set()
        self.running: str | None = None

    def take(self, line: str) -> None:
        """One event: a test began, or ended."""
        event = json.loads(line)
        name = event["test"]
        if event["event"] == "warning":
            self.warnings.add(event["text"])
            return
        if event["event"] == "begin":
            self.running = name
            return
        self.running = None
        self.outcomes[name] = event["outcome"]
        if event["outcome"] not in ("passed", "skipped"):
            self.errors[name] = event["error"]

    def give_up(self, why: str) -> None:
        """The test that was running will not end."""
        if self.running is not None:
            self.outcomes[self.running] = why
            self.errors[self.running] = why
            self.running = None

    def summary(self) -> dict[str, Any]:
        """Counts by outcome, the tests that did not pass, and warnings."""
        counts = dict(Counter(self.outcomes.values()))
        return {"counts": counts, "not_passed": self.errors, "warnings": sorted(self.warnings)}


def _run_once(context: StepContext, folders: list[str], events: Path, outcome: TestOutcomes) -> str:
    """Run what has not run yet; "complete", or why the process ended before."""
    done = events.with_suffix(".done")
    done.write_text("\n".join(outcome.outcomes), encoding="utf-8")
    events.write_text("", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "gpuql.bench.report_steps.test_process",
        str(events),
        str(done),
        context.device,
    ]
    log = context.work_folder / f"tests-{os.getpid()}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *folders],
            cwd=context.repository,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        position, changed, why = 0, time.monotonic(), ""
        while True:
            running = process.poll() is None
            lines = events.read_text(encoding="utf-8")[position:]
            complete = lines.rpartition("\n")[0]
            if complete:
                position += len(complete) + 1
                changed = time.monotonic()
                for line in complete.splitlines():
                    outcome.take(line)
                context.record(**outcome.summary())
            if not running:
                break
            if time.monotonic() - changed > _HANG_SECONDS:
                why = f"no test ended for {_HANG_SECONDS:.0f} s"
            elif context.seconds_left < 4:
                why = "no time left"
            if why:
                process.kill()
                process.wait()
                outcome.give_up(why)
                return why
            time.sleep(0.2)
    if process.returncode in (0, 1, 5):  # 5: nothing was left to run
        return "complete"
    if process.returncode == 70:
        return "the device was lost"
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    why = f"the test process ended with {process.returncode}: {' / '.join(tail)}"
    outcome.give_up(why)
    return why
