"""Tables of the benchmarks as Parquet, generated once into a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from gpuql.bench.hits import write_hits
from gpuql.bench.suites import Suite
from gpuql.errors import InputError
from gpuql_planner.statement_errors import UndefinedFile


def cache_folder() -> Path:
    """Where generated data is kept: ``$XDG_CACHE_HOME/gpuql``, by default ``~/.cache/gpuql``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuql"


def suite_files(suite: Suite, size: float, folder: str | None) -> dict[str, Path]:
    """Path of each table's Parquet file: in ``folder`` if given, else generated into the cache if not there yet.

    Errors: InputError if ``folder`` lacks a table, or the generator is missing or fails.
    """
    if folder is not None:
        files = {table: Path(folder) / f"{table}.parquet" for table in suite.tables}
        missing = [str(path) for path in files.values() if not path.exists()]
        if missing:
            raise UndefinedFile(f"{suite.title} tables not found: {', '.join(missing)}")
        return files
    target = suite_folder(suite, size)
    if not target.exists():
        print(f"generating {suite.title} data, {suite.size_text(size)}, into {target}", file=sys.stderr)
        if suite.rows:
            _generate_rows(target, int(size))
        else:
            with DataGenerator(suite, size) as generator:
                generator.finish()
    return suite_files(suite, size, str(target))


def suite_folder(suite: Suite, size: float) -> Path:
    """Where generated tables of a size are kept; there if and only if they are complete."""
    return cache_folder() / suite.name / (f"rows{size:.0f}" if suite.rows else f"sf{size:g}")


def _generate_rows(target: Path, num_rows: int) -> None:
    """Write the tables into a folder beside the target, which gets its name when they are complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="generating-") as unfinished:
        whole = Path(unfinished) / "whole"
        whole.mkdir()
        write_hits(whole / "hits.parquet", num_rows)
        _publish(whole, target)


def _publish(unfinished: Path, target: Path) -> None:
    try:
        unfinished.rename(target)
    except OSError:
        if not target.exists():  # else another process was first with the same tables
            raise


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
        _publish(self._unfinished, self._target)
        return self._target
