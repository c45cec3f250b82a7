from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_bundle.install import sha256_of
from offline_bundle.parts import plan_parts, write_bundle
from offline_bundle.wheels import BuildError, write_wheel


@settings(deadline=None)  # a busy machine is no fault of the plan
@given(
    sizes=st.dictionaries(st.text("abc", min_size=1), st.integers(0, 1000), max_size=12),
    capacity_bytes=st.integers(1, 400),
)
def test_every_byte_is_in_one_part(sizes: dict[str, int], capacity_bytes: int) -> None:
    parts = plan_parts(sizes, capacity_bytes)
    assert all(sum(piece.size_bytes for piece in part) <= capacity_bytes for part in parts)
    for wheel, size_bytes in sizes.items():
        pieces = sorted(
            (piece for part in parts for piece in part if piece.wheel == wheel), key=lambda p: p.offset
        )
        ends = [piece.offset + piece.size_bytes for piece in pieces]
        assert [piece.offset for piece in pieces] == [0, *ends[:-1]]
        assert ends[-1] == size_bytes
        assert (len(pieces) > 1) == (size_bytes > capacity_bytes)
    names = [piece.file_name for part in parts for piece in part]
    assert len(names) == len(set(names))


def test_small_wheels_fill_the_gaps() -> None:
    parts = plan_parts({"large": 9, "middle": 6, "small": 4, "tiny": 1}, 10)
    assert [[piece.wheel for piece in part] for part in parts] == [["large", "tiny"], ["middle", "small"]]


def test_parts_keep_to_their_size_with_everything_in_them(make_bundle: Callable[..., Path]) -> None:
    bundle = make_bundle()
    parts = sorted(bundle.glob("part*"))
    assert len(parts) >= 2
    for number, part in enumerate(parts, 1):
        assert sum(path.stat().st_size for path in part.iterdir()) <= 64 * 1024
        content = json.loads((part / "manifest.json").read_text(encoding="utf-8"))
        assert (content["part"], content["bundle"]["parts"]) == (number, len(parts))
        assert {entry["file"] for entry in content["files"]} == {
            path.name for path in part.iterdir() if path.name not in ("manifest.json", "install.py")
        }
        for entry in content["files"]:
            assert (sha256_of(part / entry["file"]), (part / entry["file"]).stat().st_size) == (
                entry["sha256"],
                entry["size_bytes"],
            )


def test_many_pieces_and_long_names_leave_room_for_the_manifest(tmp_path: Path) -> None:
    """Manifests list every wheel and piece, so they grow with their number; no part may outgrow its size by that."""
    noise = bytes((index * 2654435761 >> 13) % 251 for index in range(300_000))
    wheels = [write_wheel(tmp_path, f"long-name-{'x' * 60}-{index}", "1.0") for index in range(20)]
    wheels.append(write_wheel(tmp_path, "cut", "1.0", {"cut.bin": noise}))
    (tmp_path / "bundle").mkdir()
    bundle = write_bundle(wheels, {}, tmp_path / "bundle", 120_000)
    assert len(bundle["wheels"]) == 21
    assert bundle["parts"] >= 5


def test_parts_that_are_too_small(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "room", "1.0")
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BuildError, match="too small"):
        write_bundle([wheel], {}, tmp_path / "bundle", 30_000)


def test_the_same_wheels_make_the_same_bundle(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    wheels = [write_wheel(tmp_path, name, "1.0", {f"{name}.py": b"1"}) for name in ("b", "a")]
    one, two = make_bundle("one", wheels=wheels), make_bundle("two", wheels=wheels[::-1])
    assert (one / "part1/manifest.json").read_text() == (two / "part1/manifest.json").read_text()
