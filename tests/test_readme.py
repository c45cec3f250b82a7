"""What the README shows runs as it stands, in order, and says nothing on standard error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpuql
from gpuql.cli.main import build_parser

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the README's files were made."""
    monkeypatch.chdir(tmp_path)
    exec(snippets("python")[0], {})
    return tmp_path


def test_python(trips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = "".join(snippets("python"))
    assert len(program.splitlines()) >= 10
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert capfd.readouterr().err == ""


def test_the_values_of_the_python_snippets(trips: Path) -> None:
    namespace: dict[str, object] = {"__name__": "readme"}
    exec("".join(snippets("python")), namespace)
    connection = namespace["connection"]
    assert isinstance(connection, gpuql.Connection)
    average = "SELECT avg(total_amount) FROM 'trips/*.parquet' WHERE passenger_count = 3"
    assert connection.sql(average).fetchall() == [(pytest.approx(50.1),)]


def test_sql(trips: Path) -> None:
    [script] = snippets("sql")
    assert len(script.splitlines()) >= 10
    Path("report.sql").write_text(script, encoding="utf-8")
    finished = command_line("-f", "report.sql", "--format", "csv", "--device", "cpu")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "1000,49950.0,1970-02-11 15:00:00" in finished.stdout.replace('"', "")


def test_command_line(trips: Path) -> None:
    Path("report.sql").write_text("SELECT 1 AS a", encoding="utf-8")
    lines = [line.split("  #")[0].strip() for line in snippets("sh")[1].splitlines()]
    parser = build_parser()
    for line in lines:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line.split(">")[0])]
        assert words[0] == "gpuql"
        parser.parse_args(words[1:])
    finished = command_line(*parser_words(lines[0]), "--format", "csv")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "count_star()\n1000\n", "")


def parser_words(line: str) -> list[str]:
    return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)][1:]


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-m", "gpuql", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
