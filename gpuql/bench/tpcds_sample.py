"""A sample of TPC-DS small enough for the CUDA simulator, which runs each thread of a kernel in Python.

Whole orders (or tickets) are taken of each sales table, returns of those orders, and of each dimension the rows that
these refer to; dimensions that are small at any scale stay whole. So every join finds what it finds in the full data.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuql.bench.data import suite_files, suite_folder
from gpuql.bench.suites import TPCDS
from gpuql.session import Connection, connect

#: Table, and what its orders are numbered by; returns after the sales that they are of.
_FACTS = (
    ("store_sales", "ss_ticket_number"),
    ("catalog_sales", "cs_order_number"),
    ("web_sales", "ws_order_number"),
    ("store_returns", "sr_ticket_number"),
    ("catalog_returns", "cr_order_number"),
    ("web_returns", "wr_order_number"),
    ("inventory", "inv_item_sk"),
)
#: Dimension, its key, and how columns that refer to it end; those that refer to others come first.
_DIMENSIONS = (
    ("customer", "c_customer_sk", "_customer_sk"),
    ("customer_address", "ca_address_sk", "_addr_sk"),
    ("customer_demographics", "cd_demo_sk", "_cdemo_sk"),
    ("household_demographics", "hd_demo_sk", "_hdemo_sk"),
    ("item", "i_item_sk", "_item_sk"),
    ("catalog_page", "cp_catalog_page_sk", "_catalog_page_sk"),
    ("time_dim", "t_time_sk", "_time_sk"),
    ("date_dim", "d_date_sk", "_date_sk"),
)


def sample_files(scale_factor: float, num_rows: int, folder: str | None = None) -> dict[str, Path]:
    """Parquet files of a sample with about ``num_rows`` rows of each sales table; made once, in the cache."""
    files = suite_files(TPCDS, scale_factor, folder)
    if folder is not None:
        target = Path(folder) / f"sample-{num_rows}"
    else:
        target = suite_folder(TPCDS, scale_factor).with_name(f"sf{scale_factor:g}-sample-{num_rows}")
    if not target.exists():
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix="sampling-"))
        try:
            with connect(device="cpu") as connection:
                _write(connection, files, num_rows, unfinished)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return suite_files(TPCDS, scale_factor, str(target))


def _write(connection: Connection, files: Mapping[str, Path], num_rows: int, target: Path) -> None:
    for table, path in files.items():
        _run(connection, f"CREATE VIEW whole_{table} AS SELECT * FROM {_text(path)}")
    for table, key in _FACTS:
        _run(connection, f"CREATE TABLE {table} AS {_orders(connection, table, key, num_rows)}")
    facts = [table for table, _ in _FACTS]
    known = list(facts)
    for table, key, suffix in _DIMENSIONS:
        used = _used(connection, [name for name in known if name != table], suffix)
        _run(connection, f"CREATE TABLE {table} AS SELECT * FROM whole_{table} WHERE {key} IN ({used})")
        known.append(table)
    for table in files:
        source = table if table in known else f"whole_{table}"
        _run(connection, f"COPY (SELECT * FROM {source}) TO {_text(target / f'{table}.parquet')}")


def _orders(connection: Connection, table: str, key: str, num_rows: int) -> str:
    """The query for the rows of a sample of the orders, spread over all of them."""
    sales = {"store_returns": "store_sales", "catalog_returns": "catalog_sales", "web_returns": "web_sales"}
    if table in sales:
        sold = dict(_FACTS)[sales[table]]
        return f"SELECT * FROM whole_{table} WHERE {key} IN (SELECT {sold} FROM {sales[table]})"
    [(total,)] = connection.execute(f"SELECT count(*) FROM whole_{table}").fetchall()
    every = max(1, int(total) // num_rows)
    if table == "inventory":
        items = "SELECT cs_item_sk FROM catalog_sales UNION SELECT ss_item_sk FROM store_sales"
        return f"SELECT * FROM whole_{table} WHERE {key} IN ({items}) AND ({key} + inv_date_sk) % {every} = 0"
    return f"SELECT * FROM whole_{table} WHERE {key} % {every} = 0"


def _used(connection: Connection, tables: Sequence[str], suffix: str) -> str:
    """A query for all keys that columns with this ending hold; of tables that stay whole too."""
    parts = []
    for table in TPCDS.tables:
        if table in {name for name, _, _ in _DIMENSIONS} and table not in tables:
            continue
        source = table if table in tables else f"whole_{table}"
        columns = connection.execute(f"SELECT * FROM {source} LIMIT 0").description or []
        parts += [
            f"SELECT {name} FROM {source} WHERE {name} IS NOT NULL"
            for name, *_ in columns
            if str(name).endswith(suffix)
        ]
    return " UNION ".join(parts)


def _run(connection: Connection, statement: str) -> None:
    connection.execute(statement)


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
