"""The benchmarks of queries: names of their tables; their queries are files, their data come from generators.

Sources of the queries: TPC-H and TPC-DS, the specifications of the TPC. ClickBench: what the 43 queries ask is taken
from the copies in Apache DataFusion (Apache-2.0) and DuckDB (MIT); text, comments and data are our own, and nothing
is from the benchmark's own repository.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A benchmark, and what its data are measured in.

    ``rows``: the size is the number of rows of its one table, which we generate; else it is a scale factor for the
    generator that knows the suite by its name.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    rows: bool = False

    def size_text(self, size: float) -> str:
        """How much data that is, in words."""
        return f"{size:,.0f} rows" if self.rows else f"scale factor {size:g}"


TPCH = Suite(
    "tpch", "TPC-H", ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
)
TPCDS = Suite(
    "tpcds",
    "TPC-DS",
    (
        "call_center", "catalog_page", "catalog_returns", "catalog_sales", "customer", "customer_address",
        "customer_demographics", "date_dim", "household_demographics", "income_band", "inventory", "item",
        "promotion", "reason", "ship_mode", "store", "store_returns", "store_sales", "time_dim", "warehouse",
        "web_page", "web_returns", "web_sales", "web_site",
    ),
)  # fmt: skip
CLICKBENCH = Suite("clickbench", "ClickBench", ("hits",), rows=True)
SUITES = {suite.name: suite for suite in (TPCH, TPCDS, CLICKBENCH)}
