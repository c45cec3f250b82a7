"""``python docker/bundle_check.py``: builds offline bundles and installs one as on a host without a network.

Two bundles with the GPU's packages: for Python 3.12, and for the Python that runs this, which is then installed into an
empty environment, each part alone in its folder, and queried. One bundle does for both if they are the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_BUILDER = Path(__file__).parent / "offline_bundle"
_PART_MIB = 60
_QUERY = "SELECT count(*) AS n, sum(a) AS total FROM (VALUES (1), (2), (NULL)) AS t(a)"
#: Compiles a kernel, which needs no driver but all of the packages, and numba-cuda in the place of numba.cuda.
_COMPILE = """\
import cupy, rmm
from numba import cuda, float64, void
ptx, _ = cuda.compile(lambda a: None, void(float64[:]), cc=(9, 0))
print("compiled for", ptx[ptx.index(".target"):].split()[1], "with cupy", cupy.__version__, "rmm", rmm.__version__)
"""
#: pip and everything else would go through this proxy, which is not there.
_NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def main() -> int:
    """Run the check; returns the exit code: 0 success, 1 otherwise."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with tempfile.TemporaryDirectory(prefix="gpuql-bundle-") as folder:
        for python in sorted({"3.12", running}):
            bundle = Path(folder) / f"python{python}"
            _run([sys.executable, str(_BUILDER), "--python", python, "--cuda", "13",
                  "--part-mib", str(_PART_MIB), "--output", str(bundle)])  # fmt: skip
            _run([sys.executable, str(bundle / "install.py"), "--verify"])
            _check_sizes(bundle)
            if python == running:
                _install_and_query(bundle, Path(folder))
    return 0


def _check_sizes(bundle: Path) -> None:
    for part in bundle.glob("part*"):
        size_bytes = sum(path.stat().st_size for path in part.iterdir())
        if size_bytes > _PART_MIB * 2**20:
            raise SystemExit(f"FAIL {part.name} takes {size_bytes} bytes, more than {_PART_MIB} MiB")


def _install_and_query(bundle: Path, folder: Path) -> None:
    target = folder / "environment"
    # The last part first: no order is promised.
    parts = sorted(bundle.glob("part*"), reverse=True)
    for part in parts:
        alone = folder / "arrived" / part.name
        shutil.copytree(part, alone)
        _run([sys.executable, str(alone / "install.py"), "--target", str(target)], network=False)
        shutil.rmtree(alone)
    found = _run(
        [str(target / "bin/gpuql"), "--device", "cpu", "--format", "csv", "-c", _QUERY], network=False
    )
    if found != "n,total\n3,3\n":
        raise SystemExit(f"FAIL the installed gpuql answers {found!r}")
    _run([str(target / "bin/python"), "-c", _COMPILE], network=False)
    _run([sys.executable, "-m", "pip", "--python", str(target / "bin/python"), "check"], network=False)
    manifest = json.loads((parts[0] / "manifest.json").read_text(encoding="utf-8"))
    print(f"{manifest['bundle']['parts']} parts installed one by one without a network; queries run")


def _run(command: Sequence[str], *, network: bool = True) -> str:
    """Output of a command; ends the program with all of it if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not network:
        environment |= _NO_NETWORK
    print("$", *command)
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(finished.stdout, end="")
    if finished.returncode:
        raise SystemExit(f"FAIL exit code {finished.returncode}")
    return finished.stdout


if __name__ == "__main__":
    sys.exit(main())
