"""The benchmarks of queries: names of their tables; their queries are files, their data comes from a generator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A benchmark that the data generator knows by ``name``."""

    name: str
    title: str
    tables: tuple[str, ...]


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
SUITES = {suite.name: suite for suite in (TPCH, TPCDS)}
