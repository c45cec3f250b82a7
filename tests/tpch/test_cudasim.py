"""TPC-H wholly on the simulated GPU: the simulator is chosen when Numba is loaded, so in a process of its own."""

import json
import os
import subprocess
import sys


def test_every_query_runs_on_the_simulated_gpu_with_duckdbs_rows(tmp_path, capsys):
    report = tmp_path / "report.json"
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "gpuql",
        "bench",
        "tpch",
        "--sf",
        "0.001",
        "--device",
        "cudasim",
    ]
    command += ["--on-unsupported", "error", "--compare", "duckdb", "--runs", "1", "--json", str(report)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "22 of 22 queries: same rows" in finished.stdout
    assert len(json.loads(report.read_text())["queries"]) == 22
    with capsys.disabled():
        print("\n" + "\n".join(line for line in finished.stdout.splitlines() if "22 of 22" in line))
