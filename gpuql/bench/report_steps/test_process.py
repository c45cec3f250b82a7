"""A pytest run that writes each test's outcome to a file as it ends. A program: events file, done file, device, paths.

Exit status: pytest's, or 70 once a failure has left the device unusable (CUDA errors such as an illegal address stay
with the process), so that the caller starts a new process for the rest.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

DEVICE_LOST = 70


class Recorder:
    """A pytest plugin."""

    def __init__(self, events: Path, done: frozenset[str], device: str) -> None:
        self._events = events
        self._done = done
        self._device = device
        self._failed: dict[str, str] = {}
        self._warned: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what ran in an earlier process."""
        items[:] = [item for item in items if item.nodeid not in self._done]

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported counts as one failure."""
        if report.failed:
            error = " ".join(str(report.longrepr).split())[-300:]
            self._write(event="end", test=report.nodeid, outcome="failed", error=error)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._write(event="begin", test=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Setup, call or teardown of a test ended; the test ends with its teardown."""
        if report.failed:
            message = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
            self._failed.setdefault(report.nodeid, " ".join(str(message or report.longrepr).split())[:300])
        elif report.skipped:
            self._failed.setdefault(report.nodeid, "")
        if report.when != "teardown":
            return
        error = self._failed.pop(report.nodeid, None)
        outcome = "passed" if error is None else "failed" if error else "skipped"
        self._write(event="end", test=report.nodeid, outcome=outcome, error=error)
        if outcome == "failed" and self._device == "gpu" and not _device_answers():
            os._exit(DEVICE_LOST)  # pytest's own ending would touch the device, and fail again

    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """A warning, once for each text."""
        text = f"{warning_message.category.__name__}: {' '.join(str(warning_message.message).split())[:200]}"
        if text not in self._warned:
            self._warned.add(text)
            self._write(event="warning", test="", text=text)

    def _write(self, **event: object) -> None:
        with self._events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def _device_answers() -> bool:
    import cupy

    try:
        cupy.cuda.runtime.deviceSynchronize()
    except cupy.cuda.runtime.CUDARuntimeError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Run pytest over the paths."""
    events, done, device, *paths = arguments
    recorder = Recorder(Path(events), frozenset(Path(done).read_text(encoding="utf-8").splitlines()), device)
    marker = ["-m", "gpu"] if device == "gpu" else []
    # Warnings of the vendor's libraries on a machine that is not ours are recorded, not failures.
    options = ["-q", "-p", "no:cacheprovider", "-W", "default", "--continue-on-collection-errors"]
    return int(pytest.main([*marker, *options, *paths], plugins=[recorder]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
