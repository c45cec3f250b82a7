"""Getting wheels: gpuql's own from the checkout, the others from the registry through pip."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from offline_bundle.closure import Closure, Wheel, walk
from offline_bundle.target import Target

#: Marks a stand-in for a package that the host has: a local version, which pip prefers to the registry's.
_STAND_IN = "host"


class BuildError(Exception):
    """A bundle cannot be built; the text is for the user."""


def build_own_wheel(checkout: Path, folder: Path) -> Path:
    """Build the wheel of the checkout into ``folder``."""
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(checkout))
    [wheel] = folder.glob("gpuql-*.whl")
    return wheel


def collect(
    own_wheel: Path,
    extras: Sequence[str],
    target: Target,
    exclusions: Sequence[Requirement],
    constraints: Sequence[str],
    scratch: Path,
) -> tuple[list[Path], Closure]:
    """Wheels that gpuql with these extras needs on the target, without the excluded ones, and the walk that found them.

    ``exclusions`` with a version (``numpy==2.5.2``) are respected while versions are chosen: what does not work with
    the host's version is not taken, or the build fails. Without one, anything is assumed to be fine.
    """
    versions = {
        canonicalize_name(requirement.name): _pinned(requirement)
        for requirement in exclusions
        if requirement.specifier
    }
    stand_ins = scratch / "stand-ins"
    stand_ins.mkdir()
    for name, version in versions.items():
        write_wheel(stand_ins, name, f"{version}+{_STAND_IN}")
    pins = [f"{name}=={version}+{_STAND_IN}" for name, version in versions.items()]
    constraint_file = scratch / "constraints.txt"
    constraint_file.write_text("".join(f"{line}\n" for line in (*pins, *constraints)), encoding="utf-8")
    excluded = [canonicalize_name(requirement.name) for requirement in exclusions]
    root = Requirement(f"gpuql[{','.join(extras)}]")
    wanted = [f"{own_wheel}[{','.join(extras)}]" if extras else str(own_wheel)]
    for round_number in range(1, 10):
        folder = scratch / f"wheels{round_number}"
        options = (f"--find-links={stand_ins}", f"--constraint={constraint_file}", f"--dest={folder}")
        _pip("download", *target.pip_arguments, *options, *wanted)
        paths = sorted(folder.glob("*.whl"))
        wheels = {wheel.name: wheel for wheel in map(read_wheel, paths)}
        closure = walk(root, wheels, [name for name in excluded if name != "gpuql"], target.environment)
        if not closure.missing:
            needed = {wheels[name].file_name for name in closure.needed if name not in excluded}
            return [path for path in paths if path.name in needed], closure
        wanted += closure.missing
    raise BuildError(
        f"no set of wheels fulfils all requirements; still missing: {', '.join(closure.missing)}"
    )


def read_wheel(path: Path) -> Wheel:
    """Name, version and requirements of a wheel."""
    name, version, _, _ = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        [metadata_path] = [
            entry
            for entry in archive.namelist()
            if entry.endswith(".dist-info/METADATA") and entry.count("/") == 1
        ]
        metadata = HeaderParser().parsestr(archive.read(metadata_path).decode("utf-8"))
    requirements = tuple(Requirement(line) for line in metadata.get_all("Requires-Dist") or ())
    return Wheel(name, version, path.name, requirements)


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, bytes] | None = None, requires: Sequence[str] = ()
) -> Path:
    """Write a wheel for any Python and platform with these files, and return its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {line}\n" for line in requires
    )
    contents = {
        **(files or {}),
        f"{stem}.dist-info/METADATA": metadata.encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: gpuql\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},{_record_hash(data)},{len(data)}\n" for file, data in contents.items())
    contents[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in contents.items():
            archive.writestr(file, data)
    return path


def _record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def _pinned(requirement: Requirement) -> Version:
    [specifier, *others] = requirement.specifier
    if others or specifier.operator != "==" or "*" in specifier.version:
        raise BuildError(f"an excluded package is NAME or NAME==VERSION, as the host has it: {requirement}")
    return Version(specifier.version)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--progress-bar=off", "--disable-pip-version-check"]
    finished = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if finished.returncode:
        # All of it: pip names the packages in conflict long before its last line.
        raise BuildError(f"pip {arguments[0]} failed\n{finished.stdout}")
