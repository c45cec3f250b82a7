"""Tables of the benchmarks as Parquet, generated once into a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from gpuql.bench.suites import Suite
from gpuql.errors import InputError
from gpuql_planner.statement_errors import UndefinedFile


def cache_folder() -> Path:
    """Where generated data is kept: ``$XDG_CACHE_HOME/gpuql``, by default ``~/.cache/gpuql``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuql"


def suite_files(suite: Suite, scale_factor: float, folder: str | None) -> dict[str, Path]:
    """Path of each table's Parquet file: in ``folder`` if given, else generated into the cache if not there yet.

    Errors: InputError if ``folder`` lacks a table, or the generator is missing or fails.
    """
    if folder is not None:
        files = {table: Path(folder) / f"{table}.parquet" for table in suite.tables}
        missing = [str(path) for path in files.values() if not path.exists()]
        if missing:
            raise UndefinedFile(f"{suite.title} tables not found: {', '.join(missing)}")
        return files
    target = suite_folder(suite, scale_factor)
    if not target.exists():
        print(
            f"generating {suite.title} data at scale factor {scale_factor:g} into {target}", file=sys.stderr
        )
        with DataGenerator(suite, scale_factor) as generator:
            generator.finish()
    return suite_files(suite, scale_factor, str(target))


def suite_folder(suite: Suite, scale_factor: float) -> Path:
    """Where generated tables of a scale factor are kept; there if and only if they are complete."""
    return cache_folder() / suite.name / f"sf{scale_factor:g}"


class DataGenerator:
    """A running generator; :meth:`finish` waits for it. Leaving the context before that ends it without a trace.

    Errors: InputError if the generator is not installed.
    """

    def __init__(self, suite: Suite, scale_factor: float, threads: int | None = None) -> None:
        # Packages installed into a folder of their own (pip --target) have their programs in its bin.
        folders = [sysconfig.get_path("scripts"), *(str(Path(entry) / "bin") for entry in sys.path)]
        program = shutil.which("tpcgen-cli") or shutil.which("tpcgen-cli", path=os.pathsep.join(folders))
        if program is None:
            raise UndefinedFile(
                "data generator not found: tpcgen-cli", hint="pip install 'gpuql[bench]', or give --data DIR"
            )
        self._target = suite_folder(suite, scale_factor)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        # Into a folder beside the target, renamed when complete: an interrupted run leaves nothing that looks finished.
        self._unfinished = Path(tempfile.mkdtemp(dir=self._target.parent, prefix="generating-"))
        command = [
            program,
            suite.name,
            "parquet",
            "-q",
            "-s",
            f"{scale_factor:g}",
            "-o",
            str(self._unfinished),
        ]
        command += [] if threads is None else ["-n", str(threads)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> DataGenerator:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None, "opened as a pipe"
        self.process.stderr.close()
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def finish(self) -> Path:
        """The folder of the complete tables; InputError if the generator failed."""
        _, message = self.process.communicate()
        if self.process.returncode != 0:
            raise InputError(f"data generator failed: {message.strip()}")
        try:
            self._unfinished.rename(self._target)
        except OSError:
            if not self._target.exists():  # else another process was first with the same tables
                raise
        return self._target
