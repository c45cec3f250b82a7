from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from offline_bundle.parts import write_bundle
from offline_bundle.wheels import write_wheel

PART_BYTES = 64 * 1024
DESCRIPTION = {
    "requirement": "gpuql",
    "gpuql": "1.0",
    "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
    "machine": platform.machine(),
    "glibc": "2.5",
    "host_packages": {},
}


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Bundle in parts of 64 KiB for the running Python; by default three packages in one namespace, one of them cut."""

    def make(name: str = "bundle", version: str = "1.0", wheels: Sequence[Path] = (), **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        wheels = wheels or _rooms(tmp_path / f"{name}-wheels", version)
        write_bundle(wheels, {**DESCRIPTION, **changes}, folder, PART_BYTES)
        return folder

    return make


def _rooms(folder: Path, version: str) -> list[Path]:
    folder.mkdir()
    noise = bytes((index * 2654435761 >> 13) % 251 for index in range(100_000))
    return [
        write_wheel(folder, "room-a", version, {"room/a.py": b"A = 1\n", "room/a.bin": noise}),
        write_wheel(folder, "room-b", version, {"room/b.py": b"B = 2\n", f"room/only_{version[0]}.py": b""}),
        write_wheel(
            folder, "room-c", version, {"room/c/__init__.py": b"C = 3\n", "room/c.bin": noise[:9000]}
        ),
    ]


@pytest.fixture
def install() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a bundle's or a part's ``install.py`` as a user would."""

    def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", str(folder / "install.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
