"""Runs the steps of a Dockerfile in a folder that stands for the root of the image.

Absolute paths in the steps are moved below that folder. What needs root or a distribution's packages is skipped, and
reported. The folder is a link to the stage that is being built, so that paths which an install wrote into its files
(the first lines of scripts) stay right when a later stage copies them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_check.dockerfile import (
    Stage,
    exec_form,
    health_command,
    needed_stages,
    read_copy,
    read_environment,
    split_commands,
    substitute,
)
from image_check.ignore import IgnoreRules

#: Commands that do not run here, and why.
SKIPPED_COMMANDS = {
    "apt-get": "needs root and Ubuntu; python3 and venv must be here already",
    "useradd": "needs root",
    "chown": "needs root",
}
#: Folders of the machine, not of the image: never moved, never removed.
_MACHINE_PATHS = ("/bin", "/dev", "/etc", "/lib", "/proc", "/sys", "/tmp", "/usr", "/var/lib")
#: A path from the root, where a word or a value of an assignment or of a list begins.
_ABSOLUTE_PATH = re.compile(r"(?:(?<=[\s=:\"'(\[,])|^)(/[\w.*-]+(?:/[\w.*-]+)*)")
_NOTED = ("USER", "VOLUME", "LABEL", "EXPOSE", "STOPSIGNAL", "CMD")


class ReplayError(Exception):
    """A step failed, or is of a kind that this program does not know."""


@dataclass
class Image:
    """What the last stage left: how to run a command in it."""

    root: Path
    environment: dict[str, str]
    folder: Path
    entrypoint: list[str]
    health: list[str]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the image's environment and working folder; text of both outputs together."""
        return subprocess.run(
            command,
            env={**self.environment, **(environment or {})},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


@dataclass
class Replay:
    """Builds an image in ``folder`` from the files of ``context``; ``say`` gets a line for every step."""

    context: Path
    folder: Path
    build_arguments: Mapping[str, str]
    say: Callable[[str], None]
    _stages: dict[str, Path] = field(default_factory=dict)
    _settings: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Stands for ``/`` of the stage being built."""
        return self.folder / "image"

    @property
    def _sent(self) -> Path:
        return self.folder / "context"

    def build(self, stages: list[Stage]) -> Image:
        """Run all stages that the last one needs; the image of the last one."""
        built = needed_stages(stages)
        for stage in built:
            image = self._build_stage(stage)
        return image

    def _build_stage(self, stage: Stage) -> Image:
        self.say(f"stage {stage.name} from {stage.base}")
        place = self.folder / f"stage-{stage.name}"
        place.mkdir()
        if stage.base in self._stages:
            _link_tree(self._stages[stage.base], place)
        self._stages[stage.name] = place
        self.root.unlink(missing_ok=True)
        self.root.symlink_to(place.name)
        inherited, working = self._settings.get(stage.base, ({}, "/"))
        variables = dict(inherited)
        arguments: dict[str, str] = {}
        entrypoint: list[str] = []
        health: list[str] = []
        for step in stage.instructions:
            value = substitute(step.value, {**arguments, **variables})
            if step.word == "RUN":
                for command in split_commands(step.value):
                    self._run(command, step.line, {**arguments, **variables}, working)
            elif step.word == "COPY":
                self._copy(value, step.line, working)
            elif step.word == "ENV":
                variables |= read_environment(value)
            elif step.word == "ARG":
                name, _, default = step.value.partition("=")
                arguments[name] = self.build_arguments.get(name, default)
            elif step.word == "WORKDIR":
                working = str(Path(working) / value)
                self._moved(working).mkdir(parents=True, exist_ok=True)
            elif step.word == "ENTRYPOINT":
                entrypoint = exec_form(step.value)
            elif step.word == "HEALTHCHECK":
                health = health_command(step.value)
            elif step.word in _NOTED:
                self.say(
                    f"  line {step.line:<3} skipped: {step.word} {step.value} (says nothing about installing)"
                )
            else:
                raise ReplayError(f"line {step.line}: instruction not known: {step.word}")
        self._settings[stage.name] = (variables, working)
        return Image(self.root, self._environment(variables), self._moved(working), entrypoint, health)

    def _run(self, command: str, line: int, variables: Mapping[str, str], working: str) -> None:
        words = shlex.split(command)
        reason = SKIPPED_COMMANDS.get(words[0])
        if words[0] == "rm" and all(word.startswith(("-", *_MACHINE_PATHS)) for word in words[1:]):
            reason = "belongs to apt-get"
        if reason is not None:
            self.say(f"  line {line:<3} skipped: {command} ({reason})")
            return
        self.say(f"  line {line:<3} running: {command}")
        finished = subprocess.run(
            ["/bin/sh", "-e", "-c", move_paths(command, self.root)],
            env={"PIP_QUIET": "1", **self._environment(variables)},
            cwd=self._moved(working),
            check=False,
        )
        if finished.returncode:
            raise ReplayError(f"line {line}: exit code {finished.returncode}: {command}")

    def _copy(self, value: str, line: int, working: str) -> None:
        copy = read_copy(value)
        if copy.stage and copy.stage not in self._stages:
            raise ReplayError(f"line {line}: COPY from a stage that is not there: {copy.stage}")
        source_root = self._stages[copy.stage] if copy.stage else self._sent
        destination = self._moved(str(Path(working) / copy.destination))
        self.say(f"  line {line:<3} copying: {value}")
        for name in copy.sources:
            if not copy.stage:
                self._send(name)
            source = source_root / name.lstrip("/")
            if not source.exists():
                raise ReplayError(
                    f"line {line}: COPY of what is not there, or left out by .dockerignore: {name}"
                )
            if source.is_dir():
                _link_tree(source, destination)
            else:
                into_folder = copy.destination.endswith("/") or len(copy.sources) > 1
                target = destination / source.name if into_folder else destination
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def _send(self, name: str) -> None:
        """Copy a file or folder of the checkout, without what ``.dockerignore`` leaves out, as a builder is sent it."""
        source = self.context / name
        rules = IgnoreRules((self.context / ".dockerignore").read_text(encoding="utf-8"))
        for path in [source] if source.is_file() else source.rglob("*"):
            relative = path.relative_to(self.context)
            if path.is_file() and not rules.ignores(relative.as_posix()):
                (self._sent / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, self._sent / relative)

    def _moved(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The image's variables over ours, by which pip finds its registry, but without those of our Python."""
        inherited = {
            name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        moved = {name: move_paths(text, self.root) for name, text in variables.items()}
        if "PATH" in moved:
            moved["PATH"] = substitute(moved["PATH"], {"PATH": inherited["PATH"]})
        return {**inherited, **moved}


def move_paths(text: str, root: Path) -> str:
    """``text`` with absolute paths below ``root``, except those that belong to the machine."""

    def moved(match: re.Match[str]) -> str:
        path = match[1]
        machine = any(path == prefix or path.startswith(f"{prefix}/") for prefix in _MACHINE_PATHS)
        return path if machine else f"{root}{path}"

    return _ABSOLUTE_PATH.sub(moved, text)


def _link_tree(source: Path, destination: Path) -> None:
    """Copy a folder as hard links: stages only ever add files, and an install is a gigabyte."""

    def link(from_path: str, to_path: str) -> None:
        try:
            os.link(from_path, to_path, follow_symlinks=False)
        except OSError:
            shutil.copy2(from_path, to_path, follow_symlinks=False)

    shutil.copytree(source, destination, symlinks=True, copy_function=link, dirs_exist_ok=True)
