"""What a GPU report found, condensed: for the end of a run and for the page made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuql.bench.timing import geometric_mean

Document = Mapping[str, Any]

#: Engines of a TPC-H step, by the suffix of its name.
PEERS = {"duckdb": "DuckDB", "polars": "Polars", "gpuql-cpu": "gpuql on the CPU"}


@dataclass(frozen=True)
class QueryLine:
    """One query of one scale factor: ours, and the peers' hot times with the verdict on their rows."""

    name: str
    ours: Mapping[str, Any]
    peers: Mapping[str, Mapping[str, Any]]

    def counts_for(self, device: str) -> bool:
        """Whether our figure is one of ``device``: it ran to its end, and nowhere else."""
        return self.ours.get("status") == "done" and self.ours.get("devices") == [device]

    def ratio(self, peer: str, device: str) -> float | None:
        """How many times faster than the peer; None if either has no figure, or the rows differ."""
        theirs = self.peers.get(peer, {})
        if (
            not self.counts_for(device)
            or theirs.get("status") != "done"
            or theirs.get("verdict") != "same rows"
        ):
            return None
        return float(theirs["hot_ms"]) / float(self.ours["hot_ms"])


def results(document: Document, step: str) -> Mapping[str, Any]:
    """What a step recorded; empty if it was not run."""
    found: Mapping[str, Any] = document["steps"].get(step, {}).get("results", {})
    return found


def scale_factors(document: Document) -> list[str]:
    """Names ("1", "10") of the scale factors at which some query of ours was measured."""
    names = [f"{factor:g}" for factor in document["scale_factors"]]
    return [name for name in names if results(document, f"tpch-sf{name}").get("queries")]


def query_lines(document: Document, factor: str) -> list[QueryLine]:
    """All queries of a scale factor."""
    peers = {suffix: results(document, f"tpch-sf{factor}-{suffix}").get("queries", {}) for suffix in PEERS}
    ours = results(document, f"tpch-sf{factor}").get("queries", {})
    return [
        QueryLine(name, entry, {suffix: queries.get(name, {}) for suffix, queries in peers.items()})
        for name, entry in sorted(ours.items())
    ]


def summary_lines(document: Document) -> list[str]:
    """The findings in a few lines, losses among them."""
    lines = []
    device = document["device"]
    for factor in scale_factors(document):
        queries = query_lines(document, factor)
        on_device = sum(query.counts_for(device) for query in queries)
        lines.append(f"TPC-H {factor}: {on_device} of {len(queries)} queries ran wholly on {device}")
        for suffix, name in PEERS.items():
            line = comparison(queries, suffix, device)
            if line:
                lines.append(f"  against {name}{line}")
    tests = results(document, "tests")
    if tests.get("counts"):
        lines.append("tests: " + ", ".join(f"{count} {kind}" for kind, count in tests["counts"].items()))
    for name, step in document["steps"].items():
        why = step.get("error") or step.get("note") or step.get("results", {}).get("note") or ""
        if step["status"] != "done" or why:
            lines.append(f"{name}: {step['status']}{': ' if why else ''}{why}")
    return lines


def comparison(queries: list[QueryLine], peer: str, device: str) -> str:
    """Geometric mean of the ratios to a peer, with the number of losses and of other rows; empty if none was run."""
    ratios = [ratio for query in queries if (ratio := query.ratio(peer, device)) is not None]
    mean = geometric_mean(ratios)
    others = sum(query.peers[peer].get("verdict", "").startswith("OTHER") for query in queries)
    differing = f", OTHER ROWS in {others}" if others else ""
    if mean is None:
        return differing and f": no figure{differing}"
    slower = sum(ratio < 1 for ratio in ratios)
    return f" on {len(ratios)} queries: geometric mean {mean:.2f}x, slower on {slower}{differing}"
