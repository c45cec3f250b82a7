"""Bundles of small wheels made here, installed by the program that travels with them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from offline_bundle.wheels import write_wheel

MakeBundle = Callable[..., Path]
Install = Callable[..., subprocess.CompletedProcess[str]]


def parts_of(bundle: Path) -> list[Path]:
    return sorted(bundle.glob("part*"))


def part_with(bundle: Path, pattern: str) -> Path:
    [part, *_] = [part for part in parts_of(bundle) if list(part.glob(pattern))]
    return part


def packages_of(target: Path) -> Path:
    return target / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def values(target: Path) -> str:
    code = "import room.a, room.b, room.c; print(room.a.A, room.b.B, room.c.C)"
    return ran(target, code)


def ran(target: Path, code: str) -> str:
    """Output of a program run by the environment in ``target``; its error if it fails."""
    finished = subprocess.run(
        [target / "bin/python", "-c", code], capture_output=True, text=True, check=False
    )
    return finished.stderr or finished.stdout


def test_all_parts_at_once(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    bundle = make_bundle()
    assert len(parts_of(bundle)) >= 2
    finished = install(bundle, "--target", tmp_path / "site")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "complete" in finished.stdout
    assert values(tmp_path / "site") == "1 2 3\n"


@pytest.mark.parametrize("backwards", [False, True])
def test_parts_one_after_the_other_in_any_order(
    make_bundle: MakeBundle, install: Install, tmp_path: Path, *, backwards: bool
) -> None:
    """Every part is alone when it is installed: the namespace that wheels share and the cut wheel must survive that."""
    bundle, site = make_bundle(), tmp_path / "site"
    parts = sorted(parts_of(bundle), reverse=backwards)
    for position, part in enumerate(parts):
        alone = tmp_path / "arrived" / part.name
        shutil.copytree(part, alone)
        finished = install(alone, "--target", site)
        assert (finished.returncode, finished.stderr) == (0, "")
        last = position == len(parts) - 1
        assert ("complete" in finished.stdout, "still to come" in finished.stdout) == (last, not last)
        shutil.rmtree(alone)
    assert values(site) == "1 2 3\n"
    assert not list(site.rglob("*.chunk*"))
    assert not list(site.rglob("*.whl"))


def test_one_part_from_the_whole_bundle(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    bundle, site = make_bundle(), tmp_path / "site"
    for part in parts_of(bundle):
        assert install(bundle, "--part", part.name.removeprefix("part"), "--target", site).returncode == 0
    assert values(site) == "1 2 3\n"


def test_a_part_again_changes_nothing(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    bundle, site = make_bundle(), tmp_path / "site"
    assert install(bundle, "--target", site).returncode == 0
    before = sorted(site.rglob("*"))
    for part in parts_of(bundle):
        assert install(part, "--target", site).returncode == 0
    assert install(bundle, "--target", site).returncode == 0
    assert [path for path in sorted(site.rglob("*")) if "chunk" not in path.name] == before


def test_an_older_version_leaves_no_files(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    site = tmp_path / "site"
    packages = packages_of(site)
    assert install(make_bundle("old", "1.0"), "--target", site).returncode == 0
    assert (packages / "room/only_1.py").exists()
    assert install(make_bundle("new", "2.0"), "--target", site).returncode == 0
    assert not (packages / "room/only_1.py").exists()
    assert (packages / "room/only_2.py").exists()
    assert values(site) == "1 2 3\n"


def test_into_the_running_environment(make_bundle: MakeBundle, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    finished = subprocess.run(
        [python, make_bundle() / "install.py"], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    found = subprocess.run(
        [python, "-c", "import room.a, room.b; print(room.a.A, room.b.B)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "1 2\n"


@pytest.mark.parametrize("pattern", ["room_b*.whl", "*.chunk1of*"])
def test_a_damaged_file_is_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path, pattern: str
) -> None:
    bundle = make_bundle()
    part = part_with(bundle, pattern)
    [path] = part.glob(pattern)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for folder in (part, bundle):
        finished = install(folder, "--target", tmp_path / "site")
        assert finished.returncode == 1
        assert f"{part.name.replace('part', 'part ')} is not whole; copy it again" in finished.stderr
        assert f"damaged: {path}" in finished.stderr
    assert not (tmp_path / "site").exists()


def test_a_file_that_is_not_there_is_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    bundle = make_bundle()
    part = part_with(bundle, "room_b*.whl")
    [path] = part.glob("room_b*.whl")
    path.unlink()
    finished = install(bundle, "--verify")
    assert (finished.returncode, f"missing: {path}" in finished.stderr) == (1, True)


def test_a_part_that_is_not_there_is_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    bundle = make_bundle()
    shutil.rmtree(bundle / "part2")
    finished = install(bundle, "--target", tmp_path / "site")
    assert finished.returncode == 1
    assert "missing" in finished.stderr
    assert f"part 2 of {len(parts_of(bundle)) + 1}" in finished.stderr
    assert not (tmp_path / "site").exists()


def test_parts_of_two_bundles_are_refused(make_bundle: MakeBundle, install: Install) -> None:
    bundle, other = make_bundle("one"), make_bundle("two", "2.0")
    shutil.rmtree(bundle / "part2")
    shutil.copytree(other / "part2", bundle / "part2")
    finished = install(bundle, "--verify")
    assert (finished.returncode, "from different bundles" in finished.stderr) == (1, True)


def test_pieces_that_do_not_make_the_wheel_are_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    """Every file as its manifest says, but the manifest is wrong about the whole."""
    bundle = make_bundle()
    for part in parts_of(bundle):
        content = json.loads((part / "manifest.json").read_text(encoding="utf-8"))
        [cut] = [wheel for wheel in content["bundle"]["wheels"] if wheel["chunks"]]
        cut["chunks"].reverse()
        (part / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    for arguments in (["--verify"], ["--target", tmp_path / "site"]):
        finished = install(bundle, *arguments)
        assert finished.returncode == 1
        assert "do not make the wheel that was cut" in finished.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "3.99"}, "the wheels are for cpython 3.99"),
        ({"machine": "riscv128"}, "Linux riscv128"),
        ({"glibc": "2.999"}, "the wheels need glibc 2.999"),
        (
            {"host_packages": {"room-z": {"version": "", "requirements": ["<3", ">=2"]}}},
            "room-z (<3; >=2) is not installed",
        ),
        (
            {"host_packages": {"pytest": {"version": "0.1", "requirements": []}}},
            "pytest==0.1 is needed",
        ),
    ],
)
def test_a_host_that_does_not_fit_is_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    finished = install(make_bundle(**changes), "--target", tmp_path / "site")
    assert finished.returncode == 1
    assert words in finished.stderr
    assert not (tmp_path / "site").exists()


def test_what_the_host_has_is_accepted(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    has = {"pytest": {"version": pytest.__version__, "requirements": []}}
    assert install(make_bundle(host_packages=has), "--target", tmp_path / "site").returncode == 0


def test_a_manifest_that_cannot_be_read(make_bundle: MakeBundle, install: Install) -> None:
    part = make_bundle() / "part1"
    (part / "manifest.json").write_text("{", encoding="utf-8")
    finished = install(part, "--verify")
    assert finished.returncode == 1
    assert "copy the part again" in finished.stderr


def test_an_empty_folder(install: Install, make_bundle: MakeBundle, tmp_path: Path) -> None:
    shutil.copy(make_bundle() / "install.py", tmp_path / "install.py")
    finished = install(tmp_path)
    assert (finished.returncode, "no parts of a bundle" in finished.stderr) == (1, True)


def test_scripts_come_and_go_with_their_package(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for number in ("1.0", "2.0"):
        script = f"[console_scripts]\nscript-{number} = tool:main\n".encode()
        files = {"tool.py": b"def main():\n    print('ran')\n"}
        files[f"room_tool-{number}.dist-info/entry_points.txt"] = script
        wheel = write_wheel(tmp_path, "room-tool", number, files)
        bundle = make_bundle(f"bundle{number}", wheels=[wheel])
        assert install(bundle, "--target", site).returncode == 0
    assert not (site / "bin/script-1.0").exists()
    finished = subprocess.run([site / "bin/script-2.0"], capture_output=True, text=True, check=False)
    assert (finished.stdout, finished.stderr) == ("ran\n", "")


def test_pth_files_take_effect(make_bundle: MakeBundle, install: Install, tmp_path: Path) -> None:
    """numba-cuda depends on its own; Python reads them in site-packages only."""
    files = {
        "room_redirect.pth": b"import room_redirect\n",
        "room_redirect.py": b"import sys\nsys.redirected = 1\n",
    }
    bundle = make_bundle(wheels=[write_wheel(tmp_path, "room-redirect", "1.0", files)])
    assert install(bundle, "--target", tmp_path / "site").returncode == 0
    assert ran(tmp_path / "site", "import sys; print(sys.redirected)") == "1\n"


def test_packages_of_the_host_are_seen_only_by_bundles_that_leave_some_out(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    has = {"pytest": {"version": pytest.__version__, "requirements": []}}
    assert install(make_bundle("whole"), "--target", tmp_path / "alone").returncode == 0
    assert install(make_bundle("less", host_packages=has), "--target", tmp_path / "site").returncode == 0
    code = "import room.a, pytest; print(pytest.__version__)"
    assert "No module named 'pytest'" in ran(tmp_path / "alone", code)
    assert ran(tmp_path / "site", code) == f"{pytest.__version__}\n"


def test_what_the_bundle_brings_is_installed_even_if_the_host_has_the_same(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    has = {"pytest": {"version": pytest.__version__, "requirements": []}}
    wheel = write_wheel(tmp_path, "pluggy", version("pluggy"), {"pluggy/__init__.py": b"brought = 1\n"})
    assert (
        install(make_bundle(wheels=[wheel], host_packages=has), "--target", tmp_path / "site").returncode == 0
    )
    assert ran(tmp_path / "site", "import pluggy; print(pluggy.brought)") == "1\n"


def test_a_folder_with_something_else_in_it_is_refused(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/thesis.txt").write_text("", encoding="utf-8")
    finished = install(make_bundle(), "--target", tmp_path / "site")
    assert finished.returncode == 1
    assert "neither empty nor an environment" in finished.stderr


def test_other_content_of_the_same_version_replaces_what_is_there(
    make_bundle: MakeBundle, install: Install, tmp_path: Path
) -> None:
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        wheel = write_wheel(tmp_path / number, "room-x", "1.0", {"room_x.py": f"X = {number}\n".encode()})
        assert (
            install(make_bundle(f"bundle{number}", wheels=[wheel]), "--target", tmp_path / "site").returncode
            == 0
        )
    assert ran(tmp_path / "site", "import room_x; print(room_x.X)") == "2\n"
