"""Install gpuql from a bundle of wheels, without a network.

Every part of the bundle (part1, part2, ...) holds this program, wheels, and a manifest with their hashes. It needs
Python and pip, nothing else, and refuses files that are damaged, parts of another bundle and a host that the wheels
were not made for.

All parts at hand, into the Python that runs this, or into an environment of its own in a folder (made by venv):
  python3 install.py
  python3 install.py --target DIR

Parts that arrive one at a time, in any order, into one environment; wheels larger than a part are put together when
their last piece comes:
  python3 part1/install.py --target DIR
  python3 part2/install.py --target DIR

Afterwards: DIR/bin/gpuql doctor, DIR/bin/python. Where the bundle leaves out packages that the host has, the
environment sees those of the Python that ran this.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"
#: Folder in the target that remembers installed parts and keeps pieces of wheels until the others come.
STATE = ".gpuql-bundle"
#: File in an environment by which it sees the host's packages, unless this variable says that pip looks at it.
_HOST_PACKAGES = "gpuql-bundle-host.pth"
_INSTALLING = "GPUQL_BUNDLE_INSTALLING"


class InstallError(Exception):
    """The bundle cannot be installed; the text is for the user."""


class Part:
    """One part of a bundle, as its manifest describes it.

    ``bundle`` is the same in all parts: ``id``, ``requirement`` (such as gpuql[cuda13]), ``python``, ``machine``,
    ``glibc``, ``parts`` (how many), ``wheels`` (``file``, ``size_bytes``, ``sha256``, ``chunks`` in order if it is cut,
    ``parts``) and ``host_packages`` (what is left out: name to ``version``, "" for any, and ``requirements``).
    """

    def __init__(self, folder: Path) -> None:
        try:
            manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            self.folder = folder
            self.number = int(manifest["part"])
            self.bundle: dict[str, Any] = manifest["bundle"]
            self.files: list[dict[str, Any]] = manifest["files"]
            known = manifest["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InstallError(f"cannot read {folder / MANIFEST}: {error}; copy the part again") from None
        if not known:
            raise InstallError(f"{folder} was made for another version of install.py; use the one beside it")

    def check(self) -> None:
        """Compare every file with its hash; InstallError names all that are missing or damaged."""
        problems = []
        for entry in self.files:
            path = self.folder / entry["file"]
            if not path.is_file():
                problems.append(f"missing: {path}")
            elif path.stat().st_size != entry["size_bytes"] or sha256_of(path) != entry["sha256"]:
                problems.append(f"damaged: {path}")
        if problems:
            raise InstallError(f"part {self.number} is not whole; copy it again\n  " + "\n  ".join(problems))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code: 0 success, 1 refused."""
    options = _parser().parse_args(arguments)
    try:
        parts = find_parts(Path(__file__).resolve().parent, options.part)
        for part in parts:
            part.check()
        if options.verify:
            check_joined(parts)
            print(
                f"{_named(part.number for part in parts)} of {parts[0].bundle['parts']}: every file is as built"
            )
            return 0
        check_host(parts[0].bundle)
        install_parts(parts, options.target)
    except (InstallError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target",
        type=Path,
        metavar="DIR",
        help="install into an environment in this folder, made if it is missing, not the running Python",
    )
    parser.add_argument(
        "--part",
        type=int,
        action="append",
        metavar="N",
        help="only this part (may be repeated); others come later",
    )
    parser.add_argument("--verify", action="store_true", help="only compare the files with their hashes")
    return parser


def find_parts(folder: Path, numbers: Sequence[int] | None) -> list[Part]:
    """The part in ``folder``, or the parts in its subfolders; all of them unless ``numbers`` says which."""
    if (folder / MANIFEST).exists():
        parts = [Part(folder)]
    else:
        parts = sorted(
            (Part(path.parent) for path in folder.glob(f"part*/{MANIFEST}")), key=lambda part: part.number
        )
        if not parts:
            raise InstallError(f"no parts of a bundle in {folder} (folders part1, part2, ...)")
        numbers = numbers or range(1, parts[0].bundle["parts"] + 1)
    found = {part.number: part for part in parts}
    if missing := [number for number in numbers or found if number not in found]:
        raise InstallError(
            f"missing in {folder}: {_named(missing)} of {parts[0].bundle['parts']}; copy them there, "
            "or install those at hand with --part N --target DIR and the others later"
        )
    if len(ids := {part.bundle["id"] for part in parts}) > 1:
        raise InstallError(f"the parts in {folder} are from different bundles: {', '.join(sorted(ids))}")
    return [found[number] for number in numbers or found]


def check_host(bundle: dict[str, Any]) -> None:
    """InstallError unless the wheels run under this Python and what they leave out is installed."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = (sys.implementation.name, python, platform.system(), platform.machine())
    wanted = ("cpython", bundle["python"], "Linux", bundle["machine"])
    if here != wanted:
        raise InstallError(f"the wheels are for {' '.join(wanted)}, this is {' '.join(here)}")
    library, glibc = platform.libc_ver()
    if library != "glibc" or _numbers(glibc) < _numbers(bundle["glibc"]):
        raise InstallError(
            f"the wheels need glibc {bundle['glibc']}, this is {library or 'not glibc'} {glibc}"
        )
    problems = []
    for name, wanted_package in bundle["host_packages"].items():
        version = wanted_package["version"]
        needed = f"{name}=={version}" if version else f"{name} ({'; '.join(wanted_package['requirements'])})"
        found = _installed_version(name)
        if found is None:
            problems.append(f"{needed} is not installed")
        elif version and found != version:
            problems.append(f"{needed} is needed, {found} is installed")
    if problems:
        raise InstallError("the bundle leaves out what this host should have\n  " + "\n  ".join(problems))


def check_joined(parts: Sequence[Part]) -> None:
    """Compare every wheel all of whose pieces are in ``parts`` with its hash as a whole."""
    folders = {entry["file"]: part.folder for part in parts for entry in part.files}
    for wheel in parts[0].bundle["wheels"]:
        if wheel["chunks"] and all(chunk in folders for chunk in wheel["chunks"]):
            digest = hashlib.sha256()
            for chunk in wheel["chunks"]:
                digest.update((folders[chunk] / chunk).read_bytes())
            if digest.hexdigest() != wheel["sha256"]:
                raise InstallError(f"the pieces of {wheel['file']} do not make the wheel that was cut")


def install_parts(parts: Sequence[Part], target: Path | None) -> None:
    """Install the wheels of ``parts``, and those whose last piece they bring, and say what is still to come."""
    bundle = parts[0].bundle
    if target is not None:
        make_environment(target, bundle)
    state = (target or Path(sys.prefix)) / STATE / bundle["id"]
    state.mkdir(parents=True, exist_ok=True)
    at_hand = {entry["file"]: part.folder / entry["file"] for part in parts for entry in part.files}
    wheels = []
    for wheel in bundle["wheels"]:
        if wheel["file"] in at_hand:
            wheels.append(at_hand[wheel["file"]])
        elif any(chunk in at_hand for chunk in wheel["chunks"]):
            wheels += _joined(wheel, at_hand, state)
    if wheels:
        _pip_install(wheels, target)
    for joined in state.glob("*.whl"):
        joined.unlink()
    installed = _installed_parts(state) | {part.number for part in parts}
    _write_installed_parts(state, installed)
    missing = sorted(set(range(1, bundle["parts"] + 1)) - installed)
    place = f" in {target}" if target else ""
    print(
        f"installed {_named(part.number for part in parts)} of {bundle['parts']} of {bundle['requirement']}{place}"
    )
    if missing:
        print(f"still to come: {_named(missing)}")
    else:
        for chunk in state.glob("*.chunk*"):
            chunk.unlink()
        command = f"{target / 'bin' / 'gpuql'}" if target else f"{sys.executable} -m gpuql"
        print(f"complete; check it with: {command} doctor")


def make_environment(target: Path, bundle: dict[str, Any]) -> None:
    """Make an environment in ``target`` for the running Python, unless there is one.

    An environment rather than a folder on PYTHONPATH: numba-cuda takes the place of numba.cuda by a .pth file, and
    cuda-pathfinder looks for CUDA's libraries in site-packages; both overlook folders on PYTHONPATH.
    """
    if not (target / "pyvenv.cfg").exists():
        if target.exists() and any(target.iterdir()):
            raise InstallError(f"{target} is neither empty nor an environment; install into another folder")
        venv.create(target, symlinks=True)
    library = target / "lib" / f"python{bundle['python']}" / "site-packages"
    if not library.is_dir():
        raise InstallError(f"{target} is an environment of another Python; install into another folder")
    if bundle["host_packages"]:
        folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
        lines = [
            f"import os, site; {_INSTALLING!r} in os.environ or site.addsitedir({folder!r})\n"
            for folder in folders
        ]
        (library / _HOST_PACKAGES).write_text("".join(lines), encoding="utf-8")


def _joined(wheel: dict[str, Any], at_hand: dict[str, Path], state: Path) -> list[Path]:
    """The wheel put together in ``state`` if all its pieces are there by now; those at hand are kept for later."""
    for chunk in wheel["chunks"]:
        if chunk in at_hand:
            shutil.copyfile(at_hand[chunk], state / f"{chunk}.copying")
            os.replace(state / f"{chunk}.copying", state / chunk)
    if not all((state / chunk).is_file() for chunk in wheel["chunks"]):
        return []
    whole = state / wheel["file"]
    with whole.open("wb") as output:
        for chunk in wheel["chunks"]:
            with (state / chunk).open("rb") as piece:
                shutil.copyfileobj(piece, output)
    if sha256_of(whole) != wheel["sha256"]:
        whole.unlink()
        raise InstallError(
            f"the pieces of {wheel['file']} do not make the wheel that was cut; install {_named(wheel['parts'])} again"
        )
    return [whole]


def _pip_install(wheels: Sequence[Path], target: Path | None) -> None:
    python = [] if target is None else ["--python", str(target / "bin" / "python")]
    # A bundle built again may hold another gpuql of the same version: without force pip would keep the old one.
    options = ["--no-index", "--no-deps", "--force-reinstall", "--quiet", "--no-warn-script-location"]
    finished = subprocess.run(
        [sys.executable, "-m", "pip", *python, "--isolated", "install", *options, *map(str, wheels)],
        check=False,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, _INSTALLING: "1"},
    )
    if finished.returncode:
        raise InstallError("pip failed (see above)")


def sha256_of(path: Path) -> str:
    """Hash of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _installed_parts(state: Path) -> set[int]:
    path = state / "installed.json"
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()


def _write_installed_parts(state: Path, numbers: set[int]) -> None:
    draft = state / "installed.json.writing"
    draft.write_text(json.dumps(sorted(numbers)), encoding="utf-8")
    os.replace(draft, state / "installed.json")


def _named(numbers: Iterable[int]) -> str:
    """Say "part 3" or "parts 1-4, 6"."""
    ordered = sorted(numbers)
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"part{'s' if len(ordered) > 1 else ''} {', '.join(texts)}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


if __name__ == "__main__":
    sys.exit(main())
