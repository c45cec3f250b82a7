"""Command line: ``python docker/image_check`` runs the steps of both Dockerfiles and tries what they made."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

if not __package__:  # run as a folder: what Python put first is the folder itself, imports start beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from image_check.dockerfile import read_stages
from image_check.replay import Image, Replay, ReplayError

_CHECKOUT = Path(__file__).resolve().parents[2]
_IMAGES = {
    "cpu": ("docker/cpu.Dockerfile", {}),
    "cuda13": ("docker/gpu.Dockerfile", {"CUDA": "cuda13"}),
    "cuda12": ("docker/gpu.Dockerfile", {"CUDA": "cuda12"}),
}
_QUERY = (
    "-c",
    "SELECT count(*) AS n, sum(a) AS total FROM (VALUES (1), (2), (NULL)) AS t(a)",
    "--format",
    "csv",
)
_ROWS = "n,total\n3,3\n"
#: Compiles a kernel, which needs no driver but all of the packages, and numba-cuda in the place of numba.cuda.
_COMPILE = """\
import cupy, rmm
from numba import cuda, float64, void
ptx, _ = cuda.compile(lambda a: None, void(float64[:]), cc=(9, 0))
print("compiled for", ptx[ptx.index(".target"):].split()[1], "with cupy", cupy.__version__, "rmm", rmm.__version__)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the images asked for; returns the exit code: 0 success, 1 a step or a check failed."""
    parser = argparse.ArgumentParser(
        prog="image_check",
        description="Run the install steps of the Dockerfiles in a temporary folder, then what they made.",
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(_IMAGES)} (default: all)")
    options = parser.parse_args(arguments)
    if unknown := set(options.images) - set(_IMAGES):
        parser.error(f"image not known: {', '.join(sorted(unknown))}")
    for name in options.images or _IMAGES:
        path, build_arguments = _IMAGES[name]
        started = time.perf_counter()
        print(f"== {path} {' '.join(build_arguments.values())}")
        try:
            with tempfile.TemporaryDirectory(prefix="gpuql-image-") as folder:
                check_image(_CHECKOUT / path, build_arguments, Path(folder))
        except ReplayError as error:
            print(f"FAIL {path}: {error}")
            return 1
        print(f"   passed in {time.perf_counter() - started:.0f} s")
    return 0


def check_image(path: Path, build_arguments: Mapping[str, str], folder: Path) -> None:
    """Build the image in ``folder`` and compare what it does with what it must do; ReplayError otherwise."""
    replay = Replay(_CHECKOUT, folder, build_arguments, print)
    image = replay.build(read_stages(path.read_text(encoding="utf-8"), build_arguments))
    entry_point = [*image.entrypoint, "--device", "cpu", *_QUERY]
    _expect(image, "entry point", entry_point, returncode=0, text=_ROWS)
    if "CUDA" not in build_arguments:
        _expect(image, "health check", image.health, returncode=0, text="queries      run on cpu")
        return
    _expect(
        image, "kernel without a driver", ["python", "-c", _COMPILE], returncode=0, text="compiled for sm_90"
    )
    on_cpu = {"GPUQL_HEALTHCHECK_DEVICE": "cpu"}
    _expect(
        image, "health check on a CPU", image.health, on_cpu, returncode=0, text="queries      run on cpu"
    )
    doctor = image.run([*image.entrypoint, "doctor"]).stdout
    if "; usable" in doctor:
        _expect(image, "health check", image.health, returncode=0, text="queries      run on gpu")
    else:
        _expect(image, "health check without a GPU", image.health, returncode=1, text="no usable GPU")
    if "not installed:" in doctor:
        raise ReplayError(f"the image lacks packages for the GPU:\n{doctor}")


def _expect(
    image: Image,
    what: str,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    returncode: int,
    text: str,
) -> None:
    finished = image.run(command, environment)
    if finished.returncode != returncode or text not in finished.stdout:
        raise ReplayError(
            f"{what}: exit code {finished.returncode} (not {returncode}) or no {text!r} from {' '.join(command)}:\n"
            f"{finished.stdout}"
        )
    print(f"   {what}: as it should be ({' '.join(command)})")


if __name__ == "__main__":
    sys.exit(main())
