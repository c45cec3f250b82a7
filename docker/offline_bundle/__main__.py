"""Command line: ``python docker/offline_bundle --python 3.12 --cuda 13 --output DIR``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a folder: what Python put first is the folder itself, imports start beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from offline_bundle.parts import write_bundle
from offline_bundle.target import MACHINES, Target
from offline_bundle.wheels import BuildError, build_own_wheel, collect, read_wheel

_CHECKOUT = Path(__file__).resolve().parents[2]
_EPILOG = """\
The host's packages that are left out with a version (--exclude numpy==2.5.2) limit which versions of the others are
taken, and install.py checks that they are there.

Wheels larger than a part are cut into pieces; install.py puts them together. Its --help says how to install.

example, for a host that has CuPy:
  python docker/offline_bundle --python 3.12 --cuda 13 --extras test --exclude cupy-cuda13x==14.2.0 --output bundle
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a bundle; returns the exit code: 0 success, 1 refused, 2 wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        target = Target(options.python, options.machine, options.glibc)
    except ValueError as error:
        parser.error(str(error))
    try:
        build(target, options)
    except (BuildError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="offline_bundle",
        description="Build a bundle of wheels, in parts, that installs gpuql on a host without a network.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the parts")
    parser.add_argument("--python", default="3.12", metavar="X.Y", help="Python of the host (default: 3.12)")
    parser.add_argument(
        "--cuda", choices=("12", "13", "none"), default="13", help="CUDA of the host (default: 13)"
    )
    parser.add_argument("--machine", choices=MACHINES, default="x86_64", help="processor (default: x86_64)")
    parser.add_argument("--glibc", default="2.28", metavar="2.N", help="glibc of the host (default: 2.28)")
    parser.add_argument(
        "--part-mib",
        type=float,
        default=60,
        metavar="N",
        help="most that a part may take, in MiB (default: 60)",
    )
    parser.add_argument(
        "--extras", type=_names, default=[], metavar="LIST", help="more extras of gpuql, such as bench,test"
    )
    parser.add_argument(
        "--exclude",
        type=_requirement,
        action="append",
        default=[],
        metavar="NAME[==VERSION]",
        help="leave out a package that the host has (may be repeated); gpuql leaves out gpuql itself",
    )
    parser.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="limit a package's version, such as cuda-toolkit==13.0.* (may be repeated)",
    )
    return parser


def build(target: Target, options: argparse.Namespace) -> None:
    """Build the bundle that the options ask for, and print what is in it."""
    if options.output.exists() and any(options.output.iterdir()):
        raise BuildError(f"the output folder is not empty: {options.output}")
    extras = sorted({*options.extras, *([] if options.cuda == "none" else [f"cuda{options.cuda}"])})
    # Beside the output, as wheels may be many GB and /tmp is often in memory.
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="offline-bundle-", dir=options.output.parent) as scratch:
        own_wheel = build_own_wheel(_CHECKOUT, Path(scratch))
        wheels, closure = collect(
            own_wheel, extras, target, options.exclude, options.constraint, Path(scratch)
        )
        excluded: dict[str, Requirement] = {
            canonicalize_name(requirement.name): requirement for requirement in options.exclude
        }
        description = {
            "requirement": f"gpuql[{','.join(extras)}]" if extras else "gpuql",
            "gpuql": str(read_wheel(own_wheel).version),
            "python": target.python,
            "machine": target.machine,
            "glibc": target.glibc,
            "host_packages": {
                name: {
                    "version": "".join(specifier.version for specifier in excluded[name].specifier),
                    "requirements": sorted(set(filter(None, requirements))),
                }
                for name, requirements in sorted(closure.left_out.items())
            },
        }
        draft = Path(scratch) / "bundle"
        draft.mkdir()
        bundle = write_bundle(wheels, description, draft, int(options.part_mib * 2**20))
        if options.output.exists():
            options.output.rmdir()
        draft.rename(options.output)
    _report(bundle, options.output)
    for name in sorted(set(excluded) - set(closure.left_out) - {"gpuql"}):
        print(f"note: {name} is not needed by {bundle['requirement']}, so there was nothing to leave out")


def _report(bundle: dict[str, object], output: Path) -> None:
    wheels = bundle["wheels"]
    assert isinstance(wheels, list)
    total_mib = sum(wheel["size_bytes"] for wheel in wheels) / 2**20
    print(
        f"{bundle['requirement']} {bundle['gpuql']} for Python {bundle['python']} on {bundle['machine']},"
        f" glibc {bundle['glibc']}: {len(wheels)} wheels, {total_mib:.0f} MiB in {bundle['parts']} part(s),"
        f" bundle {bundle['id']}"
    )
    for wheel in sorted(wheels, key=lambda wheel: (wheel["parts"], wheel["file"])):
        where = "+".join(str(number) for number in wheel["parts"])
        pieces = f"  ({len(wheel['chunks'])} pieces)" if wheel["chunks"] else ""
        print(f"  part {where:<5} {wheel['size_bytes'] / 2**20:7.1f} MiB  {wheel['file']}{pieces}")
    print(f"install on the host: python3 {output.name}/install.py --help")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise argparse.ArgumentTypeError(f"NAME or NAME==VERSION is needed: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
