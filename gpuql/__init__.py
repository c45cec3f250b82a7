"""gpuql: an analytical SQL engine whose queries run as compiled pipelines on a GPU or a CPU.

``gpuql.connect()`` opens a connection; ``gpuql.sql("...")`` uses one that lasts as long as the process. Names below
load what they need at first use, so that importing gpuql costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What PEP 249 asks of a module: threads may share it and its connections; parameters are written as ?.
apilevel = "2.0"
threadsafety = 2
paramstyle = "qmark"

if TYPE_CHECKING:
    from gpuql.api.dataframe import DataFrame, GroupBy
    from gpuql.api.dbapi import Cursor
    from gpuql.api.expressions import Expr
    from gpuql.api.functions import (
        aggregate,
        coalesce,
        col,
        concat_str,
        count,
        first,
        function,
        last,
        len,
        lit,
        max,
        mean,
        median,
        min,
        n_unique,
        std,
        sum,
        var,
        when,
    )
    from gpuql.api.result import Result
    from gpuql.errors import (
        ArithmeticOverflowError,
        BinderError,
        CatalogError,
        ConversionError,
        DatabaseError,
        DataError,
        DeviceError,
        GpuqlError,
        InputError,
        IntegrityError,
        InterfaceError,
        InternalError,
        InterruptError,
        NotSupportedError,
        OperationalError,
        OutOfMemoryError,
        OutOfRangeError,
        ParserError,
        PermissionError,
        ProgrammingError,
        TransactionError,
    )
    from gpuql.session import (
        Connection,
        connect,
        default_connection,
        execute,
        from_arrow,
        from_dict,
        from_pandas,
        from_polars,
        read_csv,
        read_json,
        read_parquet,
        register,
        sql,
        table,
    )
    from gpuql_planner.types import DataType

__all__ = [
    "apilevel",
    "threadsafety",
    "paramstyle",
    "DataFrame",
    "GroupBy",
    "Cursor",
    "Expr",
    "Result",
    "DataType",
    "Connection",
    "connect",
    "default_connection",
    "execute",
    "from_arrow",
    "from_dict",
    "from_pandas",
    "from_polars",
    "read_csv",
    "read_json",
    "read_parquet",
    "register",
    "sql",
    "table",
    "aggregate",
    "coalesce",
    "col",
    "concat_str",
    "count",
    "first",
    "function",
    "last",
    "len",
    "lit",
    "max",
    "mean",
    "median",
    "min",
    "n_unique",
    "std",
    "sum",
    "var",
    "when",
    "ArithmeticOverflowError",
    "BinderError",
    "CatalogError",
    "ConversionError",
    "DataError",
    "DatabaseError",
    "DeviceError",
    "GpuqlError",
    "InputError",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "InterruptError",
    "NotSupportedError",
    "OperationalError",
    "OutOfMemoryError",
    "OutOfRangeError",
    "ParserError",
    "PermissionError",
    "ProgrammingError",
    "TransactionError",
]

#: Where public names are defined; other functions are in ``gpuql.api.functions``, errors in ``gpuql.errors``.
_CLASSES = {
    "DataFrame": "gpuql.api.dataframe",
    "GroupBy": "gpuql.api.dataframe",
    "Cursor": "gpuql.api.dbapi",
    "Expr": "gpuql.api.expressions",
    "Result": "gpuql.api.result",
    "DataType": "gpuql_planner.types",
}
_SESSION = frozenset(
    {
        "Connection",
        "connect",
        "default_connection",
        "execute",
        "from_arrow",
        "from_dict",
        "from_pandas",
        "from_polars",
        "read_csv",
        "read_json",
        "read_parquet",
        "register",
        "sql",
        "table",
    }
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gpuql' has no attribute {name!r}")
    if name in _CLASSES:
        module = _CLASSES[name]
    elif name in _SESSION:
        module = "gpuql.session"
    else:
        module = "gpuql.errors" if name.endswith("Error") else "gpuql.api.functions"
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
