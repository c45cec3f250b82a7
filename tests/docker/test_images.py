"""The Dockerfiles and compose.yaml as text, and the program that runs their steps on Dockerfiles made here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from image_check.dockerfile import (
    Stage,
    exec_form,
    health_command,
    needed_stages,
    read_copy,
    read_environment,
    read_stages,
    split_commands,
)
from image_check.ignore import IgnoreRules
from image_check.replay import Image, Replay, ReplayError, move_paths

CHECKOUT = Path(__file__).parents[2]
DOCKERFILES = sorted((CHECKOUT / "docker").glob("*.Dockerfile"))


def last_values(path: Path) -> tuple[list[Stage], dict[str, str]]:
    stages = read_stages(path.read_text(encoding="utf-8"), {})
    return stages, {step.word: step.value for step in stages[-1].instructions}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_run_as_nobody_special_with_a_health_check(path: Path) -> None:
    _, values = last_values(path)
    assert int(values["USER"]) >= 1000
    assert exec_form(values["ENTRYPOINT"]) == ["gpuql"]
    assert "gpuql doctor --device" in " ".join(health_command(values["HEALTHCHECK"]))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned(path: Path) -> None:
    stages, _ = last_values(path)
    names = {stage.name for stage in stages}
    outside = {stage.base for stage in stages} - names
    assert outside
    assert all(re.fullmatch(r"[\w./-]+:\d[\w.-]+", image) for image in outside), outside


def test_the_cuda_argument_chooses_base_image_and_packages() -> None:
    text = (CHECKOUT / "docker/gpu.Dockerfile").read_text(encoding="utf-8")
    for cuda, version in (("cuda12", "12."), ("cuda13", "13.")):
        stages = needed_stages(read_stages(text, {"CUDA": cuda}))
        assert stages[0].base.startswith(f"nvidia/cuda:{version}")
        assert [stage.name for stage in stages] == [cuda, "python", "build", "runtime"]


def test_compose_builds_what_is_there() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker/compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["services"]) == {"cpu", "gpu"}
    for service in compose["services"].values():
        build = service["build"]
        context = (CHECKOUT / "docker" / build["context"]).resolve()
        assert context == CHECKOUT.resolve()
        dockerfile = (context / build["dockerfile"]).read_text(encoding="utf-8")
        assert all(f"ARG {name}" in dockerfile for name in build.get("args", {}))
        folders = {volume.rsplit(":", 1)[1] for volume in service["volumes"]}
        assert all(folder in dockerfile for folder in folders)
        assert service["deploy"]["resources"]["limits"]["memory"]
        named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith("$")}
        assert named <= set(compose["volumes"])
    [device] = compose["services"]["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_builders_see_the_sources_and_little_else() -> None:
    rules = IgnoreRules((CHECKOUT / ".dockerignore").read_text(encoding="utf-8"))
    seen = [
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "gpuql/cli/main.py",
        "kernels/gpuql_kernels/families.py",
    ]
    assert all((CHECKOUT / path).exists() for path in seen)
    assert not [path for path in [*seen, "bench/queries/tpch/q01.sql"] if rules.ignores(path)]
    unseen = [
        ".git/HEAD",
        ".venv/bin/python",
        "tests/test_readme.py",
        "gpuql/__pycache__/x.pyc",
        "bench/results/x.json",
    ]
    assert not [path for path in unseen if not rules.ignores(path)]


def test_ignore_rules() -> None:
    rules = IgnoreRules("# all\n*\n!kept\nkept/*.tmp\n!kept/a.tmp\n**/deep\n")
    found = {
        path: rules.ignores(path)
        for path in ("other/x", "kept/x", "kept/x.tmp", "kept/a.tmp", "kept/b/deep/x")
    }
    assert found == {
        "other/x": True,
        "kept/x": False,
        "kept/x.tmp": True,
        "kept/a.tmp": False,
        "kept/b/deep/x": True,
    }


def test_reading_instructions() -> None:
    assert split_commands("a && b 'x && y' && c \"&&\"") == ["a", "b 'x && y'", 'c "&&"']
    assert read_environment('A=/x:$PATH B="two words"') == {"A": "/x:$PATH", "B": "two words"}
    copy = read_copy("--from=build /a /b /c/")
    assert (copy.stage, copy.sources, copy.destination) == ("build", ("/a", "/b"), "/c/")
    with pytest.raises(ValueError, match="--chown"):
        read_copy("--chown=1 a b")
    assert health_command('--interval=1m CMD ["a", "b"]') == ["a", "b"]
    with pytest.raises(ValueError, match="without a command"):
        health_command("NONE")


def test_paths_are_moved_where_they_are_paths() -> None:
    root = Path("/r")
    assert move_paths("/opt/x/bin/pip install /w/*.whl", root) == "/r/opt/x/bin/pip install /r/w/*.whl"
    assert move_paths('"$(echo /w/g-*.whl)[a]"', root) == '"$(echo /r/w/g-*.whl)[a]"'
    assert move_paths("/opt/bin:$PATH:/opt/b", root) == "/r/opt/bin:$PATH:/r/opt/b"
    assert (
        move_paths("cat a/b ./c > /dev/null; /usr/bin/env", root) == "cat a/b ./c > /dev/null; /usr/bin/env"
    )


def replayed(tmp_path: Path, text: str, **arguments: str) -> tuple[Image, str]:
    context, folder = tmp_path / "context", tmp_path / "folder"
    for path in (context, folder):
        path.mkdir()
    (context / "sent.txt").write_text("sent\n")
    (context / "secret.txt").write_text("secret\n")
    (context / ".dockerignore").write_text("secret.txt\n")
    said: list[str] = []
    image = Replay(context, folder, arguments, said.append).build(read_stages(text, arguments))
    return image, "\n".join(said)


PROGRAM = """\
ARG VARIANT=plain
FROM some/base:1 AS plain
FROM some/base:2 AS fancy
FROM ${VARIANT} AS build
ARG VARIANT
ENV WORD=hello
WORKDIR /built
COPY sent.txt ./
RUN apt-get update && mkdir -p /opt/bin && cat sent.txt > /opt/from \\
    && printf '#!/bin/sh\\necho %s %s $OTHER\\n' "$WORD" "${VARIANT}" > /opt/bin/tool && chmod +x /opt/bin/tool
FROM plain AS runtime
COPY --from=build /opt /opt
ENV PATH=/opt/bin:$PATH OTHER=other
USER 1000
HEALTHCHECK CMD ["sh", "-c", "exit 3"]
ENTRYPOINT ["tool"]
"""


def test_steps_run_and_what_cannot_is_said(tmp_path: Path) -> None:
    image, said = replayed(tmp_path, PROGRAM, VARIANT="fancy")
    assert image.run(image.entrypoint).stdout == "hello fancy other\n"
    assert image.run(image.health).returncode == 3
    assert (image.root / "opt/from").read_text() == "sent\n"
    assert not (image.root / "built").exists()
    assert "skipped: apt-get update (needs root" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a\nRUN true && exit 7", "line 2: exit code 7"),
        ("FROM a\nCOPY secret.txt /", "left out by .dockerignore: secret.txt"),
        ("FROM a\nCOPY nowhere.txt /", "nowhere.txt"),
        ("FROM a\nCOPY --from=b /x /x", "stage that is not there: b"),
        ("FROM a AS b\nRUN mkdir /y\nFROM a\nCOPY --from=b /x /x", "not there"),
        ("FROM a\nONBUILD RUN true", "instruction not known: ONBUILD"),
    ],
)
def test_a_step_that_fails_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ReplayError, match=re.escape(words)):
        replayed(tmp_path, text)
