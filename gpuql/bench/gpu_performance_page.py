"""``python -m gpuql.bench.gpu_performance_page``: docs/gpu-performance.md from the newest GPU report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuql.bench.report_summary import (
    PEERS,
    Document,
    QueryLine,
    comparison,
    query_lines,
    results,
    scale_factors,
)

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "gpu-performance.md"
RESULTS = REPOSITORY / "bench" / "results"

_HOW = """\
## How to measure

On a machine with an NVIDIA GPU and the extras `cuda12` or `cuda13`, `bench` and `test` installed:

```sh
make gpu-report                       # in a checkout; about eight minutes
python -m gpuql.bench.gpu_report --output report.json --budget-s 470 --sf 1,10,30
make docs-gpu                         # rewrites this page from the newest file in bench/results/
```

Each step runs in a process of its own; what crashes, fails or does not fit the time is named in the file, and the
rest is measured. `--list` names the steps, `--steps` chooses some, `--add` goes on with the file of an earlier run of
the same sources, `--device cpu --small` tries the report itself without a GPU. On a machine that is lent for ten
minutes at a time, `--sf 1,10`, then the same with `--add`, then `--sf 30 --add`, all with one `--output`, make one
report of three runs.

What the figures mean: *first* is the first execution in a new process on a machine that has never compiled the query
(later scale factors profit from code compiled for earlier ones); *hot* is the median of up to five further runs, result
converted to Arrow, tables in memory and their columns on the GPU. *share* is the bytes of the encoded source columns
that the query's pipelines read, each once, divided by the hot time, as a part of the measured copy bandwidth of the
memory that the tables lie in. Rows are compared with every peer before its times count. A query of which a part ran
elsewhere has no GPU figure.
"""


def newest_report(folder: Path) -> tuple[Path, Document] | None:
    """The report of a GPU measured last among ``gpu-*.json``; None if there is none. Trials do not count."""
    found = []
    for path in sorted(folder.glob("gpu-*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("report") == "gpu" and document["device"] == "gpu" and not document["small"]:
            found.append((path, document))
    return max(found, key=lambda entry: str(entry[1]["measured_at"]), default=None)


def render(report: tuple[Path, Document] | None) -> str:
    """Text of the page."""
    head = "# Performance on a GPU\n\n<!-- Made by `make docs-gpu`; changes belong into gpuql/bench. -->\n"
    if report is None:
        return (
            f"{head}\n**Not measured yet.** gpuql's GPU path is tested in Numba's CUDA simulator, and its kernels are "
            "compiled for\nevery supported architecture, but no figure of a real GPU has been recorded: "
            "`bench/results/` holds no `gpu-*.json`.\n\n" + _HOW
        )
    path, document = report
    parts = [head, _origin(path, document), _machine(document), _tests(document)]
    parts += [_tpch(document, factor) for factor in scale_factors(document)]
    parts += [_out_of_core(document), _micro(document), _compile_times(document), _leaks(document)]
    parts += [_not_done(document), _HOW]
    return "\n".join(part for part in parts if part)


def _origin(path: Path, document: Document) -> str:
    environment = results(document, "environment")
    gpu, host = environment.get("gpu", {}), environment.get("host", {})
    source = environment.get("source", {})
    commit = source.get("commit") or f"sources {str(source.get('python_files_sha256', 'unknown'))[:12]}"
    where = f"{gpu.get('name', 'an unknown GPU')} (driver {gpu.get('driver', 'unknown')})"
    return (
        f"Measured {document['measured_at']} on {where}, beside {document['threads']} threads of "
        f"{host.get('processor', 'an unknown processor')}; commit {commit[:12]}; all figures: "
        f"`bench/results/{path.name}`.\n"
    )


def _machine(document: Document) -> str:
    bandwidth, launches = results(document, "bandwidth"), results(document, "launches")
    rows = [
        (name.removesuffix("_bytes_per_s").replace("_", " "), f"{value / 1e9:,.1f} GB/s")
        for name, value in bandwidth.items()
        if name.endswith("_bytes_per_s")
    ]
    rows += [
        (f"launch, {name.removesuffix('_us').replace('_', ' ')}", f"{value:.2f} µs")
        for name, value in launches.items()
        if name.endswith("_us")
    ]
    rows += [("launches go", launches["path"])] if "path" in launches else []
    for name, entry in results(document, "fixed-cost").get("statements", {}).items():
        rows.append((f"query, {name}", f"{entry['hot_ms']:.3f} ms (first {entry['first_ms']:.1f} ms)"))
    return _section("Memory, launches, fixed costs", _table(("what", "measured"), rows)) if rows else ""


def _tests(document: Document) -> str:
    found = results(document, "tests")
    if not found.get("counts"):
        return ""
    counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items())
    failing = [f"- `{name}`: {error}" for name, error in found.get("not_passed", {}).items()]
    return _section("Tests on the device", "\n".join([f"`pytest -m gpu`: {counts}.", *failing]) + "\n")


def _tpch(document: Document, factor: str) -> str:
    device = document["device"]
    queries = query_lines(document, factor)
    peers = [peer for peer in PEERS if any(query.peers[peer] for query in queries)]
    header = ["query", "hot ms", "first ms", "share"]
    for peer in peers:
        header += [f"{PEERS[peer]} ms", "faster"]
    rows = [_query_row(query, peers, device) for query in queries]
    load = results(document, f"tpch-sf{factor}").get("load_ms")
    lines = [f"Tables loaded in {load / 1000:.1f} s.\n"] if load else []
    lines.append(_table((*header, "note"), rows))
    for peer in peers:
        text = comparison(queries, peer, device)
        if text:
            lines.append(f"Against {PEERS[peer]}{text}.\n")
    return _section(f"TPC-H at scale factor {factor}", "\n".join(lines))


def _query_row(query: QueryLine, peers: Sequence[str], device: str) -> tuple[str, ...]:
    ours = query.ours
    if ours.get("status") != "done":
        cells, note = ["-", "-", "-"], f"{ours.get('status')}: {ours.get('error', '')}"
    elif not query.counts_for(device):
        cells, note = ["-", "-", "-"], f"ran on {', '.join(ours['devices'])}"
    else:
        share = ours.get("bandwidth_share")
        cells = [f"{ours['hot_ms']:.2f}", f"{ours['first_ms']:.0f}", f"{share:.0%}" if share else "-"]
        note = "" if ours["tiers"] == ["fused"] else ", ".join(ours["tiers"])
    for peer in peers:
        theirs = query.peers[peer]
        ratio = query.ratio(peer, device)
        cells += [f"{theirs['hot_ms']:.1f}" if "hot_ms" in theirs else "-", f"{ratio:.2f}x" if ratio else "-"]
        if theirs.get("verdict", "same rows") != "same rows":
            note += f" {PEERS[peer]}: {theirs['verdict']}"
        elif theirs.get("error"):
            note += f" {PEERS[peer]}: {theirs['error']}"
    return (query.name, *cells, note.strip())


def _out_of_core(document: Document) -> str:
    found = results(document, "out-of-core")
    rows = []
    for entry in found.get("runs", []):
        further = ", ".join(
            f"{entry[name]:,} bytes {name.replace('_', ' ')}"
            for name in ("spilled_to_host", "spilled_to_files")
            if name in entry
        )
        further = "; ".join(filter(None, [further, *entry.get("moved", [])]))
        elapsed = f"{entry['ms']:.1f}" if "ms" in entry else "-"
        outcome = entry.get("verdict") or entry["error"]
        rows.append((entry["query"], entry["limit"], elapsed, outcome, further))
    if not rows:
        return ""
    largest = f"The largest query reads {found['largest_query_bytes'] / 1e6:,.0f} MB of columns.\n\n"
    table = _table(("query", "limit", "ms", "outcome", "spilled"), rows)
    return _section(f"With little memory (`{found['setting']}`)", largest + table)


def _micro(document: Document) -> str:
    found = results(document, "micro")
    rows = [
        (case["name"], "-", "-", case["error"])
        if "error" in case
        else (case["name"], f"{case['ms']:.2f}", f"{case['bandwidth_share']:.0%}", ", ".join(case["tiers"]))
        for case in found.get("cases", [])
    ]
    if not rows:
        return ""
    step = found.get("largest_group_step", {})
    note = (
        f"Largest step between neighbouring group counts: {step['factor']:.2f}x, at {step['groups']:,} groups.\n"
        if step.get("groups")
        else ""
    )
    title = f"Single operators, {found['num_rows']:,} rows"
    return _section(title, _table(("case", "ms", "share", "tier"), rows) + ("\n" + note if note else ""))


def _compile_times(document: Document) -> str:
    found = results(document, "compile-times")
    if not found.get("queries"):
        return ""
    kernels = [value for entry in found["queries"].values() for value in entry.get("compiler_ms", [])]
    lines = [
        f"All pipelines of TPC-H: {found.get('all_queries_ms', 0) / 1000:.1f} s more than once compiled."
    ]
    if kernels:
        lines.append(
            f"{len(kernels)} kernels, {sum(kernels) / len(kernels):.0f} ms each, {max(kernels):.0f} ms at most."
        )
    if found.get("static_kernels"):
        lines.append(
            f"{len(found['static_kernels'])} static kernels: "
            f"{found.get('static_kernels_ptx_ms', 0) / 1000:.1f} s to PTX, "
            f"{found.get('static_kernels_all_ms', 0) / 1000:.1f} s to machine code; once per machine."
        )
    return _section("Compile times", "\n".join(lines) + "\n")


def _leaks(document: Document) -> str:
    found = results(document, "leaks")
    if "growth_bytes" not in found:
        return ""
    return _section(
        "Memory after many queries",
        f"{found['readings'][0]:,} bytes in use before, {found['growth_bytes']:+,} after {found['ran']} queries "
        f"({found['kind'].replace('_', ' ')}).\n",
    )


def _not_done(document: Document) -> str:
    rows = [
        (name, step["status"], str(step.get("error") or step.get("note") or step["results"]["note"]))
        for name, step in document["steps"].items()
        if step["status"] != "done" or step.get("results", {}).get("note")
    ]
    return _section("Not measured, or not wholly", _table(("step", "status", "why"), rows)) if rows else ""


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check that it is what would be written (1 if not)."""
    parser = argparse.ArgumentParser(prog="python -m gpuql.bench.gpu_performance_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the page is stale")
    options = parser.parse_args(arguments)
    text = render(newest_report(RESULTS))
    if options.check:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != text:
            print(f"stale: {PAGE.relative_to(REPOSITORY)}; make docs-gpu rewrites it", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
