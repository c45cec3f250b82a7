"""Which wheels go into a bundle: pip chooses among wheels made here, for hosts that this machine is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from offline_bundle.closure import Closure
from offline_bundle.target import Target
from offline_bundle.wheels import BuildError, collect, write_wheel

#: A Python whose markers differ from those of any that runs this.
TARGET = Target("3.99", "x86_64", "2.28")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that pip takes packages from, and from nowhere else."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def collected(
    tmp_path: Path, requires: Sequence[str], exclude: Sequence[str] = (), extras: Sequence[str] = ()
) -> tuple[list[str], Closure]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    own = write_wheel(scratch, "gpuql", "1.0", requires=requires)
    exclusions = [Requirement(text) for text in exclude]
    wheels, closure = collect(own, extras, TARGET, exclusions, [], scratch)
    return [wheel.name.split("-py3")[0] for wheel in wheels], closure


def test_requirements_are_followed(tmp_path: Path, registry: Path) -> None:
    write_wheel(registry, "a", "1.0", requires=["b>=2", 'c; extra == "more"'])
    write_wheel(registry, "b", "1.0")
    write_wheel(registry, "b", "2.5")
    write_wheel(registry, "c", "1.0")
    assert collected(tmp_path, ["a"])[0] == ["a-1.0", "b-2.5", "gpuql-1.0"]


def test_extras(tmp_path: Path, registry: Path) -> None:
    write_wheel(registry, "a", "1.0", requires=['b; extra == "more"', 'c; extra == "other"'])
    write_wheel(registry, "b", "1.0")
    requires = ['a[more]; extra == "fast"', 'd; extra == "slow"']
    assert collected(tmp_path, requires, extras=["fast"])[0] == ["a-1.0", "b-1.0", "gpuql-1.0"]


def test_markers_are_those_of_the_host(tmp_path: Path, registry: Path) -> None:
    """pip reads them for the Python that it runs on: one package too few here, and one too many."""
    write_wheel(
        registry, "a", "1.0", requires=['new>=2; python_version >= "3.99"', 'old; python_version < "3.99"']
    )
    write_wheel(registry, "new", "1.0")
    write_wheel(registry, "new", "2.0", requires=["newer"])
    write_wheel(registry, "newer", "1.0")
    write_wheel(registry, "old", "1.0")
    assert collected(tmp_path, ["a"])[0] == ["a-1.0", "gpuql-1.0", "new-2.0", "newer-1.0"]


def test_what_the_host_has_is_left_out_with_what_only_it_needs(tmp_path: Path, registry: Path) -> None:
    write_wheel(registry, "arrays", "1.0", requires=["only-arrays", "shared"])
    write_wheel(registry, "only-arrays", "1.0")
    write_wheel(registry, "shared", "1.0")
    names, closure = collected(tmp_path, ["arrays>=1,<3", "shared"], ["Arrays"])
    assert names == ["gpuql-1.0", "shared-1.0"]
    assert closure.left_out == {"arrays": ["<3,>=1"]}


def test_versions_follow_what_the_host_has(tmp_path: Path, registry: Path) -> None:
    """The newest compiler asks for newer arrays than the host's, so an older one is taken; the arrays are nowhere."""
    write_wheel(registry, "compiler", "1.0", requires=["arrays<3"])
    write_wheel(registry, "compiler", "2.0", requires=["arrays>=3"])
    assert collected(tmp_path, ["compiler", "arrays"], ["arrays==2.5"])[0] == ["compiler-1.0", "gpuql-1.0"]


def test_a_version_of_the_host_that_nothing_works_with(tmp_path: Path, registry: Path) -> None:
    write_wheel(registry, "compiler", "2.0", requires=["arrays>=3"])
    with pytest.raises(BuildError, match=r"(?s)pip download failed.*compiler 2.0 depends on arrays>=3"):
        collected(tmp_path, ["compiler"], ["arrays==2.5"])


def test_gpuql_itself_can_stay_out(tmp_path: Path, registry: Path) -> None:
    write_wheel(registry, "a", "1.0")
    assert collected(tmp_path, ["a"], ["gpuql"])[0] == ["a-1.0"]


@pytest.mark.parametrize("text", ["numpy>=2", "numpy==2.*", "numpy>=2,<3"])
def test_an_exclusion_is_what_the_host_has(tmp_path: Path, registry: Path, text: str) -> None:
    with pytest.raises(BuildError, match="NAME or NAME==VERSION"):
        collected(tmp_path, [], [text])


@pytest.mark.parametrize(
    ("arguments", "returncode", "words"),
    [
        (["--help"], 0, "--exclude NAME[==VERSION]"),
        (["--python", "3", "--output", "new"], 2, "the Python version must look like 3.12"),
        (["--exclude", "a b", "--output", "new"], 2, "NAME or NAME==VERSION is needed"),
        (["--output", "."], 1, "the output folder is not empty: ."),
    ],
)
def test_arguments(tmp_path: Path, arguments: Sequence[str], returncode: int, words: str) -> None:
    (tmp_path / "something").touch()
    program = Path(__file__).parents[2] / "docker/offline_bundle"
    finished = subprocess.run(
        [sys.executable, program, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert finished.returncode == returncode
    assert words in finished.stdout + finished.stderr


def test_platform_tags() -> None:
    tags = TARGET.platforms
    assert tags[0] == "manylinux_2_28_x86_64"
    assert {"manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux1_x86_64"} <= set(tags)
    assert "manylinux_2_29_x86_64" not in tags
    assert "--abi=cp399" in TARGET.pip_arguments


@pytest.mark.parametrize(
    ("python", "machine", "glibc"),
    [("3", "x86_64", "2.28"), ("3.12", "sparc", "2.28"), ("3.12", "x86_64", "3.1")],
)
def test_targets_that_are_none(python: str, machine: str, glibc: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Target(python, machine, glibc)
