"""TPC-H data for a report: generated while steps run that the noise does not disturb, and held while others do."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence

from gpuql.bench.data import DataGenerator, suite_folder
from gpuql.bench.report_steps.contract import error_text
from gpuql.bench.suites import TPCH


class DataGeneration:
    """Generates scale factors one after the other, on a thread; a context manager that ends what still runs."""

    def __init__(self, scale_factors: Sequence[float], threads: int) -> None:
        self._factors = list(scale_factors)
        # Two cores stay free for the step that runs meanwhile.
        self._threads = max(1, threads - 2)
        self._states: dict[float, str] = dict.fromkeys(self._factors, "waiting")
        self._changed = threading.Condition()
        self._running: DataGenerator | None = None
        self._paused = False
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="gpuql-generation", daemon=True)

    def __enter__(self) -> DataGeneration:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._signal(signal.SIGKILL)
            self._paused = False
            self._changed.notify_all()
        self._thread.join()

    def wait(self, scale_factor: float, timeout_s: float) -> str | None:
        """Wait for the tables of a scale factor; None once they are there, else why not."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._states[scale_factor].startswith(("done", "failed")), max(0.0, timeout_s)
            )
            state = self._states[scale_factor]
        return None if state.startswith("done") else f"no data at scale factor {scale_factor:g}: {state}"

    def report(self) -> dict[str, str]:
        """State of each scale factor."""
        with self._changed:
            return {f"sf{factor:g}": state for factor, state in self._states.items()}

    def pause(self) -> None:
        """Take the processor away from the generator."""
        with self._changed:
            self._paused = True
            self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Give it back."""
        with self._changed:
            self._paused = False
            self._signal(signal.SIGCONT)
            self._changed.notify_all()

    def _signal(self, number: signal.Signals) -> None:
        if self._running is not None and self._running.process.poll() is None:
            os.kill(self._running.process.pid, number)

    def _work(self) -> None:
        for factor in self._factors:
            started = time.monotonic()
            try:
                made = self._generate(factor)
            except Exception as error:  # kept for the report: whoever waits for the tables is told
                self._set(factor, f"failed: {error_text(error)}")
            else:
                self._set(factor, f"done in {time.monotonic() - started:.1f} s" if made else "done before")

    def _generate(self, factor: float) -> bool:
        if suite_folder(TPCH, factor).exists():
            return False
        with self._changed:
            self._changed.wait_for(lambda: not self._paused)
            if self._stopped:
                raise OSError("the report ended")
            generator = self._running = DataGenerator(TPCH, factor, self._threads)
            self._states[factor] = "being generated"
        with generator:
            try:
                generator.finish()
            finally:
                with self._changed:
                    self._running = None
        return True

    def _set(self, factor: float, state: str) -> None:
        with self._changed:
            self._states[factor] = state
            self._changed.notify_all()
