"""TPC-H data as Parquet, generated once into a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from gpuql.errors import InputError

TPCH_TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")


def cache_folder() -> Path:
    """Where generated data is kept: ``$XDG_CACHE_HOME/gpuql``, by default ``~/.cache/gpuql``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuql"


def tpch_files(scale_factor: float, folder: str | None) -> dict[str, Path]:
    """Path of each table's Parquet file: in ``folder`` if given, else generated into the cache if not there yet.

    Errors: InputError if ``folder`` lacks a table, or the generator is missing or fails.
    """
    if folder is not None:
        files = {table: Path(folder) / f"{table}.parquet" for table in TPCH_TABLES}
        missing = [str(path) for path in files.values() if not path.exists()]
        if missing:
            raise InputError(f"TPC-H tables not found: {', '.join(missing)}")
        return files
    target = cache_folder() / "tpch" / f"sf{scale_factor:g}"
    if not target.exists():
        _generate(scale_factor, target)
    return tpch_files(scale_factor, str(target))


def _generate(scale_factor: float, target: Path) -> None:
    generator = shutil.which("tpcgen-cli") or shutil.which("tpcgen-cli", path=sysconfig.get_path("scripts"))
    if generator is None:
        raise InputError(
            "data generator not found: tpcgen-cli", hint="pip install 'gpuql[bench]', or give --data DIR"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"generating TPC-H data at scale factor {scale_factor:g} into {target}", file=sys.stderr)
    # Into a folder beside the target, renamed when complete: an interrupted run leaves nothing that looks finished.
    unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix="generating-"))
    try:
        command = [generator, "tpch", "parquet", "-s", f"{scale_factor:g}", "-o", str(unfinished)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            raise InputError(f"data generator failed: {finished.stderr.strip()}")
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
