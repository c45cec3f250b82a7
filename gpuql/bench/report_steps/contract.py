"""What a step is given, and what it may say about itself."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class StepUnavailable(Exception):
    """Raised by a step that has nothing to measure here; the text says why. The report counts it as skipped."""


@dataclass
class StepContext:
    """One run of one step.

    ``device`` is cpu, gpu or cudasim, ``threads`` the worker threads of every engine, ``scale_factor`` the TPC-H data
    of the step (0 if it reads none), ``work_folder`` a folder for files between steps of a run, ``rows_folder`` one for
    rows that steps of later runs compare with, ``repository`` the root of the checkout. ``small`` asks for few rows and
    few rounds (tests, the simulator), ``deadline`` is on the monotonic clock, ``part_file`` receives what was recorded
    so far each time something is.
    """

    device: str
    threads: int
    scale_factor: float
    work_folder: Path
    repository: Path
    small: bool
    deadline: float
    part_file: Path
    rows_folder: Path
    data_folder: str | None = None
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def tpch_queries(self) -> str:
        """Which queries of TPC-H are run, as ``load_queries`` takes it: all, or a few when little is asked for."""
        return "1,3,6,13" if self.small else ""

    @property
    def seconds_left(self) -> float:
        """Seconds until the step is ended from outside."""
        return self.deadline - time.monotonic()

    def record(self, **results: Any) -> None:
        """Add results and write all so far: a step that is killed leaves what it had."""
        self.results |= results
        write_json(self.part_file, {"status": "running", "results": self.results})

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"    {text}", flush=True)


def write_json(path: Path, document: Any) -> None:
    """Write a file that is either the old or the new one, never half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(path)


def error_text(error: BaseException, limit: int = 400) -> str:
    """Kind and first lines of an error."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:limit]}{'…' if len(text) > limit else ''}"
