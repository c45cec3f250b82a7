"""A Dockerfile as stages of instructions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockerfile_parse import DockerfileParser

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
#: Operators that end one command of a RUN line and begin the next.
_QUOTED_OR_AND = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(&&)""", re.DOTALL)


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, the rest of it without line continuations, and its line (from 1)."""

    word: str
    value: str
    line: int


@dataclass
class Stage:
    """From one FROM to the next. ``base`` is an image or an earlier stage; ``name`` is its number if it has none."""

    base: str
    name: str
    line: int
    instructions: list[Instruction] = field(default_factory=list)


def read_stages(text: str, build_arguments: Mapping[str, str]) -> list[Stage]:
    """Stages of a Dockerfile in order; ``build_arguments`` replace the defaults of ARG before the first FROM."""
    stages: list[Stage] = []
    known: dict[str, str] = {}
    for entry in _structure(text):
        word, value, line = entry.word, entry.value, entry.line
        if word == "FROM":
            base, *alias = substitute(value, known).split()
            name = alias[1] if len(alias) == 2 and alias[0].upper() == "AS" else str(len(stages))
            stages.append(Stage(base, name, line))
        elif stages:
            stages[-1].instructions.append(entry)
        elif word == "ARG":
            name, _, default = value.partition("=")
            known[name] = build_arguments.get(name, default)
        else:
            raise ValueError(f"line {line}: {word} before the first FROM")
    return stages


def _structure(text: str) -> list[Instruction]:
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [
        Instruction(entry["instruction"], entry["value"], entry["startline"] + 1)
        for entry in parser.structure
        if entry["instruction"] != "COMMENT"
    ]


def needed_stages(stages: list[Stage]) -> list[Stage]:
    """Stages that the last one builds on or copies from, itself included, in order: the others are not built."""
    by_name = {stage.name: stage for stage in stages}
    needed: set[str] = set()
    pending = [stages[-1].name]
    while pending:
        name = pending.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            stage = by_name[name]
            pending.append(stage.base)
            pending += [
                copy.stage
                for step in stage.instructions
                if step.word == "COPY"
                if (copy := read_copy(step.value)).stage
            ]
    return [stage for stage in stages if stage.name in needed]


@dataclass(frozen=True)
class Copy:
    """A COPY: ``stage`` is where from, "" for the build context."""

    stage: str
    sources: tuple[str, ...]
    destination: str


def read_copy(value: str) -> Copy:
    """The words of a COPY instruction; ValueError for options other than ``--from``."""
    *options, destination = value.split()
    sources = [word for word in options if not word.startswith("--")]
    stage = ""
    for option in (word for word in options if word.startswith("--")):
        name, _, stage = option.partition("=")
        if name != "--from":
            raise ValueError(f"option of COPY not known: {option}")
    return Copy(stage, tuple(sources), destination)


def read_environment(value: str) -> dict[str, str]:
    """The pairs of an ENV instruction in the form NAME=value."""
    pairs = re.findall(r"(\w+)=((?:\"[^\"]*\"|\\.|\S)+)", value)
    return {name: text.strip('"') for name, text in pairs}


def split_commands(value: str) -> list[str]:
    """Commands of a RUN line, cut at ``&&`` outside quotes."""
    commands, start = [], 0
    for match in _QUOTED_OR_AND.finditer(value):
        if match[1]:
            commands.append(value[start : match.start()].strip())
            start = match.end()
    return [*commands, value[start:].strip()]


def exec_form(value: str) -> list[str]:
    """Words of a CMD or ENTRYPOINT: a JSON list as it is, anything else for the shell."""
    if value.lstrip().startswith("["):
        words: list[str] = json.loads(value)
        return words
    return ["/bin/sh", "-c", value]


def health_command(value: str) -> list[str]:
    """Words of the command of a HEALTHCHECK; ValueError if it has none."""
    match = re.fullmatch(r"(?:--\S+\s+)*CMD\s+(.*)", value, re.DOTALL)
    if match is None:
        raise ValueError(f"HEALTHCHECK without a command: {value}")
    return exec_form(match[1])


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``$NAME`` and ``${NAME}`` replaced where the name is known; the shell sees the others."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], match[0]), text)
