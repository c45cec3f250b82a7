"""The command line, run as a process."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from gpuql.cli.formats import FORMATS
from gpuql.cli.main import main
from gpuql.cli.shell import ShellState, run_dot_command, run_shell
from gpuql.config import SETTINGS
from gpuql.session import connect


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "gpuql", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)


def test_command_prints_a_table() -> None:
    finished = run("-c", "SELECT 1 AS a, 'x' AS b; SELECT NULL AS n")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == (
        "┌───┬───┐\n│ a │ b │\n├───┼───┤\n│ 1 │ x │\n└───┴───┘\n1 row\n"
        "┌──────┐\n│ n    │\n├──────┤\n│ NULL │\n└──────┘\n1 row\n"
    )


def test_standard_input_and_file(tmp_path: Path) -> None:
    assert run("--format", "csv", stdin="SELECT 1 AS a;\nSELECT 2 AS a;").stdout == "a\n1\na\n2\n"
    (tmp_path / "q.sql").write_text("CREATE TABLE t AS SELECT 'é' AS a; SELECT * FROM t;")
    assert run("-f", str(tmp_path / "q.sql"), "--format", "csv").stdout == "Count\n1\na\né\n"


@pytest.mark.parametrize("form", FORMATS)
def test_formats(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT 1.50 AS d, 'a,\"b\"' AS s, NULL AS n, '' AS e, DATE '2020-01-02' AS t, true AS b"
    assert main(["-c", sql, "--format", form, "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    if form == "json":
        assert json.loads(output) == [
            {"d": 1.5, "s": 'a,"b"', "n": None, "e": "", "t": "2020-01-02", "b": True}
        ]
    elif form == "jsonl":
        assert json.loads(output)["t"] == "2020-01-02"
    elif form == "csv":
        assert output == 'd,s,n,e,t,b\n"1.50","a,""b""",,"","2020-01-02","true"\n'
    elif form == "markdown":
        assert output.splitlines()[2] == '| 1.50 | a,"b" | NULL |  | 2020-01-02 | true |'
    else:
        assert "2020-01-02" in output


def test_empty_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "SELECT 1 AS a WHERE false", "--format", "json", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELEC 1", "ParserError"),
        ("SELECT nope FROM (SELECT 1 AS a) t", "UndefinedColumn"),
        ("SELECT * FROM nowhere", "UndefinedTable"),
        ("SELECT CAST('x' AS INTEGER)", "ConversionError"),
        ("SELECT * FROM 'missing.parquet'", "UndefinedFile"),
        ("SELECT 9223372036854775807::BIGINT + 1::BIGINT", "ArithmeticOverflowError"),
    ],
)
def test_errors_are_messages(sql: str, kind: str) -> None:
    finished = run("-c", sql)
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"{kind}: ")
    assert "Traceback" not in finished.stderr


def test_caret_points_at_the_place() -> None:
    lines = run("-c", "SELECT a,\n       bb\nFROM (SELECT 1 AS a) t").stderr.splitlines()
    assert lines[1] == "LINE 2:        bb"
    assert lines[2] == "               ^"


def test_rows_before_an_error_are_printed() -> None:
    finished = run("-c", "SELECT 1 AS a; SELECT nope", "--format", "csv")
    assert (finished.returncode, finished.stdout) == (1, "a\n1\n")


def test_wrong_arguments() -> None:
    assert run("--format", "yaml").returncode == 2
    assert run("bench").returncode == 2
    finished = run("--set", "teir=auto", "-c", "SELECT 1")
    assert finished.returncode == 1
    assert "did you mean tier?" in finished.stderr
    assert run("--set", "tier", "-c", "SELECT 1").returncode == 2


def test_engines_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "duckdb" else found(name, *rest)
    )
    assert main(["bench", "tpch", "--sf", "0.01"]) == 1
    error = capsys.readouterr().err
    assert "engine not installed: duckdb" in error
    assert "pip install 'gpuql[bench]'" in error


def test_dot_commands_that_do_not_exist_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with connect(device="cpu") as connection:
        assert run_dot_command([".schema", "t"], connection, ShellState("table", timer=False))
    assert capsys.readouterr().out.startswith("not a command: .schema t\n.help")


@pytest.mark.parametrize("word", ["exit", "QUIT;", ".quit"])
def test_shell_is_left_by_every_usual_word(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["help", "SELECT 41 +", "1 AS", "quit;", word, "SELECT 'not reached';"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    with connect(device="cpu") as connection:
        assert run_shell(connection, "csv", timer=False) == 0
    printed = capsys.readouterr().out
    assert ".tables " in printed
    assert printed.endswith("quit\n42\n")  # a name within a statement, not a command
    assert next(lines).startswith("SELECT")


def test_missing_file() -> None:
    finished = run("-f", "no-such-file.sql")
    assert finished.returncode == 1
    assert "no-such-file.sql" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_help_names_every_command_and_setting() -> None:
    text = run("--help").stdout
    for word in ("bench", "doctor", "warmup", "--device", "--format", *SETTINGS):
        assert word in text
    for suite in ("tpch", "micro"):
        assert "--json" in run("bench", suite, "--help").stdout


def test_warmup_counts_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path))
    finished = run("--device", "cpu", "warmup")
    assert finished.returncode == 0, finished.stderr
    kernels = re.search(r"static kernels .* (\d+) compiled, (\d+) were on disk", finished.stdout)
    assert kernels is not None
    assert int(kernels[1]) + int(kernels[2]) > 40
    assert re.search(r"generated pipelines +[1-9]\d* compiled, 0 were on disk", finished.stdout)


def test_closed_pipe() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    union = " UNION ALL ".join(["SELECT repeat('x', 1000) AS a"] * 200)
    process = subprocess.Popen(
        [sys.executable, "-m", "gpuql", "--format", "csv", "-c", union],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(300), errors) == (0, b"")


def test_version_and_doctor() -> None:
    assert run("--version").stdout.startswith("gpuql ")
    finished = run("doctor")
    assert finished.returncode == 0, finished.stdout
    assert "queries      run on" in finished.stdout


def test_doctor_fails_where_the_device_asked_for_cannot_be_used() -> None:
    assert "queries      run on cpu" in run("doctor", "--device", "cpu").stdout
    finished = run("doctor", "--device", "gpu")
    usable = "; usable" in finished.stdout
    assert finished.returncode == (0 if usable else 1), finished.stdout
    assert ("queries      run on gpu" if usable else "queries      FAIL: DeviceError") in finished.stdout


def test_control_c_ends_with_a_message(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": list(range(20_000))}), path)
    sql = f"SELECT 1 AS ready; SELECT sum(x.a * y.a % 7) FROM '{path}' x, '{path}' y WHERE x.a + y.a > 1"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gpuql",
            "--format",
            "csv",
            "--set",
            "tier=interpreted",
            "--set",
            "batch_rows=100",
            "-c",
            sql,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline(), process.stdout.readline()] == ["ready\n", "1\n"]
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, output, errors) == (130, "", "Interrupted\n")


def test_numbers_in_json_keep_their_digits_and_json_stays_json() -> None:
    sql = "SELECT 12345678901234567.89 AS d, 'NaN'::DOUBLE AS n, '-inf'::DOUBLE AS i, 1e300 AS f, 7::HUGEINT AS h"
    finished = run("-c", sql, "--format", "jsonl", "--device", "cpu")
    assert (
        finished.stdout == '{"d": 12345678901234567.89, "n": "NaN", "i": "-Infinity", "f": 1e+300, "h": 7}\n'
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-f", "nosuch.sql"], 1, "InputError: file cannot be read: nosuch.sql: no such file or directory"),
        (["-f", "."], 1, "InputError: file cannot be read: .: is a directory"),
        (["--set", "threads", "-c", "SELECT 1"], 2, "NAME=VALUE is needed"),
        (["--threads", "0", "-c", "SELECT 1"], 2, "a whole number, 1 or more, is needed"),
        (["bench", "micro", "--rows", "-5"], 2, "a whole number, 1 or more, is needed"),
        (["bench", "tpch", "--sf", "nan"], 2, "a number above 0 is needed"),
        (["bench", "tpch", "--compare", "sqlite"], 1, "unknown engine: sqlite"),
        (["bench", "tpch", "--compare", "polars", "--memory-limit", "1GB"], 1, "polars has no memory limit"),
        (["dcotor"], 2, "no command of gpuql: dcotor; did you mean doctor?"),
        (["."], 2, "no command of gpuql: .; to run a file: gpuql -f ."),
        (["1+1"], 2, 'no command of gpuql: 1+1; statements are given with -c "..."'),
        (["--devcie", "cpu"], 2, "no option of gpuql: --devcie; did you mean --device?"),
        (["--quiet", "doctor"], 2, "unrecognized arguments: --quiet"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        returned = main(arguments)
    except SystemExit as exit_:  # argparse leaves this way
        returned = int(exit_.code or 0)
    assert returned == code
    assert message in capsys.readouterr().err


def test_statements_before_an_error_ran_and_those_after_it_did_not() -> None:
    finished = run("-c", "SELECT 1 AS a; SELECT zz; SELECT 3 AS a", "--format", "csv")
    assert (finished.returncode, finished.stdout) == (1, "a\n1\n")
    assert "column not found: zz" in finished.stderr
    assert "Traceback" not in finished.stderr
