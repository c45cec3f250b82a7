"""Cutting a set of wheels into parts, each under a size, and writing them with their manifests."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offline_bundle import install
from offline_bundle.wheels import BuildError

_INSTALLER = Path(install.__file__)
#: Room for the entry of one wheel, or of one piece, in a manifest: names and a hash.
_ENTRY_BYTES = 512
#: Room for the rest of a manifest: what the bundle is for.
_DESCRIPTION_BYTES = 8192


@dataclass(frozen=True)
class Piece:
    """A file of a part: ``size_bytes`` bytes of ``wheel`` from ``offset`` on, which may be all of it."""

    wheel: str
    file_name: str
    offset: int
    size_bytes: int


def plan_parts(sizes: Mapping[str, int], capacity_bytes: int) -> list[list[Piece]]:
    """Pieces of every part: as few parts as first-fit decreasing finds; only wheels larger than a part are cut.

    ``sizes`` are bytes by file name. The same input gives the same parts.
    """
    if capacity_bytes <= 0:
        raise BuildError("the parts are too small to hold anything: give a larger --part-mib")
    pieces = [piece for wheel in sorted(sizes) for piece in _pieces(wheel, sizes[wheel], capacity_bytes)]
    parts: list[list[Piece]] = []
    room: list[int] = []
    for piece in sorted(pieces, key=lambda piece: -piece.size_bytes):
        index = next((at for at, free in enumerate(room) if piece.size_bytes <= free), len(parts))
        if index == len(parts):
            parts.append([])
            room.append(capacity_bytes)
        parts[index].append(piece)
        room[index] -= piece.size_bytes
    return parts


def _pieces(wheel: str, size_bytes: int, capacity_bytes: int) -> list[Piece]:
    if size_bytes <= capacity_bytes:
        return [Piece(wheel, wheel, 0, size_bytes)]
    count = -(-size_bytes // capacity_bytes)
    return [
        Piece(
            wheel,
            f"{wheel}.chunk{number + 1}of{count}",
            number * capacity_bytes,
            min(capacity_bytes, size_bytes - number * capacity_bytes),
        )
        for number in range(count)
    ]


def write_bundle(
    wheels: Sequence[Path], description: Mapping[str, Any], folder: Path, part_bytes: int
) -> dict[str, Any]:
    """Write ``folder/install.py`` and ``folder/part1``, ``part2``, …; returns the description that all manifests share.

    ``description`` says what the bundle is for (:mod:`offline_bundle.install` lists its keys). A part with everything
    in it takes at most ``part_bytes``.
    """
    sizes = {wheel.name: wheel.stat().st_size for wheel in wheels}
    parts = plan_parts(sizes, part_bytes - _overhead_bytes(sizes, part_bytes))
    by_name = {wheel.name: wheel for wheel in wheels}
    bundle: dict[str, Any] = {
        **description,
        "parts": len(parts),
        "wheels": [_wheel_entry(by_name[name], parts) for name in sorted(by_name)],
    }
    bundle["id"] = hashlib.sha256(json.dumps(bundle, sort_keys=True).encode()).hexdigest()[:12]
    shutil.copyfile(_INSTALLER, folder / "install.py")
    for number, pieces in enumerate(parts, 1):
        _write_part(folder / f"part{number}", number, pieces, by_name, bundle, part_bytes)
    return bundle


def _overhead_bytes(sizes: Mapping[str, int], part_bytes: int) -> int:
    """What a part holds besides pieces of wheels, at most, if at least half of it is left for them."""
    most_pieces = sum(1 + size_bytes // max(1, part_bytes // 2) for size_bytes in sizes.values())
    overhead = _INSTALLER.stat().st_size + _DESCRIPTION_BYTES + _ENTRY_BYTES * (len(sizes) + most_pieces)
    return overhead if overhead <= part_bytes // 2 else part_bytes


def _wheel_entry(wheel: Path, parts: Sequence[Sequence[Piece]]) -> dict[str, Any]:
    pieces = sorted(
        (piece.offset, piece.file_name, number)
        for number, part in enumerate(parts, 1)
        for piece in part
        if piece.wheel == wheel.name
    )
    return {
        "file": wheel.name,
        "size_bytes": wheel.stat().st_size,
        "sha256": install.sha256_of(wheel),
        "chunks": [file_name for _, file_name, _ in pieces] if len(pieces) > 1 else [],
        "parts": [number for _, _, number in pieces],
    }


def _write_part(
    folder: Path,
    number: int,
    pieces: Sequence[Piece],
    wheels: Mapping[str, Path],
    bundle: Mapping[str, Any],
    part_bytes: int,
) -> None:
    folder.mkdir()
    for piece in pieces:
        with wheels[piece.wheel].open("rb") as source:
            source.seek(piece.offset)
            (folder / piece.file_name).write_bytes(source.read(piece.size_bytes))
    files = [
        {"file": path.name, "size_bytes": path.stat().st_size, "sha256": install.sha256_of(path)}
        for path in sorted(folder.iterdir())
    ]
    manifest = {"format": install.FORMAT, "part": number, "files": files, "bundle": bundle}
    (folder / install.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(_INSTALLER, folder / "install.py")
    written_bytes = sum(path.stat().st_size for path in folder.iterdir())
    assert written_bytes <= part_bytes, f"part {number} takes {written_bytes} bytes, more than {part_bytes}"
